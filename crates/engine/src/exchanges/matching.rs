//! Matching: the queues that an event reaches by the bindings that its address matched.

use super::{BindingId, Head, Road, Target, Topology};
use crate::io::{QueueId, ShardId};
use crate::subscriptions::Index;
use smallvec::SmallVec;
use std::sync::Arc;
use windrose_event::{Identity, TOPIC_EXCHANGE, Text};

/// A queue that wants an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MatchedQueue {
    pub(crate) id: QueueId,
    /// Where it is.
    pub(crate) home: ShardId,
    /// Whether it refuses what it has no room for.
    pub(crate) rejects: bool,
}

/// What the bindings that match an address come to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bound {
    /// The bindings.
    pub(crate) bindings: Vec<BindingId>,
    /// The queues, each once; unless it depends on the event's headers.
    pub(crate) queues: Vec<MatchedQueue>,
    /// Whether it does.
    pub(crate) by_headers: bool,
}

/// Follows an event's ways.
struct Walk<'a> {
    topology: &'a Topology,
    headers: Option<&'a [(Text, Text)]>,
    withholds: &'a dyn Fn(&Identity) -> bool,
    queues: &'a mut Vec<MatchedQueue>,
    by_headers: bool,
    /// Exchanges that were come to, with the levels that stand for the routing key; each is gone through once.
    exchanges: SmallVec<[(Arc<Head>, String); 4]>,
}

impl Topology {
    /// Finds the queues that an event at `address` reaches by bindings that match it. Without headers, says whether the
    /// event's headers have a part in that; then not all are found.
    pub(crate) fn follow(
        &self,
        index: &Index,
        address: &str,
        bindings: &[BindingId],
        headers: Option<&[(Text, Text)]>,
        withholds: &dyn Fn(&Identity) -> bool,
        queues: &mut Vec<MatchedQueue>,
    ) -> bool {
        queues.clear();
        let exchanges = SmallVec::new();
        let mut walk = Walk { topology: self, headers, withholds, queues, by_headers: false, exchanges };
        for id in bindings {
            walk.pass(*id, address, None);
        }
        let mut next = 0;
        while let Some((head, key)) = walk.exchanges.get(next).cloned() {
            next += 1;
            let address = head.address(&key);
            index.bindings_at(address.as_bytes(), |id| walk.pass(id, &address, Some(&head)));
        }
        let by_headers = walk.by_headers;
        queues.sort_unstable();
        queues.dedup();
        by_headers
    }
}

impl Walk<'_> {
    /// Goes a binding's way, if the event does; `only` those from that exchange.
    fn pass(&mut self, id: BindingId, address: &str, only: Option<&Arc<Head>>) {
        let Some(road) = self.topology.bindings.get(id as usize) else { return };
        if only.is_some_and(|only| road.source.as_ref().is_none_or(|source| !Arc::ptr_eq(source, only))) {
            return;
        }
        let Road { source, to, pattern, headers, by, .. } = road;
        let key = source.as_ref().map_or(address, |source| source.key(address));
        if by.as_ref().is_some_and(|by| (self.withholds)(by)) {
            return;
        }
        let mut levels = key.split('/').filter(|_| !key.is_empty());
        if pattern.as_ref().is_some_and(|pattern| !pattern.matches(&mut levels)) {
            return;
        }
        match (headers, self.headers) {
            (Some(_), None) => {
                self.by_headers = true;
                return;
            }
            (Some(wanted), Some(is)) if !wanted.matches(is) => return,
            _ => {}
        }
        match to {
            Target::Queue(id) => {
                if let Some(queue) = self.topology.queues.get(id) {
                    self.queues.push(MatchedQueue { id: *id, home: queue.home, rejects: queue.rejects() });
                }
            }
            Target::Exchange(head) => {
                if !self.exchanges.iter().any(|(known, _)| Arc::ptr_eq(known, head)) {
                    self.exchanges.push((head.clone(), key.to_owned()));
                }
            }
        }
    }
}

impl Head {
    /// The levels of one of its addresses that stand for the routing key.
    pub(crate) fn key<'a>(&self, address: &'a str) -> &'a str {
        if self.prefix.is_empty() {
            return if address == TOPIC_EXCHANGE { "" } else { address };
        }
        let key = address.strip_prefix(&*self.prefix).unwrap_or_default();
        key.strip_prefix('/').unwrap_or(key)
    }

    /// Its address for a routing key that is written as levels.
    fn address(&self, key: &str) -> String {
        match (self.prefix.is_empty(), key.is_empty()) {
            (true, true) => TOPIC_EXCHANGE.to_owned(),
            (true, false) => key.to_owned(),
            (false, true) => self.prefix.clone(),
            (false, false) => format!("{}/{key}", self.prefix),
        }
    }
}
