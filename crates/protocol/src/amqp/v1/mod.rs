//! AMQP 1.0 (OASIS, ISO 19464).

pub mod codec;
mod server;

pub use server::Server;
