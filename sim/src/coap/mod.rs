//! Things that speak CoAP over a network that loses, delays, reorders and repeats datagrams, and a whole node.
//!
//! The things have a message layer of their own (RFC 7252 §4), written apart from the node's: what both get wrong must be
//! in the specification. The [`Record`] knows what each side was promised: what was acknowledged is not lost, nothing is taken
//! or told twice, and in the end nothing is left anywhere.

mod air;
mod node;
mod plan;
mod record;
mod thing;
mod world;

pub use air::Air;
pub use plan::{Ending, Plan};
pub use record::Record;
