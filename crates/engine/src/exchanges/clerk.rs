//! Who waits for what: peers for answers of other shards, and shard 0 for all others to know.

use super::Decided;
use crate::io::ShardId;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use windrose_event::{ConnectionId, Consume, Declined, QueueDeclaration, Tag};

/// What is done once something is arranged.
#[derive(Debug)]
pub(crate) enum Then {
    /// The peer is answered.
    Answer(Tag),
    /// A consumer goes on that wanted a queue.
    Consume(Box<Consume>),
}

/// How far an ask has come.
#[derive(Debug)]
pub(crate) enum Step {
    /// Shard 0 decides, and that is all.
    Deciding,
    /// Shard 0 decides whether there is a queue, then its home is asked how full it is.
    Declaring {
        declaration: Arc<QueueDeclaration>,
        kept: bool,
        /// How often it was found gone.
        vanished: u8,
    },
    /// A queue's home is asked for these numbers.
    Counting { name: windrose_event::Text, declaring: Option<(Arc<QueueDeclaration>, bool, u8)> },
    /// A queue's home ends it, then shard 0 hears of it.
    Ending { queue: crate::io::QueueId },
    /// The home has ended the queue; shard 0 tells all.
    Ended { messages: u32 },
}

/// A peer that waits.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) connection: ConnectionId,
    pub(crate) then: Then,
    pub(crate) step: Step,
}

/// All peers of this shard that wait.
#[derive(Debug, Default)]
pub(crate) struct Asks {
    waiting: FxHashMap<u64, Ask>,
    last: u64,
}

impl Asks {
    /// Keeps an ask until it is answered. Its number is never zero.
    pub(crate) fn hold(&mut self, ask: Ask) -> u64 {
        self.last += 1;
        self.waiting.insert(self.last, ask);
        self.last
    }

    /// Takes an ask out.
    pub(crate) fn take(&mut self, number: u64) -> Option<Ask> {
        self.waiting.remove(&number)
    }
}

/// An answer of shard 0's that waits until all shards know.
#[derive(Debug)]
pub(crate) struct Owed {
    number: u64,
    pub(crate) asker: ShardId,
    pub(crate) ask: u64,
    pub(crate) result: Result<Decided, Declined>,
}

/// Shard 0's book of what it told the others, and what those have applied.
#[derive(Debug, Default)]
pub(crate) struct Clerk {
    /// The last changes' number.
    number: u64,
    /// How far each other shard is.
    applied: FxHashMap<ShardId, u64>,
    owed: VecDeque<Owed>,
    /// Queues made so far, where nothing is kept over a restart.
    queues: u64,
}

impl Clerk {
    /// A number for a queue that does not outlive the process.
    pub(crate) fn queue_number(&mut self) -> u64 {
        self.queues += 1;
        self.queues
    }

    /// A number for changes that all shards are told.
    pub(crate) fn next(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// Keeps an answer until all shards know what led to it.
    pub(crate) fn owe(&mut self, asker: ShardId, ask: u64, result: Result<Decided, Declined>) {
        self.owed.push_back(Owed { number: self.number, asker, ask, result });
    }

    /// Another shard has applied changes.
    pub(crate) fn applied(&mut self, shard: ShardId, number: u64) {
        self.applied.insert(shard, number);
    }

    /// The next answer that may be given, if there are `others` besides this shard.
    pub(crate) fn due(&mut self, others: usize) -> Option<Owed> {
        let known = match others {
            0 => self.number,
            others if self.applied.len() < others => 0,
            _ => self.applied.values().copied().min().unwrap_or(0),
        };
        self.owed.pop_front_if(|owed| owed.number <= known)
    }
}
