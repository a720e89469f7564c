//! The client's side of CoAP: what the node asks of things and services that are servers (RFC 7252 §5).
//!
//! `call` is one request until its whole response is here, `calls` are all of a socket, `machine` sends them to one server,
//! `request` makes them of events, `outcome` is what a response says of an event.

mod call;
mod calls;
mod machine;
mod outcome;
mod request;
mod settle;
#[cfg(test)]
mod tests;

pub use call::{Failure, Outgoing};
pub use calls::CallId;
pub(super) use calls::{CallOutput, Calls};
pub use machine::{Client, ClientConfig};
pub use outcome::outcome;
pub use request::{Target, asked, publication};
pub use settle::{open, settle, subscribe};
