//! CoAP on connections (RFC 8323): a machine for each, as of MQTT.

use super::sockets::coap_config;
use super::{Endpoint, Peer, Pump};
use std::sync::Arc;
use windrose_event::{Claim, ConnectionId, Now};
use windrose_policy::{Limits, Listener, Transport};
use windrose_protocol::coap::{self, Framing, Stream, StreamConfig};

/// What the document's limits mean to a machine of CoAP on a connection.
pub fn stream_config(limits: &Limits, listener: &Listener, enrolment: bool) -> StreamConfig {
    StreamConfig {
        server: Arc::new(coap::ServerConfig { enrolment, ..coap_config(limits, listener, 1) }),
        message_bytes: limits.packet_bytes,
        connect_timeout: limits.connect_timeout,
        idle: limits.keep_alive_max,
    }
}

impl Pump {
    /// A new connection that CoAP is spoken on; its transport is up.
    pub fn connect_coap(
        &mut self,
        now: Now,
        config: Arc<StreamConfig>,
        listener: Arc<Listener>,
        claim: Claim,
    ) -> ConnectionId {
        let peer = claim.peer;
        let framing = match listener.transport {
            Transport::WebSocket => Framing::WebSocket,
            Transport::Tcp | Transport::Udp => Framing::Length,
        };
        let machine = Box::new(Stream::new(config, claim, framing, now));
        let id = self.insert(now, listener, peer, Endpoint::Stream(machine));
        // It has something to say from the start: its capabilities.
        self.collect(id);
        self.arm(id);
        id
    }

    /// A read from a connection's peer, if CoAP is spoken on it.
    pub(super) fn stream_bytes(&mut self, now: Now, id: ConnectionId, bytes: &[u8]) {
        self.change_stream(now, id, |machine| machine.handle_bytes(now, bytes));
    }

    /// A piece of a message from a connection's peer, where what carries it says where messages end.
    pub fn message(&mut self, now: Now, id: ConnectionId, bytes: &[u8], is_last: bool) {
        self.change_stream(now, id, |machine| machine.handle_message(now, bytes, is_last));
    }

    fn change_stream(&mut self, now: Now, id: ConnectionId, change: impl FnOnce(&mut Stream)) {
        let Some(Peer { endpoint: Endpoint::Stream(machine), closing: false, .. }) = self.peer_mut(id) else {
            return;
        };
        change(machine);
        self.collect(id);
        self.arm(id);
        self.turn(now);
    }
}
