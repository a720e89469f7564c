//! Floor 1: sans-IO protocol machines. They know neither sockets nor clocks nor policy, and not one another.

pub mod amqp;
mod certs_only;
pub mod coap;
pub mod http;
pub mod mqtt;
pub mod proxy;
mod transmit;
mod uri;
pub mod websocket;

pub use transmit::Transmit;
