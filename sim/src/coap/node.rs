//! The node: shards that are driven as the drivers of real sockets do it, and services that answer.

use super::record::PubId;
use super::world::{Step, World};
use crate::rng::Rng;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use windrose_engine::{Answer, Dispatch, DispatchId, Engine, Input, Seat, ShardId, ShardMessage};
use windrose_event::{Event, Identity, Moment, Outcome, Principal};
use windrose_network::pump::{Effect, Pump, SocketId, coap_config};
use windrose_policy::{Snapshot, compile};
use windrose_protocol::coap::{Remote, Sources};

const DOCUMENT: &str = "\
node: {name: sim}
listeners:
  - {name: coap, protocol: coap, bind: \"127.0.0.1:5683\"}
access:
  - {who: anyone, may: [publish, subscribe, read], on: \"#\"}
pools:
  api: {protocol: http, members: [\"http://member:80/events\"], timeout: 5s, backoff: 20ms, backoff_max: 1s}
routes:
  - {name: delivered, match: \"d/#\", deliver: {pool: api}, acknowledge: delivered, deadline: 10s}
";

/// One shard.
pub(super) struct Shard {
    pub(super) pump: Pump,
    pub(super) socket: SocketId,
    timer: Option<Moment>,
    inbox: Vec<VecDeque<ShardMessage>>,
    /// When the last message of each shard arrives: they come in order.
    arrivals: Vec<Moment>,
    dispatches: HashMap<DispatchId, Vec<PubId>>,
}

impl Shard {
    pub(super) fn all(count: u16, rng: &mut Rng) -> Vec<Self> {
        let snapshot = match compile("sim.yaml", DOCUMENT, &|_| None) {
            Ok(snapshot) => Arc::new(snapshot),
            Err(mistakes) => panic!("{mistakes}"),
        };
        let sources = Arc::new(Sources::new(1 << 14, [5; 32]));
        (0..count).map(|index| Self::new(index, count, &snapshot, &sources, rng)).collect()
    }

    fn new(index: u16, count: u16, snapshot: &Arc<Snapshot>, sources: &Arc<Sources>, rng: &mut Rng) -> Self {
        let seat = Seat { shard: ShardId(index), shards: count };
        let engine = Engine::new(seat, Arc::clone(snapshot), rng.bits());
        let mut pump = Pump::new(engine, snapshot);
        let listener = Arc::clone(&snapshot.listeners[0]);
        let config = Arc::new(coap_config(&snapshot.limits, &listener, count));
        let socket = pump.open_coap(config, listener, Arc::clone(sources), rng.bits());
        Self {
            pump,
            socket,
            timer: None,
            inbox: (0..count).map(|_| VecDeque::new()).collect(),
            arrivals: vec![Moment::default(); usize::from(count)],
            dispatches: HashMap::new(),
        }
    }
}

/// Where a thing is.
pub(super) fn remote(thing: u32) -> Remote {
    let [_, b, c, d] = thing.to_be_bytes();
    Remote::udp(SocketAddr::from(([10, b, c, d], 5_683)))
}

/// Which thing is there.
fn thing(remote: &Remote) -> u32 {
    match remote {
        Remote::Udp { peer: SocketAddr::V4(peer), .. } => peer.ip().to_bits() & 0xff_ffff,
        other => panic!("no thing is at {other}"),
    }
}

impl World {
    /// A datagram arrives at the node, at the shard that the kernel picks by its address.
    pub(super) fn up(&mut self, thing: u32, bytes: &[u8]) {
        let now = self.agenda.now();
        let index = self.shard_of(thing);
        self.arrived(thing, bytes);
        let shard = &mut self.shards[index];
        shard.pump.handle_datagrams(now, shard.socket, [(remote(thing), bytes)]);
        self.act(index);
    }

    pub(super) fn timer(&mut self, index: usize) {
        let now = self.agenda.now();
        // An earlier one has taken its place otherwise.
        if self.shards[index].timer != Some(now.moment) {
            return;
        }
        self.shards[index].timer = None;
        self.shards[index].pump.timeout(now);
        self.act(index);
    }

    pub(super) fn input(&mut self, index: usize, input: Input) {
        let now = self.agenda.now();
        self.shards[index].pump.input(now, input);
        self.act(index);
    }

    /// Does what a shard wants, until it wants nothing, and sets its timer.
    pub(super) fn act(&mut self, index: usize) {
        while let Some(effect) = self.shards[index].pump.poll_effect() {
            self.effect(index, effect);
        }
        self.look_who_is_given_up(index);
        let ledger = self.shards[index].pump.engine().ledger();
        if ledger.published != ledger.settled + ledger.in_flight {
            self.record.fail(format!("shard {index} has not published = settled + in flight: {ledger:?}"));
        }
        let Some(due) = self.shards[index].pump.next_timeout() else { return };
        let timer = &mut self.shards[index].timer;
        if timer.is_none_or(|armed| due < armed) {
            let due = due.max(self.agenda.now().moment);
            *timer = Some(due);
            self.agenda.at(due, Step::Timer(index));
        }
    }

    fn effect(&mut self, index: usize, effect: Effect) {
        match effect {
            Effect::Send(socket) => {
                let Some(datagrams) = self.shards[index].pump.datagrams(socket) else { return };
                let sent: Vec<_> =
                    datagrams.iter().map(|(remote, bytes)| (thing(&remote), bytes.to_vec())).collect();
                datagrams.clear(4_096);
                sent.into_iter().for_each(|(thing, bytes)| self.down(thing, bytes));
            }
            Effect::Mishap(_, remote, cause, detail) => {
                // What was acknowledged already may be acknowledged again: the network repeats it.
                let thing = thing(&remote);
                if cause != "unmatched" {
                    self.record.fail(format!(
                        "thing {thing} is said to have sent what is wrong ({cause}): {detail}"
                    ));
                }
            }
            Effect::Identify(connection, _) => {
                let principal = Principal::Device { id: "thing".into(), owner: None };
                let identity = Identity { principal, ..Identity::anonymous() };
                let wait = self.rng.micros(0, 2_000);
                self.agenda.after(
                    wait,
                    Step::Input(index, Box::new(Input::Identified { connection, verdict: Ok(identity) })),
                );
            }
            Effect::Locate(connection, _) => {
                self.agenda.after(
                    Duration::ZERO,
                    Step::Input(index, Box::new(Input::Located { connection, holder: None })),
                );
            }
            Effect::Shard(to, message) => {
                let to = usize::from(to.0);
                let at = (self.agenda.now().moment + self.rng.micros(0, 1_000))
                    .max(self.shards[to].arrivals[index]);
                self.shards[to].arrivals[index] = at;
                self.shards[to].inbox[index].push_back(message);
                self.agenda.at(at, Step::Message { from: index, to });
            }
            Effect::Dispatch(dispatch) => self.dispatch(index, dispatch),
            Effect::Forget(_) => {}
            other => panic!("nobody wanted {other:?}"),
        }
    }

    pub(super) fn message(&mut self, from: usize, to: usize) {
        if let Some(message) = self.shards[to].inbox[from].pop_front() {
            self.input(to, Input::Shard { from: ShardId(from as u16), message });
        }
    }

    /// A service takes events and says so, soon or late; or it says that it takes nothing now.
    fn dispatch(&mut self, index: usize, dispatch: Dispatch) {
        let events = dispatch.events.iter().filter_map(|event| publication(event)).collect();
        self.shards[index].dispatches.insert(dispatch.id, events);
        let wait = if self.rng.chance(80) { self.rng.millis(1, 40) } else { self.rng.millis(200, 4_000) };
        let is_taken = !self.rng.chance(10);
        if is_taken {
            self.agenda.after(wait / 2, Step::Takes(index, dispatch.id));
        }
        let outcome = if is_taken { Outcome::Accepted } else { Outcome::unavailable() };
        let answer = Answer { outcome, reply: None };
        self.agenda
            .after(wait, Step::Input(index, Box::new(Input::Answer { dispatch: dispatch.id, answer })));
    }

    pub(super) fn takes(&mut self, index: usize, dispatch: DispatchId) {
        for id in self.shards[index].dispatches.remove(&dispatch).unwrap_or_default() {
            self.record.note(self.agenda.now().moment, || format!("a service takes {id:?}"));
            self.record.taken(id);
        }
    }
}

fn publication(event: &Event) -> Option<PubId> {
    std::str::from_utf8(&event.payload).ok()?.parse().ok().map(PubId)
}
