//! Session: all that outlives a connection, and moves between shards with its owner.

use super::recent::{Progress, Recent};
use super::{Outbox, Room, SessionKey, Ticket};
use crate::counts::ListenerIndex;
use crate::io::ShardId;
use crate::journal::SessionNumber;
use crate::subscriptions::{Options, Subscription};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{
    Address, ConnectionId, Event, EventId, Filter, Identity, Moment, Origin, Principal, Tag, Will,
};

/// A session: who it is, what it wants, what waits for it and what is unsettled with it. Opaque outside the engine; it
/// is `Send` because a takeover moves it to the shard of the new connection.
#[derive(Debug)]
pub struct Session {
    pub(crate) name: Arc<str>,
    /// Its name in the journal, if it outlives the process.
    pub(crate) number: Option<SessionNumber>,
    /// Who spoke last, and by which road.
    pub(crate) origin: Arc<Origin>,
    /// The connection that has it now.
    pub(crate) connection: Option<ConnectionId>,
    /// The listener that the connection came by.
    pub(crate) listener: ListenerIndex,
    /// Whether the connection has too much to write already.
    pub(crate) congested: bool,
    /// Whether it ends with its connection and cannot be found by its name.
    pub(crate) ephemeral: bool,
    /// Whether it has subscriptions that it might not make any more: what is delivered is looked at singly.
    pub(crate) restricted: bool,
    /// How many unsettled deliveries the peer and the node agree on.
    pub(crate) window: u16,
    /// How long it outlives its connection.
    pub(crate) keep: Duration,
    /// When it ends, while it has no connection; while it has one, when what proved who that is comes to its end.
    pub(crate) expires: Option<Moment>,
    /// What is published when the connection is lost.
    pub(crate) will: Option<Box<Will>>,
    /// When the will is published, once the connection is lost.
    pub(crate) will_due: Option<Moment>,
    /// Its entry among the timers.
    pub(crate) timer: Option<Moment>,
    /// Most sessions have one.
    pub(crate) subscriptions: SmallVec<[Subscription; 1]>,
    /// Made when the first delivery needs it.
    pub(crate) outbox: Option<Box<Outbox>>,
    /// The exactly-once publications that the peer may send again.
    pub(crate) inbound: Option<Box<FxHashMap<Tag, Inbound>>>,
    /// Last values that new subscriptions still have to get.
    pub(crate) catch_up: VecDeque<CatchUp>,
    /// Subscribes of the present connection that are not answered yet: last values wait for the answers.
    pub(crate) ungranted: u32,
    /// Where it went: this is only its ghost, which sends on what comes for it until all shards know.
    pub(crate) moved_to: Option<ShardId>,
    /// Whether it came from another shard.
    moved: bool,
    /// What it had when it came from another shard, and got since: some of it may come once more.
    recent: Option<Box<Recent>>,
}

/// How long a session's ghost stays when the session is handed over.
pub(crate) const GHOST_STAYS: Duration = Duration::from_secs(1);

/// An exactly-once publication that is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) ticket: Ticket,
    pub(crate) event: EventId,
    /// The connection that brought it last: only there is an answer awaited.
    pub(crate) connection: Option<ConnectionId>,
}

/// An exactly-once publication of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inbound {
    /// It is on its way; the answer will come.
    Pending(Pending),
    /// It was accepted; the peer has not released its tag yet.
    Accepted { heard: bool },
    /// Subscribers got it before a restart, but a service that was to be asked had not answered. When the peer sends it
    /// again, it goes to services only.
    Interrupted,
}

/// Where a new subscription is in its walk over the last values.
#[derive(Debug)]
pub(crate) struct CatchUp {
    pub(crate) filter: Filter,
    pub(crate) options: Options,
    /// The last address that was delivered.
    pub(crate) after: Option<Address>,
}

impl Session {
    /// A session without a past.
    pub(crate) fn new(name: Arc<str>, origin: Arc<Origin>, ephemeral: bool) -> Self {
        Self {
            name,
            number: None,
            origin,
            connection: None,
            listener: 0,
            congested: false,
            ephemeral,
            restricted: false,
            window: 1,
            keep: Duration::ZERO,
            expires: None,
            will: None,
            will_due: None,
            timer: None,
            subscriptions: SmallVec::new(),
            outbox: None,
            inbound: None,
            catch_up: VecDeque::new(),
            ungranted: 0,
            moved_to: None,
            moved: false,
            recent: None,
        }
    }

    /// Its name in the journal, if its subscriptions and messages outlive the process.
    pub(crate) fn journaled(&self) -> Option<SessionNumber> {
        self.number.filter(|_| !self.keep.is_zero())
    }

    /// What stays of it when it is handed over: its name and its subscriptions.
    pub(crate) fn ghost(&self, to: ShardId, until: Moment) -> Self {
        let mut ghost = Self::new(self.name.clone(), self.origin.clone(), true);
        ghost.subscriptions = self.subscriptions.clone();
        ghost.expires = Some(until);
        ghost.moved_to = Some(to);
        ghost
    }

    /// It goes to another shard; this one has come so far with the events of all.
    pub(crate) fn left(&mut self, progress: Progress) {
        self.recent = Some(Recent::left(self.recent.take(), progress));
    }

    /// It came from another shard, where a ghost of it stays for a moment.
    pub(crate) fn arrived(&mut self, now: Moment) {
        self.moved = true;
        if let Some(recent) = &mut self.recent {
            recent.arrived(now);
        }
    }

    /// Whether it came from another shard, so that events for it may still come from there.
    pub(crate) fn has_moved(&self) -> bool {
        self.moved
    }

    /// Whether it had that event already by another way. `source`: the shard that forwarded it, if one did.
    pub(crate) fn is_repetition(&mut self, now: Moment, event: &Event, source: Option<ShardId>) -> bool {
        let Some(recent) = &mut self.recent else { return false };
        if recent.is_over(now) {
            self.recent = None;
            return false;
        }
        recent.had(event, source)
    }

    /// What its connection takes now.
    pub(crate) fn room(&self) -> Room {
        Room { window: usize::from(self.window), open: self.connection.is_some() && !self.congested }
    }

    /// Whether another delivery could be sent at once.
    pub(crate) fn has_room(&self) -> bool {
        let room = self.room();
        self.outbox.as_ref().map_or(room.open, |outbox| outbox.has_room(room))
    }

    /// Whether anything waits to be sent.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.catch_up.is_empty() || self.outbox.as_ref().is_some_and(|outbox| !outbox.is_drained())
    }

    /// Whether last values wait that could be delivered at once.
    pub(crate) fn can_catch_up(&self) -> bool {
        !self.catch_up.is_empty() && self.ungranted == 0 && self.has_room()
    }

    /// Deliveries that are unsettled.
    pub(crate) fn in_flight(&self) -> usize {
        self.outbox.as_ref().map_or(0, |outbox| outbox.in_flight())
    }

    /// Removes a subscription, with the last values that it still had to get.
    pub(crate) fn remove_subscription(
        &mut self,
        filter: &Filter,
        group: Option<&str>,
    ) -> Option<Subscription> {
        let index = self.subscriptions.iter().position(|known| known.is(filter, group))?;
        if group.is_none() {
            self.forget_retained(filter);
        }
        Some(self.subscriptions.swap_remove(index))
    }

    /// A new subscription is to get the last values that it matches.
    pub(crate) fn await_retained(&mut self, catch_up: CatchUp) {
        self.forget_retained(&catch_up.filter);
        self.catch_up.push_back(catch_up);
    }

    /// The first subscription that waited for last values has them all.
    pub(crate) fn caught_up(&mut self) {
        self.catch_up.pop_front();
        if self.catch_up.is_empty() {
            self.catch_up = VecDeque::new();
        }
    }

    fn forget_retained(&mut self, filter: &Filter) {
        self.catch_up.retain(|catch_up| catch_up.filter != *filter);
    }

    /// When it is to be looked at: its end, its will, or at once if last values wait that nothing else will pull.
    pub(crate) fn due(&self) -> Option<Moment> {
        let catch_up = self.can_catch_up().then_some(Moment::default());
        [self.expires, self.will_due, catch_up].into_iter().flatten().min()
    }

    /// Events that wait or are in flight.
    pub(crate) fn queued(&self) -> usize {
        self.outbox.as_ref().map_or(0, |outbox| outbox.len())
    }

    /// The connection that has it, if it is `connection`.
    pub(crate) fn is_at(&self, connection: ConnectionId) -> bool {
        self.connection == Some(connection)
    }

    /// The exactly-once publications of its that wait for an answer.
    pub(crate) fn pending(&self) -> Vec<Ticket> {
        let ticket = |state: &Inbound| match state {
            Inbound::Pending(pending) => Some(pending.ticket),
            Inbound::Accepted { .. } | Inbound::Interrupted => None,
        };
        self.inbound.iter().flat_map(|inbound| inbound.values().filter_map(ticket)).collect()
    }

    /// Notes the answer to an exactly-once publication: an accepted one is remembered until the peer releases its tag;
    /// the tag of any other is free at once. Returns what was known of it, or `None` if this is not the publication that
    /// the tag stands for now.
    pub(crate) fn settle_inbound(
        &mut self,
        tag: Tag,
        ticket: Ticket,
        accepted: bool,
        heard: bool,
    ) -> Option<Pending> {
        let inbound = self.inbound.as_mut()?;
        let pending = match inbound.get(&tag) {
            Some(Inbound::Pending(pending)) if pending.ticket == ticket => *pending,
            _ => return None,
        };
        if accepted {
            inbound.insert(tag, Inbound::Accepted { heard });
        } else {
            self.forget_inbound(tag);
        }
        Some(pending)
    }

    /// The peer has not asked by its present connection what became of its exactly-once publications.
    pub(crate) fn forget_askers(&mut self) {
        for state in self.inbound.iter_mut().flat_map(|inbound| inbound.values_mut()) {
            if let Inbound::Pending(pending) = state {
                pending.connection = None;
            }
        }
    }

    /// Forgets an exactly-once publication. `false`: the tag is not known.
    pub(crate) fn forget_inbound(&mut self, tag: Tag) -> bool {
        let Some(inbound) = &mut self.inbound else { return false };
        let known = inbound.remove(&tag).is_some();
        if inbound.is_empty() {
            self.inbound = None;
        }
        known
    }
}

/// Whether two are the same somebody, so that one may take over the other's session.
pub(crate) fn same_principal(one: &Principal, other: &Principal) -> bool {
    match (one, other) {
        // Whose a device is can change without making it another device.
        (Principal::Device { id: one, .. }, Principal::Device { id: other, .. }) => one == other,
        (one, other) => one == other,
    }
}

/// Whether what is kept for one may be had by the other: a device that came to another owner must not bring along what was
/// meant for the former one.
pub(crate) fn same_owner(former: &Identity, now: &Identity) -> bool {
    former.owner().is_none() || former.owner() == now.owner()
}

/// Sessions move between shards' threads.
const _: fn() = || {
    fn is_send<T: Send>() {}
    is_send::<Session>();
    is_send::<SessionKey>();
};
