//! What both machines are told of the node's policy.

use std::sync::Arc;
use std::time::Duration;
use windrose_event::Filter;

/// What a machine is told of the node's policy.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The node's name, told to peers: the container identifier of AMQP 1.0.
    pub node: Arc<str>,
    /// The largest frame that is taken, in bytes; announced (AMQP 1.0 max-frame-size, 0-9-1 frame-max).
    pub frame_bytes: u32,
    /// The largest payload that is taken, in bytes; announced as max-message-size.
    pub payload_bytes: u32,
    /// Unsettled publications at once, of the whole connection; told as link credit.
    pub receive_maximum: u16,
    /// Channels of 0-9-1, sessions of 1.0, on one connection; announced.
    pub channels: u16,
    /// Links on one connection of 1.0, consumers on one connection of 0-9-1.
    pub links: u32,
    /// How long nothing may come before the connection is closed; announced (idle-time-out, heartbeat). `None`: no bound.
    pub heartbeat: Option<Duration>,
    /// How long the connection may take to be opened, from the transport's start.
    pub connect_timeout: Duration,
    /// Whether last values are kept.
    pub retain_available: bool,
    /// Addresses that are queues to links of 1.0 that do not say what they want.
    pub queues: Arc<[Filter]>,
    /// Whether passwords may come in plain text: the connection is encrypted, or the document lets it.
    pub plain: bool,
    /// Whether SCRAM-SHA-256 is offered: somebody has keys for it.
    pub scram: bool,
    /// Other nodes that peers are told of when this one sends them away (AMQP 1.0 §2.8.16, connection redirect).
    pub redirect: Option<Arc<str>>,
}
