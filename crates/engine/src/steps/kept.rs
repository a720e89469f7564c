//! Subscriptions of consumers that outlive them: whoever consumes by the same name, and is the same somebody, takes up what has
//! waited meanwhile, on whatever shard it is.

use crate::engine::Engine;
use crate::exchanges::Then;
use crate::io::Word;
use crate::queues::{At, Private, QueueKey, subscriber_key};
use crate::sessions::{CatchUp, same_owner};
use crate::steps::private::{subscription, wants_retained};
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{
    ConnectionId, Consume, DeclineCause, Declined, Directive, HeadersTest, Now, Origin, Principal,
    QueueDeclaration, QueueOptions, Source, SubscriptionRequest, Text,
};

/// How long a queue that was made to be kept waits for its consumer, who may be gone.
const AWAITED: Duration = Duration::from_secs(10);

/// A subscription that is taken up again, or begun.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Attached {
    /// Whether it was there.
    pub(crate) resumed: bool,
    /// Whether the other shards had to be told.
    pub(crate) announced: bool,
}

impl Engine {
    /// A consumer wants its subscription kept, or takes up one that was. `None`: it is none of these.
    pub(crate) fn consume_kept(
        &mut self,
        now: Now,
        connection: ConnectionId,
        consume: Box<Consume>,
    ) -> Option<Box<Consume>> {
        let Some(name) = self.kept_name(connection, &consume) else { return Some(consume) };
        let known = self.topology.kept(name.as_str()).map(|queue| (queue.id, queue.home));
        match (known, &consume.from) {
            (Some((queue, home)), _) => self.begin_consuming(now, connection, consume, queue, home),
            // To keep something for no time is not to keep it.
            (None, Source::Address { kept: Some((_, keep)), .. }) if keep.is_zero() => return Some(consume),
            (None, _) => {
                self.ask(connection, consume.consumer);
                self.declare_kept(now, connection, name, Then::Consume(consume));
            }
        }
        None
    }

    /// The name, among all that is kept, of what a consumer wants kept: each somebody has names of its own.
    pub(crate) fn kept_name(&self, connection: ConnectionId, consume: &Consume) -> Option<Text> {
        let Source::Address { kept: Some((name, _)), .. } = &consume.from else { return None };
        let by = self.identify(connection)?;
        let who = match &by.origin().identity.principal {
            // Whose a device is can change without making it another device.
            Principal::Device { id, .. } => format!("device:{id}"),
            other => format!("{other:?}"),
        };
        Some(Text::from(format!("{who}\n{name}")))
    }

    /// The declaration of a queue that was made to be kept, until its consumer has come.
    pub(crate) fn awaited() -> Arc<QueueDeclaration> {
        let options = QueueOptions { expires: Some(AWAITED), ..QueueOptions::default() };
        Arc::new(QueueDeclaration { options, ..QueueDeclaration::default() })
    }

    /// Gives a queue that is kept the subscription that its consumer asks for now. Of one that is not shared, the consumer that
    /// had it is told that it is taken over.
    pub(crate) fn attach_kept(
        &mut self,
        now: Now,
        key: QueueKey,
        consume: &Consume,
        origin: &Arc<Origin>,
    ) -> Attached {
        let Source::Address { request, headers, kept: Some((_, keep)) } = &consume.from else {
            return Attached::default();
        };
        if request.group.is_none() {
            self.oust(now, key);
        }
        let former = self.queues.get(key).and_then(|queue| queue.private.as_ref());
        if former.is_some_and(|private| !same_owner(&private.origin.identity, &origin.identity)) {
            self.with_queue(now, key, |queue, road| queue.purge(road));
        }
        let attached = self.subscribe_kept(key, request, headers.as_ref(), *keep, origin);
        self.queues.mark_kept(key);
        attached
    }

    fn subscribe_kept(
        &mut self,
        key: QueueKey,
        request: &SubscriptionRequest,
        headers: Option<&HeadersTest>,
        keep: Duration,
        origin: &Arc<Origin>,
    ) -> Attached {
        let most = self.limits().session_expiry;
        let Some(queue) = self.queues.get_mut(key) else { return Attached::default() };
        // Its consumers share the queue itself.
        let wanted = subscription(&SubscriptionRequest { group: None, ..request.clone() });
        let headers = headers.cloned().map(Box::new);
        let keep = Some(keep.min(most));
        if let Some(private) = &mut queue.private {
            private.origin = origin.clone();
            private.restricted = false;
            private.headers = headers;
            private.keep = keep;
            private.kept_until = None;
            let same = |known: &crate::subscriptions::Subscription| known.filter == wanted.filter;
            if private.subscription.as_ref().is_some_and(same) {
                return Attached { resumed: true, announced: false };
            }
            let former = private.subscription.replace(wanted.clone());
            if let Some(former) = former {
                self.withdraw_subscription(subscriber_key(key), &former);
            }
            self.counts.subscriptions += 1;
            let announced = self.enter_subscription(subscriber_key(key), &wanted, true);
            return Attached { resumed: true, announced };
        }
        let catch_up = wants_retained(request).then(|| {
            let (filter, options) = (wanted.filter.clone(), wanted.options);
            Box::new(CatchUp { filter, options, after: None })
        });
        let declaration = self.queues.nothing_special();
        let Some(queue) = self.queues.get_mut(key) else { return Attached::default() };
        queue.declaration = declaration;
        queue.private = Some(Box::new(Private {
            origin: origin.clone(),
            restricted: false,
            subscription: Some(wanted.clone()),
            headers,
            catch_up,
            token: None,
            open: false,
            keep,
            kept_until: None,
        }));
        self.counts.subscriptions += 1;
        let announced = self.enter_subscription(subscriber_key(key), &wanted, true);
        Attached { resumed: false, announced }
    }

    /// Sends the consumers of a queue away, for another.
    fn oust(&mut self, now: Now, key: QueueKey) {
        let Some(queue) = self.queues.get(key) else { return };
        let former: Vec<_> = queue.places().collect();
        for (slot, at) in former {
            self.with_queue(now, key, |queue, road| queue.cancel(slot, true, road));
            let detail = "another consumer has taken the subscription over".into();
            let because = Some(Declined { cause: DeclineCause::Locked, detail });
            let At { shard, connection, consumer } = at;
            if shard == self.shards.here() {
                self.forget_consumer(connection, consumer);
                self.direct(connection, Directive::Canceled { consumer, because });
            } else {
                self.queues.remote.remove(&at);
                self.shards.say(shard, Word::Canceled { connection, consumer, because });
            }
        }
    }

    /// The last consumer of a queue that is kept is gone: it stays as long as was asked.
    pub(crate) fn keep_private(&mut self, now: Now, key: QueueKey) {
        let Some(private) = self.queues.get_mut(key).and_then(|queue| queue.private.as_mut()) else { return };
        match private.keep.filter(|keep| !keep.is_zero()) {
            Some(keep) => {
                private.kept_until = Some(now.moment + keep);
                self.queues.rearm(now, key);
            }
            None => self.end_queue(now, key),
        }
    }
}
