//! What is written is read again, and what is malformed is refused.

#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
mod malformed;
mod oracle;
mod roundtrip;
