//! Last values: the newest retained event of each address, on every shard.

use crate::ids::CLOCK_SLACK;
use slab::Slab;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{Event, Filter, Moment, Now, Timestamp, is_system};

/// How long a cleared address remembers it, so that an older value from another shard does not come back.
const CLEARED_FOR: Duration = Duration::from_secs(10);

const ROOT: usize = 0;

/// Bounds on what is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) events: u32,
    pub(crate) bytes: u64,
}

/// Last values by address, in a trie whose children are in order: a walk can stop and go on later.
#[derive(Debug)]
pub(crate) struct Retained {
    nodes: Slab<Node>,
    events: u32,
    bytes: u64,
    expiries: BTreeSet<(Timestamp, usize)>,
    /// Addresses that were cleared, oldest first, with when that may be forgotten.
    cleared: VecDeque<(Moment, Arc<Event>)>,
}

#[derive(Debug, Default)]
struct Node {
    parent: usize,
    level: Box<str>,
    children: BTreeMap<Box<str>, usize>,
    /// The last value; one with an empty payload says that the address was cleared.
    value: Option<Arc<Event>>,
}

impl Default for Retained {
    fn default() -> Self {
        let mut nodes = Slab::new();
        nodes.insert(Node::default());
        Self { nodes, events: 0, bytes: 0, expiries: BTreeSet::new(), cleared: VecDeque::new() }
    }
}

impl Retained {
    /// Takes an address's last value, or clears it if the payload is empty; of two the later one stays (by time, then
    /// by identifier). `false`: it was not taken because a bound is reached.
    pub(crate) fn remember(&mut self, now: Now, event: &Arc<Event>, bounds: Bounds) -> bool {
        self.sweep(now);
        let known = self.find(event.address.as_str());
        let current = known.and_then(|node| self.nodes[node].value.as_ref());
        let is_newer = |current: &Arc<Event>| (current.time, current.id) >= (event.time, event.id);
        // Values that race between shards are moments apart: one that is much newer was written before the clock was set
        // back, and must not stand until the clock has caught up.
        let is_from_ahead = |current: &Arc<Event>| current.time.since(event.time) > CLOCK_SLACK;
        if current.is_some_and(|current| is_newer(current) && !is_from_ahead(current)) {
            return true;
        }
        let clears = event.payload.is_empty();
        let (freed_events, freed_bytes) = current.map_or((0, 0), |current| cost(current));
        if clears {
            if self.cleared.len() >= bounds.events as usize {
                if let Some(node) = known {
                    self.set(node, None);
                }
                return true;
            }
            self.cleared.push_back((now.moment + CLEARED_FOR, event.clone()));
        } else {
            let (events, bytes) = cost(event);
            if u64::from(self.events - freed_events) + u64::from(events) > u64::from(bounds.events)
                || self.bytes - freed_bytes + bytes > bounds.bytes
            {
                return false;
            }
        }
        let node = known.unwrap_or_else(|| self.grow(event.address.as_str()));
        self.set(node, Some(event.clone()));
        true
    }

    /// An address's last value.
    pub(crate) fn get(&self, address: &str, wall: Timestamp) -> Option<&Arc<Event>> {
        self.nodes[self.find(address)?].value.as_ref().filter(|event| is_live(event, wall))
    }

    /// Last values that a filter matches, in the order of their addresses and after the address `after`, at most `room`
    /// of them.
    pub(crate) fn matching(
        &self,
        filter: &Filter,
        after: Option<&str>,
        wall: Timestamp,
        room: usize,
    ) -> Vec<Arc<Event>> {
        let pattern: Vec<&str> = filter.levels().collect();
        let after: Option<Vec<&str>> = after.map(|after| after.split('/').collect());
        let mut walk = Walk { retained: self, wall, room, found: Vec::new() };
        walk.descend(ROOT, Some(&pattern), after.as_deref());
        walk.found
    }

    /// Last values held.
    pub(crate) const fn len(&self) -> u32 {
        self.events
    }

    fn set(&mut self, node: usize, value: Option<Arc<Event>>) {
        if let Some(old) = self.nodes[node].value.take() {
            let (events, bytes) = cost(&old);
            self.events -= events;
            self.bytes -= bytes;
            if let Some(expires) = old.expires {
                self.expiries.remove(&(expires, node));
            }
        }
        if let Some(new) = &value {
            let (events, bytes) = cost(new);
            self.events += events;
            self.bytes += bytes;
            if let Some(expires) = new.expires {
                self.expiries.insert((expires, node));
            }
        }
        self.nodes[node].value = value;
        self.prune(node);
    }

    /// Removes what has expired and forgets clearings that are old enough.
    fn sweep(&mut self, now: Now) {
        while let Some(&(expires, node)) = self.expiries.first() {
            if expires > now.wall {
                break;
            }
            self.set(node, None);
        }
        while let Some((until, event)) = self.cleared.front() {
            if *until > now.moment {
                break;
            }
            let node = self.find(event.address.as_str());
            let node = node.filter(|node| {
                self.nodes[*node].value.as_ref().is_some_and(|value| Arc::ptr_eq(value, event))
            });
            self.cleared.pop_front();
            if let Some(node) = node {
                self.set(node, None);
            }
        }
    }

    fn find(&self, address: &str) -> Option<usize> {
        address.split('/').try_fold(ROOT, |node, level| self.nodes[node].children.get(level).copied())
    }

    fn grow(&mut self, address: &str) -> usize {
        let mut at = ROOT;
        for level in address.split('/') {
            at = match self.nodes[at].children.get(level) {
                Some(child) => *child,
                None => {
                    let child =
                        self.nodes.insert(Node { parent: at, level: level.into(), ..Node::default() });
                    self.nodes[at].children.insert(level.into(), child);
                    child
                }
            };
        }
        at
    }

    fn prune(&mut self, mut node: usize) {
        while node != ROOT && self.nodes[node].children.is_empty() && self.nodes[node].value.is_none() {
            let Node { parent, level, .. } = self.nodes.remove(node);
            self.nodes[parent].children.remove(&level);
            node = parent;
        }
    }
}

/// What a value counts for in the bounds: that an address was cleared counts for nothing.
fn cost(event: &Event) -> (u32, u64) {
    if event.payload.is_empty() { (0, 0) } else { (1, event.weight() as u64) }
}

fn is_live(event: &Event, wall: Timestamp) -> bool {
    !event.payload.is_empty() && !event.is_expired(wall)
}

struct Walk<'a> {
    retained: &'a Retained,
    wall: Timestamp,
    room: usize,
    found: Vec<Arc<Event>>,
}

impl Walk<'_> {
    /// Visits the branch at `at`. `pattern` are the filter's levels that remain, `None` after its `#`. With `after`, all
    /// up to that path below `at` is left out. Depth is bounded by the limit on an address's levels.
    fn descend(&mut self, at: usize, pattern: Option<&[&str]>, after: Option<&[&str]>) {
        let node = &self.retained.nodes[at];
        let ends = matches!(pattern, None | Some([] | ["#"]));
        if ends && after.is_none() && self.found.len() < self.room {
            self.found.extend(node.value.iter().filter(|event| is_live(event, self.wall)).cloned());
        }
        let (below, literal) = match pattern {
            Some([]) => return,
            None | Some(["#", ..]) => (None, None),
            Some(["+", rest @ ..]) => (Some(rest), None),
            Some([level, rest @ ..]) => (Some(rest), Some(*level)),
        };
        let first = after.and_then(|after| after.first().copied());
        let rest_of = |level: &str| match (first, after) {
            (Some(first), Some([_, rest @ ..])) if first == level => Some(rest),
            _ => None,
        };
        if let Some(level) = literal {
            if first.is_none_or(|first| level >= first)
                && let Some(child) = node.children.get(level)
            {
                self.descend(*child, below, rest_of(level));
            }
            return;
        }
        let from = first.map_or(Bound::Unbounded, Bound::Included);
        for (level, child) in node.children.range::<str, _>((from, Bound::Unbounded)) {
            if self.found.len() >= self.room {
                return;
            }
            // Wildcards at the first level do not match addresses of the node itself (MQTT 5 §4.7.2).
            if at == ROOT && is_system(level) {
                continue;
            }
            self.descend(*child, below, rest_of(level));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;
    use windrose_event::{Address, Assurance, EventId, Identity, Origin};

    const WIDE: Bounds = Bounds { events: 1_000, bytes: 1 << 20 };

    fn event(address: &str, micros: u64, payload: &str, expires: Option<u64>) -> Arc<Event> {
        let time = Timestamp::from_micros(micros);
        Arc::new(Event {
            id: EventId::new(time, 0, 0),
            time,
            address: Address::new(address).unwrap(),
            origin: Arc::new(Origin {
                identity: Identity::anonymous(),
                session: "s".into(),
                protocol: "test",
                listener: "l".into(),
            }),
            assurance: Assurance::AtMostOnce,
            retain: true,
            expires: expires.map(Timestamp::from_micros),
            payload: Bytes::copy_from_slice(payload.as_bytes()),
            details: None,
        })
    }

    fn at(micros: u64) -> Now {
        Now { moment: Moment::from_micros(micros), wall: Timestamp::from_micros(micros) }
    }

    #[test]
    fn the_later_value_stays_whatever_the_order_of_arrival_even_if_it_clears() {
        let mut retained = Retained::default();
        assert!(retained.remember(at(5), &event("a/b", 5, "new", None), WIDE));
        assert!(retained.remember(at(6), &event("a/b", 3, "old", None), WIDE));
        assert_eq!(retained.get("a/b", Timestamp::default()).unwrap().payload, "new");
        assert!(retained.remember(at(8), &event("a/b", 8, "", None), WIDE));
        assert!(retained.remember(at(9), &event("a/b", 7, "late", None), WIDE));
        assert!(
            retained.get("a/b", Timestamp::default()).is_none(),
            "cleared after the late value was published"
        );
        assert_eq!(retained.len(), 0);
        assert!(retained.remember(at(20_000_000), &event("c", 9, "x", None), WIDE));
        assert!(retained.find("a/b").is_none(), "that it was cleared is forgotten in time");
    }

    #[test]
    fn bounds_hold_and_expired_values_make_room() {
        let mut retained = Retained::default();
        let bounds = Bounds { events: 1, bytes: 1 << 20 };
        assert!(retained.remember(at(1), &event("a", 1, "x", Some(50)), bounds));
        assert!(!retained.remember(at(2), &event("b", 2, "x", None), bounds), "full");
        assert!(
            retained.remember(at(3), &event("a", 3, "y", Some(50)), bounds),
            "a replacement needs no room"
        );
        assert!(retained.get("a", Timestamp::from_micros(50)).is_none(), "expired");
        assert!(retained.remember(at(51), &event("b", 51, "x", None), bounds), "the expired one made room");
        assert_eq!(retained.len(), 1);
        let narrow = Bounds { events: 9, bytes: 10 };
        assert!(!retained.remember(at(52), &event("c", 52, "x", None), narrow), "too many bytes");
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_freeze_last_values() {
        let mut retained = Retained::default();
        assert!(retained.remember(at(3_600_000_000), &event("a", 3_600_000_000, "before", None), WIDE));
        assert!(retained.remember(at(1), &event("a", 1, "after", None), WIDE));
        assert_eq!(retained.get("a", Timestamp::default()).unwrap().payload, "after");
    }

    proptest! {
        #[test]
        fn walking_in_pieces_finds_what_the_filter_matches(
            addresses in prop::collection::btree_set("(\\$s|[ab]?)(/(\\$s|[ab]?)){0,3}", 1..30),
            filter in "([ab+]?)(/[ab+]?){0,3}(/#)?",
            room in 1usize..5,
        ) {
            let (Ok(filter), mut retained) = (Filter::new(&filter), Retained::default()) else { return Ok(()) };
            let mut expected = Vec::new();
            for address in addresses.iter().filter(|address| !address.is_empty()) {
                retained.remember(at(1), &event(address, 1, "x", None), WIDE);
                if filter.matches(address) {
                    expected.push(address.clone());
                }
            }
            let mut found: Vec<String> = Vec::new();
            loop {
                let after = found.last().cloned();
                let piece = retained.matching(&filter, after.as_deref(), Timestamp::default(), room);
                prop_assert!(piece.len() <= room);
                if piece.is_empty() { break; }
                found.extend(piece.iter().map(|event| event.address.as_str().to_owned()));
            }
            found.sort();
            expected.sort();
            prop_assert_eq!(found, expected);
        }
    }
}
