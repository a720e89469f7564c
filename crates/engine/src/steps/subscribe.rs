//! Subscriptions and last values: what peers ask for that is no event of theirs.

use crate::counts::bump;
use crate::engine::Engine;
use crate::io::ShardMessage;
use crate::sessions::{CatchUp, Session, SessionKey};
use crate::steps::identify::Identified;
use crate::subscriptions::{Options, ShareKey, Subscriber, Subscription};
use std::sync::Arc;
use windrose_event::{
    Address, Assurance, Cause, ConnectionId, Directive, Filter, Now, Permission, Rejection, RetainedDelivery,
    SubscriptionRequest, Tag, Text,
};

/// Last values that are looked at for one question; then others have their turn.
const LIST_AT_ONCE: usize = 256;

impl Engine {
    /// Subscribes to what may be subscribed to, then sends the last values that the new subscriptions match.
    pub(crate) fn subscribe(
        &mut self,
        now: Now,
        connection: ConnectionId,
        tag: Tag,
        requests: Vec<SubscriptionRequest>,
    ) {
        let Some(by) = self.identify(connection) else { return };
        let mut announced = false;
        let results: Vec<_> =
            requests.into_iter().map(|request| self.subscribe_one(&by, request, &mut announced)).collect();
        for rejection in results.iter().filter_map(|result| result.as_ref().err()) {
            self.note_refused(now, &by, rejection);
        }
        self.grant(&by, Directive::Subscribed { tag, results }, announced);
        self.pump(now, by.session());
        self.sessions.rearm(by.session());
    }

    /// Tells a subscriber that it is subscribed, once the other shards know: what is published there after the answer
    /// must not miss it. They do if nothing had to be announced and nothing announced before is still on its way.
    /// Last values come after the answer, as clients are used to.
    fn grant(&mut self, by: &Identified, answer: Directive, announced: bool) {
        let connection = by.connection();
        let others = self.shards.others().count();
        if others == 0 || !announced && self.grants.is_empty() {
            return self.direct(connection, answer);
        }
        if let Some(session) = self.sessions.get_mut(by.session()) {
            session.ungranted += 1;
        }
        let mark = self.grants.hold(connection, answer, others);
        for shard in self.shards.others() {
            self.tell(shard, ShardMessage::Mark(mark));
        }
    }

    /// Another shard knows what was announced before the mark.
    pub(crate) fn marked(&mut self, now: Now, mark: u64) {
        if self.recovery_marked(now, mark) {
            return;
        }
        let Some((connection, answer)) = self.grants.known(mark) else { return };
        let is_grant = matches!(answer, Directive::Subscribed { .. });
        if let Directive::Consuming { consumer, .. } = answer {
            self.direct(connection, answer);
            return self.open_consumer(now, connection, consumer);
        }
        self.direct(connection, answer);
        if !is_grant {
            return;
        }
        let Some(by) = self.identify(connection) else { return };
        if let Some(session) = self.sessions.get_mut(by.session()) {
            session.ungranted = session.ungranted.saturating_sub(1);
        }
        self.pump(now, by.session());
        self.sessions.rearm(by.session());
    }

    /// Counts a subscription that is not granted, and says why unless there were many of the kind.
    fn note_refused(&mut self, now: Now, by: &Identified, rejection: &Rejection) {
        bump(&mut self.counts.subscriptions_refused, rejection.cause.name());
        if let Some(suppressed) = self.notices.allow(now, "subscription_refused") {
            tracing::warn!(
                listener = &*by.origin().listener,
                session = &*by.origin().session,
                identity = %by.origin().identity,
                owner = by.origin().identity.owner().map(|owner| &**owner),
                cause = rejection.cause.name(),
                detail = rejection.detail.as_deref(),
                suppressed,
                "subscription refused"
            );
        }
    }

    fn subscribe_one(
        &mut self,
        by: &Identified,
        request: SubscriptionRequest,
        announced: &mut bool,
    ) -> Result<Assurance, Rejection> {
        let SubscriptionRequest { filter, group, assurance, .. } = request;
        self.check_levels(filter.as_str().as_bytes())?;
        let identity = &by.origin().identity;
        // Replies are for those who asked: whatever the rules say, nobody listens in.
        if filter.levels().next() == Some("$reply")
            || !self.snapshot.access.permits_filter(identity, Permission::Subscribe, &filter)
        {
            let detail = format!("{identity} may not subscribe to '{filter}'");
            return Err(Rejection { cause: Cause::NotPermitted, detail: Some(detail.into()) });
        }
        let most = self.limits().subscriptions_per_session as usize;
        let options = Options {
            assurance,
            no_local: request.no_local,
            retain_as_published: request.retain_as_published,
            own_copy: request.own_copy,
            identifier: request.identifier.unwrap_or(0),
        };
        let key = by.session();
        let Some(session) = self.sessions.get_mut(key) else {
            return Err(Rejection { cause: Cause::Unsupported, detail: None });
        };
        // The index knows at once; the session's own list may be long.
        let known = match &group {
            None if !self.subscriptions.is_subscribed(&filter, key) => None,
            group => session.subscriptions.iter().position(|known| known.is(&filter, group.as_deref())),
        };
        if known.is_none() && session.subscriptions.len() >= most {
            let detail =
                format!("the session has the {most} subscriptions of 'limits.subscriptions_per_session'");
            return Err(Rejection { cause: Cause::Quota, detail: Some(detail.into()) });
        }
        let is_new = known.is_none();
        let subscription = match known {
            Some(index) => {
                session.subscriptions[index].options = options;
                session.subscriptions[index].clone()
            }
            None => {
                let share = group
                    .map(|group| Arc::new(ShareKey { group: group.as_str().into(), filter: filter.clone() }));
                let subscription = Subscription { filter, share, options };
                session.subscriptions.push(subscription.clone());
                self.counts.subscriptions += 1;
                subscription
            }
        };
        let wants_retained = match request.retained {
            RetainedDelivery::Always => true,
            RetainedDelivery::IfNew => is_new,
            RetainedDelivery::Never => false,
        };
        // Last values are not sent to groups (MQTT 5 §4.8.2).
        if wants_retained && subscription.share.is_none() {
            session.await_retained(CatchUp { filter: subscription.filter.clone(), options, after: None });
        }
        self.record_subscribed(key, &subscription);
        *announced |= self.enter_subscription(key, &subscription, true);
        Ok(assurance)
    }

    /// Unsubscribes.
    pub(crate) fn unsubscribe(
        &mut self,
        connection: ConnectionId,
        tag: Tag,
        filters: &[(Option<Text>, Filter)],
    ) {
        let Some(by) = self.identify(connection) else { return };
        let key = by.session();
        let results = filters
            .iter()
            .map(|(group, filter)| {
                let session = self.sessions.get_mut(key);
                match session.and_then(|session| session.remove_subscription(filter, group.as_deref())) {
                    Some(subscription) => {
                        self.record_unsubscribed(key, filter, group.as_deref());
                        self.withdraw_subscription(key, &subscription);
                        true
                    }
                    None => false,
                }
            })
            .collect();
        self.direct(connection, Directive::Unsubscribed { tag, results });
    }

    /// Reads an address's last value.
    pub(crate) fn read(&mut self, now: Now, connection: ConnectionId, tag: Tag, address: &Address) {
        let Some(by) = self.identify(connection) else { return };
        let identity = &by.origin().identity;
        let value = if self.snapshot.access.permits(identity, Permission::Read, address) {
            Ok(self.last_values(address.as_str()).get(address.as_str(), now.wall).cloned())
        } else {
            let detail = format!("{identity} may not read '{address}'");
            Err(Rejection { cause: Cause::NotPermitted, detail: Some(detail.into()) })
        };
        self.direct(connection, Directive::Value { tag, value });
    }

    /// Lists some of the last values that match and may be read. What may not counts among those that are looked at, so
    /// that no single question takes long.
    pub(crate) fn list(
        &mut self,
        now: Now,
        connection: ConnectionId,
        tag: Tag,
        filter: &Filter,
        after: Option<&Address>,
        limit: u16,
    ) {
        let Some(by) = self.identify(connection) else { return };
        let room = usize::from(limit).clamp(1, LIST_AT_ONCE);
        let kept = self.last_values(filter.as_str());
        let mut events = kept.matching(filter, after.map(Address::as_str), now.wall, room);
        let after = events.last().filter(|_| events.len() >= room).map(|event| event.address.clone());
        let access = &self.snapshot.access;
        let identity = &by.origin().identity;
        events.retain(|event| access.permits(identity, Permission::Read, &event.address));
        self.direct(connection, Directive::Listed { tag, events, after });
    }

    /// Enters all subscriptions of a session that came from another shard.
    pub(crate) fn enter_subscriptions(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get(key) else { return };
        let connected = session.connection.is_some();
        for subscription in session.subscriptions.clone() {
            self.enter_subscription(key, &subscription, connected);
            self.counts.subscriptions += 1;
        }
    }

    /// Enters a subscription. Says whether the other shards had to be told.
    pub(crate) fn enter_subscription(
        &mut self,
        key: SessionKey,
        subscription: &Subscription,
        connected: bool,
    ) -> bool {
        let Subscription { filter, share, options } = subscription;
        let subscriber = Subscriber { session: key, options: *options };
        let before = self.is_wanted(filter);
        let change = match share {
            None => self.subscriptions.subscribe(filter, subscriber),
            Some(share) => Some(self.subscriptions.join(share, subscriber, connected)),
        };
        self.note_interest(filter, before);
        let Some(change) = change else { return false };
        self.announce(filter, share.as_ref().map(|share| &share.group), &change);
        true
    }

    /// Removes all subscriptions of a session that ends or leaves this shard.
    pub(crate) fn withdraw(&mut self, key: SessionKey, session: &Session) {
        for subscription in &session.subscriptions {
            self.withdraw_subscription(key, subscription);
        }
    }

    pub(crate) fn withdraw_subscription(&mut self, key: SessionKey, subscription: &Subscription) {
        let Subscription { filter, share, .. } = subscription;
        self.counts.subscriptions -= 1;
        let before = self.is_wanted(filter);
        let change = match share {
            None => self.subscriptions.unsubscribe(filter, key),
            Some(share) => self.subscriptions.leave(share, key),
        };
        self.note_interest(filter, before);
        if let Some(change) = change {
            self.announce(filter, share.as_ref().map(|share| &share.group), &change);
        }
    }

    /// A session's connection came or went: its groups prefer members that are connected.
    pub(crate) fn group_members_connected(&mut self, key: SessionKey, connected: bool) {
        let Some(session) = self.sessions.get(key) else { return };
        let shares: Vec<_> =
            session.subscriptions.iter().filter_map(|subscription| subscription.share.clone()).collect();
        for share in shares {
            if let Some(change) = self.subscriptions.member_connected(&share, key, connected) {
                self.announce(&share.filter, Some(&share.group), &change);
            }
        }
    }
}
