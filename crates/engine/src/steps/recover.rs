//! Recovery: what was kept over a restart is taken in again, before anybody is listened to.

use crate::engine::Engine;
use crate::io::ShardMessage;
use crate::journal::{Gate, Kept, KeptMessage, KeptSession, Recall, Record, SubscriptionRecord, TakenState};
use crate::sessions::{CatchUp, Inbound, Outbox, Parcel, Restored, Session};
use crate::subscriptions::{Options, ShareKey, Subscription};
use std::sync::Arc;
use windrose_event::{Moment, Now, Timestamp};

/// The mark by which the other shards say that they know of the sessions that were kept. Marks of subscribers are
/// positive.
const RECOVERED: u64 = 0;

impl Engine {
    /// Takes in what was kept for this shard, and from now on has everything kept that must outlive the process. To be
    /// called before any input; [`Engine::is_recovered`] says when connections may come.
    pub fn recover(&mut self, now: Now, kept: Kept) {
        let Kept { start, sessions, retained, exchanges, queues, bindings } = kept;
        self.gate = Some(Box::new(Gate::new(start, self.shards.here())));
        let bounds = self.retained_bounds();
        for event in retained.iter() {
            if !self.retained.remember(now, event, bounds) {
                self.counts.drop("retained_full");
            }
        }
        self.recover_topology(now, &exchanges, queues, &bindings);
        let mut wills = Vec::new();
        for session in sessions {
            wills.extend(self.recover_session(now, session));
        }
        self.recovering = self.shards.others().count();
        for shard in self.shards.others() {
            self.tell(shard, ShardMessage::Mark(RECOVERED));
        }
        self.bereaved = wills;
        if self.recovering == 0 {
            self.recovered(now);
        }
    }

    /// All shards know of all sessions: now wills find whoever subscribed to them.
    fn recovered(&mut self, now: Now) {
        for session in std::mem::take(&mut self.bereaved) {
            if let Some(will) = session.will {
                self.publish_will(now, &session.origin, session.listener, *will);
            }
            if let Some(number) = session.number {
                self.record(Record::Ended(number));
            }
        }
    }

    /// Whether the other shards know of this one's sessions that were kept.
    pub fn is_recovered(&self) -> bool {
        self.recovering == 0
    }

    /// Another shard knows of them.
    pub(crate) fn recovery_marked(&mut self, now: Now, mark: u64) -> bool {
        let ours = mark == RECOVERED;
        if ours && self.recovering > 0 {
            // It told us of its own sessions before it answered.
            self.recovering -= 1;
            if self.recovering == 0 {
                self.recovered(now);
            }
        }
        ours
    }

    /// Takes in a session. One of which only the will was kept is given back, to be published once all others are here.
    fn recover_session(&mut self, now: Now, kept: KeptSession) -> Option<Session> {
        let KeptSession { session: record, subscriptions, messages, taken } = kept;
        let mut session = Session::new(record.name, record.origin, false);
        session.number = Some(record.number);
        session.keep = record.keep;
        session.listener = self.counts.listener(&session.origin.listener, session.origin.protocol);
        session.will = record.will;
        if session.keep.is_zero() {
            return Some(session);
        }
        // A session whose connection was there when the process ended has lost it now.
        session.expires =
            Some(record.expires.map_or_else(|| now.moment + session.keep, |at| moment_of(now, at)));
        session.will_due = session.will.as_ref().map(|will| match record.will_due {
            Some(due) => moment_of(now, due),
            None => now.moment + will.delay.min(session.keep),
        });
        for record in subscriptions {
            let recall = record.recall.clone();
            let subscription = subscription(record);
            if let Some(Recall { after }) = recall {
                let (filter, options) = (subscription.filter.clone(), subscription.options);
                session.await_retained(CatchUp { filter, options, after });
            }
            session.subscriptions.push(subscription);
        }
        if !messages.is_empty() {
            let mut shares = Vec::new();
            let entries = messages.into_iter().map(|message| restored(message, &mut shares));
            session.outbox = Some(Box::new(Outbox::restore(entries)));
        }
        if !taken.is_empty() {
            let state = |state| match state {
                TakenState::Pending => Inbound::Interrupted,
                TakenState::Accepted { heard } => Inbound::Accepted { heard },
            };
            let taken = taken.into_iter().map(|(tag, taken)| (tag, state(taken)));
            session.inbound = Some(Box::new(taken.collect()));
        }
        self.counts.queued += session.queued() as u64;
        let unrecorded = record.expires.is_none();
        let key = self.sessions.insert(session);
        self.enter_subscriptions(key);
        self.sessions.rearm(key);
        if unrecorded {
            // Another restart must not begin its time anew.
            self.record_session(now, key);
        }
        None
    }
}

fn subscription(record: SubscriptionRecord) -> Subscription {
    let share = record.group.map(|group| Arc::new(ShareKey { group, filter: record.filter.clone() }));
    let options = Options {
        assurance: record.assurance,
        no_local: record.no_local,
        retain_as_published: record.retain_as_published,
        own_copy: record.own_copy,
        identifier: record.identifier,
    };
    Subscription { filter: record.filter, share, options }
}

fn restored(kept: KeptMessage, shares: &mut Vec<Arc<ShareKey>>) -> Restored {
    let KeptMessage { position, tag, message } = kept;
    let parcel = message.map(|message| Parcel {
        share: message.share.map(|(group, filter)| {
            let known = shares.iter().find(|share| share.group == group && share.filter == filter);
            known.cloned().unwrap_or_else(|| {
                let share = Arc::new(ShareKey { group, filter });
                shares.push(share.clone());
                share
            })
        }),
        event: message.event,
        assurance: message.assurance,
        retain: message.retain,
        subscriptions: message.subscriptions,
    });
    Restored { position, tag, parcel }
}

/// The moment of a time on the wall clock; now, if that has passed.
fn moment_of(now: Now, at: Timestamp) -> Moment {
    now.moment + at.since(now.wall)
}
