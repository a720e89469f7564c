//! A small MQTT 3.1.1 and 5.0 client of the harness's own. It shares no code with the product, sees every packet and
//! every code, and sends whatever bytes a test wants.

mod client;
mod wire;

pub use client::{Client, End, Options};
pub use wire::{Packet, Properties, Version, property, string, varint};
