//! Consumers with subscriptions of their own, and those that wait for replies: each has a queue that nobody else knows.

use crate::engine::Engine;
use crate::io::ShardMessage;
use crate::queues::Queues;
use crate::queues::{At, Consumption, Item, Private, Queue, QueueKey, Slot, Wish, queue_of, subscriber_key};
use crate::requests::ReplyAddress;
use crate::sessions::{CatchUp, Parcel, SessionKey, Sessions};
use crate::steps::deliver::Reach;
use crate::steps::identify::Identified;
use crate::subscriptions::{Options, ShareKey, Subscriber, Subscription};
use smallvec::SmallVec;
use std::sync::Arc;
use windrose_event::{
    ConnectionId, Consume, ConsumerId, Consuming, DeclineCause, Declined, Directive, Event, Filter, Now,
    Permission, Rejection, RetainedDelivery, Source, SubscriptionRequest, Text, is_system,
};

/// Last values that a consumer gets at once; then others have their turn.
const CATCH_UP_AT_ONCE: usize = 256;

impl Engine {
    /// Makes a consumer a queue of its own.
    pub(crate) fn consume_privately(&mut self, now: Now, connection: ConnectionId, consume: Consume) {
        let Some(by) = self.identify(connection) else { return };
        let Consume { consumer, from, presettled, limit, .. } = consume;
        let mut consuming = Consuming::default();
        let mut private = Private {
            origin: by.origin().clone(),
            restricted: false,
            subscription: None,
            headers: None,
            catch_up: None,
            token: None,
            open: false,
            keep: None,
            kept_until: None,
        };
        match from {
            Source::Address { request, headers, .. } => {
                if let Err(declined) = self.may_listen(&by, &request.filter) {
                    return self.direct(connection, Directive::Consuming { consumer, result: Err(declined) });
                }
                private.headers = headers.map(Box::new);
                let subscription = subscription(&request);
                if wants_retained(&request) {
                    let (filter, options) = (request.filter, subscription.options);
                    private.catch_up = Some(Box::new(CatchUp { filter, options, after: None }));
                }
                private.subscription = Some(subscription);
            }
            Source::Replies => {
                let token = self.random.token();
                private.token = Some(token);
                consuming.address = ReplyAddress { shard: self.shards.here(), token }.to_address();
            }
            Source::Queue { .. } => return,
        }
        let subscription = private.subscription.clone();
        let token = private.token;
        let mut queue = Queue::new(Text::default(), self.queues.nothing_special(), now);
        queue.private = Some(Box::new(private));
        let at = At { shard: self.shards.here(), connection, consumer };
        let held = self.is_held(connection);
        let slot =
            queue.join(Wish { at, listener: by.listener(), limit, presettled, exclusive: false, held });
        let key = self.queues.insert(queue);
        if let Some(token) = token {
            self.queues.replies.insert(token, key);
        }
        self.enter(connection, consumer, Consumption::Here { queue: key, slot });
        let mut announced = false;
        if let Some(subscription) = subscription {
            self.counts.subscriptions += 1;
            announced = self.enter_subscription(subscriber_key(key), &subscription, true);
        }
        self.begun(now, connection, consumer, consuming, (key, slot), announced);
    }

    /// Tells a consumer that it consumes from a queue of this shard; if that has a new subscription, once all shards know.
    pub(crate) fn begun(
        &mut self,
        now: Now,
        connection: ConnectionId,
        consumer: ConsumerId,
        consuming: Consuming,
        (key, slot): (QueueKey, Slot),
        announced: bool,
    ) {
        let answer = Directive::Consuming { consumer, result: Ok(consuming) };
        let others = self.shards.others().count();
        let is_open = self.queues.get(key).is_some_and(|queue| {
            let private = queue.private.as_ref();
            private.is_none_or(|private| private.open || private.subscription.is_none())
        });
        if is_open || others == 0 || !announced && self.grants.is_empty() {
            self.direct(connection, answer);
            return self.open_queue(now, key, slot);
        }
        // As for subscribers: whoever is told that it consumes misses nothing that is published from then on.
        let mark = self.grants.hold(connection, answer, others);
        for shard in self.shards.others() {
            self.tell(shard, ShardMessage::Mark(mark));
        }
    }

    pub(crate) fn may_listen(&self, by: &Identified, filter: &Filter) -> Result<(), Declined> {
        if let Err(Rejection { detail, .. }) = self.check_levels(filter.as_str().as_bytes()) {
            let detail = detail.map_or_else(String::new, |detail| detail.to_string());
            return Err(Declined { cause: DeclineCause::BadName, detail });
        }
        let identity = &by.origin().identity;
        if filter.levels().next() == Some("$reply")
            || !self.snapshot.access.permits_filter(identity, Permission::Subscribe, filter)
        {
            let detail = format!("{identity} may not subscribe to '{filter}'");
            return Err(Declined { cause: DeclineCause::NotPermitted, detail });
        }
        Ok(())
    }

    /// A consumer was told that it consumes.
    pub(crate) fn open_queue(&mut self, now: Now, key: QueueKey, slot: Slot) {
        self.with_queue(now, key, |queue, road| {
            if let Some(private) = &mut queue.private {
                private.open = true;
            }
            queue.wake(slot);
            queue.pump(road);
        });
        self.catch_up_queue(now, key);
    }

    /// All shards know what a consumer subscribed to: it was told that it consumes.
    pub(crate) fn open_consumer(&mut self, now: Now, connection: ConnectionId, consumer: ConsumerId) {
        if let Some(Consumption::Here { queue, slot }) = self.consumption(connection, consumer) {
            let (queue, slot) = (*queue, *slot);
            self.open_queue(now, queue, slot);
        }
    }

    /// Gives an event to a private queue that subscribed.
    pub(crate) fn deliver_to_private(
        &mut self,
        now: Now,
        key: QueueKey,
        event: &Arc<Event>,
        options: Options,
    ) -> Reach {
        let Some(private) = self.queues.get(key).and_then(|queue| queue.private.as_ref()) else {
            return Reach::Nobody;
        };
        if options.no_local && *private.origin.session == *event.origin.session {
            return Reach::Itself;
        }
        let access = &self.snapshot.access;
        let identity = &private.origin.identity;
        if access.withholds(identity, &event.address)
            || private.restricted && !access.permits(identity, Permission::Subscribe, &event.address)
        {
            return Reach::Nobody;
        }
        if private.headers.as_ref().is_some_and(|headers| !headers.matches(event.headers())) {
            return Reach::Nobody;
        }
        let mut item = Item::new(event, None, now.wall);
        item.retain = options.retain_as_published && event.retain;
        self.with_queue(now, key, |queue, road| queue.offer(item, road));
        Reach::Others
    }

    /// A reply came for a consumer. `false`: none waits for it.
    pub(crate) fn reply_to_consumer(&mut self, now: Now, token: u128, event: &Arc<Event>) -> bool {
        let Some(key) = self.queues.replies.get(&token).copied() else { return false };
        let item = Item::new(event, None, now.wall);
        self.with_queue(now, key, |queue, road| queue.offer(item, road));
        true
    }

    /// Brings a consumer some of the last values that it has still to get, as many as it takes.
    pub(crate) fn catch_up_queue(&mut self, now: Now, key: QueueKey) {
        let Some(queue) = self.queues.get_mut(key).filter(|queue| queue.catches_up()) else { return };
        let room = CATCH_UP_AT_ONCE.min(queue.room());
        let Some(private) = &mut queue.private else { return };
        let Some(current) = &mut private.catch_up else { return };
        let kept = if is_system(current.filter.as_str()) { &self.own } else { &self.retained };
        let after = current.after.as_ref().map(|address| address.as_str());
        let values = kept.matching(&current.filter, after, now.wall, room);
        if let Some(last) = values.last() {
            current.after = Some(last.address.clone());
        }
        let options = current.options;
        let ends = values.len() < room;
        let origin = private.origin.clone();
        let headers = private.headers.clone();
        let access = &self.snapshot.clone().access;
        self.with_queue(now, key, |queue, road| {
            for event in &values {
                if options.no_local && *origin.session == *event.origin.session
                    || headers.as_ref().is_some_and(|headers| !headers.matches(event.headers()))
                    || access.withholds(&origin.identity, &event.address)
                {
                    continue;
                }
                let mut item = Item::new(event, None, road.now.wall);
                item.retain = true;
                queue.offer(item, road);
            }
            if ends && let Some(private) = &mut queue.private {
                private.catch_up = None;
            }
            // What was waited for may have been the end.
            queue.pump(road);
        });
    }

    /// A private queue's consumer wants no more: its subscription ends. The queue does, too, unless it still has something
    /// to dispose of.
    pub(crate) fn retire_private(&mut self, now: Now, key: QueueKey) {
        let Some(queue) = self.queues.get_mut(key) else { return };
        let Some(private) = &mut queue.private else { return };
        private.catch_up = None;
        let subscription = private.subscription.take();
        if let Some(subscription) = &subscription {
            self.withdraw_subscription(subscriber_key(key), subscription);
        }
        let share = subscription.and_then(|subscription| Some((subscription.share?, subscription.options)));
        let Some(queue) = self.queues.get(key) else { return };
        if queue.all_consumers().next().is_some() {
            return;
        }
        let Some(queue) = self.queues.remove(key) else { return };
        self.counts.queued -= queue.held() as u64;
        let Some((share, options)) = share else { return };
        for event in queue.into_rest() {
            let assurance = event.assurance;
            let (retain, subscriptions) = (options.retain_as_published && event.retain, SmallVec::new());
            self.reassign(
                now,
                Parcel { event, assurance, retain, subscriptions, share: Some(share.clone()) },
            );
        }
    }
}

/// Whether a session, or a private queue, could take an event at once.
pub(crate) fn takes_at_once(sessions: &Sessions, queues: &Queues, key: SessionKey) -> bool {
    match queue_of(key) {
        Some(key) => queues.get(key).is_some_and(Queue::could_take),
        None => sessions.get(key).is_some_and(|session| session.has_room()),
    }
}

/// Private queues among subscribers that matched.
pub(crate) fn private_of(subscriber: &Subscriber) -> Option<QueueKey> {
    queue_of(subscriber.session)
}

pub(super) fn subscription(request: &SubscriptionRequest) -> Subscription {
    let filter = request.filter.clone();
    let share = request
        .group
        .as_ref()
        .map(|group| Arc::new(ShareKey { group: group.as_str().into(), filter: filter.clone() }));
    let options = Options {
        assurance: request.assurance,
        no_local: request.no_local,
        retain_as_published: request.retain_as_published,
        own_copy: false,
        identifier: 0,
    };
    Subscription { filter, share, options }
}

/// Whether last values are to be brought at first; never to groups, as with MQTT (MQTT 5 §4.8.2).
pub(super) fn wants_retained(request: &SubscriptionRequest) -> bool {
    request.group.is_none() && request.retained != RetainedDelivery::Never
}
