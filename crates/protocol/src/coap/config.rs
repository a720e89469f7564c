//! What the machines are told of the node's policy.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What a machine is told of the node's policy.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The listener's name, as the document has it: claims of anonymous endpoints bear it.
    pub listener: Arc<str>,
    /// The one address that the socket has, if it has one: datagrams that come from there are not forged.
    pub address: Option<IpAddr>,
    /// The largest payload that is taken, in bytes, when all its blocks are put together.
    pub payload_bytes: u32,
    /// Levels of an address or filter.
    pub address_levels: u16,
    /// The longest token that is taken, in bytes (RFC 8974).
    pub token_bytes: u16,
    /// How many exchanges are remembered, so that repeated requests are answered alike (RFC 7252 §4.2).
    pub exchanges: u32,
    /// How long an exchange with a confirmable request is remembered (RFC 7252 §4.8.2, EXCHANGE_LIFETIME); one with a
    /// non-confirmable request as much less as NON_LIFETIME is less.
    pub exchange_lifetime: Duration,
    /// The largest datagram that is sent, in bytes (RFC 7252 §4.6).
    pub datagram_bytes: u16,
    /// How many connections to the engine anonymous endpoints share at most.
    pub lanes: u16,
    /// How many requests may wait for such a connection to be accepted.
    pub waiting: u16,
    /// How many unsettled deliveries a connection to the engine takes at once.
    pub window: u16,
    /// How many observations an endpoint may have (RFC 7641 §4.1).
    pub observations_per_endpoint: u32,
    /// Whether things may enrol by sessions of DTLS or TLS (RFC 9148).
    pub enrolment: bool,
    /// How many bytes bodies may take that are sent or received block by block (RFC 7959).
    pub blocks_bytes: u64,
}

impl ServerConfig {
    /// A listener's policy by default.
    pub fn new(listener: impl Into<Arc<str>>) -> Self {
        Self {
            listener: listener.into(),
            address: None,
            payload_bytes: 262_144,
            address_levels: 32,
            token_bytes: 32,
            exchanges: 2_000_000,
            exchange_lifetime: Duration::from_secs(247),
            datagram_bytes: 1_152,
            lanes: 64,
            waiting: 1_024,
            window: 64,
            observations_per_endpoint: 64,
            enrolment: false,
            blocks_bytes: 16 << 20,
        }
    }
}
