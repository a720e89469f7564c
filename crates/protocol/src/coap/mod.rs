//! CoAP (RFC 7252 and its extensions), as sans-IO machines for one socket of datagrams and for streams.
//!
//! In layers, each of which knows only those under it: `codec` reads and writes bytes; `messaging` is the message layer of
//! datagrams (RFC 7252 §4); `binding` is what requests and responses mean. `server` joins them.

pub mod binding;
pub mod client;
pub mod codec;
mod config;
mod datagrams;
mod exchange;
pub mod format;
pub mod link;
mod messaging;
mod output;
mod remote;
mod server;
mod sources;
mod stream;
mod things;

pub use config::ServerConfig;
pub use datagrams::Datagrams;
pub use exchange::{Request, Response, Token};
pub use output::{Counts, Mishap, Output};
pub use remote::{Lane, Remote, SessionId};
pub use server::Server;
pub use sources::{Echo, Sources};
pub use stream::{Framing, Messages, Stream, StreamConfig, StreamOutput};
