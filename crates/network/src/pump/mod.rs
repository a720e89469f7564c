//! The pump: one shard's machines and its engine, and the turn that carries words between them.
//!
//! It is sans-IO like what it joins: the shard's drivers feed it on real sockets, the simulator on a virtual network.
//! Whatever neither the engine nor a machine can do by itself leaves as an [`Effect`].

mod amqp;
mod endpoint;
mod sockets;
mod streams;

pub use self::amqp::amqp_config;
pub use sockets::{SocketId, coap_config};
pub use streams::stream_config;

use crate::exchange::ExchangeQueue;
use endpoint::Endpoint;
use sockets::Gate;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use windrose_engine::{Batch, Dispatch, Engine, Input, Kept, Output, ShardId, ShardMessage};
use windrose_event::{
    Assurance, Claim, CloseCause, ConnectionId, Directive, EnrolRequest, Filter, Identity, Intent, Moment,
    Now, Secret, Suspicion, Tag,
};
use windrose_policy::{Limits, Listener, MqttOptions, Overlapping, Snapshot};
use windrose_protocol::coap::{Remote, StreamOutput};
use windrose_protocol::{Transmit, amqp as protocol, mqtt};

/// What a turn wants from the world.
#[derive(Debug)]
pub enum Effect {
    /// The connection has bytes to write.
    Flush(ConnectionId),
    /// Write what waits, then close the transport; then call [`Pump::remove`].
    Close(ConnectionId),
    /// Stop reading from the connection.
    Pause(ConnectionId),
    /// Read from it again.
    Resume(ConnectionId),
    /// Ask the registry; answer with `Input::Identified`.
    Identify(ConnectionId, Box<Claim>),
    /// Begin a conversation with the registry; answer with `Input::Conversed`.
    Converse(ConnectionId, Box<Claim>),
    /// Go on with it; answer with `Input::Conversed`.
    Respond(ConnectionId, Option<Secret>),
    /// Ask the authority for somebody; answer with `Input::Enrolled`.
    Enrol(ConnectionId, Tag, Box<Identity>, Box<EnrolRequest>),
    /// Tell the registry.
    Suspect(Box<Suspicion>),
    /// Ask the directory; answer with `Input::Located`.
    Locate(ConnectionId, Arc<str>),
    /// Tell the directory that the session is over.
    Forget(Arc<str>),
    /// Tell another shard.
    Shard(ShardId, ShardMessage),
    /// Store records; answer with `Input::Stored`. Comes before all other effects that rely on it.
    Store(Batch),
    /// Ask the members of a pool for what a filter matches, or no longer.
    Fetch(Arc<str>, Filter, bool),
    /// Send to a pool's member; answer with `Input::Answer`.
    Dispatch(Dispatch),
    /// A socket has datagrams to send.
    Send(SocketId),
    /// A peer sent a datagram that it must not have: who, the cause as in metrics, and what was wrong.
    Mishap(SocketId, Remote, &'static str, &'static str),
}

struct Peer {
    endpoint: Endpoint,
    /// The earliest moment in `timers` for it.
    armed: Option<Moment>,
    /// Whether the engine was told that too much waits to be written.
    congested: bool,
    /// Whether `Effect::Flush` is on its way.
    dirty: bool,
    closing: bool,
    /// Whether nothing is read from it, so that its silence says nothing.
    paused: bool,
}

struct Slot {
    generation: u32,
    peer: Option<Peer>,
}

/// One shard's machines and engine.
pub struct Pump {
    engine: Engine,
    slots: Vec<Slot>,
    free: Vec<u32>,
    connections: usize,
    /// What a machine understood of a read; empty between reads.
    heard: VecDeque<mqtt::Output>,
    heard_amqp: VecDeque<protocol::Output>,
    /// What the engine is told once its outputs are drained.
    inputs: VecDeque<Input>,
    effects: VecDeque<Effect>,
    timers: BinaryHeap<Reverse<(Moment, ConnectionId)>>,
    output_bytes: usize,
    gates: Vec<Option<Gate>>,
    /// Sockets whose machines have outputs.
    stirred: Vec<SocketId>,
    /// Control packets received and sent since the start.
    packets: Packets,
}

/// Control packets, counted whenever a machine has been read into or is written from.
#[derive(Default)]
struct Packets {
    received: u64,
    sent: u64,
}

impl Packets {
    fn count(&mut self, endpoint: &mut Endpoint) {
        let (received, sent) = endpoint.take_packets();
        self.received += u64::from(received);
        self.sent += u64::from(sent);
    }
}

/// What the document's limits, and what it says of a listener, mean to an MQTT machine.
pub fn mqtt_config(limits: &Limits, options: &MqttOptions) -> mqtt::ServerConfig {
    let quirks = options.quirks;
    mqtt::ServerConfig {
        packet_bytes: limits.packet_bytes,
        payload_bytes: limits.payload_bytes,
        receive_maximum: limits.receive_maximum,
        keep_alive_max: limits.keep_alive_max,
        connect_timeout: limits.connect_timeout,
        topic_alias_maximum: limits.topic_aliases,
        retain_available: limits.retained_events > 0 && limits.retained_bytes > 0,
        address_levels: limits.address_levels,
        quirks: mqtt::Quirks {
            empty_client_id: quirks.empty_client_id,
            long_client_id: quirks.long_client_id,
            cap_keep_alive: quirks.cap_keep_alive,
            maximum_qos: quirks.maximum_qos.and_then(|qos| match qos {
                0 => Some(Assurance::AtMostOnce),
                1 => Some(Assurance::AtLeastOnce),
                _ => None,
            }),
        },
        server_reference: options.server_reference.clone(),
        response_information: options.response_information.clone(),
        overlapping_each: options.overlapping_subscriptions == Overlapping::Each,
    }
}

/// Intents of one read that the engine is told before its outputs are drained: few enough that a brake or a peer that does
/// not read is noticed amid a read.
const BATCH: usize = 32;

/// Deliveries that an exchange may leave unread before its deliveries are held.
const EXCHANGE_QUEUE: usize = 256;

impl Pump {
    /// A pump without connections.
    pub fn new(engine: Engine, snapshot: &Snapshot) -> Self {
        Self {
            engine,
            slots: Vec::new(),
            free: Vec::new(),
            connections: 0,
            heard: VecDeque::new(),
            heard_amqp: VecDeque::new(),
            inputs: VecDeque::new(),
            effects: VecDeque::new(),
            timers: BinaryHeap::new(),
            output_bytes: snapshot.limits.output_bytes,
            gates: Vec::new(),
            stirred: Vec::new(),
            packets: Packets::default(),
        }
    }

    /// A new MQTT connection; its transport is up.
    pub fn connect_mqtt(
        &mut self,
        now: Now,
        config: Arc<mqtt::ServerConfig>,
        listener: Arc<Listener>,
        claim: Claim,
    ) -> ConnectionId {
        let peer = claim.peer;
        let machine = Box::new(mqtt::Server::new(config, claim, now));
        let id = self.insert(now, listener, peer, Endpoint::Mqtt(machine));
        self.arm(id);
        id
    }

    /// A new exchange, driven by code instead of a machine.
    pub fn connect_exchange(
        &mut self,
        now: Now,
        listener: Arc<Listener>,
        peer: Option<SocketAddr>,
        queue: Rc<ExchangeQueue>,
    ) -> ConnectionId {
        self.insert(now, listener, peer, Endpoint::Exchange(queue))
    }

    fn insert(
        &mut self,
        now: Now,
        listener: Arc<Listener>,
        address: Option<SocketAddr>,
        endpoint: Endpoint,
    ) -> ConnectionId {
        let connection = self.enter(endpoint);
        self.engine.handle(now, Input::Connect { connection, listener, peer: address });
        self.turn(now);
        connection
    }

    /// Gives an endpoint its place, and with it its name.
    fn enter(&mut self, endpoint: Endpoint) -> ConnectionId {
        let peer =
            Peer { endpoint, armed: None, congested: false, dirty: false, closing: false, paused: false };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, peer: None });
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let entry = &mut self.slots[slot as usize];
        entry.peer = Some(peer);
        let connection = ConnectionId { slot, generation: entry.generation };
        self.connections += 1;
        connection
    }

    /// Takes an endpoint from its place, which is free from now on.
    fn leave(&mut self, id: ConnectionId) -> Option<Peer> {
        let slot = self.slots.get_mut(id.slot as usize).filter(|slot| slot.generation == id.generation)?;
        let peer = slot.peer.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(id.slot);
        self.connections -= 1;
        Some(peer)
    }

    /// Forgets a connection whose transport is gone. The engine is told unless it knows.
    pub fn remove(&mut self, now: Now, id: ConnectionId, cause: CloseCause) {
        let Some(peer) = self.peer_mut(id) else { return };
        if !peer.closing {
            if peer.endpoint.handle_end(now, None) {
                self.collect(id);
            }
            self.turn(now);
        }
        let mut cause = cause;
        if let Some(mut peer) = self.leave(id) {
            self.packets.count(&mut peer.endpoint);
            // The machine knows better why, if it ended the connection itself.
            if let Some(known) = peer.endpoint.close_cause() {
                cause = known.clone();
            }
        }
        // Ignored by the engine if the machine has said `Close` already.
        self.input(now, Input::Lost { connection: id, cause });
    }

    /// A whole read from the connection's peer.
    pub fn bytes(&mut self, now: Now, id: ConnectionId, bytes: &[u8]) {
        match self.peer_mut(id) {
            Some(Peer { endpoint: Endpoint::Mqtt(_), closing: false, .. }) => self.mqtt_bytes(now, id, bytes),
            Some(Peer { endpoint: Endpoint::Amqp(_), closing: false, .. }) => self.amqp_bytes(now, id, bytes),
            Some(Peer { endpoint: Endpoint::Stream(_), closing: false, .. }) => {
                self.stream_bytes(now, id, bytes);
            }
            _ => {}
        }
    }

    fn mqtt_bytes(&mut self, now: Now, id: ConnectionId, bytes: &[u8]) {
        let Some(Peer { endpoint: Endpoint::Mqtt(machine), .. }) = peer_mut(&mut self.slots, id) else {
            return;
        };
        let mut heard = std::mem::take(&mut self.heard);
        machine.handle_bytes_into(now, bytes, &mut heard);
        self.collect(id);
        self.hear(now, id, &mut heard, |output| match output {
            mqtt::Output::Intent(intent) => Some(intent),
            mqtt::Output::Close => None,
        });
        // A burst's memory is given back.
        heard.shrink_to(8 * BATCH);
        self.heard = heard;
    }

    /// Tells the engine what a machine understood of a read, a batch at a time: answers are carried to the machines, and
    /// batches to other shards, once for all of it. An output that is no intent is the end.
    fn hear<Heard>(
        &mut self,
        now: Now,
        id: ConnectionId,
        heard: &mut VecDeque<Heard>,
        intent: impl Fn(Heard) -> Option<Intent>,
    ) {
        while !heard.is_empty() {
            for output in heard.drain(..heard.len().min(BATCH)) {
                match intent(output) {
                    Some(intent) => self.engine.handle(now, Input::Intent { connection: id, intent }),
                    None => self.close(id),
                }
            }
            self.turn(now);
        }
        self.turn(now);
        if let Some(peer) = peer_mut(&mut self.slots, id) {
            self.packets.count(&mut peer.endpoint);
        }
    }

    /// What carries the connection's bytes is over: its peer closed it, or broke its rules if `problem` says how.
    pub fn end(&mut self, now: Now, id: ConnectionId, problem: Option<&'static str>) {
        let Some(Peer { endpoint, closing: false, .. }) = self.peer_mut(id) else { return };
        if endpoint.handle_end(now, problem) {
            self.collect(id);
            self.turn(now);
        }
    }

    /// An intent of an exchange.
    pub fn intent(&mut self, now: Now, id: ConnectionId, intent: Intent) {
        self.inputs.push_back(Input::Intent { connection: id, intent });
        self.turn(now);
    }

    /// An answer to an effect, or any other word for the engine.
    pub fn input(&mut self, now: Now, input: Input) {
        match &input {
            Input::Snapshot(snapshot) => self.output_bytes = snapshot.limits.output_bytes,
            Input::Drain => self.drain_sockets(),
            _ => {}
        }
        self.engine.handle(now, input);
        self.turn(now);
    }

    /// When [`Pump::timeout`] is due.
    pub fn next_timeout(&self) -> Option<Moment> {
        let machine = self.timers.peek().map(|Reverse((moment, _))| *moment);
        [machine, self.engine.next_timeout(), self.next_socket_timeout()].into_iter().flatten().min()
    }

    /// Lets machines and engine act on the time.
    pub fn timeout(&mut self, now: Now) {
        while let Some(Reverse((moment, id))) = self.timers.peek().copied() {
            if moment > now.moment {
                break;
            }
            self.timers.pop();
            let Some(peer) = self.peer_mut(id) else { continue };
            if peer.armed != Some(moment) {
                continue;
            }
            peer.armed = None;
            // AMQP's machines know that they are not read: they say heartbeats, and that they are held.
            if peer.paused && !matches!(peer.endpoint, Endpoint::Amqp(_)) {
                continue;
            }
            if peer.endpoint.next_timeout().is_some_and(|due| due <= now.moment) {
                peer.endpoint.handle_timeout(now);
                self.collect(id);
            }
            self.arm(id);
            self.turn(now);
        }
        self.time_out_sockets(now);
        if self.engine.next_timeout().is_some_and(|due| due <= now.moment) {
            self.input(now, Input::Timeout);
        }
    }

    /// The next effect, if any.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        let effect = self.effects.pop_front();
        if let Some(Effect::Flush(id)) = effect
            && let Some(peer) = peer_mut(&mut self.slots, id)
        {
            peer.dirty = false;
            self.packets.count(&mut peer.endpoint);
        }
        if let Some(Effect::Send(id)) = effect {
            self.sending(id);
        }
        effect
    }

    /// What waits to be written to a connection.
    pub fn transmit(&mut self, id: ConnectionId) -> Option<&mut Transmit> {
        self.peer_mut(id)?.endpoint.transmit()
    }

    /// Tells the engine when a congested connection has room again: call after writing.
    pub fn written(&mut self, now: Now, id: ConnectionId) {
        let room = self.output_bytes / 2;
        let Some(peer) = self.peer_mut(id) else { return };
        let clear = match &mut peer.endpoint {
            Endpoint::Exchange(queue) => queue.len() <= EXCHANGE_QUEUE / 2,
            endpoint => endpoint.transmit().is_none_or(|transmit| transmit.len() <= room),
        };
        if peer.congested && clear {
            peer.congested = false;
            self.input(now, Input::Cleared { connection: id });
        }
    }

    /// Connections, of machines and exchanges.
    pub fn connections(&self) -> usize {
        self.connections
    }

    /// Control packets that machines received and sent since the start.
    pub const fn packets(&self) -> (u64, u64) {
        (self.packets.received, self.packets.sent)
    }

    /// The engine, for its tally and state.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Takes in what was kept over a restart. Before any connection.
    pub fn recover(&mut self, now: Now, kept: Kept) {
        self.engine.recover(now, kept);
        self.turn(now);
    }

    /// Whether a connection is still here.
    pub fn is_connected(&self, id: ConnectionId) -> bool {
        let slot = self.slots.get(id.slot as usize).filter(|slot| slot.generation == id.generation);
        slot.is_some_and(|slot| slot.peer.is_some())
    }

    /// How a connection's machine ended it, if it did.
    pub fn close_cause(&self, id: ConnectionId) -> Option<&CloseCause> {
        let slot = self.slots.get(id.slot as usize).filter(|slot| slot.generation == id.generation)?;
        slot.peer.as_ref()?.endpoint.close_cause()
    }

    /// Carries words between machines and engine until neither has any left.
    fn turn(&mut self, now: Now) {
        loop {
            while let Some(output) = self.engine.poll_output() {
                match output {
                    Output::Directive { connection, directive } => self.direct(now, connection, directive),
                    Output::Identify { connection, claim } => {
                        self.effects.push_back(Effect::Identify(connection, claim));
                    }
                    Output::Converse { connection, claim } => {
                        self.effects.push_back(Effect::Converse(connection, claim));
                    }
                    Output::Respond { connection, response } => {
                        self.effects.push_back(Effect::Respond(connection, response));
                    }
                    Output::Enrol { connection, tag, by, request } => {
                        self.effects.push_back(Effect::Enrol(connection, tag, Box::new(by), request));
                    }
                    Output::Suspect(suspicion) => self.effects.push_back(Effect::Suspect(suspicion)),
                    Output::Locate { connection, session } => {
                        self.effects.push_back(Effect::Locate(connection, session));
                    }
                    Output::Forget { session } => self.effects.push_back(Effect::Forget(session)),
                    Output::Shard { to, message } => self.effects.push_back(Effect::Shard(to, message)),
                    Output::Store(batch) => self.effects.push_back(Effect::Store(batch)),
                    Output::Fetch { pool, filter, wanted } => {
                        self.effects.push_back(Effect::Fetch(pool, filter, wanted));
                    }
                    Output::Dispatch(dispatch) => self.effects.push_back(Effect::Dispatch(dispatch)),
                    Output::Pause { connection } => self.brake(now, connection, true),
                    Output::Resume { connection } => self.brake(now, connection, false),
                }
            }
            if let Some(input) = self.inputs.pop_front() {
                self.engine.handle(now, input);
                continue;
            }
            let Some(socket) = self.stirred.pop() else { break };
            self.hear_socket(now, socket);
        }
    }

    /// Stops or resumes what a connection sends: a socket is not read, an exchange's caller is told to come back later.
    fn brake(&mut self, now: Now, id: ConnectionId, paused: bool) {
        let Some(peer) = peer_mut(&mut self.slots, id) else { return };
        if let Endpoint::Amqp(_) = peer.endpoint {
            return self.brake_amqp(now, id, paused);
        }
        peer.paused = paused;
        match &mut peer.endpoint {
            Endpoint::Exchange(queue) => queue.set_paused(paused),
            &mut Endpoint::Lane(socket, lane) => self.brake_lane(now, socket, lane, paused),
            Endpoint::Amqp(_) => {}
            Endpoint::Mqtt(_) | Endpoint::Stream(_) if paused => self.effects.push_back(Effect::Pause(id)),
            Endpoint::Mqtt(machine) => {
                machine.handle_resume(now);
                self.effects.push_back(Effect::Resume(id));
                self.arm(id);
            }
            Endpoint::Stream(machine) => {
                machine.handle_resume(now);
                self.effects.push_back(Effect::Resume(id));
                self.arm(id);
            }
        }
    }

    fn direct(&mut self, now: Now, id: ConnectionId, directive: Directive) {
        let Some(peer) = peer_mut(&mut self.slots, id) else { return };
        let (waiting, opened) = match &mut peer.endpoint {
            Endpoint::Exchange(queue) => {
                queue.push(directive);
                (queue.len() > EXCHANGE_QUEUE, false)
            }
            &mut Endpoint::Lane(socket, lane) => return self.direct_lane(now, socket, lane, directive),
            Endpoint::Mqtt(machine) => {
                let opened = matches!(directive, Directive::Accept(_) | Directive::Challenge { .. });
                machine.handle_directive(now, directive);
                let waiting = machine.transmit().len();
                if machine.has_output() || (waiting > 0 && !peer.dirty) {
                    self.collect(id);
                }
                (waiting > self.output_bytes, opened)
            }
            Endpoint::Amqp(machine) => {
                // What comes by the thousand moves no timeout.
                let often = matches!(
                    directive,
                    Directive::Settle { .. } | Directive::Supply(_) | Directive::Deliver(_)
                );
                machine.handle_directive(now, directive);
                let waiting = machine.waiting();
                if machine.has_output() || (waiting > 0 && !peer.dirty) {
                    self.collect(id);
                }
                (waiting > self.output_bytes, !often)
            }
            Endpoint::Stream(machine) => {
                machine.handle_directive(now, directive);
                let waiting = machine.transmit().len();
                self.collect(id);
                // Any word may bring its next timeout forward.
                (waiting > self.output_bytes, true)
            }
        };
        if opened {
            self.arm(id);
        }
        if waiting
            && let Some(peer) = self.peer_mut(id)
            && !peer.congested
        {
            peer.congested = true;
            // The engine is amid its outputs: it hears of this as soon as they are drained.
            self.inputs.push_front(Input::Congested { connection: id });
        }
    }

    /// Takes what a machine put out.
    fn collect(&mut self, id: ConnectionId) {
        let Some(peer) = peer_mut(&mut self.slots, id) else { return };
        let mut close = false;
        let mut tell = |intent| self.inputs.push_back(Input::Intent { connection: id, intent });
        let has_words = match &mut peer.endpoint {
            Endpoint::Mqtt(machine) => {
                while let Some(output) = machine.poll_output() {
                    match output {
                        mqtt::Output::Intent(intent) => tell(intent),
                        mqtt::Output::Close => close = true,
                    }
                }
                !machine.transmit().is_empty()
            }
            Endpoint::Amqp(machine) => {
                while let Some(output) = machine.poll_output() {
                    match output {
                        protocol::Output::Intent(intent) => tell(intent),
                        protocol::Output::Close => close = true,
                    }
                }
                machine.waiting() > 0
            }
            Endpoint::Stream(machine) => {
                while let Some(output) = machine.poll_output() {
                    match output {
                        StreamOutput::Intent(intent) => tell(intent),
                        StreamOutput::Close => close = true,
                    }
                }
                !machine.transmit().is_empty()
            }
            Endpoint::Exchange(_) | Endpoint::Lane(..) => return,
        };
        if has_words && !peer.dirty {
            peer.dirty = true;
            self.effects.push_back(Effect::Flush(id));
        }
        if close {
            self.close(id);
        }
    }

    /// A machine is done with its connection.
    fn close(&mut self, id: ConnectionId) {
        let Some(peer) = self.peer_mut(id) else { return };
        if !peer.closing {
            peer.closing = true;
            self.effects.push_back(Effect::Close(id));
        }
    }

    /// Enters the machine's next timeout, unless an earlier entry will look at it anyway.
    fn arm(&mut self, id: ConnectionId) {
        let Some(peer) = self.peer_mut(id) else { return };
        let Some(due) = peer.endpoint.next_timeout() else { return };
        if peer.armed.is_none_or(|armed| due < armed) {
            peer.armed = Some(due);
            self.timers.push(Reverse((due, id)));
        }
    }

    fn peer_mut(&mut self, id: ConnectionId) -> Option<&mut Peer> {
        peer_mut(&mut self.slots, id)
    }
}

fn peer_mut(slots: &mut [Slot], id: ConnectionId) -> Option<&mut Peer> {
    slots.get_mut(id.slot as usize).filter(|slot| slot.generation == id.generation)?.peer.as_mut()
}
