//! The client's side of HTTP/1.1 (RFC 9112) without sockets: reading the answers to requests that go out one at a time.
//!
//! A connection has a [`ResponseReader`]. Each request begins with [`ResponseReader::begin`]; then what the transport
//! reads goes to [`ResponseReader::handle_bytes`], until there is a [`Response`], a [`Violation`], or the end.

mod chunked;
mod framing;
mod head;
mod response;
#[cfg(test)]
mod tests;

pub use head::{MAX_HEAD, Violation};
pub use response::{Ended, MAX_BODY, Response, ResponseReader};
