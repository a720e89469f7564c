//! Sockets of datagrams: one machine speaks for all endpoints of one, by lanes that are connections to the engine.

use super::{Effect, Endpoint, Pump};
use rustc_hash::FxHashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use windrose_engine::Input;
use windrose_event::{CloseCause, ConnectionId, Directive, Moment, Now};
use windrose_policy::{Limits, Listener};
use windrose_protocol::coap::{self, Counts, Datagrams, Lane, Output, Remote, Sources};

/// A socket of datagrams, by its place in the pump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SocketId(pub u32);

/// The machine of a socket.
pub(super) struct Gate {
    machine: coap::Server,
    listener: Arc<Listener>,
    lanes: FxHashMap<Lane, ConnectionId>,
    /// Whether `Effect::Send` is on its way.
    dirty: bool,
    /// Whether it has outputs that nobody has looked at.
    stirred: bool,
}

/// What the document's limits mean to a CoAP machine of one of so many shards.
pub fn coap_config(limits: &Limits, listener: &Listener, shards: u16) -> coap::ServerConfig {
    let shards = u32::from(shards.max(1));
    coap::ServerConfig {
        payload_bytes: limits.payload_bytes,
        address_levels: limits.address_levels,
        exchanges: (limits.coap_exchanges / shards).max(1),
        exchange_lifetime: limits.coap_exchange_lifetime,
        window: limits.session_in_flight,
        observations_per_endpoint: limits.subscriptions_per_session,
        ..coap::ServerConfig::new(Arc::clone(&listener.name))
    }
}

impl Pump {
    /// A new socket that CoAP is spoken on.
    pub fn open_coap(
        &mut self,
        config: Arc<coap::ServerConfig>,
        listener: Arc<Listener>,
        sources: Arc<Sources>,
        seed: u64,
    ) -> SocketId {
        let machine = coap::Server::new(config, sources, seed);
        let gate = Gate { machine, listener, lanes: FxHashMap::default(), dirty: false, stirred: false };
        let place = match self.gates.iter().position(Option::is_none) {
            Some(place) => place,
            None => {
                self.gates.push(None);
                self.gates.len() - 1
            }
        };
        self.gates[place] = Some(gate);
        SocketId(u32::try_from(place).unwrap_or(u32::MAX))
    }

    /// A new document takes force for a socket that stays.
    pub fn apply_coap(&mut self, id: SocketId, config: Arc<coap::ServerConfig>, listener: Arc<Listener>) {
        if let Some(gate) = gate_mut(&mut self.gates, id) {
            gate.machine.apply(&config);
            gate.listener = listener;
        }
    }

    /// The socket is gone, and with it what its endpoints were to the engine.
    pub fn close_socket(&mut self, now: Now, id: SocketId) {
        let Some(gate) = self.gates.get_mut(id.0 as usize).and_then(Option::take) else { return };
        for connection in gate.lanes.into_values() {
            self.release(now, connection, CloseCause::Ours);
        }
        self.turn(now);
    }

    /// What one read of a socket brought.
    pub fn handle_datagrams<'a>(
        &mut self,
        now: Now,
        id: SocketId,
        datagrams: impl IntoIterator<Item = (Remote, &'a [u8])>,
    ) {
        self.mutate_socket(now, id, |machine| {
            datagrams.into_iter().for_each(|(remote, bytes)| machine.handle_datagram(now, remote, bytes));
        });
    }

    /// Changes a socket's machine (a batch of datagrams, of words of sessions), and carries on what follows from it.
    pub fn mutate_socket(&mut self, now: Now, id: SocketId, change: impl FnOnce(&mut coap::Server)) {
        let Some(gate) = gate_mut(&mut self.gates, id) else { return };
        change(&mut gate.machine);
        self.stir(id);
        self.turn(now);
    }

    /// What waits to be sent by a socket: after `Effect::Send`.
    pub fn datagrams(&mut self, id: SocketId) -> Option<&mut Datagrams> {
        Some(gate_mut(&mut self.gates, id)?.machine.datagrams())
    }

    /// What the machine of a socket has counted, and its listener's name.
    pub fn coap_counts(&self, id: SocketId) -> Option<(&Arc<str>, Counts)> {
        let gate = self.gates.get(id.0 as usize)?.as_ref()?;
        Some((&gate.listener.name, gate.machine.counts()))
    }

    /// `Effect::Send` has come to whom it is for.
    pub(super) fn sending(&mut self, id: SocketId) {
        if let Some(gate) = gate_mut(&mut self.gates, id) {
            gate.dirty = false;
        }
    }

    pub(super) fn direct_lane(&mut self, now: Now, id: SocketId, lane: Lane, directive: Directive) {
        if let Some(gate) = gate_mut(&mut self.gates, id) {
            gate.machine.handle_directive(now, lane, directive);
            self.stir(id);
        }
    }

    pub(super) fn brake_lane(&mut self, now: Now, id: SocketId, lane: Lane, paused: bool) {
        if let Some(gate) = gate_mut(&mut self.gates, id) {
            gate.machine.handle_brake(now, lane, paused);
            self.stir(id);
        }
    }

    /// The node shuts down.
    pub(super) fn drain_sockets(&mut self) {
        self.gates.iter_mut().flatten().for_each(|gate| gate.machine.drain());
    }

    /// When a machine of a socket is due.
    pub(super) fn next_socket_timeout(&self) -> Option<Moment> {
        self.gates.iter().flatten().filter_map(|gate| gate.machine.next_timeout()).min()
    }

    /// Lets machines of sockets act on the time.
    pub(super) fn time_out_sockets(&mut self, now: Now) {
        for place in 0..self.gates.len() {
            let Some(gate) = self.gates.get_mut(place).and_then(Option::as_mut) else { continue };
            if gate.machine.next_timeout().is_some_and(|due| due <= now.moment) {
                gate.machine.handle_timeout(now);
                self.stir(SocketId(u32::try_from(place).unwrap_or(u32::MAX)));
                self.turn(now);
            }
        }
    }

    /// Has a machine's outputs looked at once the engine's are drained.
    fn stir(&mut self, id: SocketId) {
        if let Some(gate) = gate_mut(&mut self.gates, id)
            && !gate.stirred
        {
            gate.stirred = true;
            self.stirred.push(id);
        }
    }

    /// Tells the engine what a machine wants. The engine's outputs must be drained.
    pub(super) fn hear_socket(&mut self, now: Now, id: SocketId) {
        while let Some(gate) = gate_mut(&mut self.gates, id) {
            let Some(output) = gate.machine.poll_output() else {
                gate.stirred = false;
                if !gate.dirty && !gate.machine.datagrams().is_empty() {
                    gate.dirty = true;
                    self.effects.push_back(Effect::Send(id));
                }
                return;
            };
            match output {
                Output::Intent { lane, intent } => {
                    if let Some(&connection) = gate.lanes.get(&lane) {
                        self.engine.handle(now, Input::Intent { connection, intent });
                    }
                }
                Output::Connect { lane, remote } => {
                    let listener = Arc::clone(&gate.listener);
                    let peer = remote.and_then(|remote| remote.peer());
                    self.connect_lane(now, id, lane, listener, peer);
                }
                Output::Disconnect { lane } => {
                    if let Some(connection) = gate.lanes.remove(&lane) {
                        self.release(now, connection, CloseCause::Goodbye);
                    }
                }
                Output::Mishap { remote, cause, detail } => {
                    self.effects.push_back(Effect::Mishap(id, remote, cause, detail));
                }
            }
        }
    }

    fn connect_lane(
        &mut self,
        now: Now,
        id: SocketId,
        lane: Lane,
        listener: Arc<Listener>,
        peer: Option<SocketAddr>,
    ) {
        let connection = self.enter(Endpoint::Lane(id, lane));
        if let Some(gate) = gate_mut(&mut self.gates, id)
            && let Some(former) = gate.lanes.insert(lane, connection)
        {
            self.release(now, former, CloseCause::Lost);
        }
        self.engine.handle(now, Input::Connect { connection, listener, peer });
    }

    /// Forgets the connection of a lane. The engine ignores it if it ended the connection itself.
    fn release(&mut self, now: Now, connection: ConnectionId, cause: CloseCause) {
        if self.leave(connection).is_some() {
            self.engine.handle(now, Input::Lost { connection, cause });
        }
    }
}

fn gate_mut(gates: &mut [Option<Gate>], id: SocketId) -> Option<&mut Gate> {
    gates.get_mut(id.0 as usize)?.as_mut()
}
