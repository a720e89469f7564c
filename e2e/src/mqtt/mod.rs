//! A small MQTT 3.1.1 and 5.0 client of the harness's own. It shares no code with the product, sees every packet and
//! every code, and sends whatever bytes a test wants.

mod client;
mod options;
mod wire;

pub use client::{Client, End};
pub use options::Options;
pub use wire::{Packet, Properties, Version, property, string, varint};
