//! Topics: what was found out of addresses that were published to lately, so that it is not found out again for each event.
//!
//! Things publish to the same few addresses again and again. Who wants an event, which routes it takes and whether its
//! sender may publish there are looked up once for each address, and again when subscriptions or the document change.

use crate::subscriptions::{Begins, Changes, Matches};
use rustc_hash::FxHasher;
use smallvec::SmallVec;
use std::hash::Hasher;
use windrose_event::ConnectionId;

/// Addresses that are remembered at first and at most; powers of two. One takes about 250 bytes.
const FEWEST: usize = 64;
const MOST: usize = 32_768;

/// The longest address that is remembered, in bytes.
const LONGEST: usize = 256;

/// With more subscribers than these, finding them is little beside telling them, and remembering them takes memory.
const WIDEST: usize = 64;

/// An address's place, until the next address is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TopicKey(u32);

/// What is known of one address.
#[derive(Debug)]
struct Topic {
    hash: u64,
    address: Box<[u8]>,
    /// Who was last allowed to publish there.
    permitted: Option<ConnectionId>,
    /// Routes that match, in the document's order.
    routes: SmallVec<[u32; 2]>,
    /// Who wants its events, as of `stamp`.
    matches: Matches,
    /// Which changes of subscriptions concern it.
    begins: Begins,
    /// The state of the subscriptions that `matches` is of.
    stamp: Option<u64>,
    /// Whether it was asked for since another address wanted its place.
    used: bool,
}

/// The addresses, each in one of two places by its hash.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    slots: Vec<Option<Box<Topic>>>,
    /// Addresses that found no place since there were so many.
    refused: usize,
}

impl Topics {
    /// Finds an address.
    #[inline]
    pub(crate) fn find(&mut self, address: &[u8]) -> Option<TopicKey> {
        if self.slots.is_empty() {
            return None;
        }
        let hash = hash(address);
        let place = hash as usize & (self.slots.len() - 1);
        [place, place ^ 1].into_iter().find_map(|place| {
            let topic = self.slots.get_mut(place)?.as_mut()?;
            if topic.hash != hash || *topic.address != *address {
                return None;
            }
            topic.used = true;
            Some(TopicKey(place as u32))
        })
    }

    /// Enters an address and the routes that match it, unless more often used ones have its place. Earlier keys may mean
    /// another address afterwards.
    pub(crate) fn enter(&mut self, address: &[u8], routes: &[u32]) -> Option<TopicKey> {
        if address.len() > LONGEST {
            return None;
        }
        if self.slots.is_empty() {
            self.slots.resize_with(FEWEST, || None);
        } else if self.refused > self.slots.len() / 4 && self.slots.len() < MOST {
            self.grow();
        }
        let topic = Topic {
            hash: hash(address),
            address: address.into(),
            permitted: None,
            routes: SmallVec::from_slice(routes),
            matches: Matches::default(),
            begins: Begins::of(address),
            stamp: None,
            used: true,
        };
        let key = self.place(topic.hash);
        match key {
            Some(TopicKey(place)) => self.slots[place as usize] = Some(Box::new(topic)),
            None => self.refused += 1,
        }
        key
    }

    /// A place that is free, or whose address was not asked for since the last time that somebody wanted the place.
    fn place(&mut self, hash: u64) -> Option<TopicKey> {
        let place = hash as usize & (self.slots.len() - 1);
        let places = [place, place ^ 1];
        let is_free = |place: &usize| self.slots[*place].is_none();
        let is_unused = |place: &usize| self.slots[*place].as_ref().is_some_and(|topic| !topic.used);
        let free = places.iter().find(|place| is_free(place));
        let found = free.or_else(|| places.iter().find(|place| is_unused(place))).copied();
        if found.is_none() {
            for place in places {
                if let Some(topic) = &mut self.slots[place] {
                    topic.used = false;
                }
            }
        }
        found.map(|place| TopicKey(place as u32))
    }

    fn grow(&mut self) {
        self.refused = 0;
        let size = self.slots.len() * 2;
        let slots = std::mem::take(&mut self.slots);
        self.slots.resize_with(size, || None);
        for topic in slots.into_iter().flatten() {
            if let Some(TopicKey(place)) = self.place(topic.hash) {
                self.slots[place as usize] = Some(topic);
            }
        }
    }

    /// Forgets everything: the document, or who somebody is, has changed.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether a connection was the last that was allowed to publish there.
    #[inline]
    pub(crate) fn permits(&self, key: TopicKey, connection: ConnectionId) -> bool {
        self.get(key).is_some_and(|topic| topic.permitted == Some(connection))
    }

    /// A connection may publish there.
    pub(crate) fn permit(&mut self, key: TopicKey, connection: ConnectionId) {
        if let Some(topic) = self.get_mut(key) {
            topic.permitted = Some(connection);
        }
    }

    /// The routes that match an address, in the document's order.
    pub(crate) fn routes(&self, key: TopicKey) -> &[u32] {
        self.get(key).map_or(&[], |topic| &topic.routes)
    }

    /// Takes out who wants an address's events, if that is known and subscriptions have not changed since; it is to be given
    /// back.
    #[inline]
    pub(crate) fn lend(&mut self, key: TopicKey, changes: &Changes) -> Option<Matches> {
        let topic = self.get_mut(key).filter(|topic| topic.stamp == Some(changes.stamp(topic.begins)))?;
        Some(std::mem::take(&mut topic.matches))
    }

    /// Gives back what was lent.
    #[inline]
    pub(crate) fn give_back(&mut self, key: TopicKey, matches: Matches) {
        if let Some(topic) = self.get_mut(key) {
            topic.matches = matches;
        }
    }

    /// Remembers who wants an address's events, if they are not many.
    pub(crate) fn remember(&mut self, key: TopicKey, changes: &Changes, matches: &Matches) {
        if let Some(topic) = self.get_mut(key) {
            let bound = matches.bound.as_ref().map_or(0, |bound| bound.bindings.len() + bound.queues.len());
            let is_wide = matches.plain.len() + matches.groups.len() + bound > WIDEST;
            topic.stamp = (!is_wide).then(|| changes.stamp(topic.begins));
            topic.matches = if is_wide { Matches::default() } else { matches.clone() };
        }
    }

    fn get(&self, TopicKey(place): TopicKey) -> Option<&Topic> {
        self.slots.get(place as usize)?.as_deref()
    }

    fn get_mut(&mut self, TopicKey(place): TopicKey) -> Option<&mut Topic> {
        self.slots.get_mut(place as usize)?.as_deref_mut()
    }
}

#[inline]
fn hash(address: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(address);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use windrose_event::Filter;

    const fn connection(slot: u32) -> ConnectionId {
        ConnectionId { slot, generation: 0 }
    }

    #[test]
    fn what_is_known_is_of_that_address_and_of_those_subscriptions() {
        let mut topics = Topics::default();
        assert_eq!(topics.find(b"a"), None);
        let key = topics.enter(b"a", &[3, 5]).unwrap();
        assert_eq!(topics.find(b"a"), Some(key));
        assert_eq!(topics.find(b"b"), None);
        assert_eq!(topics.routes(key), [3, 5]);
        assert!(!topics.permits(key, connection(1)));
        topics.permit(key, connection(1));
        assert!(topics.permits(key, connection(1)) && !topics.permits(key, connection(2)));
        let mut changes = Changes::default();
        assert!(topics.lend(key, &changes).is_none());
        topics.remember(key, &changes, &Matches { groups: vec![(1, 2)], ..Matches::default() });
        let matches = topics.lend(key, &changes).unwrap();
        topics.give_back(key, matches);
        assert_eq!(topics.lend(key, &changes).unwrap().groups, [(1, 2)]);
        changes.note(&Filter::new("a/#").unwrap());
        assert!(topics.lend(key, &changes).is_none(), "a subscription came since");
        topics.clear();
        assert_eq!(topics.find(b"a"), None);
    }

    #[test]
    fn many_addresses_find_room_up_to_a_bound_and_none_is_taken_for_another() {
        let mut topics = Topics::default();
        for round in 0..4 {
            for number in 0..3 * MOST {
                let address = format!("devices/{number}/telemetry");
                let known = topics.find(address.as_bytes());
                let key = known.or_else(|| topics.enter(address.as_bytes(), &[number as u32]));
                if let Some(key) = key {
                    assert_eq!(topics.routes(key), [number as u32], "{address} in round {round}");
                }
            }
        }
        assert_eq!(topics.slots.len(), MOST);
        assert!(topics.slots.iter().flatten().count() > MOST / 2);
        assert_eq!(topics.enter(&[b'x'; LONGEST + 1], &[]), None);
    }
}
