//! AMQP on connections, 1.0 and 0-9-1: a machine for each, as of MQTT.

use super::{BATCH, Effect, Endpoint, Peer, Pump, peer_mut};
use std::sync::Arc;
use windrose_event::{Claim, ConnectionId, Now};
use windrose_policy::{AmqpOptions, Limits, Listener};
use windrose_protocol::amqp::{Output, Server, ServerConfig};

/// The largest frame that is announced: more would only be waited for in one piece (RabbitMQ announces as much).
const FRAME_BYTES: u32 = 128 * 1024;
/// The smallest that may be announced (AMQP 0-9-1 §4.2.3 and `frame-min-size`; 1.0 §2.4.1 has less).
const FRAME_BYTES_LEAST: u32 = 4_096;

/// What the document's limits, and what it says of a listener, mean to an AMQP machine. `node` is the node's name, `methods`
/// are those of conversations with the registry.
pub fn amqp_config(
    node: &Arc<str>,
    limits: &Limits,
    options: &AmqpOptions,
    methods: &[&str],
) -> ServerConfig {
    ServerConfig {
        node: Arc::clone(node),
        frame_bytes: limits.packet_bytes.clamp(FRAME_BYTES_LEAST, FRAME_BYTES),
        payload_bytes: limits.payload_bytes,
        receive_maximum: limits.receive_maximum,
        channels: limits.channels,
        links: limits.links,
        heartbeat: [options.heartbeat, limits.keep_alive_max].into_iter().flatten().min(),
        connect_timeout: limits.connect_timeout,
        retain_available: limits.retained_events > 0 && limits.retained_bytes > 0,
        queues: Arc::clone(&options.queues),
        // Of a listener without TLS the document has said that it is on loopback, or that plain text is fine.
        plain: true,
        scram: methods.contains(&"SCRAM-SHA-256"),
        redirect: options.redirect.clone(),
    }
}

impl Pump {
    /// A new connection that AMQP is spoken on; its transport is up.
    pub fn connect_amqp(
        &mut self,
        now: Now,
        config: Arc<ServerConfig>,
        listener: Arc<Listener>,
        claim: Claim,
    ) -> ConnectionId {
        let peer = claim.peer;
        let machine = Box::new(Server::new(config, claim, now));
        let id = self.insert(now, listener, peer, Endpoint::Amqp(machine));
        self.arm(id);
        id
    }

    /// A read from a connection's peer that speaks AMQP.
    pub(super) fn amqp_bytes(&mut self, now: Now, id: ConnectionId, bytes: &[u8]) {
        let Some(Peer { endpoint: Endpoint::Amqp(machine), .. }) = peer_mut(&mut self.slots, id) else {
            return;
        };
        let mut heard = std::mem::take(&mut self.heard_amqp);
        machine.handle_bytes_into(now, bytes, &mut heard);
        self.collect(id);
        self.hear(now, id, &mut heard, |output| match output {
            Output::Intent(intent) => Some(intent),
            Output::Close => None,
        });
        // What peers agree on brings heartbeats with it.
        self.arm(id);
        heard.shrink_to(8 * BATCH);
        self.heard_amqp = heard;
    }

    /// Credit is gone, or back. Whom a word of its protocol holds is read from all the same: its settlements are heard.
    pub(super) fn brake_amqp(&mut self, now: Now, id: ConnectionId, paused: bool) {
        let Some(peer) = peer_mut(&mut self.slots, id) else { return };
        let Endpoint::Amqp(machine) = &mut peer.endpoint else { return };
        if paused {
            let is_read = machine.handle_pause(now);
            peer.paused = !is_read;
            if !is_read {
                self.effects.push_back(Effect::Pause(id));
            }
        } else {
            machine.handle_resume(now);
            if std::mem::take(&mut peer.paused) {
                self.effects.push_back(Effect::Resume(id));
            }
        }
        self.collect(id);
        self.arm(id);
    }
}
