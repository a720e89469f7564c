//! What shards say to one another of exchanges, queues and bindings.

use crate::io::{QueueId, ShardId};
use std::sync::Arc;
use windrose_event::{
    Binding, ConnectionId, Declined, ExchangeDeclaration, Identity, QueueDeclaration, Text,
};

/// A word between shards about exchanges, queues and bindings. Only engines read it.
#[derive(Debug)]
pub struct TopologyMessage(pub(crate) Word);

impl TopologyMessage {
    /// Whether somebody outside is told of it.
    pub(crate) const fn is_answer(&self) -> bool {
        matches!(self.0, Word::Ordered { .. })
    }
}

/// What the word is.
#[derive(Debug)]
pub(crate) enum Word {
    /// To shard 0: decide.
    Order {
        /// Pairs the answer; zero: none is wanted.
        ask: u64,
        order: Order,
    },
    /// From shard 0: what was decided, and every shard knows.
    Ordered { ask: u64, result: Result<Decided, Declined> },
    /// From shard 0: what is so from now on. Answered by `Applied`.
    Changes { number: u64, changes: Arc<[Change]> },
    /// To shard 0: changes up to this one are known.
    Applied { number: u64 },
    /// To a queue's home.
    Question { ask: u64, queue: QueueId, question: Question },
    /// From a queue's home: how many wait, or waited, and how many consume. `None`: there is no such queue any more.
    Answer { ask: u64, answer: Result<Option<(u32, u32)>, Declined> },
}

/// What is to be decided.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    DeclareExchange(ExchangeDeclaration),
    DeleteExchange {
        name: Text,
        if_unused: bool,
    },
    DeclareQueue {
        declaration: Arc<QueueDeclaration>,
        /// Whose connection asks, which owns an exclusive queue.
        by: ConnectionId,
        /// Whether it is private to a consumer that may come back.
        kept: bool,
    },
    /// A queue is gone from its home.
    RemoveQueue(QueueId),
    Bind {
        binding: Arc<Binding>,
        by: ConnectionId,
        identity: Arc<Identity>,
    },
    Unbind {
        binding: Arc<Binding>,
        by: ConnectionId,
    },
}

/// What is so from now on.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Exchange(ExchangeDeclaration),
    ExchangeGone(Text),
    Queue(Entry),
    QueueGone(QueueId),
    Bound { binding: Arc<Binding>, by: Option<Arc<Identity>> },
    Unbound(Arc<Binding>),
}

/// A queue that is entered.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) id: QueueId,
    pub(crate) name: Text,
    pub(crate) home: ShardId,
    pub(crate) owner: Option<(ShardId, ConnectionId)>,
    pub(crate) declaration: Arc<QueueDeclaration>,
    pub(crate) kept: bool,
}

impl Entry {
    /// Whether it outlives the process: not what ends with a connection.
    pub(crate) fn is_lasting(&self) -> bool {
        self.declaration.durable && self.owner.is_none() && !self.kept
    }
}

/// What was decided.
#[derive(Clone, Debug)]
pub(crate) enum Decided {
    /// It is so.
    Done,
    /// There is this queue.
    Queue { id: QueueId, name: Text, home: ShardId },
}

/// What a queue's home is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Question {
    /// How many wait, how many consume?
    Census,
    /// Remove what waits: how many was that?
    Purge,
    /// End: how many waited?
    Vacate { if_unused: bool, if_empty: bool },
}
