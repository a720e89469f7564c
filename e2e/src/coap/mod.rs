//! CoAP, as little as a test needs: messages and a client over UDP that shares no code with the product and sends whatever
//! it is told, well made or not.

mod client;
mod message;

pub use client::Client;
pub use message::{Code, Kind, Message, code, option};
