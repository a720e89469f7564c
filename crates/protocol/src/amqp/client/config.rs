//! What both clients are told.

use std::time::Duration;
use windrose_event::{Template, Text};

/// How a client connects, and what it takes.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The version spoken.
    pub version: ClientVersion,
    /// The connection's name (1.0: container-id). What is fetched by 0-9-1 is kept at the server in a queue of that name.
    pub name: Text,
    /// The server's name (1.0: hostname).
    pub host: Text,
    /// The virtual host (0-9-1).
    pub virtual_host: Text,
    /// User name; without one the client is anonymous.
    pub username: Option<Text>,
    /// Password.
    pub password: Option<Text>,
    /// How long the connection may be silent.
    pub heartbeat: Duration,
    /// How long the connection may take to open.
    pub answer_timeout: Duration,
    /// The largest frame that is taken, in bytes.
    pub frame_bytes: u32,
    /// The largest payload that is taken, in bytes.
    pub payload_bytes: u32,
    /// Levels of an address.
    pub address_levels: u16,
    /// Messages that may be unsettled at once.
    pub prefetch: u16,
    /// Written to each publication as the header `windrose-via`: the node's name.
    pub via: Text,
    /// 1.0: the address of an event at the server.
    pub address: Template,
    /// 0-9-1: the exchange that events are published to.
    pub exchange: Text,
    /// 0-9-1: their routing key.
    pub routing_key: Template,
    /// Queues that are consumed from.
    pub consume: Vec<Text>,
}

/// The version that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientVersion {
    /// 0-9-1 if the server does, otherwise what it answers with.
    Auto,
    /// AMQP 1.0.
    V1,
    /// AMQP 0-9-1.
    V091,
}
