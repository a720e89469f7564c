//! HTTP on loopback sockets: the client against services that behave and misbehave, and the REST listener against a host
//! that answers as a test tells it to.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod client;
mod fetch;
mod host;
mod sample;
mod server;
mod service;
mod support;
mod tls;
mod vouch;
