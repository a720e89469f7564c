//! Handshakes on their way: bounded in number and in time, the oldest goes first.

use super::handshake::Handshake;
use super::outbox::{Outbox, Route};
use slab::Slab;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;
use windrose_event::Moment;

/// How long the first answer is waited for before a flight is sent again; doubled each time (RFC 6347 §4.2.4.1).
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// How often a flight is sent again, whoever asks.
const MAX_REPEATS: u8 = 8;

/// One of them.
pub(super) struct HalfOpen {
    pub(super) route: Route,
    pub(super) handshake: Handshake,
    /// The ClientHello that it answers: another one is another handshake.
    pub(super) client_random: [u8; 32],
    began: Moment,
    /// When its flight is sent again, or it is given up.
    due: Moment,
    wait: Duration,
    repeats: u8,
}

impl HalfOpen {
    /// Sends the flight that is on its way.
    pub(super) fn send(&mut self, outbox: &mut Outbox) {
        let handshake = &mut self.handshake;
        let key = handshake.keys.as_ref().map(|keys| &keys.seal);
        handshake.flight.write(&mut handshake.numbers, key, self.route, outbox);
    }

    /// Sends it again, but not for ever; whether it did.
    pub(super) fn repeat(&mut self, outbox: &mut Outbox) -> bool {
        // While a key is looked for, it is our turn to speak and nothing was lost.
        if self.repeats >= MAX_REPEATS || self.handshake.asks().is_some() {
            return false;
        }
        self.repeats += 1;
        self.send(outbox);
        true
    }
}

/// All of one machine.
pub(super) struct HalfOpens {
    all: Slab<Box<HalfOpen>>,
    by_route: HashMap<Route, usize>,
    timers: BTreeSet<(Moment, usize)>,
    most: usize,
    longest: Duration,
}

impl HalfOpens {
    pub(super) fn new(most: usize, longest: Duration) -> Self {
        Self {
            all: Slab::new(),
            by_route: HashMap::new(),
            timers: BTreeSet::new(),
            most: most.max(1),
            longest,
        }
    }

    pub(super) fn apply(&mut self, most: usize, longest: Duration) {
        (self.most, self.longest) = (most.max(1), longest);
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn get(&mut self, route: &Route) -> Option<&mut HalfOpen> {
        self.all.get_mut(*self.by_route.get(route)?).map(|half| &mut **half)
    }

    /// Adds one, in place of one of the same route. What had to go for it is returned: the oldest, if there were too many.
    pub(super) fn insert(
        &mut self,
        now: Moment,
        route: Route,
        client_random: [u8; 32],
        handshake: Handshake,
    ) -> Option<Box<HalfOpen>> {
        self.remove(&route);
        let oldest = (self.all.len() >= self.most)
            .then(|| self.all.iter().min_by_key(|(_, half)| half.began).map(|(_, half)| half.route));
        let gone = oldest.flatten().and_then(|route| self.remove(&route));
        let due = (now + FIRST_WAIT).min(now + self.longest);
        let half =
            HalfOpen { route, handshake, client_random, began: now, due, wait: FIRST_WAIT, repeats: 0 };
        let index = self.all.insert(Box::new(half));
        self.by_route.insert(route, index);
        self.timers.insert((due, index));
        gone
    }

    pub(super) fn remove(&mut self, route: &Route) -> Option<Box<HalfOpen>> {
        let index = self.by_route.remove(route)?;
        let half = self.all.try_remove(index)?;
        self.timers.remove(&(half.due, index));
        Some(half)
    }

    pub(super) fn next_timeout(&self) -> Option<Moment> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// Sends what is due again; what took too long is taken out, one at a time. `repeated` counts.
    pub(super) fn poll_expired(
        &mut self,
        now: Moment,
        repeated: &mut u64,
        outbox: &mut Outbox,
    ) -> Option<Box<HalfOpen>> {
        while let Some((due, index)) = self.timers.first().copied().filter(|(due, _)| *due <= now) {
            self.timers.remove(&(due, index));
            let Some(half) = self.all.get_mut(index) else { continue };
            let end = half.began + self.longest;
            if now >= end {
                let route = half.route;
                return self.remove(&route);
            }
            *repeated += u64::from(half.repeat(outbox));
            half.wait *= 2;
            half.due = (now + half.wait).min(end);
            self.timers.insert((half.due, index));
        }
        None
    }
}
