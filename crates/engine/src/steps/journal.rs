//! What must outlive the process is told to the keeper, and what may be relied on outside waits for it.

use crate::brakes::Brake;
use crate::engine::Engine;
use crate::io::{Forward, Output, QueueId, ShardId, ShardMessage};
use crate::journal::{
    Gate, MessageRecord, Recall, Record, SessionNumber, SessionRecord, SubscriptionRecord, TakenState,
};
use crate::sessions::{CatchUp, Parcel, Pending, SessionKey, Ticket};
use crate::subscriptions::Subscription;
use smallvec::SmallVec;
use std::sync::Arc;
use windrose_event::{
    Assurance, ConnectionId, Directive, Event, EventId, Filter, Moment, Now, Tag, Timestamp,
};

impl Engine {
    /// Tells the keeper, if there is one.
    pub(crate) fn record(&mut self, record: Record) {
        if let Some(gate) = &mut self.gate {
            gate.record(record);
        }
    }

    /// The keeper has come so far: what waited for it goes out, and who was braked goes on.
    pub(crate) fn stored(&mut self, record: u64) {
        let Some(gate) = &mut self.gate else { return };
        gate.stored(record);
        while let Some(id) = self.gate.as_mut().and_then(|gate| gate.pop_waiting()) {
            if let Some(connection) = self.connections.get_mut(id) {
                connection.brakes.retain(|brake| *brake != Brake::Keeper);
                self.refresh(id);
            }
        }
        self.shards.unbrake();
    }

    /// Lets an output out, or keeps it until all that was recorded so far is stored.
    pub(crate) fn pass(&mut self, output: Output) -> Option<Output> {
        let Some(gate) = self.gate.as_mut().filter(|gate| !gate.is_open()) else { return Some(output) };
        match &output {
            Output::Directive { connection, directive } => {
                let known = self.connections.get_mut(*connection);
                let in_order_until = known.as_ref().map_or(0, |known| known.in_order_until);
                if may_pass(directive, gate.is_stored(in_order_until)) {
                    return Some(output);
                }
                // Nothing may come before the word that the session is open, last values come after the answer to the
                // subscribe that asked for them, and what waits for these is not overtaken either.
                let in_order = match directive {
                    Directive::Accept(_) | Directive::Subscribed { .. } | Directive::Consuming { .. } => true,
                    // What may pass in its order and does not is not overtaken by what comes after it.
                    _ => may_pass(directive, true),
                };
                if in_order && let Some(known) = known {
                    known.in_order_until = gate.last();
                }
            }
            Output::Shard { message: ShardMessage::Settled { .. }, .. } => {}
            // Whoever is told that a queue is there finds it after a restart.
            Output::Shard { message: ShardMessage::Topology(message), .. } if message.is_answer() => {}
            _ => return Some(output),
        }
        gate.hold(output);
        None
    }

    /// Brakes a connection that causes more records than can be stored.
    pub(crate) fn brake_for_keeper(&mut self, connection: ConnectionId) {
        if self.gate.as_ref().is_some_and(|gate| gate.is_full()) {
            self.brake(Some(connection), Brake::Keeper);
        }
    }

    /// A connection took a session: it gets a number if anything of it is to outlive the process.
    pub(crate) fn record_attached(&mut self, now: Now, key: SessionKey) {
        let (Some(gate), Some(session)) = (&mut self.gate, self.sessions.get_mut(key)) else { return };
        if session.keep.is_zero()
            && let Some(number) = session.number.take()
        {
            // From now on it ends with its connection; what it had before is not to come back.
            gate.record(Record::Ended(number));
        }
        if session.number.is_none()
            && !session.ephemeral
            && (!session.keep.is_zero() || session.will.is_some())
        {
            session.number = Some(gate.number());
        }
        self.record_session(now, key);
    }

    /// A session has changed.
    pub(crate) fn record_session(&mut self, now: Now, key: SessionKey) {
        let (Some(gate), Some(session)) = (&mut self.gate, self.sessions.get(key)) else { return };
        let Some(number) = session.number else { return };
        gate.record(Record::Session(Box::new(SessionRecord {
            number,
            name: session.name.clone(),
            origin: session.origin.clone(),
            keep: session.keep,
            // Of one that is connected it says when its peer has to prove anew who it is.
            expires: session
                .expires
                .filter(|_| session.connection.is_none())
                .map(|expires| on_the_wall(now, expires)),
            will: session.will.clone(),
            will_due: session.will_due.map(|due| on_the_wall(now, due)),
        })));
    }

    /// A session subscribed.
    pub(crate) fn record_subscribed(&mut self, key: SessionKey, subscription: &Subscription) {
        let (Some(gate), Some(known)) = (&mut self.gate, self.sessions.get(key)) else { return };
        let Some(session) = known.journaled() else { return };
        let options = subscription.options;
        let recalls =
            |catch_up: &&CatchUp| subscription.share.is_none() && catch_up.filter == subscription.filter;
        let recall = known.catch_up.iter().find(recalls);
        let subscription = Box::new(SubscriptionRecord {
            filter: subscription.filter.clone(),
            group: subscription.share.as_ref().map(|share| share.group.clone()),
            assurance: options.assurance,
            no_local: options.no_local,
            retain_as_published: options.retain_as_published,
            own_copy: options.own_copy,
            identifier: options.identifier,
            recall: recall.map(|catch_up| Recall { after: catch_up.after.clone() }),
        });
        gate.record(Record::Subscribed { session, subscription });
    }

    /// A subscription has come further in its walk over the last values.
    pub(crate) fn record_recalled(&mut self, key: SessionKey, filter: &Filter) {
        if self.gate.is_none() {
            return;
        }
        let known = self
            .sessions
            .get(key)
            .and_then(|session| session.subscriptions.iter().find(|known| known.is(filter, None)).cloned());
        if let Some(subscription) = known {
            self.record_subscribed(key, &subscription);
        }
    }

    /// A session unsubscribed.
    pub(crate) fn record_unsubscribed(&mut self, key: SessionKey, filter: &Filter, group: Option<&str>) {
        let Some(gate) = &mut self.gate else { return };
        let Some(session) = self.sessions.get(key).and_then(|session| session.journaled()) else { return };
        gate.record(Record::Unsubscribed { session, filter: filter.clone(), group: group.map(Into::into) });
    }

    /// An exactly-once publication was taken.
    pub(crate) fn record_taken(&mut self, key: SessionKey, tag: Tag, event: EventId) {
        let Some(gate) = &mut self.gate else { return };
        let Some(session) = self.sessions.get(key).and_then(|session| session.journaled()) else { return };
        gate.record(Record::Taken { session, tag, event, state: TakenState::Pending });
    }

    /// Notes the answer to an exactly-once publication. Returns the connection to tell, if that is to be told.
    pub(crate) fn settle_taken(
        &mut self,
        key: SessionKey,
        tag: Tag,
        ticket: Ticket,
        accepted: bool,
        heard: bool,
    ) -> Option<ConnectionId> {
        let session = self.sessions.get_mut(key)?;
        let Pending { event, connection, .. } = session.settle_inbound(tag, ticket, accepted, heard)?;
        if let (Some(gate), Some(session)) = (&mut self.gate, session.journaled()) {
            gate.record(match accepted {
                true => Record::Taken { session, tag, event, state: TakenState::Accepted { heard } },
                false => Record::Released { session, tag, event: Some(event) },
            });
        }
        // Told to a connection that has not asked, it would be taken for the answer to what that one sends next.
        session.connection.filter(|present| connection == Some(*present))
    }

    /// The peer will not send an exactly-once publication again.
    pub(crate) fn record_released(&mut self, key: SessionKey, tag: Tag) {
        let Some(gate) = &mut self.gate else { return };
        let Some(session) = self.sessions.get(key).and_then(|session| session.journaled()) else { return };
        gate.record(Record::Released { session, tag, event: None });
    }

    /// Whether another shard that is sent the event is to say when it is stored.
    pub(crate) fn expects(&self, event: &Event) -> bool {
        self.gate.is_some() && event.assurance != Assurance::AtMostOnce
    }

    /// What another shard was sent is stored together with what this one says of the event.
    pub(crate) fn record_expected(&mut self, event: &Event) {
        let whole = event.assurance == Assurance::ExactlyOnce;
        self.record(Record::Expect { event: event.id, whole });
    }

    /// Sends an event to another shard's plain subscribers. `false`: brake its sender.
    pub(crate) fn forward(&mut self, to: ShardId, event: &Arc<Event>) -> bool {
        let expected = self.expects(event);
        if expected {
            self.record_expected(event);
        }
        let (groups, queues) = (SmallVec::new(), SmallVec::new());
        let forward = Forward { event: event.clone(), everyone: true, groups, queues, expected };
        self.shards.forward(to, forward)
    }

    /// Sends an event to another shard's queue. `false`: brake its sender.
    pub(crate) fn forward_to_queue(&mut self, to: ShardId, event: &Arc<Event>, queue: QueueId) -> bool {
        let expected = self.expects(event);
        let Some(credit) = self.shards.forward_to_queue(to, event, queue, expected) else { return true };
        if expected {
            self.record_expected(event);
        }
        credit
    }

    /// Sends an event to another shard's members of a group. `false`: brake its sender.
    pub(crate) fn forward_to_group(
        &mut self,
        to: ShardId,
        event: &Arc<Event>,
        group: (Arc<str>, Filter),
    ) -> bool {
        let expected = self.expects(event);
        let Some(credit) = self.shards.forward_to_group(to, event, group, expected) else { return true };
        if expected {
            self.record_expected(event);
        }
        credit
    }
}

/// Records of one session's messages, if they are kept.
pub(crate) struct Row<'a>(Option<(&'a mut Gate, SessionNumber)>);

impl<'a> Row<'a> {
    /// The row of a session, by its number if it is kept.
    pub(crate) fn new(gate: Option<&'a mut Gate>, session: Option<SessionNumber>) -> Self {
        Self(gate.zip(session))
    }

    /// What is written of a parcel, if it outlives the process.
    pub(crate) fn copy(&self, parcel: &Parcel) -> Option<MessageRecord> {
        (self.0.is_some() && parcel.assurance != Assurance::AtMostOnce).then(|| parcel.to_record())
    }

    /// A message waits.
    pub(crate) fn queued(&mut self, position: u64, message: MessageRecord) {
        self.tell(|session| Record::Queued { session, position, message });
    }

    /// A message is sent for the first time.
    pub(crate) fn launched(&mut self, position: u64, tag: Tag) {
        self.tell(|session| Record::Launched { session, position, tag });
    }

    /// The peer has a message.
    pub(crate) fn received(&mut self, position: u64, tag: Tag) {
        self.tell(|session| Record::Received { session, position, tag });
    }

    /// A message is delivered or dropped.
    pub(crate) fn done(&mut self, position: u64) {
        self.tell(|session| Record::Done { session, position });
    }

    fn tell(&mut self, record: impl FnOnce(SessionNumber) -> Record) {
        if let Some((gate, session)) = &mut self.0 {
            gate.record(record(*session));
        }
    }
}

/// Whether a word to a connection need not wait. `in_order`: nothing waits that must come before it.
fn may_pass(directive: &Directive, in_order: bool) -> bool {
    match directive {
        // At least once: if it is lost with all that we know of it, its sender was not told that we have it. Sent once
        // more, or by another tag, it does no harm. Exactly once its tag must be known after a restart.
        Directive::Deliver(delivery) => in_order && delivery.event.assurance != Assurance::ExactlyOnce,
        // Nobody relies on these.
        Directive::Value { .. } | Directive::Listed { .. } | Directive::Reply { .. } => in_order,
        // Whoever consumes from a queue may get an event more than once.
        Directive::Supply(_)
        | Directive::Pulled { .. }
        | Directive::Drained { .. }
        | Directive::Canceled { .. } => in_order,
        Directive::Refuse(_) => true,
        _ => false,
    }
}

/// The wall clock's time at a moment.
fn on_the_wall(now: Now, moment: Moment) -> Timestamp {
    now.wall + moment.since(now.moment)
}
