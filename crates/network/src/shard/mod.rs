//! A shard: one thread, one runtime, one engine, its connections, and its links to the other shards.

mod accept;
mod candidates;
mod converse;
mod datagrams;
mod driver;
mod early;
mod enrol;
mod exchanges;
mod handshakes;
mod identify;
mod link;
mod recognise;
mod secured;
mod socket;
mod timer;
mod upgrade;
mod welcome;
mod writes;

pub(crate) use accept::accept;
pub(crate) use candidates::{Candidates, Place, candidates};
pub(crate) use link::{Inbox, Link, links};

use crate::brokers::client::BrokerClient;
use crate::coap::client::ServiceClient;
use crate::coap::devices::Devices;
use crate::dtls::NodeKeys;
use crate::http::client::PoolClient;
use crate::pump::{Effect, Pump, amqp_config, mqtt_config, stream_config};
use crate::tls::TlsTable;
use crate::udp::Arrivals;
use crate::{Clock, Directory, FileReader};
use converse::Talk;
use datagrams::Door;
use handshakes::Handshakes;
use socket::Socket;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use windrose_engine::{Batch, Engine, Input, Keeper, Kept, Notices, Seat, ShardId, Table, Tally};
use windrose_event::{CloseCause, ConnectionId, Enrolment, Moment, Now, Registry};
use windrose_identity::TokenSigner;
use windrose_policy::{Listener, PoolProtocol, Protocol, Snapshot};
use windrose_protocol::coap::{Sources, StreamConfig};
use windrose_protocol::websocket::End;
use windrose_protocol::{amqp, mqtt};

/// A read's size: one read per wake-up, shared by all connections of the shard.
const SCRATCH: usize = 64 * 1024;

/// Everything that one shard's thread owns.
pub(crate) struct Shard {
    pub(crate) id: ShardId,
    pub(crate) clock: Clock,
    core: RefCell<Core>,
    /// What was read; an idle connection owns no buffer.
    scratch: RefCell<Box<[u8]>>,
    /// What TLS decrypted.
    plain: RefCell<Box<[u8]>>,
    /// What was received of datagrams.
    arrivals: RefCell<Arrivals>,
    /// Sockets of datagrams.
    doors: RefCell<Vec<Door>>,
    /// What CoAP knows of where datagrams come from.
    sources: Arc<Sources>,
    /// How cookies and tickets of DTLS are known again.
    node_keys: Arc<NodeKeys>,
    seed: u64,
    links: Vec<Option<Link>>,
    keeper: Option<Arc<dyn Keeper>>,
    /// Records of this turn that the keeper has not been given yet.
    unsent: RefCell<Vec<Batch>>,
    directory: Arc<Directory>,
    registry: Arc<dyn Registry>,
    enrolment: Arc<dyn Enrolment>,
    signer: Arc<TokenSigner>,
    client: Rc<PoolClient>,
    brokers: Rc<BrokerClient>,
    services: Rc<ServiceClient>,
    devices: Devices,
    pub(crate) tls: Arc<TlsTable>,
    settings: RefCell<Settings>,
    timer: Notify,
    /// Connections that have something to write at the end of the turn.
    put_off: RefCell<Vec<ConnectionId>>,
    writes: Notify,
    armed: Cell<Option<Moment>>,
    pub(crate) draining: Cell<bool>,
    /// Transports that the pump does not know: those that shake hands, and those that HTTP is spoken on.
    doorstep: Cell<usize>,
    /// Claims, and steps of conversations, that wait for the registry.
    identifying: Cell<usize>,
    /// Keys that are being looked for.
    keys_sought: Cell<usize>,
    /// Counts changes of what is known of somebody.
    standing: Cell<u64>,
    /// Conversations whose peer is to answer: at most one for each connection.
    talks: RefCell<HashMap<ConnectionId, Talk>>,
    pub(crate) handshakes: RefCell<Handshakes>,
    pub(crate) notices: RefCell<Notices>,
}

struct Core {
    pump: Pump,
    /// By the connection's slot.
    sockets: Table<Socket>,
    /// `limits.output_bytes`.
    output_bytes: usize,
    /// Bytes read and written since the start.
    bytes_in: u64,
    bytes_out: u64,
}

/// What the snapshot says, in the form that drivers use.
pub(crate) struct Settings {
    pub(crate) snapshot: Arc<Snapshot>,
    /// By the name of the listener.
    mqtt: Vec<(Arc<str>, Arc<mqtt::ServerConfig>)>,
    amqp: Vec<(Arc<str>, Arc<amqp::ServerConfig>)>,
    /// This shard's part of `limits.connections`.
    connections: usize,
}

/// What a shard is made of.
pub(crate) struct ShardParts {
    pub(crate) seat: Seat,
    pub(crate) seed: u64,
    pub(crate) clock: Clock,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) enrolment: Arc<dyn Enrolment>,
    pub(crate) signer: Arc<TokenSigner>,
    pub(crate) tls: Arc<TlsTable>,
    pub(crate) read: FileReader,
    pub(crate) sources: Arc<Sources>,
    pub(crate) node_keys: Arc<NodeKeys>,
    pub(crate) links: Vec<Option<Link>>,
    pub(crate) keeper: Option<Arc<dyn Keeper>>,
}

impl Shard {
    pub(crate) fn new(parts: ShardParts) -> Rc<Self> {
        let ShardParts { seat, seed, clock, snapshot, directory, registry, tls, read, sources, .. } = parts;
        let ShardParts { enrolment, signer, node_keys, links, keeper, .. } = parts;
        let engine = Engine::new(seat, Arc::clone(&snapshot), seed);
        let pump = Pump::new(engine, &snapshot);
        let settings = Settings::new(Arc::clone(&snapshot), seat.shards, registry.methods());
        Rc::new(Self {
            id: seat.shard,
            clock,
            core: RefCell::new(Core {
                pump,
                sockets: Table::default(),
                output_bytes: snapshot.limits.output_bytes,
                bytes_in: 0,
                bytes_out: 0,
            }),
            scratch: RefCell::new(vec![0; SCRATCH].into_boxed_slice()),
            plain: RefCell::new(vec![0; SCRATCH].into_boxed_slice()),
            arrivals: RefCell::new(Arrivals::new()),
            doors: RefCell::default(),
            sources,
            node_keys,
            seed,
            links,
            keeper,
            unsent: RefCell::default(),
            directory,
            registry,
            enrolment,
            client: PoolClient::new(Arc::clone(&snapshot.node.name), Arc::clone(&read), Arc::clone(&signer)),
            signer,
            brokers: BrokerClient::new(seat, clock, &snapshot, read),
            services: ServiceClient::new(clock, &snapshot),
            devices: Devices::new(seat, clock),
            tls,
            settings: RefCell::new(settings),
            timer: Notify::new(),
            put_off: RefCell::default(),
            writes: Notify::new(),
            armed: Cell::new(None),
            draining: Cell::new(false),
            doorstep: Cell::new(0),
            identifying: Cell::new(0),
            keys_sought: Cell::new(0),
            standing: Cell::new(0),
            talks: RefCell::default(),
            handshakes: RefCell::new(Handshakes::default()),
            notices: RefCell::new(Notices::default()),
        })
    }

    pub(crate) fn now(&self) -> Now {
        self.clock.now()
    }

    /// The document in force.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.settings.borrow().snapshot)
    }

    /// A new document takes force: for new connections at once, for the engine between two events.
    pub(crate) fn apply(self: &Rc<Self>, snapshot: Arc<Snapshot>) {
        self.client.retain_pools(&snapshot.pools);
        self.brokers.apply(&snapshot, &self.host());
        self.services.apply(&snapshot);
        let shards = u16::try_from(self.links.len()).unwrap_or(u16::MAX);
        self.core.borrow_mut().output_bytes = snapshot.limits.output_bytes;
        *self.settings.borrow_mut() = Settings::new(Arc::clone(&snapshot), shards, self.registry.methods());
        self.input(Input::Snapshot(snapshot));
    }

    /// The registry knows others than before.
    pub(crate) fn registry_changed(self: &Rc<Self>) {
        let (snapshot, shards) = (self.snapshot(), u16::try_from(self.links.len()).unwrap_or(u16::MAX));
        *self.settings.borrow_mut() = Settings::new(snapshot, shards, self.registry.methods());
        if !self.draining.get() {
            let payload_bytes = self.snapshot().limits.payload_bytes;
            self.devices.apply(&self.registry.reachable(), payload_bytes, &self.host());
        }
    }

    /// Takes in what was kept over a restart.
    pub(crate) fn recover(self: &Rc<Self>, kept: Kept) {
        let now = self.now();
        self.core.borrow_mut().pump.recover(now, kept);
        self.act(now);
    }

    /// Whether the other shards know of the sessions that were kept.
    pub(crate) fn is_recovered(&self) -> bool {
        self.core.borrow().pump.engine().is_recovered()
    }

    /// Finishes what is in flight and tells every peer.
    pub(crate) fn drain(self: &Rc<Self>) {
        self.draining.set(true);
        self.brokers.drain();
        self.devices.drain();
        self.input(Input::Drain);
    }

    /// Says good-bye to the brokers, and to sessions of DTLS.
    pub(crate) async fn stop(self: &Rc<Self>) {
        let ports: Vec<_> = self.doors.borrow().iter().map(|door| Rc::clone(&door.port)).collect();
        ports.iter().for_each(|port| self.close_sessions(port));
        self.brokers.stop().await;
    }

    /// Whether a drain is complete.
    pub(crate) fn is_idle(&self) -> bool {
        let core = self.core.borrow();
        core.pump.engine().is_idle()
            && core.pump.connections() == 0
            && self.links.iter().flatten().all(Link::is_empty)
    }

    /// Counts of the engine and of connections that never reached it.
    pub(crate) fn tally(&self) -> Tally {
        let core = self.core.borrow();
        let mut tally = core.pump.engine().tally();
        (tally.bytes_in, tally.bytes_out) = (core.bytes_in, core.bytes_out);
        (tally.packets_in, tally.packets_out) = core.pump.packets();
        self.handshakes.borrow().add_to(&mut tally);
        drop(core);
        self.tally_doors(&mut tally);
        tally
    }

    /// Tells the engine, and acts on what follows.
    pub(crate) fn input(self: &Rc<Self>, input: Input) {
        let now = self.now();
        self.core.borrow_mut().pump.input(now, input);
        self.act(now);
    }

    /// Messages from another shard.
    pub(crate) fn messages(self: &Rc<Self>, from: ShardId, messages: Vec<windrose_engine::ShardMessage>) {
        let now = self.now();
        {
            let mut core = self.core.borrow_mut();
            for message in messages {
                core.pump.input(now, Input::Shard { from, message });
            }
        }
        self.act(now);
    }

    /// Whether another connection may be admitted (`limits.connections`).
    pub(crate) fn has_room(&self) -> bool {
        self.core.borrow().pump.connections() + self.doorstep.get() < self.settings.borrow().connections
    }

    /// Does what the turn asked for, until nothing is left to do.
    fn act(self: &Rc<Self>, now: Now) {
        loop {
            let effect = self.core.borrow_mut().pump.poll_effect();
            let Some(effect) = effect else { break };
            match effect {
                Effect::Flush(id) => self.write_later(now, id),
                Effect::Close(id) => self.close(now, id),
                Effect::Pause(id) => self.set_paused(id, true),
                Effect::Resume(id) => self.set_paused(id, false),
                Effect::Send(id) => self.send(now, id),
                Effect::Mishap(id, remote, cause, detail) => self.tell_mishap(id, remote, cause, detail),
                Effect::Identify(id, claim) => self.identify(now, id, claim),
                Effect::Converse(id, claim) => self.converse(now, id, &claim),
                Effect::Respond(id, response) => self.respond(now, id, response),
                Effect::Enrol(id, tag, by, request) => self.enrol(id, tag, &by, *request),
                Effect::Suspect(suspicion) => self.registry.suspect(*suspicion),
                Effect::Locate(connection, session) => {
                    let holder = self.directory.claim(&session, self.id);
                    self.core.borrow_mut().pump.input(now, Input::Located { connection, holder });
                }
                Effect::Forget(session) => self.directory.forget(&session, self.id),
                Effect::Shard(to, message) => {
                    if let Some(Some(link)) = self.links.get(usize::from(to.0)) {
                        link.push(message);
                    }
                }
                Effect::Store(batch) => self.unsent.borrow_mut().push(batch),
                Effect::Fetch(pool, filter, wanted) => {
                    self.brokers.fetch(&pool, &filter, wanted, &self.host());
                }
                Effect::Dispatch(dispatch) => {
                    let shard = Rc::clone(self);
                    let done = move |dispatch, answer| shard.input(Input::Answer { dispatch, answer });
                    match dispatch.pool.protocol {
                        PoolProtocol::Http => self.client.dispatch(dispatch, done),
                        PoolProtocol::Mqtt | PoolProtocol::Amqp => {
                            let shard = Rc::clone(self);
                            let replied = move |pool, event: &Arc<_>, form, reply| {
                                let event = Arc::clone(event);
                                shard.input(Input::Replied { pool, event, form, reply });
                            };
                            self.brokers.dispatch(dispatch, done, replied);
                        }
                        PoolProtocol::Coap => self.services.dispatch(dispatch, done),
                    }
                }
            }
        }
        // Before the links: who hears of an event may tell the keeper of its own part in it.
        if let Some(keeper) = &self.keeper
            && !self.unsent.borrow().is_empty()
        {
            keeper.keep(self.id, self.unsent.take());
        }
        self.send_later();
        self.rearm();
    }

    /// A read from a connection's peer, decrypted. Frames of a WebSocket are taken off where they lie.
    fn received(self: &Rc<Self>, now: Now, id: ConnectionId, bytes: &mut [u8]) {
        let mut core = self.core.borrow_mut();
        core.bytes_in += bytes.len() as u64;
        let Some(websocket) = core.socket(id).and_then(|socket| socket.websocket.as_deref_mut()) else {
            core.pump.bytes(now, id, bytes);
            return;
        };
        let payload = websocket.receive(bytes);
        let (end, wants_write) = (websocket.end(), websocket.wants_write());
        match websocket.take_ends() {
            None => core.pump.bytes(now, id, bytes.get(payload).unwrap_or_default()),
            Some(ends) => {
                let mut start = payload.start;
                for end in ends {
                    core.pump.message(now, id, bytes.get(start..end).unwrap_or_default(), true);
                    start = end.max(start);
                }
                let rest = bytes.get(start..payload.end).unwrap_or_default();
                if !rest.is_empty() {
                    core.pump.message(now, id, rest, false);
                }
            }
        }
        match end {
            Some(End::Closed) => core.pump.end(now, id, None),
            Some(End::Violated(violation)) => core.pump.end(now, id, Some(violation.problem)),
            None => {}
        }
        drop(core);
        if wants_write {
            self.flush(now, id);
        }
    }

    /// Forgets a connection whose transport is gone, or is to be closed. What is left of it is returned.
    fn remove(self: &Rc<Self>, id: ConnectionId, cause: CloseCause) -> Option<Socket> {
        let now = self.now();
        let socket = {
            let mut core = self.core.borrow_mut();
            let is_here = core.socket(id).is_some();
            let socket = if is_here { core.sockets.take(id.slot) } else { None };
            core.pump.remove(now, id, cause);
            self.talks.borrow_mut().remove(&id);
            socket
        };
        self.act(now);
        socket
    }
}

impl Settings {
    fn new(snapshot: Arc<Snapshot>, shards: u16, methods: &[&str]) -> Self {
        let limits = &snapshot.limits;
        let config =
            |listener: &Arc<Listener>| (listener.name.clone(), Arc::new(mqtt_config(limits, &listener.mqtt)));
        let mqtt = snapshot.listeners.iter().map(config).collect();
        let is_amqp = |listener: &&Arc<Listener>| listener.protocol == Protocol::Amqp;
        let config = |listener: &Arc<Listener>| {
            (
                listener.name.clone(),
                Arc::new(amqp_config(&snapshot.node.name, limits, &listener.amqp, methods)),
            )
        };
        let amqp = snapshot.listeners.iter().filter(is_amqp).map(config).collect();
        let connections = (limits.connections / u32::from(shards.max(1))).max(1) as usize;
        Self { snapshot, mqtt, amqp, connections }
    }
}

impl Shard {
    pub(crate) fn handshake_timeout(&self) -> Duration {
        self.settings.borrow().snapshot.limits.handshake_timeout
    }

    fn connect_timeout(&self) -> Duration {
        self.settings.borrow().snapshot.limits.connect_timeout
    }

    fn write_timeout(&self) -> Duration {
        self.settings.borrow().snapshot.limits.write_timeout
    }

    fn stream_config(&self, listener: &Listener) -> Arc<StreamConfig> {
        let snapshot = self.snapshot();
        let enrolment = snapshot.ca.is_some() && listener.tls.is_some();
        Arc::new(stream_config(&snapshot.limits, listener, enrolment))
    }

    /// What the document in force says of a listener; of one that it has no more, what it said when it had it.
    fn mqtt_config(&self, listener: &Listener) -> Arc<mqtt::ServerConfig> {
        let settings = self.settings.borrow();
        match settings.mqtt.iter().find(|(name, _)| *name == listener.name) {
            Some((_, config)) => Arc::clone(config),
            None => Arc::new(mqtt_config(&settings.snapshot.limits, &listener.mqtt)),
        }
    }

    /// As [`Shard::mqtt_config`].
    fn amqp_config(&self, listener: &Listener) -> Arc<amqp::ServerConfig> {
        let settings = self.settings.borrow();
        match settings.amqp.iter().find(|(name, _)| *name == listener.name) {
            Some((_, config)) => Arc::clone(config),
            None => {
                let Snapshot { node, limits, .. } = &*settings.snapshot;
                Arc::new(amqp_config(&node.name, limits, &listener.amqp, self.registry.methods()))
            }
        }
    }
}
