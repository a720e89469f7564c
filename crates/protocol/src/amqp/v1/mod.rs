//! AMQP 1.0 (OASIS, ISO 19464).

mod client;
pub mod codec;
mod message;
mod node;
mod server;

pub use client::Client;
pub use server::Server;
