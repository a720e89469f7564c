//! Deliver, the last hop: what goes out to one session, what waits for it, and what its peer says of it.

use crate::backlog::QueueBounds;
use crate::counts::bump;
use crate::engine::Engine;
use crate::io::{Output, ShardId, ShardMessage};
use crate::sessions::{Awaits, Next, Offered, Parcel, SessionKey};
use crate::steps::journal::Row;
use crate::steps::listen::Entry;
use smallvec::{SmallVec, smallvec};
use windrose_event::{
    Assurance, Cause, CloseReason, ConnectionId, Delivery, Directive, Now, Outcome, Permission, Rejection,
    Tag, is_system,
};
use windrose_policy::Limits;

/// Last values that a session gets at once; then others have their turn.
const CATCH_UP_AT_ONCE: usize = 256;

impl Engine {
    /// Gives a session an event that matched, and `more` copies of it for other subscriptions, forwarded by the shard
    /// `source` if by any, unless it had it already by another way since it came here. The ghost of one that left sends
    /// it on.
    pub(crate) fn offer(
        &mut self,
        now: Now,
        key: SessionKey,
        parcel: Parcel,
        more: Vec<Parcel>,
        source: Option<ShardId>,
    ) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if let Some(to) = session.moved_to {
            let session = session.name.clone();
            let expected = self.expects(&parcel.event);
            if expected {
                self.record_expected(&parcel.event);
            }
            return self.tell(to, ShardMessage::Late { session, parcel: Box::new(parcel), more, expected });
        }
        // A group picks one member for each event, so nothing for a group comes by two ways.
        if parcel.share.is_none() && session.is_repetition(now.moment, &parcel.event, source) {
            return;
        }
        self.enqueue(now, key, parcel);
        for parcel in more {
            self.enqueue(now, key, parcel);
        }
    }

    /// Sends a parcel to a session, or lets it wait there.
    fn enqueue(&mut self, now: Now, key: SessionKey, parcel: Parcel) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let access = &self.snapshot.access;
        let (identity, address) = (&session.origin.identity, &parcel.event.address);
        if access.withholds(identity, address)
            || session.restricted && !access.permits(identity, Permission::Subscribe, address)
        {
            return;
        }
        let room = session.room();
        let fleeting = parcel.assurance == Assurance::AtMostOnce;
        let connection = match session.connection {
            None if fleeting => return,
            // Most sessions that take events at most once never need an outbox.
            Some(connection) if fleeting && room.open && session.outbox.is_none() => {
                self.counts.at(session.listener).events_out[0] += 1;
                return self.direct(connection, Directive::Deliver(parcel.into_delivery()));
            }
            connection => connection,
        };
        let bounds = queue_bounds(&self.snapshot.limits);
        let mut row = Row::new(self.gate.as_deref_mut(), session.journaled());
        let copy = row.copy(&parcel);
        let outbox = session.outbox.get_or_insert_default();
        let mut offered = outbox.offer(parcel, room, bounds);
        let mut dropped = false;
        while let Offered::Full(parcel) = &offered
            && let Some(evicted) = outbox.evict(parcel, bounds, now.wall)
        {
            if let Some(position) = evicted.position {
                row.done(position);
            }
            self.counts.queued -= 1;
            bump(&mut self.counts.dropped, if evicted.expired { "expired" } else { "queue_full" });
            dropped |= !evicted.expired;
            if let Offered::Full(parcel) = offered {
                offered = outbox.offer(parcel, room, bounds);
            }
        }
        if !matches!(offered, Offered::Full(_))
            && let Some(message) = copy
        {
            row.queued(outbox.last_position(), message);
            if let Offered::Send(delivery) = &offered {
                row.launched(outbox.last_position(), delivery.tag);
            }
        }
        match (offered, connection) {
            (Offered::Send(delivery), Some(connection)) => {
                if fleeting {
                    self.counts.at(session.listener).events_out[0] += 1;
                } else {
                    self.counts.queued += 1;
                }
                self.direct(connection, Directive::Deliver(delivery));
            }
            (Offered::Send(_) | Offered::Queued, _) => self.counts.queued += 1,
            (Offered::Full(_), _) => {
                bump(&mut self.counts.dropped, "queue_full");
                dropped = true;
            }
        }
        if dropped {
            self.note_queue_full(now, key);
        }
    }

    /// Sends a session what waits for it, as far as it has room.
    pub(crate) fn pump(&mut self, now: Now, key: SessionKey) {
        self.pump_outbox(now, key);
        self.catch_up(now, key);
    }

    fn pump_outbox(&mut self, now: Now, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let room = session.room();
        let number = session.journaled();
        let (Some(outbox), Some(connection)) = (&mut session.outbox, session.connection) else { return };
        while let Some(next) = outbox.next(room, now.wall) {
            let directive = match next {
                Next::Deliver(delivery) => {
                    if delivery.tag == Tag::NONE {
                        self.counts.queued -= 1;
                        self.counts.at(session.listener).events_out[0] += 1;
                    } else if !delivery.again
                        && let Some(position) = outbox.last_launched()
                    {
                        let mut row = Row::new(self.gate.as_deref_mut(), number);
                        row.launched(position, delivery.tag);
                    }
                    Directive::Deliver(delivery)
                }
                Next::Release(tag) => Directive::Release { tag },
                Next::Expired(position) => {
                    if let Some(position) = position {
                        Row::new(self.gate.as_deref_mut(), number).done(position);
                    }
                    self.counts.queued -= 1;
                    self.counts.drop("expired");
                    continue;
                }
            };
            self.outputs.push_back(Output::Directive { connection, directive });
        }
    }

    /// Sends a session some of the last values that its new subscriptions have still to get. If it could take more,
    /// its timer is due at once.
    fn catch_up(&mut self, now: Now, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if !session.can_catch_up() {
            return;
        }
        let in_window = usize::from(session.window) - session.in_flight();
        let Some(current) = session.catch_up.front_mut() else { return };
        let options = current.options;
        let room = match options.assurance {
            Assurance::AtMostOnce => CATCH_UP_AT_ONCE,
            _ => CATCH_UP_AT_ONCE.min(in_window),
        };
        let after = current.after.as_ref().map(|address| address.as_str());
        let kept = if is_system(current.filter.as_str()) { &self.own } else { &self.retained };
        let values = kept.matching(&current.filter, after, now.wall, room);
        if let Some(last) = values.last() {
            current.after = Some(last.address.clone());
        }
        let filter = current.filter.clone();
        if values.len() < room {
            session.caught_up();
        }
        let name = session.name.clone();
        self.record_recalled(key, &filter);
        for event in values {
            if options.no_local && *event.origin.session == *name {
                continue;
            }
            let subscriptions: SmallVec<[u32; 2]> = match options.identifier {
                0 => SmallVec::new(),
                identifier => smallvec![identifier],
            };
            let assurance = options.assurance.min(event.assurance);
            self.enqueue(now, key, Parcel { event, assurance, retain: true, subscriptions, share: None });
        }
        self.sessions.rearm(key);
    }

    /// More waits to be written to a connection than it should: its deliveries are held.
    pub(crate) fn congested(&mut self, now: Now, connection: ConnectionId) {
        if let Some(key) = self.connections.get(connection).and_then(|connection| connection.session())
            && let Some(session) = self.sessions.get_mut(key)
        {
            session.congested = true;
            self.sessions.rearm(key);
        }
        self.hold_consumers(now, connection, true);
    }

    /// What waited to be written has been.
    pub(crate) fn cleared(&mut self, now: Now, connection: ConnectionId) {
        if let Some(key) = self.connections.get(connection).and_then(|connection| connection.session())
            && let Some(session) = self.sessions.get_mut(key)
        {
            session.congested = false;
            self.pump(now, key);
        }
        self.hold_consumers(now, connection, false);
    }

    /// The peer has an exactly-once delivery. It is told to forget the tag even if we do not know it, or it would ask
    /// for ever.
    pub(crate) fn received(&mut self, now: Now, connection: ConnectionId, tag: Tag) {
        let Some((key, awaits)) = self.awaits(connection, tag) else { return };
        if awaits == Some(Awaits::Settle) {
            return self.out_of_order(now, connection);
        }
        if let Some(session) = self.sessions.get_mut(key)
            && let Some(position) = session.outbox.as_mut().and_then(|outbox| outbox.receive(tag))
        {
            Row::new(self.gate.as_deref_mut(), session.journaled()).received(position, tag);
        }
        self.direct(connection, Directive::Release { tag });
    }

    /// The peer is done with an exactly-once delivery.
    pub(crate) fn completed_by_peer(&mut self, now: Now, connection: ConnectionId, tag: Tag) {
        match self.awaits(connection, tag) {
            Some((key, Some(Awaits::Complete))) => self.finish(now, key, tag, &Outcome::Accepted),
            Some((_, Some(_))) => self.out_of_order(now, connection),
            Some((_, None)) | None => {}
        }
    }

    /// The peer is done with an at-least-once delivery, or rejects one of either kind.
    pub(crate) fn settled_by_peer(
        &mut self,
        now: Now,
        connection: ConnectionId,
        tag: Tag,
        outcome: &Outcome,
    ) {
        if let Outcome::Rejected(Rejection { cause: Cause::TooLarge, .. }) = outcome {
            // The machine says so, of what it could not send.
            self.counts.drop(Cause::TooLarge.name());
        }
        if tag == Tag::NONE {
            if let Outcome::Busy { .. } = outcome {
                // Its peer is behind, and what is sent at most once does not wait.
                self.counts.drop("peer_behind");
            }
            return self.not_sent(connection, outcome);
        }
        match self.awaits(connection, tag) {
            Some((key, Some(Awaits::Settle))) => self.finish(now, key, tag, outcome),
            Some((key, Some(Awaits::Receive))) if !outcome.is_accepted() => {
                self.finish(now, key, tag, outcome);
            }
            Some((_, Some(_))) => self.out_of_order(now, connection),
            Some((_, None)) | None => {}
        }
    }

    /// An event at most once was not sent after all.
    fn not_sent(&mut self, connection: ConnectionId, outcome: &Outcome) {
        let key = self.connections.get(connection).and_then(|connection| connection.session());
        if let Some(session) = key.and_then(|key| self.sessions.get(key)) {
            let sent = &mut self.counts.at(session.listener).events_out;
            sent[0] = sent[0].saturating_sub(1);
            sent[outcome.rank()] += 1;
        }
    }

    /// A connection's session, and what the delivery with a tag waits for if it is known.
    fn awaits(&self, connection: ConnectionId, tag: Tag) -> Option<(SessionKey, Option<Awaits>)> {
        let key = self.connections.get(connection)?.session()?;
        let outbox = self.sessions.get(key)?.outbox.as_ref();
        Some((key, outbox.and_then(|outbox| outbox.awaits(tag))))
    }

    /// A delivery is over: credit returns, and the next can go out.
    fn finish(&mut self, now: Now, key: SessionKey, tag: Tag, outcome: &Outcome) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(position) = session.outbox.as_mut().and_then(|outbox| outbox.settle(tag)) else { return };
        Row::new(self.gate.as_deref_mut(), session.journaled()).done(position);
        self.counts.queued -= 1;
        self.counts.at(session.listener).events_out[outcome.rank()] += 1;
        if session.has_waiting() {
            self.pump(now, key);
        }
    }

    /// The peer does not know what it has of us: its next connection sorts it out.
    fn out_of_order(&mut self, now: Now, connection: ConnectionId) {
        self.send_away(now, connection, CloseReason::OutOfOrder, true, Entry::Forgotten);
    }

    fn note_queue_full(&mut self, now: Now, key: SessionKey) {
        let Some(session) = self.sessions.get(key) else { return };
        if let Some(suppressed) = self.notices.allow(now, "queue_full") {
            tracing::warn!(
                session = &*session.name,
                suppressed,
                "event dropped: as many wait for the session as 'limits.session_queue_events' and \
                 'limits.session_queue_bytes' allow ('limits.session_queue_full' says which is dropped)"
            );
        }
    }
}

/// Bounds on what waits for one session.
fn queue_bounds(limits: &Limits) -> QueueBounds {
    QueueBounds {
        events: limits.session_queue_events as usize,
        bytes: limits.session_queue_bytes,
        full: limits.session_queue_full,
    }
}

/// A delivery is moved through several queues: it must stay small.
const _: () = assert!(size_of::<Delivery>() <= 64);
