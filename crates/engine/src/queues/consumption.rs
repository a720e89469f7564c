//! Consumption: what a connection's consumers are, as their own shard knows them.

use super::{QueueKey, Slot};
use crate::io::ShardId;
use rustc_hash::FxHashMap;
use slab::Slab;
use windrose_event::ConsumerId;

/// One consumer of a connection.
#[derive(Debug)]
pub(crate) enum Consumption {
    /// Its queue is being made.
    Asked {
        /// What it granted meanwhile.
        limit: Option<u64>,
        drain: bool,
        /// Whether it wants no more.
        canceled: bool,
    },
    /// Its queue is here.
    Here { queue: QueueKey, slot: Slot },
    /// Its queue is on another shard.
    There {
        home: ShardId,
        /// Deliveries that it has not disposed of.
        unsettled: u32,
        /// How often it said that it wants no more, and was not answered yet.
        asked: u32,
        /// Whether what it has was given back, and what is still on its way to it.
        released: bool,
        /// Whether it gets no more.
        canceled: bool,
    },
    /// It takes events one by one.
    Pulls(Box<Pulls>),
}

/// What was pulled in a consumer's name and is not disposed of: tags are places.
#[derive(Debug, Default)]
pub(crate) struct Pulls {
    pub(crate) taken: Slab<(ShardId, QueueKey, u64)>,
    /// Answers that are still to come.
    pub(crate) asked: u32,
}

/// All consumers of a connection, and the queues that are its own.
#[derive(Debug, Default)]
pub(crate) struct Consumers {
    pub(crate) by_id: FxHashMap<ConsumerId, Consumption>,
    pub(crate) owned: Vec<QueueKey>,
}
