//! AMQP 0-9-1, with RabbitMQ's extensions: the format on the wire, and the server's side of a connection.

mod client;
pub mod codec;
pub(crate) mod message;
mod server;

pub use client::Client;
pub use server::Server;
