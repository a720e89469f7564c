//! Shards' tallies added up: the operator sees one node, not its threads.

use std::collections::BTreeMap;
use std::sync::Arc;
use windrose_engine::{Histogram, Tally};

/// Counts by outcome rank.
pub(crate) type Outcomes = [u64; 5];

/// The whole node's counts, in the order in which they are shown.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) listeners: BTreeMap<(Arc<str>, &'static str), Listener>,
    pub(crate) routes: BTreeMap<Arc<str>, Outcomes>,
    pub(crate) pools: BTreeMap<Arc<str>, Pool>,
    /// By name of the metric, then by listener and the value of the metric's own label.
    pub(crate) sockets: BTreeMap<&'static str, BTreeMap<(Arc<str>, &'static str), u64>>,
    pub(crate) dropped: BTreeMap<&'static str, u64>,
    pub(crate) subscriptions_refused: BTreeMap<&'static str, u64>,
    pub(crate) declined: BTreeMap<&'static str, u64>,
    pub(crate) acknowledge: BTreeMap<&'static str, Histogram>,
    pub(crate) paused: u64,
    pub(crate) sessions: u64,
    pub(crate) subscriptions: u64,
    pub(crate) retained: u64,
    pub(crate) consumers: u64,
    pub(crate) queue_waiting: u64,
    pub(crate) queue_unsettled: u64,
    pub(crate) dead_letters: BTreeMap<&'static str, u64>,
    pub(crate) exchanges: u64,
    pub(crate) queues: u64,
    pub(crate) bindings: u64,
    pub(crate) queued: u64,
    pub(crate) unstored: u64,
    pub(crate) held: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

/// Counts of a listener, of all shards.
#[derive(Debug, Default)]
pub(crate) struct Listener {
    pub(crate) connections: u64,
    pub(crate) opened: u64,
    pub(crate) refused: BTreeMap<&'static str, u64>,
    pub(crate) closed: BTreeMap<&'static str, u64>,
    pub(crate) events_in: u64,
    pub(crate) settled: Outcomes,
    pub(crate) events_out: Outcomes,
}

/// Counts of a pool, of all shards.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    pub(crate) credit_used: u64,
    pub(crate) credit_limit: u64,
    pub(crate) members: BTreeMap<Arc<str>, Outcomes>,
    pub(crate) seconds: Histogram,
}

impl Totals {
    /// Adds up.
    pub(crate) fn of(tallies: &[Tally]) -> Self {
        let mut totals = Self::default();
        for tally in tallies {
            totals.add(tally);
        }
        totals
    }

    fn add(&mut self, tally: &Tally) {
        for theirs in &tally.listeners {
            let ours = self.listeners.entry((theirs.name.clone(), theirs.protocol)).or_default();
            ours.connections += theirs.connections;
            ours.opened += theirs.opened;
            ours.events_in += theirs.events_in;
            add_causes(&mut ours.refused, &theirs.refused);
            add_causes(&mut ours.closed, &theirs.closed);
            add_outcomes(&mut ours.settled, &theirs.settled);
            add_outcomes(&mut ours.events_out, &theirs.events_out);
        }
        for theirs in &tally.routes {
            add_outcomes(self.routes.entry(theirs.name.clone()).or_default(), &theirs.events);
        }
        for theirs in &tally.pools {
            let ours = self.pools.entry(theirs.name.clone()).or_default();
            ours.credit_used += theirs.credit_used;
            ours.credit_limit += theirs.credit_limit;
            for (member, outcomes) in &theirs.members {
                add_outcomes(ours.members.entry(member.clone()).or_default(), outcomes);
            }
            add_histogram(&mut ours.seconds, &theirs.seconds);
        }
        for socket in &tally.sockets {
            for (metric, label, count) in &socket.counts {
                let ours = self.sockets.entry(metric).or_default();
                *ours.entry((socket.listener.clone(), label)).or_default() += count;
            }
        }
        for (promise, theirs) in &tally.acknowledge {
            add_histogram(self.acknowledge.entry(promise).or_default(), theirs);
        }
        add_causes(&mut self.dropped, &tally.dropped);
        add_causes(&mut self.subscriptions_refused, &tally.subscriptions_refused);
        add_causes(&mut self.declined, &tally.declined);
        add_causes(&mut self.dead_letters, &tally.dead_letters);
        self.consumers += tally.consumers;
        self.queue_waiting += tally.queue_waiting;
        self.queue_unsettled += tally.queue_unsettled;
        self.paused += tally.paused;
        self.sessions += tally.sessions;
        self.subscriptions += tally.subscriptions;
        self.queued += tally.queued;
        self.unstored += tally.unstored;
        self.held += tally.held;
        self.bytes_in += tally.bytes_in;
        self.bytes_out += tally.bytes_out;
        // Every shard holds all last values, and knows all exchanges, queues and bindings.
        self.retained = self.retained.max(tally.retained);
        self.exchanges = self.exchanges.max(tally.exchanges);
        self.queues = self.queues.max(tally.queues);
        self.bindings = self.bindings.max(tally.bindings);
    }
}

fn add_causes(ours: &mut BTreeMap<&'static str, u64>, theirs: &[(&'static str, u64)]) {
    for (cause, count) in theirs {
        *ours.entry(cause).or_default() += count;
    }
}

fn add_outcomes(ours: &mut Outcomes, theirs: &Outcomes) {
    for (ours, theirs) in ours.iter_mut().zip(theirs) {
        *ours += theirs;
    }
}

fn add_histogram(ours: &mut Histogram, theirs: &Histogram) {
    for (ours, theirs) in ours.buckets.iter_mut().zip(&theirs.buckets) {
        *ours += theirs;
    }
    ours.sum_micros += theirs.sum_micros;
}
