//! AMQP 1.0 (OASIS, ISO 19464).

mod server;

pub use server::Server;
