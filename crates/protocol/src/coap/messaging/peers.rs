//! What is under way to endpoints: confirmable messages of ours until they are acknowledged (RFC 7252 §4.2), those that wait
//! for their turn (RFC 7252 §4.7, NSTART), and the last non-confirmable ones, which a reset may still meet (RFC 7252 §4.3).
//!
//! An endpoint has state here only while something is under way, or was lately.

use super::chance::{Chance, EndpointHash};
use crate::coap::codec::{Kind, Message};
use crate::coap::{Remote, Response, Token};
use hashbrown::HashTable;
use slab::Slab;
use smallvec::SmallVec;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;
use windrose_event::Moment;

/// RFC 7252 §4.8.
const ACK_TIMEOUT: Duration = Duration::from_secs(2);
/// RFC 7252 §4.8.
const MAX_RETRANSMIT: u8 = 4;
/// How many non-confirmable messages of an endpoint a reset may still meet.
const RECENT: usize = 4;
/// How long an endpoint with nothing under way is remembered.
const LINGER: Duration = Duration::from_secs(60);
/// Message identifiers are counted for so many groups of endpoints.
const COUNTERS: usize = 1 << 14;

/// A message of ours, which can be written as often as it is sent.
#[derive(Debug)]
pub(super) struct Outgoing<T> {
    pub(super) kind: Kind,
    pub(super) id: u16,
    pub(super) token: Token,
    pub(super) content: Response,
    pub(super) about: Option<T>,
}

impl<T> Outgoing<T> {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        Message {
            kind: self.kind,
            code: self.content.code,
            id: self.id,
            token: &self.token,
            options: self.content.options.as_options(),
            payload: &self.content.payload,
        }
        .encode(out);
    }
}

#[derive(Debug)]
struct InFlight<T> {
    message: Outgoing<T>,
    /// How often it was sent again.
    repeated: u8,
    timeout: Duration,
    due: Moment,
}

#[derive(Debug)]
struct Peer<T> {
    remote: Remote,
    endpoint: EndpointHash,
    in_flight: SmallVec<[InFlight<T>; 1]>,
    waiting: VecDeque<Outgoing<T>>,
    recent: SmallVec<[(u16, T); RECENT]>,
    /// When something was sent or acknowledged last.
    active: Moment,
    /// Whether it stands in the line of those that may be forgotten.
    is_lingering: bool,
}

/// What is due now.
#[derive(Debug)]
pub(super) enum Due<'a, T> {
    /// Send this again.
    Again(Remote, &'a Outgoing<T>),
    /// This was sent often enough. Then the next may be sent: see [`Peers::next_to_send`].
    GivenUp(Remote, EndpointHash, Option<T>),
}

#[derive(Debug)]
pub(super) struct Peers<T> {
    nstart: usize,
    most_waiting: usize,
    peers: Slab<Peer<T>>,
    index: HashTable<u32>,
    /// When what is in flight is due: endpoint and message. Those that are acknowledged meanwhile are passed over.
    timers: BinaryHeap<Reverse<(Moment, u32, u16)>>,
    in_flight: usize,
    lingering: VecDeque<(Moment, u32)>,
    counters: Box<[u16]>,
}

impl<T: Copy> Peers<T> {
    pub(super) fn new(nstart: usize, most_waiting: usize) -> Self {
        Self {
            nstart: nstart.max(1),
            most_waiting,
            peers: Slab::new(),
            index: HashTable::new(),
            timers: BinaryHeap::new(),
            in_flight: 0,
            lingering: VecDeque::new(),
            counters: Box::default(),
        }
    }

    /// How many endpoints have state.
    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    /// A message identifier for an endpoint, not used for it for as long as possible (RFC 7252 §4.4). Endpoints share a fixed
    /// number of counters, so that this takes no memory for each.
    pub(super) fn next_id(&mut self, chance: &mut Chance, endpoint: EndpointHash) -> u16 {
        if self.counters.is_empty() {
            self.counters = (0..COUNTERS).map(|_| chance.next() as u16).collect();
        }
        match self.counters.get_mut((endpoint.0 >> 16) as usize % COUNTERS) {
            Some(counter) => {
                *counter = counter.wrapping_add(1);
                *counter
            }
            None => 0,
        }
    }

    /// A confirmable message is to be sent; or gives it back, because too many wait for this endpoint already.
    pub(super) fn enqueue(
        &mut self,
        now: Moment,
        remote: Remote,
        endpoint: EndpointHash,
        message: Outgoing<T>,
    ) -> Result<(), Outgoing<T>> {
        let slot = self.find_or_insert(now, remote, endpoint);
        match self.peers.get_mut(slot as usize) {
            Some(peer) if peer.waiting.len() < self.most_waiting => {
                peer.waiting.push_back(message);
                Ok(())
            }
            _ => Err(message),
        }
    }

    /// The next message whose turn it is to be sent to an endpoint; it is in flight then.
    pub(super) fn next_to_send(
        &mut self,
        now: Moment,
        chance: &mut Chance,
        endpoint: EndpointHash,
        remote: &Remote,
    ) -> Option<&Outgoing<T>> {
        let slot = self.find(endpoint, remote)?;
        let peer = self.peers.get_mut(slot as usize)?;
        if peer.in_flight.len() >= self.nstart {
            return None;
        }
        let Some(message) = peer.waiting.pop_front() else {
            self.linger(now, slot);
            return None;
        };
        // ACK_TIMEOUT to ACK_TIMEOUT * ACK_RANDOM_FACTOR (RFC 7252 §4.2).
        let timeout =
            ACK_TIMEOUT + Duration::from_micros(chance.next() % (ACK_TIMEOUT.as_micros() as u64 / 2 + 1));
        let due = now + timeout;
        self.timers.push(Reverse((due, slot, message.id)));
        self.in_flight += 1;
        let peer = self.peers.get_mut(slot as usize)?;
        if peer.waiting.is_empty() {
            peer.waiting = VecDeque::new();
        }
        peer.active = now;
        peer.in_flight.push(InFlight { message, repeated: 0, timeout, due });
        peer.in_flight.last().map(|in_flight| &in_flight.message)
    }

    /// A non-confirmable message was sent that a reset may meet.
    pub(super) fn remember(
        &mut self,
        now: Moment,
        remote: Remote,
        endpoint: EndpointHash,
        id: u16,
        about: T,
    ) {
        let slot = self.find_or_insert(now, remote, endpoint);
        if let Some(peer) = self.peers.get_mut(slot as usize) {
            if peer.recent.len() == RECENT {
                peer.recent.remove(0);
            }
            peer.recent.push((id, about));
            peer.active = now;
        }
        self.linger(now, slot);
    }

    /// A message of ours was acknowledged or reset: what it was about, if it is in flight (RFC 7252 §4.2).
    pub(super) fn settle(
        &mut self,
        now: Moment,
        endpoint: EndpointHash,
        remote: &Remote,
        id: u16,
    ) -> Option<Option<T>> {
        let slot = self.find(endpoint, remote)?;
        let peer = self.peers.get_mut(slot as usize)?;
        let at = peer.in_flight.iter().position(|in_flight| in_flight.message.id == id)?;
        let settled = peer.in_flight.remove(at);
        peer.active = now;
        self.in_flight -= 1;
        self.tidy_timers();
        Some(settled.message.about)
    }

    /// A non-confirmable message was reset: what it was about.
    pub(super) fn reset_recent(&mut self, endpoint: EndpointHash, remote: &Remote, id: u16) -> Option<T> {
        let slot = self.find(endpoint, remote)?;
        let peer = self.peers.get_mut(slot as usize)?;
        let at = peer.recent.iter().position(|(recent, _)| *recent == id)?;
        Some(peer.recent.remove(at).1)
    }

    /// Forgets messages to an endpoint that are about something: they are not sent, or not again.
    pub(super) fn forget(
        &mut self,
        now: Moment,
        endpoint: EndpointHash,
        remote: &Remote,
        is_it: impl Fn(T) -> bool,
    ) {
        let Some(slot) = self.find(endpoint, remote) else { return };
        if let Some(peer) = self.peers.get_mut(slot as usize) {
            let before = peer.in_flight.len();
            peer.in_flight.retain(|in_flight| !in_flight.message.about.is_some_and(&is_it));
            peer.waiting.retain(|message| !message.about.is_some_and(&is_it));
            peer.recent.retain(|(_, about)| !is_it(*about));
            self.in_flight -= before - peer.in_flight.len();
        }
        self.tidy_timers();
        self.linger(now, slot);
    }

    /// Forgets an endpoint with all that is under way to it.
    pub(super) fn forget_endpoint(&mut self, endpoint: EndpointHash, remote: &Remote) {
        if let Some(slot) = self.find(endpoint, remote) {
            self.remove(slot);
        }
    }

    /// What is due next, if anything is.
    pub(super) fn poll_due(&mut self, now: Moment) -> Option<Due<'_, T>> {
        let (slot, at) = loop {
            let Reverse((due, slot, id)) = *self.timers.peek()?;
            if due > now {
                return None;
            }
            self.timers.pop();
            let Some(peer) = self.peers.get(slot as usize) else { continue };
            let is_it = |in_flight: &InFlight<T>| in_flight.message.id == id && in_flight.due == due;
            if let Some(at) = peer.in_flight.iter().position(is_it) {
                break (slot, at);
            }
        };
        let peer = self.peers.get_mut(slot as usize)?;
        if peer.in_flight.get(at)?.repeated == MAX_RETRANSMIT {
            let given_up = peer.in_flight.remove(at);
            self.in_flight -= 1;
            return Some(Due::GivenUp(peer.remote, peer.endpoint, given_up.message.about));
        }
        let in_flight = peer.in_flight.get_mut(at)?;
        in_flight.repeated += 1;
        in_flight.timeout *= 2;
        in_flight.due = now + in_flight.timeout;
        self.timers.push(Reverse((in_flight.due, slot, in_flight.message.id)));
        Some(Due::Again(peer.remote, &in_flight.message))
    }

    /// What waits for its turn at an endpoint that has just let something time out, if nothing else is in flight to it: it
    /// would wait for hours.
    pub(super) fn give_up_waiting(
        &mut self,
        endpoint: EndpointHash,
        remote: &Remote,
    ) -> VecDeque<Outgoing<T>> {
        let peer = self.find(endpoint, remote).and_then(|slot| self.peers.get_mut(slot as usize));
        peer.filter(|peer| peer.in_flight.is_empty())
            .map(|peer| std::mem::take(&mut peer.waiting))
            .unwrap_or_default()
    }

    /// Forgets endpoints to which nothing was under way for a while.
    pub(super) fn expire(&mut self, now: Moment) {
        while let Some((_, slot)) = self.lingering.pop_front_if(|(due, _)| *due <= now) {
            let Some(peer) = self.peers.get_mut(slot as usize) else { continue };
            if !peer.is_lingering {
                continue;
            }
            peer.is_lingering = false;
            let is_idle = peer.in_flight.is_empty() && peer.waiting.is_empty();
            match is_idle && now.since(peer.active) >= LINGER {
                true => self.remove(slot),
                false if is_idle => self.linger(now, slot),
                false => {}
            }
        }
    }

    /// When something is due.
    pub(super) fn next_timeout(&self) -> Option<Moment> {
        let timer = self.timers.peek().map(|Reverse((due, _, _))| *due);
        let lingering = self.lingering.front().map(|(due, _)| *due);
        [timer, lingering].into_iter().flatten().min()
    }

    /// An endpoint with nothing under way is to be forgotten in a while.
    fn linger(&mut self, now: Moment, slot: u32) {
        if let Some(peer) = self.peers.get_mut(slot as usize)
            && !peer.is_lingering
            && peer.in_flight.is_empty()
            && peer.waiting.is_empty()
        {
            peer.is_lingering = true;
            self.lingering.push_back((now + LINGER, slot));
        }
    }

    /// Timers of what is acknowledged are passed over when they are due; many of them are taken out before.
    fn tidy_timers(&mut self) {
        if self.timers.len() > 64 + 4 * self.in_flight {
            let peers = &self.peers;
            self.timers.retain(|Reverse((due, slot, id))| {
                peers.get(*slot as usize).is_some_and(|peer| {
                    peer.in_flight
                        .iter()
                        .any(|in_flight| in_flight.message.id == *id && in_flight.due == *due)
                })
            });
            self.timers.shrink_to(64);
        }
    }

    fn find(&self, endpoint: EndpointHash, remote: &Remote) -> Option<u32> {
        let is_it = |slot: &u32| self.peers.get(*slot as usize).is_some_and(|peer| peer.remote == *remote);
        self.index.find(endpoint.0, is_it).copied()
    }

    fn find_or_insert(&mut self, now: Moment, remote: Remote, endpoint: EndpointHash) -> u32 {
        if let Some(slot) = self.find(endpoint, &remote) {
            return slot;
        }
        let slot = self.peers.insert(Peer {
            remote,
            endpoint,
            in_flight: SmallVec::new(),
            waiting: VecDeque::new(),
            recent: SmallVec::new(),
            active: now,
            is_lingering: false,
        }) as u32;
        let peers = &self.peers;
        self.index.insert_unique(endpoint.0, slot, |slot| {
            peers.get(*slot as usize).map_or(0, |peer| peer.endpoint.0)
        });
        slot
    }

    fn remove(&mut self, slot: u32) {
        let Some(peer) = self.peers.try_remove(slot as usize) else { return };
        self.in_flight -= peer.in_flight.len();
        if let Ok(entry) = self.index.find_entry(peer.endpoint.0, |other| *other == slot) {
            entry.remove();
        }
        if self.peers.is_empty() {
            self.peers = Slab::new();
            self.index = HashTable::new();
            self.lingering = VecDeque::new();
        }
        self.tidy_timers();
    }
}
