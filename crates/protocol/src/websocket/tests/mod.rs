//! What a client of a WebSocket could see break.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod client;
mod frames;
mod handshake;
mod writing;
