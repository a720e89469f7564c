//! Floor 3: the only crate that opens sockets. Drivers pump a protocol machine against its shard's engine.
//!
//! It knows neither the registry's nor the spool's files, no scripts, and not who administers the node: what it needs of
//! them reaches it as a trait (`Registry`) or as bytes.

pub mod brokers;
mod clock;
pub mod coap;
mod dial;
mod directory;
pub mod dtls;
pub mod exchange;
pub mod http;
mod listen;
mod node;
mod notice;
pub mod pump;
pub mod samples;
mod shard;
mod sys;
pub mod tls;
mod udp;

pub use clock::Clock;
pub use directory::Directory;
pub use listen::bind_admin;
pub use node::{FileReader, Journal, Node, NodeParts};
