//! A small client of MQTT 3.1, 3.1.1 and 5.0 of the harness's own. It shares no code with the product, sees every packet and
//! every code, and sends whatever bytes a test wants.

mod client;
mod options;
pub mod property;
mod wire;

pub use client::{Client, End};
pub use options::Options;
pub use property::Properties;
pub use wire::{Packet, Version, packet, string, varint};
