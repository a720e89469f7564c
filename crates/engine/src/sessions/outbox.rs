//! Outbox: what waits for one session, and what is on its way to it.

use crate::backlog::{Backlog, QueueBounds, Waiting, Waits, shrink};
use crate::journal::MessageRecord;
use crate::subscriptions::ShareKey;
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::Arc;
use windrose_event::{Assurance, Delivery, Event, Tag, Timestamp};
use windrose_policy::QueueFull;

/// An event addressed to one session. Opaque outside the engine.
#[derive(Clone, Debug)]
pub struct Parcel {
    pub(crate) event: Arc<Event>,
    /// The lesser of the event's and the subscription's.
    pub(crate) assurance: Assurance,
    pub(crate) retain: bool,
    /// Numbers of the subscriptions that matched.
    pub(crate) subscriptions: SmallVec<[u32; 2]>,
    /// The group that it was picked for, if any.
    pub(crate) share: Option<Arc<ShareKey>>,
}

impl Parcel {
    /// What is written of it in the journal.
    pub(crate) fn to_record(&self) -> MessageRecord {
        MessageRecord {
            event: self.event.clone(),
            assurance: self.assurance,
            retain: self.retain,
            subscriptions: self.subscriptions.clone(),
            share: self.share.as_ref().map(|share| (share.group.clone(), share.filter.clone())),
        }
    }

    /// Sends it, at most once.
    pub(crate) fn into_delivery(self) -> Delivery {
        let Self { event, assurance, retain, subscriptions, .. } = self;
        Delivery { tag: Tag::NONE, event, assurance, again: false, retain, subscriptions }
    }

    fn delivery(&self, tag: Tag, again: bool) -> Delivery {
        Delivery {
            tag,
            event: self.event.clone(),
            assurance: self.assurance,
            again,
            retain: self.retain,
            subscriptions: self.subscriptions.clone(),
        }
    }
}

impl Waits for Parcel {
    fn weight(&self) -> u64 {
        self.event.weight() as u64
    }
}

/// What the session's connection takes now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Deliveries that may be unsettled.
    pub(crate) window: usize,
    /// Whether there is a connection with room to write.
    pub(crate) open: bool,
}

/// What became of a parcel that was offered.
#[derive(Debug)]
pub(crate) enum Offered {
    /// Send it now.
    Send(Delivery),
    /// It waits.
    Queued,
    /// The queue is full: here it is back.
    Full(Parcel),
}

/// A parcel that was dropped to make room.
#[derive(Debug)]
pub(crate) struct Evicted {
    /// Its position, if the journal may know it.
    pub(crate) position: Option<u64>,
    /// Whether it had expired.
    pub(crate) expired: bool,
}

/// What is next to be sent.
#[derive(Debug)]
pub(crate) enum Next {
    Deliver(Delivery),
    /// The rest of an exactly-once delivery that the peer had received before its connection was lost.
    Release(Tag),
    /// It expired while it waited: it is dropped. With its position, if it was more than fleeting.
    Expired(Option<u64>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Sent, or to be sent again.
    Sent,
    /// The peer has it (exactly once); only its `Settle` is missing.
    Received,
}

/// A parcel as it was before a restart.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) position: u64,
    /// The tag that it was sent by, if it was.
    pub(crate) tag: Option<Tag>,
    /// Gone once the peer has received it.
    pub(crate) parcel: Option<Parcel>,
}

/// What a delivery in flight waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaits {
    /// At least once: the peer's acknowledgement.
    Settle,
    /// Exactly once: that the peer has it.
    Receive,
    /// Exactly once: that the peer knows that we know.
    Complete,
}

#[derive(Debug)]
struct InFlight {
    position: u64,
    tag: Tag,
    stage: Stage,
    /// Not sent yet on the present connection.
    resend: bool,
    /// Gone once the peer has received it.
    parcel: Option<Parcel>,
}

/// Parcels in order: the backlog that waits, and the window in flight. Neither owns memory while it is empty, unless it was
/// in use lately.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    backlog: Backlog<Parcel>,
    in_flight: VecDeque<InFlight>,
    /// How many of `in_flight` are to be sent again.
    resends: usize,
    last_tag: u16,
    /// Whether tags in flight are not in the order of allocation any more, because a used one was skipped.
    skipped: bool,
}

impl Outbox {
    /// What waited or was in flight before a restart, in order of position. All that was in flight is sent again.
    pub(crate) fn restore(entries: impl IntoIterator<Item = Restored>) -> Self {
        let mut outbox = Self::default();
        for Restored { position, tag, parcel } in entries {
            outbox.backlog.begin_after(position);
            match (tag, parcel) {
                (Some(tag), parcel) => {
                    let stage = if parcel.is_some() { Stage::Sent } else { Stage::Received };
                    outbox.last_tag = tag.0;
                    outbox.resends += 1;
                    // After a restart it is not known which tags were skipped.
                    outbox.skipped = true;
                    outbox.in_flight.push_back(InFlight { position, tag, stage, resend: true, parcel });
                }
                (None, Some(parcel)) => outbox.backlog.put_last(position, parcel),
                (None, None) => {}
            }
        }
        outbox
    }

    /// Takes a parcel for sending, now or later.
    pub(crate) fn offer(&mut self, parcel: Parcel, room: Room, bounds: QueueBounds) -> Offered {
        let next = self.backlog.is_empty() && self.resends == 0 && room.open;
        if next && parcel.assurance == Assurance::AtMostOnce {
            return Offered::Send(parcel.into_delivery());
        }
        if next && self.in_flight.len() < room.window {
            let position = self.backlog.pass();
            return Offered::Send(self.launch(position, parcel));
        }
        if !self.backlog.fits(parcel.weight(), bounds) {
            return Offered::Full(parcel);
        }
        self.backlog.push(parcel);
        Offered::Queued
    }

    /// Drops the parcel that has waited longest, so that `newest` may wait in its place: if it has expired, or if the
    /// oldest are to be dropped. `None`: nothing may go.
    pub(crate) fn evict(&mut self, newest: &Parcel, bounds: QueueBounds, wall: Timestamp) -> Option<Evicted> {
        let oldest = &self.backlog.front()?.entry;
        let expired = oldest.event.is_expired(wall);
        let fits = newest.event.weight() as u64 <= bounds.bytes && bounds.events > 0;
        if !fits || !expired && bounds.full == QueueFull::RefuseNewest {
            return None;
        }
        let Waiting { position, entry: parcel } = self.backlog.pop()?;
        let position = (parcel.assurance != Assurance::AtMostOnce).then_some(position);
        Some(Evicted { position, expired })
    }

    /// What can be sent now, one at a time: first again what is in flight, in its order, then what waits.
    pub(crate) fn next(&mut self, room: Room, wall: Timestamp) -> Option<Next> {
        if !room.open {
            return None;
        }
        if self.resends > 0 {
            if self.in_flight.len() - self.resends >= room.window {
                return None;
            }
            let entry = self.in_flight.iter_mut().find(|entry| entry.resend)?;
            entry.resend = false;
            self.resends -= 1;
            return Some(match &entry.parcel {
                Some(parcel) if entry.stage == Stage::Sent => Next::Deliver(parcel.delivery(entry.tag, true)),
                _ => Next::Release(entry.tag),
            });
        }
        let Waiting { position, entry: parcel } = self.backlog.front()?;
        if parcel.event.is_expired(wall) {
            let position = (parcel.assurance != Assurance::AtMostOnce).then_some(*position);
            if position.is_some() {
                // The tag that was its is not given to another: Mosquitto's clients see the same gap.
                self.last_tag = self.free_tag().0;
            }
            self.backlog.pop();
            return Some(Next::Expired(position));
        }
        if parcel.assurance != Assurance::AtMostOnce && self.in_flight.len() >= room.window {
            return None;
        }
        let Waiting { position, entry: parcel } = self.backlog.pop()?;
        Some(Next::Deliver(match parcel.assurance {
            Assurance::AtMostOnce => parcel.into_delivery(),
            _ => self.launch(position, parcel),
        }))
    }

    /// What the peer may do next with a delivery; `None` if the tag is not known.
    pub(crate) fn awaits(&self, tag: Tag) -> Option<Awaits> {
        let entry = self.in_flight.get(self.position(tag)?)?;
        let exactly_once = |parcel: &Parcel| matches!(parcel.assurance, Assurance::ExactlyOnce);
        Some(match (entry.stage, &entry.parcel) {
            (Stage::Received, _) => Awaits::Complete,
            (Stage::Sent, Some(parcel)) if exactly_once(parcel) => Awaits::Receive,
            (Stage::Sent, _) => Awaits::Settle,
        })
    }

    /// The peer is done with a delivery: its position, or `None` if the tag is not known.
    pub(crate) fn settle(&mut self, tag: Tag) -> Option<u64> {
        let index = self.position(tag)?;
        // Peers mostly acknowledge in order.
        let entry = if index == 0 { self.in_flight.pop_front() } else { self.in_flight.remove(index) }?;
        if entry.resend {
            self.resends -= 1;
        }
        if self.in_flight.is_empty() {
            self.skipped = false;
            shrink(&mut self.in_flight);
        }
        Some(entry.position)
    }

    /// The peer has an exactly-once delivery: its payload is not needed any more. Its position, if that is news.
    pub(crate) fn receive(&mut self, tag: Tag) -> Option<u64> {
        let index = self.position(tag)?;
        let entry = self.in_flight.get_mut(index)?;
        entry.stage = Stage::Received;
        entry.parcel.take().map(|_| entry.position)
    }

    /// The connection is gone: what is in flight is to be sent again, what was for this connection only is dropped.
    /// Returns how many parcels were dropped.
    pub(crate) fn disconnected(&mut self) -> usize {
        for entry in &mut self.in_flight {
            entry.resend = true;
        }
        self.resends = self.in_flight.len();
        self.backlog.retain(|parcel| parcel.assurance != Assurance::AtMostOnce)
    }

    /// Takes out the parcels of groups that another member may get (MQTT 5 §4.8.2): those that wait, and those sent at
    /// least once. An exactly-once delivery that was begun must not go to anybody else.
    pub(crate) fn take_shared(&mut self) -> Vec<Parcel> {
        let in_flight = self.in_flight.drain(..).filter_map(|entry| entry.parcel);
        let in_flight = in_flight.filter(|parcel| parcel.assurance == Assurance::AtLeastOnce);
        let backlog = self.backlog.take().map(|waiting| waiting.entry);
        in_flight.chain(backlog).filter(|parcel| parcel.share.is_some()).collect()
    }

    /// The position of the last parcel that was taken.
    pub(crate) const fn last_position(&self) -> u64 {
        self.backlog.last_position()
    }

    /// The position of the last parcel that was sent for the first time.
    pub(crate) fn last_launched(&self) -> Option<u64> {
        self.in_flight.back().map(|entry| entry.position)
    }

    /// Events that wait or are in flight.
    pub(crate) fn len(&self) -> usize {
        self.backlog.len() + self.in_flight.len()
    }

    /// Events that are in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Whether nothing waits to be sent.
    pub(crate) fn is_drained(&self) -> bool {
        self.backlog.is_empty() && self.resends == 0
    }

    /// Whether another delivery fits the window at once.
    pub(crate) fn has_room(&self, room: Room) -> bool {
        room.open && self.is_drained() && self.in_flight.len() < room.window
    }

    fn launch(&mut self, position: u64, parcel: Parcel) -> Delivery {
        let tag = self.free_tag();
        let delivery = parcel.delivery(tag, false);
        self.in_flight.push_back(InFlight {
            position,
            tag,
            stage: Stage::Sent,
            resend: false,
            parcel: Some(parcel),
        });
        delivery
    }

    /// A tag that is not in flight; there is one, because windows are smaller than the number of tags.
    fn free_tag(&mut self) -> Tag {
        loop {
            self.last_tag = self.last_tag.checked_add(1).unwrap_or(1);
            let tag = Tag(self.last_tag);
            // Tags go round in order, so the only one that can still be in use is the oldest, until one was skipped.
            let used = if self.skipped {
                self.in_flight.iter().any(|entry| entry.tag == tag)
            } else {
                self.in_flight.front().is_some_and(|entry| entry.tag == tag)
            };
            if !used {
                return tag;
            }
            self.skipped = true;
        }
    }

    fn position(&self, tag: Tag) -> Option<usize> {
        if self.in_flight.front().is_some_and(|entry| entry.tag == tag) {
            return Some(0);
        }
        self.in_flight.iter().position(|entry| entry.tag == tag)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use bytes::Bytes;
    use windrose_event::{Address, EventId, Identity, Origin};

    const OPEN: Room = Room { window: 2, open: true };
    const BOUNDS: QueueBounds = QueueBounds { events: 3, bytes: 1 << 20, full: QueueFull::RefuseNewest };

    fn parcel(name: &str, assurance: Assurance) -> Parcel {
        let origin = Origin {
            identity: Identity::anonymous(),
            session: "s".into(),
            protocol: "test",
            listener: "l".into(),
        };
        let event = Event {
            id: EventId::new(Timestamp::default(), 0, 0),
            time: Timestamp::default(),
            address: Address::new(name).unwrap(),
            origin: Arc::new(origin),
            assurance,
            retain: false,
            expires: None,
            payload: Bytes::new(),
            details: None,
        };
        let event = Arc::new(event);
        Parcel { event, assurance, retain: false, subscriptions: SmallVec::new(), share: None }
    }

    fn sent(offered: Offered) -> Tag {
        match offered {
            Offered::Send(delivery) => delivery.tag,
            other => panic!("not sent: {other:?}"),
        }
    }

    #[test]
    fn the_window_holds_and_what_waits_goes_in_order() {
        let mut outbox = Outbox::default();
        assert_eq!(sent(outbox.offer(parcel("a", Assurance::AtLeastOnce), OPEN, BOUNDS)), Tag(1));
        assert_eq!(sent(outbox.offer(parcel("b", Assurance::AtLeastOnce), OPEN, BOUNDS)), Tag(2));
        assert_eq!(sent(outbox.offer(parcel("q0", Assurance::AtMostOnce), OPEN, BOUNDS)), Tag::NONE);
        assert!(matches!(outbox.offer(parcel("c", Assurance::AtLeastOnce), OPEN, BOUNDS), Offered::Queued));
        assert!(
            matches!(outbox.offer(parcel("d", Assurance::AtMostOnce), OPEN, BOUNDS), Offered::Queued),
            "at most once does not overtake what waits"
        );
        assert!(outbox.next(OPEN, Timestamp::default()).is_none());
        assert!(outbox.settle(Tag(1)).is_some());
        assert!(outbox.settle(Tag(1)).is_none(), "settled already");
        let mut order = Vec::new();
        while let Some(Next::Deliver(delivery)) = outbox.next(OPEN, Timestamp::default()) {
            order.push((delivery.event.address.as_str().to_owned(), delivery.tag));
        }
        assert_eq!(order, [("c".to_owned(), Tag(3)), ("d".to_owned(), Tag::NONE)]);
    }

    #[test]
    fn a_full_queue_refuses_the_newest() {
        let mut outbox = Outbox::default();
        let shut = Room { window: 2, open: false };
        for _ in 0..3 {
            assert!(matches!(
                outbox.offer(parcel("a", Assurance::AtLeastOnce), shut, BOUNDS),
                Offered::Queued
            ));
        }
        assert!(matches!(outbox.offer(parcel("a", Assurance::AtLeastOnce), shut, BOUNDS), Offered::Full(_)));
        let narrow = QueueBounds { bytes: outbox.backlog.bytes(), events: 9, ..BOUNDS };
        assert!(matches!(outbox.offer(parcel("a", Assurance::AtLeastOnce), shut, narrow), Offered::Full(_)));
    }

    #[test]
    fn what_was_in_flight_is_sent_again_in_order_with_its_tags() {
        let mut outbox = Outbox::default();
        let wide = Room { window: 9, open: true };
        for name in ["a", "b", "c"] {
            let _ = sent(outbox.offer(parcel(name, Assurance::ExactlyOnce), wide, BOUNDS));
        }
        outbox.receive(Tag(2));
        assert_eq!(outbox.disconnected(), 0);
        let narrow = Room { window: 2, open: true };
        assert!(matches!(
            outbox.next(narrow, Timestamp::default()),
            Some(Next::Deliver(Delivery { tag: Tag(1), again: true, .. }))
        ));
        assert!(matches!(outbox.next(narrow, Timestamp::default()), Some(Next::Release(Tag(2)))));
        assert!(
            outbox.next(narrow, Timestamp::default()).is_none(),
            "the new connection's window is smaller"
        );
        assert!(outbox.settle(Tag(1)).is_some());
        assert!(matches!(
            outbox.next(narrow, Timestamp::default()),
            Some(Next::Deliver(Delivery { tag: Tag(3), again: true, .. }))
        ));
    }

    #[test]
    fn tags_go_round_and_skip_those_in_use() {
        let mut outbox = Outbox::default();
        let first = sent(outbox.offer(parcel("stuck", Assurance::AtLeastOnce), OPEN, BOUNDS));
        for round in 0..200_000u32 {
            let tag = sent(outbox.offer(parcel("a", Assurance::AtLeastOnce), OPEN, BOUNDS));
            assert!(tag != first && tag != Tag::NONE, "round {round}");
            assert!(outbox.settle(tag).is_some());
        }
    }
}
