//! How a client behaves: joined with our own server machine in memory, and with servers that say anything at all.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod hostile;
mod pair;
mod publishing;
mod taking;
