//! Queues on their home shard: how they begin and end, and how events get into them.

use crate::backlog::QueueBounds;
use crate::engine::Engine;
use crate::io::{QueueId, Word};
use crate::journal::KeptMessage;
use crate::queues::{At, Item, Offered, Queue, QueueKey, Road, subscriber_key};
use std::sync::Arc;
use windrose_event::{ConnectionId, DeclineCause, Declined, Event, Now, QueueDeclaration, Text};

impl Engine {
    /// A queue that was declared has its home here. `owner`: the connection that it is exclusive to.
    pub(crate) fn queue_created(
        &mut self,
        now: Now,
        id: QueueId,
        name: &Text,
        declaration: &Arc<QueueDeclaration>,
        owner: Option<ConnectionId>,
    ) {
        if self.queues.find(id).is_some() {
            return;
        }
        let is_kept = self.topology.by_id(id).is_some_and(|queue| queue.kept);
        let declaration = if is_kept { &Self::awaited() } else { declaration };
        let mut queue = Queue::new(name.clone(), declaration.clone(), now);
        queue.id = Some(id);
        queue.owner = owner;
        let lasting = declaration.durable && owner.is_none();
        queue.number = self.gate.as_ref().filter(|_| lasting).map(|_| id.number());
        let key = self.queues.insert(queue);
        self.queues.rearm(now, key);
        let Some(owner) = owner else { return };
        match self.connections.get_mut(owner) {
            Some(connection) => connection.consumers.get_or_insert_default().owned.push(key),
            None => self.end_queue(now, key),
        }
    }

    /// A queue that was kept over a restart has its home here, with what waited in it.
    pub(crate) fn queue_recovered(
        &mut self,
        now: Now,
        id: QueueId,
        name: &Text,
        declaration: &Arc<QueueDeclaration>,
        messages: Vec<KeptMessage>,
    ) {
        self.queue_created(now, id, name, declaration, None);
        let Some(key) = self.queues.find(id) else { return };
        let Some(queue) = self.queues.get_mut(key) else { return };
        let ttl = declaration.options.message_ttl;
        for KeptMessage { position, tag, message } in messages {
            let Some(message) = message else { continue };
            let mut item = Item::new(&message.event, None, now.wall);
            if let Some(ttl) = ttl {
                // It has waited since it was published, or nearly so.
                item.due = item.due.min(message.event.time + ttl);
            }
            item.retain = message.retain;
            queue.restore(position, item, tag.is_some());
            self.counts.queued += 1;
        }
        self.queues.rearm(now, key);
    }

    /// Removes a queue because somebody asked for it. Returns how many events waited.
    ///
    /// # Errors
    /// It is not as it was to be.
    pub(crate) fn vacate_queue(
        &mut self,
        now: Now,
        id: QueueId,
        if_unused: bool,
        if_empty: bool,
    ) -> Result<u32, Declined> {
        let Some(key) = self.queues.find(id) else { return Ok(0) };
        let Some(queue) = self.queues.get(key) else { return Ok(0) };
        let declined = |what: &str| {
            let detail = format!("queue '{}' in vhost '/' {what}", queue.name);
            Err(Declined { cause: DeclineCause::Precondition, detail })
        };
        if if_unused && queue.consuming() > 0 {
            return declined("in use");
        }
        if if_empty && queue.waiting() > 0 {
            return declined("not empty");
        }
        Ok(self.remove_queue(now, key).1)
    }

    /// Removes what waits in a queue, and says how many events that was.
    pub(crate) fn purge_queue(&mut self, now: Now, id: QueueId) -> u32 {
        let Some(key) = self.queues.find(id) else { return 0 };
        self.with_queue(now, key, |queue, road| queue.purge(road)).unwrap_or(0)
    }

    /// How many events wait in a queue, and how many consume from it; `None`: it is gone. It counts as use.
    pub(crate) fn queue_census(&mut self, now: Now, id: QueueId) -> Option<(u32, u32)> {
        let key = self.queues.find(id)?;
        self.with_queue(now, key, |queue, road| {
            queue.touch(road.now);
            queue.expire(road);
            (queue.waiting() as u32, queue.consuming() as u32)
        })
    }

    /// Gives an event to a queue of this shard.
    #[inline]
    pub(crate) fn offer_to_queue(
        &mut self,
        now: Now,
        id: QueueId,
        event: &Arc<Event>,
        promised: bool,
    ) -> Offered {
        // One that is gone a moment ago has room for everything.
        let Some(key) = self.queues.find(id) else { return Offered::Taken };
        let offered = self.with_queue(now, key, |queue, road| {
            road.promised = promised;
            let item = Item::new(event, queue.declaration.options.message_ttl, road.now.wall);
            queue.offer(item, road)
        });
        if offered == Some(Offered::Refused) {
            self.note_refused_by_queue(now, key);
        }
        offered.unwrap_or(Offered::Taken)
    }

    fn note_refused_by_queue(&mut self, now: Now, key: QueueKey) {
        let Some(queue) = self.queues.get(key) else { return };
        if let Some(suppressed) = self.notices.allow(now, "queue_full") {
            tracing::warn!(
                queue = queue.name.as_str(),
                suppressed,
                "event refused by a queue: as many wait in it as its own bounds or 'limits.queue_events' and \
                 'limits.queue_bytes' allow ('limits.queue_full' says which is dropped)"
            );
        }
    }

    /// Lets a queue work.
    #[inline]
    pub(crate) fn with_queue<R>(
        &mut self,
        now: Now,
        key: QueueKey,
        work: impl FnOnce(&mut Queue, &mut Road<'_>) -> R,
    ) -> Option<R> {
        let queue = self.queues.get_mut(key)?;
        let limits = &self.snapshot.limits;
        let bounds = if queue.private.is_some() {
            QueueBounds {
                events: limits.session_queue_events as usize,
                bytes: limits.session_queue_bytes,
                full: limits.session_queue_full,
            }
        } else {
            QueueBounds {
                events: limits.queue_events as usize,
                bytes: limits.queue_bytes,
                full: limits.queue_full,
            }
        };
        let mut road = Road {
            now,
            here: self.shards.here(),
            bounds,
            promised: false,
            starved: Vec::new(),
            outputs: &mut self.outputs,
            shards: &mut self.shards,
            counts: &mut self.counts,
            gate: self.gate.as_deref_mut(),
            lost: &mut self.lost,
        };
        let result = work(queue, &mut road);
        let starved = road.starved;
        if !starved.is_empty() {
            self.queues.starve(key, starved);
        }
        let queue = self.queues.get_mut(key)?;
        if let Some(id) = queue.id
            && self.shards.count() > 1
            && let Some(crowded) = queue.crowds(bounds)
        {
            self.tell_crowded(id, crowded);
        }
        self.queues.rearm(now, key);
        Some(result)
    }

    fn tell_crowded(&mut self, queue: QueueId, crowded: bool) {
        for shard in self.shards.others() {
            self.shards.say(shard, Word::Crowded { queue, crowded });
        }
    }

    /// Something of a queue is due: what has waited too long, last values that its consumer still has to get, or its end.
    pub(crate) fn queue_due(&mut self, now: Now, key: QueueKey) {
        let abandoned = self.with_queue(now, key, |queue, road| {
            queue.expire(road);
            queue.is_abandoned(road.now)
        });
        if abandoned == Some(true) {
            return self.end_queue(now, key);
        }
        self.catch_up_queue(now, key);
        self.queues.rearm(now, key);
    }

    /// A consumer of a queue is gone, or gets no more.
    pub(crate) fn left(&mut self, now: Now, key: QueueKey) {
        let Some(queue) = self.queues.get(key) else { return };
        if queue.consuming() > 0 {
            return;
        }
        if queue.private.is_some() {
            if queue.id.is_some() {
                self.keep_private(now, key);
            } else {
                self.retire_private(now, key);
            }
        } else if queue.declaration.auto_delete {
            self.end_queue(now, key);
        } else {
            self.queues.rearm(now, key);
        }
    }

    /// The connection that a queue is exclusive to is gone.
    pub(crate) fn end_owned(&mut self, now: Now, key: QueueKey, owner: ConnectionId) {
        if self.queues.get(key).is_some_and(|queue| queue.owner == Some(owner)) {
            self.end_queue(now, key);
        }
    }

    /// A queue ends by itself: all shards are told.
    pub(crate) fn end_queue(&mut self, now: Now, key: QueueKey) {
        if let (Some(id), _) = self.remove_queue(now, key) {
            self.queue_ended(now, id);
        }
    }

    /// Takes a queue out, and tells its consumers. Returns its name among all shards and how many events waited.
    fn remove_queue(&mut self, now: Now, key: QueueKey) -> (Option<QueueId>, u32) {
        let Some(queue) = self.queues.get(key) else { return (None, 0) };
        let detail = format!("queue '{}' was deleted", queue.name);
        let because = Declined { cause: DeclineCause::NotFound, detail };
        let everybody: Vec<At> = queue.all_consumers().map(|consumer| consumer.wish.at).collect();
        let count = self.with_queue(now, key, |queue, road| queue.close(&because, road));
        let here = self.shards.here();
        for at in everybody {
            if at.shard == here {
                self.forget_consumer(at.connection, at.consumer);
            } else {
                self.queues.remote.remove(&at);
            }
        }
        let private = self.queues.get_mut(key).and_then(|queue| queue.private.as_mut());
        if let Some(subscription) = private.and_then(|private| private.subscription.take()) {
            self.withdraw_subscription(subscriber_key(key), &subscription);
        }
        let queue = self.queues.remove(key);
        if let Some(queue) = &queue
            && let Some(id) = queue.id.filter(|_| queue.is_crowded())
        {
            self.tell_crowded(id, false);
        }
        let owner = queue.as_ref().and_then(|queue| queue.owner);
        if let Some(connection) = owner.and_then(|owner| self.connections.get_mut(owner))
            && let Some(consumers) = &mut connection.consumers
        {
            consumers.owned.retain(|owned| *owned != key);
        }
        (queue.and_then(|queue| queue.id), count.unwrap_or(0))
    }
}
