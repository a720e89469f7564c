//! One shard of the server, whole but for its sockets: machines, pump and engine, fed with what sockets would bring.

use crate::Result;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use windrose_engine::{Answer, DispatchId, Engine, Input, Seat, ShardId};
use windrose_event::{Claim, CloseCause, ConnectionId, Identity, Now, Outcome, Timestamp};
use windrose_network::pump::{Effect, Pump, SocketId, coap_config, mqtt_config};
use windrose_policy::{Listener, compile};
use windrose_protocol::coap::{Remote, Sources};
use windrose_protocol::mqtt::ServerConfig;

/// Metrics and access rules as the traffic cases have them, and everything below `rest/` for a service.
const DOCUMENT: &str = "\
    node: {name: counts}\n\
    identity: {anonymous: allow}\n\
    access: [{who: anyone, may: [publish, subscribe], on: '#'}]\n\
    listeners: [{name: mqtt, protocol: mqtt, bind: '127.0.0.1:1883'}]\n\
    pools: {api: {protocol: http, members: ['http://127.0.0.1:80/events'], max_in_flight: 10000}}\n\
    routes: [{name: api, match: 'rest/#', deliver: {pool: api}, acknowledge: delivered}]\n\
    limits: {session_queue_events: 100000, session_queue_bytes: 64MiB, session_in_flight: 10000, \
    subscriptions_per_session: 1000000}\n";

/// Time passes in steps of a turn.
const TURN: Duration = Duration::from_micros(50);

/// Pieces of one vectored write.
const SLICES: usize = 64;

/// Everything under this function is counted, and nothing else: valgrind is told its name.
///
/// What is handed in must not be a closure that is written in here, or its name would begin with this one's.
#[inline(never)]
pub(super) fn measured(work: &mut dyn FnMut()) {
    work();
}

/// A shard, and what its drivers would hold.
pub(super) struct Node {
    pump: Pump,
    listener: Arc<Listener>,
    config: Arc<ServerConfig>,
    now: Now,
    /// Whether what is done now is counted.
    pub(super) counting: bool,
    dirty: Vec<ConnectionId>,
    closing: Vec<ConnectionId>,
    asked: Vec<DispatchId>,
    /// What was written in the last turn, in order.
    pub(super) written: Vec<(ConnectionId, Vec<u8>)>,
    /// Events that the service has taken.
    pub(super) served: u64,
    /// Connections that are over.
    pub(super) closed: u64,
    /// Datagrams that answered 2.xx.
    pub(super) answered: u64,
}

impl Node {
    /// A shard without connections.
    pub(super) fn new() -> Result<Self> {
        let snapshot = compile("counts.yaml", DOCUMENT, &|_| None)
            .map_err(|mistakes| format!("the document of the counts is wrong: {mistakes}"))?;
        let snapshot = Arc::new(snapshot);
        let engine = Engine::new(Seat { shard: ShardId(0), shards: 1 }, Arc::clone(&snapshot), 7);
        let listener = snapshot.listeners.first().ok_or("the document of the counts has no listener")?;
        let wall = Timestamp::from_micros(1_700_000_000_000_000);
        Ok(Self {
            pump: Pump::new(engine, &snapshot),
            listener: Arc::clone(listener),
            config: Arc::new(mqtt_config(&snapshot.limits, &listener.mqtt)),
            now: Now { wall, ..Now::default() },
            counting: false,
            dirty: Vec::new(),
            closing: Vec::new(),
            asked: Vec::new(),
            written: Vec::new(),
            served: 0,
            closed: 0,
            answered: 0,
        })
    }

    /// A connection is there.
    pub(super) fn accept(&mut self) -> ConnectionId {
        let mut id = ConnectionId { slot: 0, generation: 0 };
        self.run(&mut |node| {
            let claim = Claim { listener: node.listener.name.clone(), ..Claim::default() };
            let (config, listener) = (Arc::clone(&node.config), Arc::clone(&node.listener));
            id = node.pump.connect_mqtt(node.now, config, listener, claim);
            node.act();
        });
        id
    }

    /// A socket of CoAP is there.
    pub(super) fn listen(&mut self) -> SocketId {
        let limits = windrose_policy::Limits::default();
        let config = Arc::new(coap_config(&limits, &self.listener, 1));
        let sources = Arc::new(Sources::new(1 << 10, [7; 32]));
        self.pump.open_coap(config, Arc::clone(&self.listener), sources, 7)
    }

    /// One read of it.
    pub(super) fn datagrams(&mut self, socket: SocketId, datagrams: &[(SocketAddr, Vec<u8>)]) {
        self.now = self.now.after(TURN);
        self.run(&mut |node| {
            let read = datagrams.iter().map(|(peer, bytes)| (Remote::udp(*peer), bytes.as_slice()));
            node.pump.handle_datagrams(node.now, socket, read);
            node.act();
        });
    }

    /// One turn of the shard: every read is handled, then everything is written, each connection's by one write.
    pub(super) fn turn(&mut self, reads: &[(ConnectionId, Vec<u8>)]) {
        self.now = self.now.after(TURN);
        self.written.clear();
        self.run(&mut |node| {
            for (id, bytes) in reads {
                node.pump.bytes(node.now, *id, bytes);
                node.act();
            }
            node.finish();
        });
    }

    fn run(&mut self, work: &mut dyn FnMut(&mut Self)) {
        if self.counting { measured(&mut || work(self)) } else { work(self) }
    }

    /// Answers what the pump asks at once, and keeps what is for the end of the turn.
    fn act(&mut self) {
        while let Some(effect) = self.pump.poll_effect() {
            match effect {
                Effect::Flush(id) => self.dirty.push(id),
                Effect::Close(id) => self.closing.push(id),
                Effect::Identify(connection, _) => {
                    let verdict = Ok(Identity::anonymous());
                    self.pump.input(self.now, Input::Identified { connection, verdict });
                }
                Effect::Locate(connection, _) => {
                    self.pump.input(self.now, Input::Located { connection, holder: None });
                }
                Effect::Send(socket) => {
                    let Some(datagrams) = self.pump.datagrams(socket) else { continue };
                    let well = |bytes: &[u8]| bytes.get(1).is_some_and(|code| code >> 5 == 2);
                    self.answered += datagrams.iter().filter(|(_, bytes)| well(bytes)).count() as u64;
                    datagrams.clear(64 * 1024);
                }
                Effect::Dispatch(dispatch) => {
                    self.served += dispatch.events.len() as u64;
                    self.asked.push(dispatch.id);
                }
                _ => {}
            }
        }
    }

    fn finish(&mut self) {
        for dispatch in std::mem::take(&mut self.asked) {
            let answer = Answer { outcome: Outcome::Accepted, reply: None };
            self.pump.input(self.now, Input::Answer { dispatch, answer });
            self.act();
        }
        while let Some(id) = self.dirty.pop() {
            self.write(id);
            self.act();
        }
        for id in std::mem::take(&mut self.closing) {
            self.pump.remove(self.now, id, CloseCause::Ours);
            self.closed += 1;
        }
    }

    fn write(&mut self, id: ConnectionId) {
        let Some(transmit) = self.pump.transmit(id) else { return };
        if transmit.is_empty() {
            return;
        }
        let mut output = Vec::with_capacity(transmit.len());
        while !transmit.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = transmit.io_slices(&mut slices);
            let before = output.len();
            slices.iter().take(filled).for_each(|slice| output.extend_from_slice(slice));
            transmit.advance(output.len() - before);
        }
        self.pump.written(self.now, id);
        self.written.push((id, output));
    }
}
