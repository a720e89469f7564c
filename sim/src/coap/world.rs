//! The world: things, a node, and what lies between them, moved on one step at a time.

use super::node::Shard;
use super::record::Record;
use super::thing::{GROUPS, Thing};
use super::{Air, Ending, Plan};
use crate::agenda::Agenda;
use crate::rng::Rng;
use std::collections::BTreeSet;
use std::time::Duration;
use windrose_engine::{DispatchId, Input};
use windrose_event::Moment;
use windrose_protocol::coap::codec::{Kind, Message};

/// How long everything may take to come to rest: a lane that nobody uses is closed, exchanges are forgotten.
const AFTERMATH: Duration = Duration::from_secs(900);

/// Steps of one moment after which the node is taken to go round in circles.
const STEPS_AT_ONCE: u32 = 10_000;

/// Something that happens.
pub(super) enum Step {
    /// A datagram arrives at the node.
    Up(u32, Vec<u8>),
    /// A datagram arrives at a thing.
    Down(u32, Vec<u8>),
    /// A thing's timer.
    Thing(u32),
    /// A shard's timer.
    Timer(usize),
    /// A message arrives from one shard at another.
    Message { from: usize, to: usize },
    /// A service has a dispatch's events.
    Takes(usize, DispatchId),
    /// A shard is answered.
    Input(usize, Box<Input>),
}

pub(super) struct World {
    pub(super) agenda: Agenda<Step>,
    pub(super) rng: Rng,
    pub(super) record: Record,
    pub(super) shards: Vec<Shard>,
    air: Air,
    things: Vec<Thing>,
    timers: Vec<Option<Moment>>,
    /// To which things confirmable messages are under way, by shard.
    unacknowledged: Vec<BTreeSet<(u32, u16)>>,
    /// How many messages each shard has given up, and how many it was not allowed to send.
    given_up: Vec<(u64, u64)>,
    lasts: Duration,
    seed: u64,
}

impl World {
    pub(super) fn new(plan: &Plan) -> Self {
        let mut rng = Rng::new(plan.seed);
        let shards = Shard::all(plan.shards, &mut rng);
        let things = (0..plan.things)
            .map(|number| {
                let observes = rng.chance(plan.observers).then_some(number % GROUPS);
                Thing::new(number, observes, plan.pace, &mut rng)
            })
            .collect();
        Self {
            agenda: Agenda::new(),
            record: Record::new(plan.told),
            shards,
            air: plan.air,
            things,
            timers: vec![None; plan.things as usize],
            unacknowledged: vec![BTreeSet::new(); usize::from(plan.shards)],
            given_up: vec![(0, 0); usize::from(plan.shards)],
            lasts: plan.lasts,
            seed: plan.seed,
            rng,
        }
    }

    pub(super) fn play(mut self) -> Result<Ending, String> {
        for shard in 0..self.shards.len() {
            self.act(shard);
        }
        for thing in 0..self.things.len() {
            self.rearm(thing as u32);
        }
        self.run(self.lasts);
        self.things.iter_mut().for_each(Thing::stop);
        // First what is under way, in the same weather; then the observers leave, and time passes.
        self.run(AFTERMATH);
        self.air = Air::CALM;
        self.run(AFTERMATH);
        // What is owed must have come by now.
        self.record.finish();
        let now = self.agenda.now().moment;
        for thing in 0..self.things.len() {
            self.things[thing].leave(now);
            self.rearm(thing as u32);
        }
        self.run(AFTERMATH);
        self.finish();
        match self.record.violation {
            Some(violation) => Err(format!("seed {}: {violation}", self.seed)),
            None => Ok(self.record.ending),
        }
    }

    fn run(&mut self, time: Duration) {
        let until = self.agenda.now().moment + time;
        let (mut steps_at_once, mut last) = (0, until);
        while self.record.violation.is_none() && self.agenda.next_at().is_some_and(|at| at <= until) {
            let Some(step) = self.agenda.pop() else { return };
            let now = self.agenda.now().moment;
            steps_at_once = if now == last { steps_at_once + 1 } else { 0 };
            last = now;
            if steps_at_once > STEPS_AT_ONCE {
                self.record.fail("the node does not come to rest".to_owned());
            }
            match step {
                Step::Up(thing, bytes) => self.up(thing, &bytes),
                Step::Down(thing, bytes) => self.with_thing(thing, |thing, now, rng, record| {
                    thing.handle_datagram(now, &bytes, rng, record);
                }),
                // An earlier one has taken its place otherwise.
                Step::Thing(thing) if self.timers[thing as usize] == Some(now) => {
                    self.timers[thing as usize] = None;
                    self.with_thing(thing, Thing::handle_timeout);
                }
                Step::Thing(_) => {}
                Step::Timer(shard) => self.timer(shard),
                Step::Message { from, to } => self.message(from, to),
                Step::Takes(shard, dispatch) => self.takes(shard, dispatch),
                Step::Input(shard, input) => self.input(shard, *input),
            }
        }
    }

    fn with_thing(&mut self, number: u32, change: impl FnOnce(&mut Thing, Moment, &mut Rng, &mut Record)) {
        let now = self.agenda.now().moment;
        let thing = &mut self.things[number as usize];
        change(thing, now, &mut self.rng, &mut self.record);
        for bytes in std::mem::take(&mut thing.out) {
            self.record.ending.datagrams += 1;
            for arrival in self.air.carry(&mut self.rng) {
                self.agenda.after(arrival, Step::Up(number, bytes.clone()));
            }
        }
        self.rearm(number);
    }

    fn rearm(&mut self, number: u32) {
        let Some(due) = self.things[number as usize].next_timeout() else { return };
        let timer = &mut self.timers[number as usize];
        if timer.is_none_or(|armed| due < armed) {
            let due = due.max(self.agenda.now().moment);
            *timer = Some(due);
            self.agenda.at(due, Step::Thing(number));
        }
    }

    /// A datagram leaves the node.
    pub(super) fn down(&mut self, thing: u32, bytes: Vec<u8>) {
        self.record.ending.datagrams += 1;
        if let Ok(Message { kind: Kind::Con, id, .. }) = Message::parse(&bytes, 8) {
            let shard = self.shard_of(thing);
            self.unacknowledged[shard].insert((thing, id));
        }
        for arrival in self.air.carry(&mut self.rng) {
            self.agenda.after(arrival, Step::Down(thing, bytes.clone()));
        }
    }

    /// The shard that the kernel picks by a thing's address.
    pub(super) fn shard_of(&self, thing: u32) -> usize {
        thing as usize % self.shards.len()
    }

    /// A datagram has arrived at the node.
    pub(super) fn arrived(&mut self, thing: u32, bytes: &[u8]) {
        if let Ok(Message { kind: Kind::Ack | Kind::Rst, id, .. }) = Message::parse(bytes, 8) {
            let shard = self.shard_of(thing);
            self.unacknowledged[shard].remove(&(thing, id));
        }
    }

    /// Whom a shard has given up is not owed anything, until it registers again: those that have not acknowledged something
    /// may be it, and any thing if one may not have been sent as much as it should have been (RFC 9175 §2.4).
    pub(super) fn look_who_is_given_up(&mut self, shard: usize) {
        let Some((_, counts)) = self.shards[shard].pump.coap_counts(self.shards[shard].socket) else {
            return;
        };
        let (timeouts, withheld) = self.given_up[shard];
        self.given_up[shard] = (counts.timeouts, counts.withheld);
        let things: BTreeSet<u32> = if counts.withheld > withheld {
            (0..self.things.len() as u32).filter(|thing| self.shard_of(*thing) == shard).collect()
        } else if counts.timeouts > timeouts {
            self.unacknowledged[shard].iter().map(|(thing, _)| *thing).collect()
        } else {
            return;
        };
        things.into_iter().for_each(|thing| self.record.given_up(thing));
    }

    /// Nothing is left anywhere.
    fn finish(&mut self) {
        if let Some(busy) = self.things.iter().find(|thing| !thing.is_idle()) {
            self.record.fail(format!("thing {} is not done: {busy:?}", busy.number));
        }
        for (index, shard) in self.shards.iter().enumerate() {
            let Some((_, counts)) = shard.pump.coap_counts(shard.socket) else { continue };
            self.record.ending.duplicates += counts.duplicates;
            self.record.ending.retransmissions += counts.retransmissions;
            self.record.ending.withheld += counts.withheld;
            self.record.ending.given_up += counts.timeouts;
            let ledger = shard.pump.engine().ledger();
            if ledger.in_flight > 0 || shard.pump.connections() > 0 {
                let connections = shard.pump.connections();
                self.record
                    .fail(format!("shard {index} does not come to rest: {connections} lanes, {ledger:?}"));
            }
            if counts.forgotten > 0 {
                self.record.fail(format!("shard {index} forgot exchanges before their time"));
            }
        }
    }
}
