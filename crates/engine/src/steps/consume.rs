//! How peers take events from queues, or have them brought: what they ask for, on their own shard.

use crate::engine::Engine;
use crate::exchanges::Then;
use crate::io::{QueueId, ShardId, Word};
use crate::queues::{At, Consumers, Consumption, Pulls, QueueKey, Slot, Wish};
use crate::steps::kept::Attached;
use smallvec::SmallVec;
use std::sync::Arc;
use windrose_event::{
    ConnectionId, Consume, ConsumerId, Consuming, DeclineCause, Declined, Directive, Disposition, Now,
    Origin, Source, Tag,
};

impl Engine {
    /// Begins to supply a consumer.
    pub(crate) fn consume(&mut self, now: Now, connection: ConnectionId, consume: Box<Consume>) {
        let consumer = consume.consumer;
        if let Err(declined) = self.may_consume(connection, consumer) {
            return self.direct(connection, Directive::Consuming { consumer, result: Err(declined) });
        }
        match &consume.from {
            Source::Queue { name, or_new } => match (self.usable_queue(connection, name), or_new) {
                (Ok((queue, home)), _) => self.begin_consuming(now, connection, consume, queue, home),
                (Err(Declined { cause: DeclineCause::NotFound, .. }), Some(declaration)) => {
                    let mut declaration = (**declaration).clone();
                    declaration.name = Some(name.clone());
                    self.ask(connection, consumer);
                    self.declare_queue(now, connection, declaration, Then::Consume(consume));
                }
                (Err(declined), _) => {
                    self.direct(connection, Directive::Consuming { consumer, result: Err(declined) });
                }
            },
            Source::Address { request, .. } => {
                let may = match self.identify(connection) {
                    Some(by) => self.may_listen(&by, &request.filter),
                    None => return,
                };
                if let Err(declined) = may {
                    return self.direct(connection, Directive::Consuming { consumer, result: Err(declined) });
                }
                if let Some(consume) = self.consume_kept(now, connection, consume) {
                    self.consume_privately(now, connection, *consume);
                }
            }
            Source::Replies => self.consume_privately(now, connection, *consume),
        }
    }

    /// Whether a connection may have another consumer of that number.
    pub(super) fn may_consume(&self, id: ConnectionId, consumer: ConsumerId) -> Result<(), Declined> {
        let declined = |cause, detail: String| Err(Declined { cause, detail });
        let Some(connection) = self.connections.get(id).filter(|known| known.session().is_some()) else {
            return declined(DeclineCause::NotPermitted, "the session is not open".into());
        };
        let Some(consumers) = &connection.consumers else { return Ok(()) };
        let most = self.limits().subscriptions_per_session as usize;
        if consumers.by_id.len() >= most {
            let detail = format!("{most} consume already, as 'limits.subscriptions_per_session' allows");
            return declined(DeclineCause::Quota, detail);
        }
        if consumers.by_id.contains_key(&consumer) {
            return declined(DeclineCause::Precondition, "a consumer of that number is there already".into());
        }
        Ok(())
    }

    /// The queue that a consumer asked for is there now, or not.
    pub(crate) fn consume_declared(
        &mut self,
        now: Now,
        connection: ConnectionId,
        mut consume: Box<Consume>,
        result: Result<(), Declined>,
    ) {
        let consumer = consume.consumer;
        let Some(Consumption::Asked { limit, drain, canceled }) = self.forget_consumer(connection, consumer)
        else {
            return;
        };
        consume.limit = limit.unwrap_or(consume.limit);
        let limit = consume.limit;
        match result.and_then(|()| self.declared_for(connection, &consume)) {
            Ok((queue, home)) => self.begin_consuming(now, connection, consume, queue, home),
            Err(declined) => {
                self.direct(connection, Directive::Consuming { consumer, result: Err(declined) })
            }
        }
        if drain {
            self.grant_consumer(now, connection, consumer, limit, true);
        }
        if canceled {
            self.cancel_consumer(now, connection, consumer, true);
        }
    }

    /// The queue that was made for a consumer.
    fn declared_for(
        &self,
        connection: ConnectionId,
        consume: &Consume,
    ) -> Result<(QueueId, ShardId), Declined> {
        if let Source::Queue { name, .. } = &consume.from {
            return self.usable_queue(connection, name);
        }
        let name = self.kept_name(connection, consume).unwrap_or_default();
        let known = self.topology.kept(name.as_str()).map(|queue| (queue.id, queue.home));
        known.ok_or_else(|| Declined {
            cause: DeclineCause::NotFound,
            detail: "what was to be kept is gone already".into(),
        })
    }

    /// A consumer waits for its queue to be made.
    pub(crate) fn ask(&mut self, connection: ConnectionId, consumer: ConsumerId) {
        self.enter(connection, consumer, Consumption::asked());
    }

    /// Begins to supply a consumer from a queue that is there, here or elsewhere.
    pub(crate) fn begin_consuming(
        &mut self,
        now: Now,
        id: ConnectionId,
        consume: Box<Consume>,
        queue: QueueId,
        home: ShardId,
    ) {
        let consumer = consume.consumer;
        let held = self.is_held(id);
        let Some(by) = self.identify(id) else { return };
        let origin = by.origin().clone();
        if home != self.shards.here() {
            let consumption =
                Consumption::There { home, unsettled: 0, asked: 0, released: false, canceled: false };
            self.enter(id, consumer, consumption);
            let begin =
                Word::Begin { connection: id, queue, consume, held, origin, heard: self.lately.heard() };
            return self.shards.say(home, begin);
        }
        let at = At { shard: home, connection: id, consumer };
        match self.join(now, queue, &consume, at, held, &origin) {
            Ok((key, slot, attached)) => {
                self.enter(id, consumer, Consumption::Here { queue: key, slot });
                let consuming = Consuming { resumed: attached.resumed, ..Consuming::default() };
                self.begun(now, id, consumer, consuming, (key, slot), attached.announced);
            }
            Err(declined) => self.direct(id, Directive::Consuming { consumer, result: Err(declined) }),
        }
    }

    /// Enters a consumer into a queue of this shard.
    ///
    /// # Errors
    /// The queue is gone, or somebody has it for itself.
    pub(crate) fn join(
        &mut self,
        now: Now,
        id: QueueId,
        consume: &Consume,
        at: At,
        held: bool,
        origin: &Arc<Origin>,
    ) -> Result<(QueueKey, Slot, Attached), Declined> {
        let listener = self.connections.get(at.connection).filter(|_| at.shard == self.shards.here());
        let listener = listener.map_or(0, |connection| connection.tally);
        let key = self.queues.find(id);
        let attached = key.map_or_else(Attached::default, |key| self.attach_kept(now, key, consume, origin));
        let found = key.and_then(|key| Some((key, self.queues.get_mut(key)?)));
        let Some((key, queue)) = found else {
            return Err(Declined { cause: DeclineCause::NotFound, detail: "the queue is gone".into() });
        };
        if queue.is_exclusive() || consume.exclusive && queue.consuming() > 0 {
            let detail = format!("queue '{}' in vhost '/' in exclusive use", queue.name);
            return Err(Declined { cause: DeclineCause::NotPermitted, detail });
        }
        let wish = Wish {
            at,
            listener,
            limit: consume.limit,
            presettled: consume.presettled,
            exclusive: consume.exclusive,
            held,
        };
        Ok((key, queue.join(wish), attached))
    }

    /// A consumer takes so many deliveries in all.
    pub(crate) fn grant_consumer(
        &mut self,
        now: Now,
        connection: ConnectionId,
        consumer: ConsumerId,
        granted: u64,
        drain: bool,
    ) {
        match self.consumption(connection, consumer) {
            Some(Consumption::Asked { limit, drain: drains, .. }) => {
                *limit = Some(granted);
                *drains = drain;
            }
            Some(Consumption::Here { queue, slot }) => {
                let (queue, slot) = (*queue, *slot);
                self.with_queue(now, queue, |queue, road| queue.grant(slot, granted, drain, road));
                self.catch_up_queue(now, queue);
            }
            Some(Consumption::There { home, .. }) => {
                let home = *home;
                self.shards.say(home, Word::Grant { connection, consumer, limit: granted, drain });
            }
            Some(Consumption::Pulls(_)) | None => {}
        }
    }

    /// A consumer says what becomes of deliveries.
    pub(crate) fn dispose(
        &mut self,
        now: Now,
        connection: ConnectionId,
        consumer: ConsumerId,
        tags: SmallVec<[Tag; 4]>,
        disposition: Disposition,
    ) {
        let Some(known) = self.connections.get_mut(connection) else { return };
        let listener = known.tally;
        let Some(consumers) = &mut known.consumers else { return };
        let Some(consumption) = consumers.by_id.get_mut(&consumer) else { return };
        self.counts.at(listener).events_out[rank(disposition)] += tags.len() as u64;
        match consumption {
            Consumption::Asked { .. } => {}
            Consumption::Here { queue, slot } => {
                let (queue, slot) = (*queue, *slot);
                let gone =
                    self.with_queue(now, queue, |queue, road| queue.dispose(slot, &tags, disposition, road));
                if gone == Some(true) {
                    self.forget_consumer(connection, consumer);
                    self.left(now, queue);
                }
            }
            Consumption::There { home, unsettled, asked, canceled, .. } => {
                let home = *home;
                *unsettled = unsettled.saturating_sub(tags.len() as u32);
                if *canceled && *unsettled == 0 && *asked == 0 {
                    consumers.by_id.remove(&consumer);
                }
                self.shards.say(home, Word::Dispose { connection, consumer, tags, disposition });
            }
            Consumption::Pulls(pulls) => {
                let mut places: Vec<_> = tags
                    .iter()
                    .filter_map(|tag| pulls.taken.try_remove(usize::from(tag.0).checked_sub(1)?))
                    .collect();
                if pulls.taken.is_empty() && pulls.asked == 0 {
                    consumers.by_id.remove(&consumer);
                }
                self.dispose_pulls(now, &mut places, disposition);
            }
        }
    }

    /// A consumer wants no more. `release`: what it has not disposed of goes back.
    pub(crate) fn cancel_consumer(
        &mut self,
        now: Now,
        connection: ConnectionId,
        consumer: ConsumerId,
        release: bool,
    ) {
        let answer = Directive::Canceled { consumer, because: None };
        match self.consumption(connection, consumer) {
            // The answer comes once it consumes.
            Some(Consumption::Asked { canceled, .. }) => *canceled = true,
            Some(Consumption::Here { queue, slot }) => {
                let (queue, slot) = (*queue, *slot);
                let gone = self.with_queue(now, queue, |queue, road| queue.cancel(slot, release, road));
                if gone != Some(false) {
                    self.forget_consumer(connection, consumer);
                }
                self.left(now, queue);
                self.direct(connection, answer);
            }
            Some(Consumption::There { home, unsettled, asked, released, .. }) => {
                *asked += 1;
                if release {
                    *released = true;
                    *unsettled = 0;
                }
                let home = *home;
                self.shards.say(home, Word::Cancel { connection, consumer, release });
            }
            Some(Consumption::Pulls(pulls)) => {
                let mut places = Vec::new();
                if release {
                    places.extend(std::mem::take(&mut pulls.taken).into_iter().map(|(_, place)| place));
                }
                if pulls.taken.is_empty() && pulls.asked == 0 {
                    self.forget_consumer(connection, consumer);
                }
                self.dispose_pulls(now, &mut places, Disposition::Released);
                self.direct(connection, answer);
            }
            None => self.direct(connection, answer),
        }
    }

    /// A connection's consumer.
    #[inline]
    pub(crate) fn consumption(
        &mut self,
        connection: ConnectionId,
        consumer: ConsumerId,
    ) -> Option<&mut Consumption> {
        self.connections.get_mut(connection)?.consumers.as_mut()?.by_id.get_mut(&consumer)
    }

    /// Enters a connection's consumer.
    pub(crate) fn enter(&mut self, connection: ConnectionId, consumer: ConsumerId, consumption: Consumption) {
        if let Some(known) = self.connections.get_mut(connection) {
            known.consumers.get_or_insert_default().by_id.insert(consumer, consumption);
        }
    }

    /// Forgets a connection's consumer.
    pub(crate) fn forget_consumer(
        &mut self,
        connection: ConnectionId,
        consumer: ConsumerId,
    ) -> Option<Consumption> {
        self.connections.get_mut(connection)?.consumers.as_mut()?.by_id.remove(&consumer)
    }

    /// Whether a connection has too much to write already.
    pub(crate) fn is_held(&self, connection: ConnectionId) -> bool {
        let session = self.connections.get(connection).and_then(|connection| connection.session());
        session.and_then(|key| self.sessions.get(key)).is_some_and(|session| session.congested)
    }

    /// A connection has too much to write already, or no longer: its consumers are held, or go on.
    pub(crate) fn hold_consumers(&mut self, now: Now, connection: ConnectionId, held: bool) {
        let Some(known) = self.connections.get(connection) else { return };
        let Some(consumers) = &known.consumers else { return };
        let all: Vec<_> = consumers
            .by_id
            .iter()
            .map(|(consumer, consumption)| match consumption {
                Consumption::Here { queue, slot } => (*consumer, Some((*queue, *slot)), None),
                Consumption::There { home, .. } => (*consumer, None, Some(*home)),
                Consumption::Asked { .. } | Consumption::Pulls(_) => (*consumer, None, None),
            })
            .collect();
        for (consumer, here, there) in all {
            if let Some((key, slot)) = here {
                self.with_queue(now, key, |queue, road| queue.hold(slot, held, road));
                self.catch_up_queue(now, key);
            }
            if let Some(home) = there {
                self.shards.say(home, Word::Hold { connection, consumer, held });
            }
        }
    }

    /// A connection is gone, and its consumers with it: what they have not disposed of goes back.
    pub(crate) fn drop_consumers(&mut self, now: Now, connection: ConnectionId, consumers: Consumers) {
        let mut places = Vec::new();
        for (consumer, consumption) in consumers.by_id {
            match consumption {
                Consumption::Asked { .. } => {}
                Consumption::Here { queue, slot } => {
                    self.with_queue(now, queue, |queue, road| queue.cancel(slot, true, road));
                    self.left(now, queue);
                }
                Consumption::There { home, .. } => {
                    self.shards.say(home, Word::Cancel { connection, consumer, release: true });
                }
                Consumption::Pulls(pulls) => {
                    let Pulls { taken, .. } = *pulls;
                    places.extend(taken.into_iter().map(|(_, place)| place));
                }
            }
        }
        self.dispose_pulls(now, &mut places, Disposition::Released);
        for queue in consumers.owned {
            self.end_owned(now, queue, connection);
        }
    }
}

impl Consumption {
    /// A consumer whose queue is being made.
    pub(crate) const fn asked() -> Self {
        Self::Asked { limit: None, drain: false, canceled: false }
    }
}

/// The outcome that a disposition is counted as (DESIGN §6).
const fn rank(disposition: Disposition) -> usize {
    match disposition {
        Disposition::Accepted => 0,
        Disposition::Released => 1,
        Disposition::Modified { .. } => 2,
        Disposition::Rejected => 4,
    }
}
