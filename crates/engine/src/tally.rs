//! Counts for metrics: plain numbers that one shard alone writes.
use std::sync::Arc;

/// All counts of one engine since its start, by value: shards' tallies add up.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// By listener.
    pub listeners: Vec<ListenerTally>,
    /// By route.
    pub routes: Vec<RouteTally>,
    /// By pool.
    pub pools: Vec<PoolTally>,
    /// By listener of datagrams; the network counts them.
    pub sockets: Vec<SocketTally>,
    /// Events dropped, by cause.
    pub dropped: Vec<(&'static str, u64)>,
    /// Subscriptions refused, by cause.
    pub subscriptions_refused: Vec<(&'static str, u64)>,
    /// Connections paused now.
    pub paused: u64,
    /// Sessions held.
    pub sessions: u64,
    /// Subscriptions held.
    pub subscriptions: u64,
    /// Last values held (every shard holds all of them: do not add).
    pub retained: u64,
    /// Exchanges, besides those that are always there (every shard knows all of them: do not add).
    pub exchanges: u64,
    /// Queues (every shard knows all of them: do not add).
    pub queues: u64,
    /// Bindings (every shard knows all of them: do not add).
    pub bindings: u64,
    /// Who consumes from queues.
    pub consumers: u64,
    /// Events that wait in queues.
    pub queue_waiting: u64,
    /// Events that consumers have not disposed of.
    pub queue_unsettled: u64,
    /// Events that went by dead-letter exchanges, by reason.
    pub dead_letters: Vec<(&'static str, u64)>,
    /// What was asked of exchanges and queues and declined, by cause.
    pub declined: Vec<(&'static str, u64)>,
    /// Events in outboxes and in queues, waiting or unsettled.
    pub queued: u64,
    /// Control packets that machines received; the network counts them.
    pub packets_in: u64,
    /// Control packets that they sent.
    pub packets_out: u64,
    /// Bytes read from peers of machines, decrypted; the network counts them.
    pub bytes_in: u64,
    /// Bytes written to them, as they went out.
    pub bytes_out: u64,
    /// Records that are not stored yet.
    pub unstored: u64,
    /// Words to connections and shards that wait until records are stored.
    pub held: u64,
    /// Receipt to acknowledgement, by promise name.
    pub acknowledge: Vec<(&'static str, Histogram)>,
}

/// Counts of a listener.
#[derive(Clone, Debug, Default)]
pub struct ListenerTally {
    /// The listener's name.
    pub name: Arc<str>,
    /// The protocol's name.
    pub protocol: &'static str,
    /// Open now.
    pub connections: u64,
    /// Opened since the start.
    pub opened: u64,
    /// Refused, by cause.
    pub refused: Vec<(&'static str, u64)>,
    /// Closed, by cause.
    pub closed: Vec<(&'static str, u64)>,
    /// Events received.
    pub events_in: u64,
    /// Settled with the sender, by outcome rank.
    pub settled: [u64; 5],
    /// Delivered to subscribers (settled by them, or sent at most once), by outcome rank.
    pub events_out: [u64; 5],
}

/// Counts of a socket of datagrams.
#[derive(Clone, Debug, Default)]
pub struct SocketTally {
    /// The listener's name.
    pub listener: Arc<str>,
    /// By name of the metric and the value of its own label, empty if it has none.
    pub counts: Vec<(&'static str, &'static str, u64)>,
}

/// Counts of a route.
#[derive(Clone, Debug, Default)]
pub struct RouteTally {
    /// The route's name.
    pub name: Arc<str>,
    /// What became of the events it took, by outcome rank.
    pub events: [u64; 5],
}

/// Counts of a pool.
#[derive(Clone, Debug, Default)]
pub struct PoolTally {
    /// The pool's name.
    pub name: Arc<str>,
    /// Credit in use.
    pub credit_used: u64,
    /// Credit in all.
    pub credit_limit: u64,
    /// Attempts by member URL and outcome rank.
    pub members: Vec<(Arc<str>, [u64; 5])>,
    /// Sending to answer.
    pub seconds: Histogram,
}

/// Durations in buckets that double: bucket `i` counts those under `50 microseconds * 2^i`; the last counts the rest.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// Counts, not cumulated.
    pub buckets: [u64; 20],
    /// Sum of all durations, in microseconds.
    pub sum_micros: u64,
}
