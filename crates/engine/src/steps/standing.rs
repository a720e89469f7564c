//! Standing: what the registry says anew of somebody takes hold of all that is open or kept of it.

use crate::connections::Stage;
use crate::engine::Engine;
use crate::io::{Output, ShardMessage};
use crate::queues::QueueKey;
use crate::sessions::{SessionKey, TakenOver, counted_on};
use crate::standing::{Stands, Wanted};
use crate::steps::listen::{Ending, Entry};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{
    CloseReason, ConnectionId, Directive, Identity, IdentityChange, Moment, Now, Origin, Permission,
    Principal, Refusal, RefusalCause, Standing, Verdict,
};

/// What AMQP's origins are called. Its consumers are told of one by one, so they begin anew when they lose something.
const AMQP: &str = "amqp";

impl Engine {
    /// What is known of some is not as it was.
    pub(crate) fn identities_changed(&mut self, now: Now, changes: &[IdentityChange]) {
        for change in changes {
            if matches!(change.standing, Standing::Ended | Standing::Quarantined) {
                self.lately.note(change.subject.clone());
            }
        }
        let wanted = Wanted::new(changes);
        self.refuse_claimants(now, &wanted);
        for key in self.sessions.concerned(&wanted) {
            let Some(session) = self.sessions.get(key) else { continue };
            match wanted.stands(&session.origin.identity) {
                Some(Stands::Ended(reason)) => self.ended(now, key, reason),
                Some(Stands::Is(identity)) => self.is_now(now, key, identity),
                None => {}
            }
        }
        for key in self.queues.concerned(&wanted) {
            let Some(private) = self.queues.get(key).and_then(|queue| queue.private.as_ref()) else {
                continue;
            };
            match wanted.stands(&private.origin.identity) {
                Some(Stands::Ended(_)) => self.end_queue(now, key),
                Some(Stands::Is(identity)) => self.kept_for(key, identity),
                None => {}
            }
        }
    }

    /// Whether the registry's answer still holds, or was overtaken by a change that ends sessions: then it is to be asked
    /// again. `asked`: how many of them had been heard when the registry was asked.
    pub(crate) fn still_stands(&self, identity: Identity, asked: u32) -> Verdict {
        if !self.lately.may_have_ended(&identity, asked) {
            return Ok(identity);
        }
        let detail = format!(
            "what is known of {identity} changed while it connected: it is asked anew when it comes again"
        );
        Err(Refusal { cause: RefusalCause::Unavailable, detail })
    }

    /// Whoever waits for its session does not get it.
    fn refuse_claimants(&mut self, now: Now, wanted: &Wanted<'_>) {
        for id in self.takeovers.claimants() {
            let stage = self.connections.get(id).map(|connection| &connection.stage);
            let Some(Stage::Claiming(opening)) = stage else { continue };
            let Some(Stands::Ended(reason)) = wanted.stands(&opening.identity) else { continue };
            let cause = match reason {
                CloseReason::Quarantined => RefusalCause::Quarantined,
                _ => RefusalCause::Revoked,
            };
            let detail = format!("{} was {} while it connected", opening.identity, reason.name());
            self.refuse(now, id, Refusal { cause, detail });
        }
    }

    /// A session ends, whether it is connected or not. Its will is not published: whoever is not let in says nothing any
    /// more, and what it left behind was not said by anybody who is.
    fn ended(&mut self, now: Now, key: SessionKey, reason: CloseReason) {
        self.note_ended(now, key, &reason);
        self.forget_will(key);
        let Some(session) = self.sessions.get(key) else { return };
        let Some(id) = session.connection else {
            return self.end_session(now, key, Entry::Forgotten);
        };
        let ending = Ending {
            cause: reason.name(),
            with_will: false,
            keep: Some(Duration::ZERO),
            entry: Entry::Forgotten,
        };
        self.direct(id, Directive::Close(reason));
        self.disconnect(now, id, ending);
    }

    /// Nobody publishes a session's will.
    pub(crate) fn forget_will(&mut self, key: SessionKey) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.will = None;
            session.will_due = None;
        }
    }

    /// What proved who a connection's peer is has come to its end. Its session waits for it, as if it had been lost.
    pub(crate) fn proven_no_longer(&mut self, now: Now, id: ConnectionId) {
        if let Some(key) = self.connections.get(id).and_then(|connection| connection.session()) {
            self.note_ended(now, key, &CloseReason::Expired);
        }
        self.send_away(now, id, CloseReason::Expired, true, Entry::Forgotten);
    }

    /// The owner of a session is this now; what proved that stays as it is.
    fn is_now(&mut self, now: Now, key: SessionKey, identity: &Identity) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let former = session.origin.clone();
        let known = Identity { proof: former.identity.proof.clone(), ..identity.clone() };
        if known == former.identity {
            return;
        }
        if former.protocol == AMQP
            && loses(&former.identity, &known)
            && let Some(id) = session.connection
        {
            return self.send_away(now, id, CloseReason::NotPermitted, true, Entry::Forgotten);
        }
        let origin = Arc::new(Origin { identity: known, ..Origin::clone(&former) });
        session.origin = origin.clone();
        if let Some(connection) = session.connection.and_then(|id| self.connections.get_mut(id))
            && let Stage::Open { origin: known, .. } = &mut connection.stage
        {
            *known = origin;
        }
        self.topics.clear();
        self.sessions.mark(key);
        self.record_session(now, key);
        self.look_at_subscriptions(key);
    }

    /// The owner of a private queue that outlives its consumers is this now.
    fn kept_for(&mut self, key: QueueKey, identity: &Identity) {
        let access = &self.snapshot.access;
        let Some(private) = self.queues.get_mut(key).and_then(|queue| queue.private.as_mut()) else { return };
        let former = &private.origin;
        let known = Identity { proof: former.identity.proof.clone(), ..identity.clone() };
        private.restricted = private.subscription.as_ref().is_some_and(|subscription| {
            !access.permits_filter(&known, Permission::Subscribe, &subscription.filter)
        });
        private.origin = Arc::new(Origin { identity: known, ..Origin::clone(former) });
        self.queues.mark_kept(key);
    }

    /// The rules, or whoever has a session, may not be as they were when it subscribed. Where it might not subscribe any
    /// more, events are looked at singly, and come again when they may; groups go on without it, for they would lose what
    /// it is not given.
    pub(crate) fn look_at_subscriptions(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key).filter(|session| !session.subscriptions.is_empty())
        else {
            return;
        };
        let (access, identity) = (&self.snapshot.access, &session.origin.identity);
        let is_permitted = |filter| access.permits_filter(identity, Permission::Subscribe, filter);
        let mut left = Vec::new();
        let mut restricted = false;
        for subscription in &session.subscriptions {
            if is_permitted(&subscription.filter) {
                continue;
            }
            match &subscription.share {
                Some(share) => left.push(share.clone()),
                None => restricted = true,
            }
        }
        session.restricted = restricted;
        for share in left {
            let session = self.sessions.get_mut(key);
            let Some(subscription) =
                session.and_then(|session| session.remove_subscription(&share.filter, Some(&share.group)))
            else {
                continue;
            };
            self.record_unsubscribed(key, &share.filter, Some(&share.group));
            self.withdraw_subscription(key, &subscription);
        }
    }

    /// A connection's session was taken over by one that comes from `to`.
    pub(crate) fn taken_over(
        &mut self,
        now: Now,
        session: &Arc<str>,
        principal: &Principal,
        earlier: ConnectionId,
        to: Option<SocketAddr>,
    ) {
        let from = self.connections.get(earlier).and_then(|connection| connection.peer);
        let (session, principal) = (session.clone(), principal.clone());
        let takeover = TakenOver { session, principal, from, to };
        let home = counted_on(&takeover.session, self.shards.count());
        if home == self.shards.here() {
            self.count_takeover(now, &takeover);
        } else {
            self.tell(home, ShardMessage::TakenOver(Box::new(takeover)));
        }
    }

    /// A session was taken over, here or elsewhere.
    pub(crate) fn count_takeover(&mut self, now: Now, takeover: &TakenOver) {
        let rule = &self.snapshot.identity.duplicates;
        let Some(suspicion) = self.duplicates.note(now.moment, rule, takeover) else { return };
        let (takeovers, peers) = (suspicion.takeovers, &suspicion.peers);
        if let Some(suppressed) = self.notices.allow(now, "duplicates") {
            tracing::warn!(
                session = &*takeover.session,
                identity = %Identity { principal: takeover.principal.clone(), ..Identity::anonymous() },
                takeovers,
                ?peers,
                suppressed,
                "two things seem to share an identity: they take each other's session over; see 'identity.duplicates'"
            );
        }
        self.outputs.push_back(Output::Suspect(Box::new(suspicion)));
    }

    /// Says in the log whose session ends, unless there are many.
    fn note_ended(&mut self, now: Now, key: SessionKey, reason: &CloseReason) {
        let Some(suppressed) = self.notices.allow(now, reason.name()) else { return };
        let Some(session) = self.sessions.get(key) else { return };
        let connection = session.connection.and_then(|id| self.connections.get(id));
        let origin = &session.origin;
        tracing::info!(
            listener = &*origin.listener,
            peer = connection.and_then(|connection| connection.peer).map(tracing::field::display),
            session = &*session.name,
            identity = %origin.identity,
            owner = origin.identity.owner().map(|owner| &**owner),
            cause = reason.name(),
            suppressed,
            "session ended: its owner is no longer let in"
        );
    }
}

/// When what proved an identity comes to its end, if it does.
pub(crate) fn proven_until(now: Now, identity: &Identity) -> Option<Moment> {
    let until = identity.proof.as_ref()?.until?;
    Some(now.moment + until.since(now.wall))
}

/// Whether somebody is less than before: in a group less, without a device or its owner.
fn loses(former: &Identity, now: &Identity) -> bool {
    former.owner().is_some_and(|owner| now.owner() != Some(owner))
        || former.groups.iter().any(|group| !now.groups.contains(group))
        || former.owned.iter().any(|owned| now.owned.binary_search(owned).is_err())
}
