//! Sessions: what is left of a handshake is two keys, a window and a few numbers.

use super::flight::{Flight, Numbers};
use super::handshake::Keys;
use super::message::Alert;
use super::outbox::{Outbox, Route};
use super::record::{self, Position, Window};
use slab::Slab;
use std::collections::hash_map::RandomState;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::BuildHasher;
use std::time::Duration;
use windrose_event::{Moment, Subject};
use windrose_protocol::coap::SessionId;

/// How often the last flight of a handshake is sent again: whoever repeats the question has the keys, but may be a replay.
const MAX_REPEATS: u8 = 8;

/// A session that has said nothing for so long gives way to a new one, if there are too many.
const STALE: Duration = Duration::from_secs(60);
/// How many sessions are looked at for one that may give way.
const GLANCE: usize = 64;

/// One of them.
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) route: Route,
    keys: Keys,
    window: Window,
    numbers: Numbers,
    /// When it last said something genuine.
    heard: Moment,
    /// Marks of whom it is of, once that is known.
    who: Box<[u64]>,
    /// Our last flight, until the client shows that it has it.
    last: Option<Box<(Flight, u8)>>,
}

impl Session {
    /// Opens a record. `None`: it is not genuine, or was there before.
    pub(super) fn open<'a>(
        &mut self,
        now: Moment,
        kind: u8,
        position: Position,
        payload: &'a mut [u8],
    ) -> Option<&'a mut [u8]> {
        if position.epoch() != 1 || !self.window.is_new(position.number()) {
            return None;
        }
        let plain = self.keys.open.open(kind, position, payload)?;
        self.window.accept(position.number());
        self.heard = now;
        Some(plain)
    }

    /// The client speaks under the new keys: it has our last flight.
    pub(super) fn forget_last_flight(&mut self) {
        self.last = None;
    }

    /// The client repeats its last flight: ours was lost (RFC 6347 §4.2.4). Whether it was sent again.
    pub(super) fn repeat_last_flight(&mut self, outbox: &mut Outbox) -> bool {
        let Some((flight, repeats)) = self.last.as_deref_mut() else { return false };
        if *repeats >= MAX_REPEATS {
            return false;
        }
        *repeats += 1;
        flight.write(&mut self.numbers, Some(&self.keys.seal), self.route, outbox);
        true
    }

    /// Appends a record.
    pub(super) fn seal(&mut self, kind: u8, plain: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let position = self.numbers.next_sealed().filter(|_| plain.len() <= record::MAX_PLAIN)?;
        self.keys.seal.seal(kind, position, plain, out)
    }

    /// Sends an alert.
    pub(super) fn alert(&mut self, alert: Alert, outbox: &mut Outbox) {
        let mut datagram = outbox.datagram(self.route);
        let _ = self.seal(record::kind::ALERT, &alert.bytes(), datagram.bytes());
        datagram.cut();
    }
}

/// All of one machine.
pub(super) struct Sessions {
    all: Slab<Box<Session>>,
    by_route: HashMap<Route, u32>,
    /// When each has to be looked at because it may have been idle for too long; one entry a session.
    idle: VecDeque<(Moment, SessionId)>,
    longest_idle: Duration,
    next_serial: u32,
    /// Sessions by marks of whom they are of: digests with keys of our own. Should two be alike, one session too many ends.
    by_who: BTreeSet<(u64, u32)>,
    marks: RandomState,
}

impl Sessions {
    pub(super) fn new(longest_idle: Duration) -> Self {
        Self {
            all: Slab::new(),
            by_route: HashMap::new(),
            idle: VecDeque::new(),
            longest_idle,
            next_serial: 0,
            by_who: BTreeSet::new(),
            marks: RandomState::new(),
        }
    }

    /// Sessions that are there are looked at when they would have been; a longer time holds at once.
    pub(super) fn apply(&mut self, longest_idle: Duration) {
        self.longest_idle = longest_idle;
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn of_route(&mut self, route: &Route) -> Option<&mut Session> {
        let index = *self.by_route.get(route)?;
        self.all.get_mut(usize::try_from(index).ok()?).map(|session| &mut **session)
    }

    pub(super) fn get(&mut self, id: SessionId) -> Option<&mut Session> {
        let session = self.all.get_mut(index(id))?;
        (session.id == id).then_some(&mut **session)
    }

    /// Adds a session of what a handshake left; the route must be free.
    pub(super) fn insert(
        &mut self,
        now: Moment,
        route: Route,
        keys: Keys,
        window: Window,
        numbers: Numbers,
        last: Flight,
    ) -> Option<SessionId> {
        let entry = self.all.vacant_entry();
        let place = u32::try_from(entry.key()).ok()?;
        let id = SessionId(u64::from(self.next_serial) << 32 | u64::from(place));
        self.next_serial = self.next_serial.wrapping_add(1);
        let last = Some(Box::new((last, 0)));
        entry.insert(Box::new(Session {
            id,
            route,
            keys,
            window,
            numbers,
            heard: now,
            who: Box::default(),
            last,
        }));
        self.by_route.insert(route, place);
        self.idle.push_back((now + self.longest_idle, id));
        Some(id)
    }

    pub(super) fn remove(&mut self, id: SessionId) -> Option<Box<Session>> {
        let session = self.all.get(index(id)).filter(|session| session.id == id)?;
        self.by_route.remove(&session.route);
        if let Ok(place) = u32::try_from(index(id)) {
            for mark in &session.who {
                self.by_who.remove(&(*mark, place));
            }
        }
        self.all.try_remove(index(id))
    }

    /// It is known whom a session is of.
    pub(super) fn recognise(&mut self, id: SessionId, subjects: &[Subject]) {
        let Ok(place) = u32::try_from(index(id)) else { return };
        let who: Box<[u64]> = subjects.iter().map(|subject| self.marks.hash_one(subject)).collect();
        let Some(session) = self.get(id) else { return };
        let before = std::mem::replace(&mut session.who, who.clone());
        for mark in &before {
            self.by_who.remove(&(*mark, place));
        }
        self.by_who.extend(who.iter().map(|mark| (*mark, place)));
    }

    /// The sessions of somebody.
    pub(super) fn of(&self, subject: &Subject) -> Vec<SessionId> {
        let mark = self.marks.hash_one(subject);
        let places = self.by_who.range((mark, 0)..=(mark, u32::MAX));
        let session = |place: u32| self.all.get(usize::try_from(place).ok()?).map(|session| session.id);
        places.filter_map(|(_, place)| session(*place)).collect()
    }

    pub(super) fn next_timeout(&self) -> Option<Moment> {
        self.idle.front().map(|(due, _)| *due)
    }

    /// A session that was idle for too long, if there is one.
    pub(super) fn poll_idle(&mut self, now: Moment) -> Option<SessionId> {
        while let Some((_, id)) = self.idle.front().copied().filter(|(due, _)| *due <= now) {
            self.idle.pop_front();
            let Some(session) = self.all.get(index(id)).filter(|session| session.id == id) else { continue };
            let due = session.heard + self.longest_idle;
            if due <= now {
                return Some(id);
            }
            self.idle.push_back((due, id));
        }
        None
    }

    /// The session that has said nothing for longest, as far as a glance tells, if that is long: whoever comes takes its place.
    pub(super) fn stalest(&mut self, now: Moment) -> Option<SessionId> {
        for _ in 0..GLANCE {
            let (due, id) = *self.idle.front()?;
            let Some(session) = self.all.get(index(id)).filter(|session| session.id == id) else {
                self.idle.pop_front();
                continue;
            };
            let heard = session.heard;
            if heard + self.longest_idle <= due {
                return (now.since(heard) >= STALE).then_some(id);
            }
            // It has said something since: it is looked at again when that is long ago.
            self.idle.pop_front();
            self.idle.push_back((heard + self.longest_idle, id));
        }
        None
    }

    /// Every session's name.
    pub(super) fn ids(&self) -> Vec<SessionId> {
        self.all.iter().map(|(_, session)| session.id).collect()
    }
}

/// Where a session is kept.
fn index(id: SessionId) -> usize {
    usize::try_from(id.0 & u64::from(u32::MAX)).unwrap_or(usize::MAX)
}
