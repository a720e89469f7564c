//! The engine's own counts, from which a [`Tally`](crate::Tally) is read.

use crate::{Histogram, ListenerTally, RouteTally};
use std::sync::Arc;
use std::time::Duration;
use windrose_event::Outcome;
use windrose_policy::Promise;

/// Index of a listener in [`Counts::listeners`].
pub(crate) type ListenerIndex = u16;
/// Index of a route in [`Counts::routes`].
pub(crate) type RouteIndex = u32;

/// Counts by index, so that counting an event costs no look-up by name.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) listeners: Vec<ListenerTally>,
    pub(crate) routes: Vec<RouteTally>,
    pub(crate) dropped: Vec<(&'static str, u64)>,
    /// Events that went by dead-letter exchanges, by reason.
    pub(crate) dead_letters: Vec<(&'static str, u64)>,
    pub(crate) subscriptions_refused: Vec<(&'static str, u64)>,
    /// What was asked of exchanges and queues, and declined.
    pub(crate) declined: Vec<(&'static str, u64)>,
    /// Receipt to acknowledgement, by promise.
    pub(crate) acknowledge: [Histogram; 2],
    /// Connections paused now.
    pub(crate) paused: u64,
    /// Subscriptions held.
    pub(crate) subscriptions: u64,
    /// Events in outboxes, waiting or unsettled.
    pub(crate) queued: u64,
}

/// Promises in the order of [`Counts::acknowledge`].
pub(crate) const PROMISES: [Promise; 2] = [Promise::Received, Promise::Delivered];

impl Counts {
    /// The index of a listener, by its name: it keeps its counts over reloads.
    pub(crate) fn listener(&mut self, name: &Arc<str>, protocol: &'static str) -> ListenerIndex {
        let known = self.listeners.iter().position(|tally| tally.name == *name);
        let index = known.unwrap_or_else(|| {
            self.listeners.push(ListenerTally { name: name.clone(), protocol, ..ListenerTally::default() });
            self.listeners.len() - 1
        });
        ListenerIndex::try_from(index).unwrap_or(ListenerIndex::MAX)
    }

    /// A listener's counts.
    pub(crate) fn at(&mut self, index: ListenerIndex) -> &mut ListenerTally {
        &mut self.listeners[usize::from(index)]
    }

    /// The index of a route, by its name: it keeps its counts over reloads.
    pub(crate) fn route(&mut self, name: &Arc<str>) -> RouteIndex {
        let known = self.routes.iter().position(|tally| tally.name == *name);
        let index = known.unwrap_or_else(|| {
            self.routes.push(RouteTally { name: name.clone(), ..RouteTally::default() });
            self.routes.len() - 1
        });
        RouteIndex::try_from(index).unwrap_or(RouteIndex::MAX)
    }

    /// What became of an event that a route took.
    pub(crate) fn routed(&mut self, route: RouteIndex, outcome: &Outcome) {
        self.routes[route as usize].events[outcome.rank()] += 1;
    }

    /// An event that nobody will get.
    pub(crate) fn drop(&mut self, cause: &'static str) {
        bump(&mut self.dropped, cause);
    }

    /// How long an acknowledgement took.
    pub(crate) fn acknowledged(&mut self, promise: Promise, took: Duration) {
        self.acknowledge[usize::from(promise == Promise::Delivered)].record(took);
    }
}

/// Counts one more under `cause`.
pub(crate) fn bump(counts: &mut Vec<(&'static str, u64)>, cause: &'static str) {
    match counts.iter_mut().find(|(known, _)| *known == cause) {
        Some((_, count)) => *count += 1,
        None => counts.push((cause, 1)),
    }
}

/// The name under which an outcome other than `Accepted` is counted as a drop.
pub(crate) fn drop_cause(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Rejected(rejection) => rejection.cause.name(),
        other => other.name(),
    }
}

impl Histogram {
    /// Counts one duration.
    pub(crate) fn record(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = (u64::BITS - (micros / 50).leading_zeros()) as usize;
        self.buckets[bucket.min(self.buckets.len() - 1)] += 1;
        self.sum_micros = self.sum_micros.saturating_add(micros);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_counts_what_is_under_its_bound() {
        let mut histogram = Histogram::default();
        for (micros, bucket) in [(0, 0), (49, 0), (50, 1), (99, 1), (100, 2), (u64::MAX, 19)] {
            let before = histogram.buckets[bucket];
            histogram.record(Duration::from_micros(micros));
            assert_eq!(histogram.buckets[bucket], before + 1, "{micros} us");
        }
    }
}
