//! HTTP on real sockets, both directions.
//!
//! North, [`client`] carries events to the members of pools. South, [`server`] answers REST callers: each request is an
//! exchange with the shard's engine. [`sample_service`] is a small service to try it all with.

pub mod client;
mod connector;
mod deadlines;
pub mod fetch;
mod flight;
mod http1;
mod http2;
mod local;
mod member;
pub mod sample_service;
pub mod server;
mod template;
mod tls;
mod transport;
mod vouch;
