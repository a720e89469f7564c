//! AMQP 1.0 (ISO 19464) and AMQP 0-9-1, told apart by the first eight bytes of a connection.
//!
//! The two share a name and a port, not a wire format: [`v1`] is links with credit between containers, [`v091`] is
//! channels to exchanges and queues. Both speak to the engine in the same intents, so that a queue declared by one is
//! consumed from by the other, and an address is the same address as everywhere else.

pub mod client;
mod config;
mod crossing;
mod server;
pub mod v091;
pub mod v1;

pub use config::ServerConfig;
pub use server::{Frames, Output, Server};
