//! MQTT 3.1, 3.1.1 and 5.0 (IBM's specification of 2010, OASIS standards of 2014 and 2019), as a sans-IO server and a codec for both directions.

mod client;
pub mod codec;
mod reason;
mod server;

pub use client::{Client, ClientConfig, ClientOutput};
pub use reason::ReasonCode;
pub use server::{Output, Packets, Quirks, Server, ServerConfig};
