//! Queues: rows of events that consumers take turns at. Each lives on one shard, its home.

mod consumer;
mod consumption;
mod item;
mod private;
mod queue;
mod road;

pub(crate) use consumer::{At, Slot, Wish};
pub(crate) use consumption::{Consumers, Consumption, Pulls};
pub(crate) use item::{Item, Lost};
pub(crate) use private::Private;
pub(crate) use queue::{Offered, Queue};
pub(crate) use road::Road;

use crate::io::{QueueId, ShardId};
use crate::sessions::SessionKey;
use crate::standing::{Marks, Wanted};
use crate::table::Table;
use crate::timers::Timers;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;
use windrose_event::{Moment, Now, QueueDeclaration};

/// A queue's place in this shard's table, until it ends.
pub(crate) type QueueKey = u32;

/// Set in the keys by which private queues subscribe, so that they are not taken for sessions'.
const QUEUE_BIT: SessionKey = 1 << 31;

/// The key by which a private queue subscribes.
pub(crate) const fn subscriber_key(key: QueueKey) -> SessionKey {
    key | QUEUE_BIT
}

/// The private queue that subscribed by that key, if it is no session.
pub(crate) fn queue_of(key: SessionKey) -> Option<QueueKey> {
    (key & QUEUE_BIT != 0).then_some(key & !QUEUE_BIT)
}

/// This shard's queues.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    table: Table<Queue>,
    free: Vec<QueueKey>,
    fresh: QueueKey,
    by_id: FxHashMap<QueueId, QueueKey>,
    /// Reply addresses, by their tokens.
    pub(crate) replies: FxHashMap<u128, QueueKey>,
    /// Consumers whose connections are on other shards.
    pub(crate) remote: FxHashMap<At, (QueueKey, Slot)>,
    timers: Timers<QueueKey>,
    pulls: u64,
    /// Consumers of shards that have no room for more just now.
    starved: Vec<(ShardId, QueueKey, Slot)>,
    /// Queues of other shards that are nearly full.
    pub(crate) crowded: FxHashSet<QueueId>,
    nothing_special: Arc<QueueDeclaration>,
    /// Whom changes may be about of those whose queues outlive them, by key.
    marks: Marks,
}

impl Queues {
    /// Enters a queue.
    pub(crate) fn insert(&mut self, queue: Queue) -> QueueKey {
        let key = self.free.pop().unwrap_or_else(|| {
            self.fresh += 1;
            self.fresh - 1
        });
        if let Some(id) = queue.id {
            self.by_id.insert(id, key);
        }
        self.table.put(key, queue);
        key
    }

    /// Takes a queue out.
    pub(crate) fn remove(&mut self, key: QueueKey) -> Option<Queue> {
        let queue = self.table.take(key)?;
        self.free.push(key);
        self.marks.clear(key);
        if let Some(id) = queue.id {
            self.by_id.remove(&id);
        }
        if let Some(due) = queue.timer {
            self.timers.remove(due, key);
        }
        if let Some(token) = queue.private.as_ref().and_then(|private| private.token) {
            self.replies.remove(&token);
        }
        Some(queue)
    }

    /// A private queue that outlives its consumers is somebody's, or somebody else's than before.
    pub(crate) fn mark_kept(&mut self, key: QueueKey) {
        if let Some(private) = self.table.get(key).and_then(|queue| queue.private.as_ref()) {
            self.marks.set(key, &private.origin.identity);
        }
    }

    /// The private queues outliving their consumers that changes may be about.
    pub(crate) fn concerned(&self, wanted: &Wanted<'_>) -> Vec<QueueKey> {
        self.marks.places(|mark| wanted.may_concern(mark))
    }

    /// The queue of that name among all shards.
    #[inline]
    pub(crate) fn find(&self, id: QueueId) -> Option<QueueKey> {
        self.by_id.get(&id).copied()
    }

    /// A queue.
    #[inline]
    pub(crate) fn get(&self, key: QueueKey) -> Option<&Queue> {
        self.table.get(key)
    }

    /// A queue, to be changed.
    #[inline]
    pub(crate) fn get_mut(&mut self, key: QueueKey) -> Option<&mut Queue> {
        self.table.get_mut(key)
    }

    /// All queues.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Queue> {
        self.table.iter().map(|(_, queue)| queue)
    }

    /// Consumers of a queue wait until their shards have room.
    pub(crate) fn starve(&mut self, key: QueueKey, consumers: Vec<(ShardId, Slot)>) {
        self.starved.extend(consumers.into_iter().map(|(shard, slot)| (shard, key, slot)));
    }

    /// Those who waited for a shard that has room now.
    pub(crate) fn starved(&mut self, by: ShardId) -> Vec<(QueueKey, Slot)> {
        if self.starved.is_empty() {
            return Vec::new();
        }
        let of = self.starved.extract_if(.., |(shard, _, _)| *shard == by);
        of.map(|(_, key, slot)| (key, slot)).collect()
    }

    /// Whether a queue of another shard is nearly full.
    #[inline]
    pub(crate) fn is_crowded(&self, id: QueueId) -> bool {
        !self.crowded.is_empty() && self.crowded.contains(&id)
    }

    /// The declaration of queues that were not declared.
    pub(crate) fn nothing_special(&self) -> Arc<QueueDeclaration> {
        self.nothing_special.clone()
    }

    /// Names what is pulled.
    pub(crate) fn next_pull(&mut self) -> u64 {
        self.pulls += 1;
        self.pulls
    }

    /// Enters a queue's timer if it has something due earlier than it has entered.
    #[inline]
    pub(crate) fn rearm(&mut self, now: Now, key: QueueKey) {
        let Some(queue) = self.table.get_mut(key) else { return };
        let Some(due) = queue.due(now) else { return };
        if queue.timer.is_some_and(|known| known <= due) {
            return;
        }
        if let Some(old) = queue.timer.replace(due) {
            self.timers.remove(old, key);
        }
        self.timers.insert(due, key);
    }

    /// The next queue that has something due; its timer is to be entered anew.
    pub(crate) fn pop_due(&mut self, now: Moment) -> Option<QueueKey> {
        let (_, key) = self.timers.pop_due(now)?;
        if let Some(queue) = self.table.get_mut(key) {
            queue.timer = None;
        }
        Some(key)
    }

    /// When the next queue has something due.
    pub(crate) fn next_timeout(&self) -> Option<Moment> {
        self.timers.next()
    }
}
