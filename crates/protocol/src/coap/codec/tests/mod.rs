#![allow(clippy::unwrap_used, clippy::panic)]

mod oracle;
mod reading;
