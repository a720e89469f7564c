//! Queue: one row of events, and the consumers that take turns at it.

mod bounds;
mod ending;
mod settling;

use super::consumer::{At, Consumer, InFlight, Slot, Wish};
use super::item::{Item, Loss, NEVER};
use super::private::Private;
use super::road::Road;
use crate::backlog::{Backlog, Waiting, Waits};
use crate::io::QueueId;
use crate::journal::SessionNumber;
use rustc_hash::FxHashMap;
use slab::Slab;
use std::collections::VecDeque;
use std::sync::Arc;
use windrose_event::{Assurance, ConnectionId, Moment, Now, Outcome, QueueDeclaration, Supply, Tag, Text};

/// Entries that are looked at for one that the only consumer with credit can use.
const LOOK_AHEAD: usize = 1_000;

/// What became of an event that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    /// The queue has it, or had it.
    Taken,
    /// There is no room for it.
    Refused,
}

/// A queue.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) name: Text,
    /// Its name among all shards, if it is not private.
    pub(crate) id: Option<QueueId>,
    /// The connection that it is exclusive to, if it is.
    pub(crate) owner: Option<ConnectionId>,
    pub(crate) declaration: Arc<QueueDeclaration>,
    /// Its name in the journal, if what waits in it outlives the process.
    pub(crate) number: Option<SessionNumber>,
    /// What is particular to it if it has a subscription of its own.
    pub(crate) private: Option<Box<Private>>,
    /// Its entry among the timers.
    pub(crate) timer: Option<Moment>,
    /// When it was last in use.
    used: Moment,
    backlog: Backlog<Item>,
    /// Bytes of payloads that wait.
    payload: u64,
    consumers: Slab<Consumer>,
    /// Consumers that want more, in the order of their turns.
    line: VecDeque<Slot>,
    /// Consumers that wait for nothing more to wait.
    draining: u32,
    /// Deliveries that were pulled and not disposed of.
    pulled: FxHashMap<u64, InFlight>,
    /// Whether all shards were told that it is nearly full.
    crowded: bool,
    /// Deliveries that are not disposed of.
    unsettled: usize,
    /// What those weigh.
    unsettled_bytes: u64,
    /// Consumers that were not canceled, and those of them that have the queue for themselves.
    consuming: usize,
    exclusive: usize,
    serials: u32,
}

impl Queue {
    /// An empty queue.
    pub(crate) fn new(name: Text, declaration: Arc<QueueDeclaration>, now: Now) -> Self {
        Self {
            name,
            id: None,
            owner: None,
            declaration,
            number: None,
            private: None,
            timer: None,
            used: now.moment,
            backlog: Backlog::default(),
            payload: 0,
            consumers: Slab::new(),
            line: VecDeque::new(),
            draining: 0,
            pulled: FxHashMap::default(),
            crowded: false,
            unsettled: 0,
            unsettled_bytes: 0,
            consuming: 0,
            exclusive: 0,
            serials: 0,
        }
    }

    /// What waited before a restart, in order. What somebody may have seen is marked so.
    pub(crate) fn restore(&mut self, position: u64, mut item: Item, seen: bool) {
        item.again = seen;
        item.journaled = true;
        self.payload += item.event.payload.len() as u64;
        self.backlog.put_last(position, item);
    }

    /// Takes an event: a consumer gets it, or it waits.
    #[inline]
    pub(crate) fn offer(&mut self, item: Item, road: &mut Road<'_>) -> Offered {
        if self.backlog.is_empty()
            && self.fits(item.weight(), road)
            && let Some(slot) = self.next_in_line(road)
        {
            road.counts.queued += 1;
            let position = self.backlog.pass();
            self.supply(slot, Waiting { position, entry: item }, true, road);
            self.tell_drained(road);
            return Offered::Taken;
        }
        self.wait(item, road)
    }

    /// Lets consumers have what waits, as far as they want it.
    pub(crate) fn pump(&mut self, road: &mut Road<'_>) {
        while let Some(first) = self.backlog.front() {
            if first.entry.is_due(road.now.wall) {
                let Some(waiting) = self.pop() else { break };
                self.give_up(waiting, Loss::Expired, road);
                continue;
            }
            let avoids = first.entry.avoids;
            let Some(slot) = self.next_in_line(road) else { break };
            let serial = self.consumers.get(slot as usize).map_or(0, |consumer| consumer.serial);
            let waiting = if avoids != serial {
                self.pop()
            } else if self.line.len() > 1 {
                self.line.rotate_left(1);
                continue;
            } else {
                let waiting = self.backlog.pop_where(LOOK_AHEAD, |item| item.avoids != serial);
                self.payload -=
                    waiting.as_ref().map_or(0, |waiting| waiting.entry.event.payload.len() as u64);
                waiting
            };
            let Some(waiting) = waiting else { break };
            self.supply(slot, waiting, false, road);
        }
        self.tell_drained(road);
    }

    /// The consumer whose turn it is, if any wants more.
    #[inline]
    fn next_in_line(&mut self, road: &mut Road<'_>) -> Option<Slot> {
        loop {
            let slot = *self.line.front()?;
            match self.consumers.get_mut(slot as usize) {
                Some(consumer) if consumer.wants() => {
                    let shard = consumer.wish.at.shard;
                    if shard == road.here || road.shards.has_credit(shard) {
                        return Some(slot);
                    }
                    consumer.in_line = false;
                    road.starved.push((shard, slot));
                }
                Some(consumer) => consumer.in_line = false,
                None => {}
            }
            self.line.pop_front();
        }
    }

    /// Brings the first in line an event, whose turn is then over.
    #[inline]
    fn supply(&mut self, slot: Slot, waiting: Waiting<Item>, is_new: bool, road: &mut Road<'_>) {
        let Some(consumer) = self.consumers.get_mut(slot as usize) else { return };
        let Waiting { position, entry: mut item } = waiting;
        let (at, failures) = (consumer.wish.at, u32::from(item.failures));
        consumer.given += 1;
        let delivery = if consumer.wish.presettled {
            if item.journaled
                && let Some(queue) = self.number
            {
                road.done(queue, position);
            }
            road.counts.queued -= 1;
            if at.shard == road.here {
                road.counts.at(consumer.wish.listener).events_out[Outcome::Accepted.rank()] += 1;
            }
            item.into_delivery()
        } else {
            if let Some(queue) = self.number
                && item.event.assurance != Assurance::AtMostOnce
            {
                if is_new {
                    item.journaled = true;
                    road.queued(queue, position, &item);
                }
                if !item.again {
                    road.launched(queue, position, Tag(1));
                }
            }
            self.unsettled += 1;
            self.unsettled_bytes += item.weight();
            let mut delivery = item.delivery(Tag::NONE);
            delivery.tag = consumer.launch(InFlight { position, item });
            delivery
        };
        road.supply(at, Supply { consumer: at.consumer, failures, delivery });
        let wants = consumer.wants();
        consumer.in_line = wants;
        if self.line.len() > 1 || !wants {
            self.line.pop_front();
            if wants {
                self.line.push_back(slot);
            }
        }
    }

    /// Enters a consumer. The private queues' begin to get events once [`Queue::open`] says so.
    pub(crate) fn join(&mut self, wish: Wish) -> Slot {
        self.serials = self.serials.wrapping_add(1).max(1);
        if self.consumers.capacity() == 0 {
            // Most queues have one consumer.
            self.consumers = Slab::with_capacity(1);
        }
        self.consuming += 1;
        self.exclusive += usize::from(wish.exclusive);
        self.consumers.insert(Consumer::new(wish, self.serials)) as Slot
    }

    /// Lets a consumer have its turn, if it wants more.
    pub(crate) fn wake(&mut self, slot: Slot) {
        if self.private.as_ref().is_some_and(|private| !private.open)
            || self.declaration.options.single_active_consumer && self.active() != Some(slot)
        {
            return;
        }
        let Some(consumer) = self.consumers.get_mut(slot as usize) else { return };
        if !consumer.in_line && consumer.wants() {
            consumer.in_line = true;
            self.line.push_back(slot);
        }
    }

    /// Of consumers of which one at a time gets events: the one that came first.
    fn active(&self) -> Option<Slot> {
        let waiting = self.consumers.iter().filter(|(_, consumer)| !consumer.canceled);
        waiting.min_by_key(|(_, consumer)| consumer.serial).map(|(slot, _)| slot as Slot)
    }

    /// How many more its consumers take now.
    pub(crate) fn room(&self) -> usize {
        let more = |consumer: &Consumer| {
            let granted = consumer.wish.limit.saturating_sub(consumer.given);
            if consumer.wants() { usize::try_from(granted).unwrap_or(usize::MAX) } else { 0 }
        };
        self.consumers.iter().map(|(_, consumer)| more(consumer)).fold(0, usize::saturating_add)
    }

    /// Events that are not done with.
    pub(crate) fn held(&self) -> usize {
        self.backlog.len() + self.unsettled
    }

    /// A consumer takes so many deliveries in all.
    pub(crate) fn grant(&mut self, slot: Slot, limit: u64, drain: bool, road: &mut Road<'_>) {
        let Some(consumer) = self.consumers.get_mut(slot as usize) else { return };
        consumer.wish.limit = limit;
        self.draining += u32::from(drain);
        self.draining -= u32::from(consumer.draining);
        consumer.draining = drain;
        self.wake(slot);
        self.pump(road);
    }

    /// A consumer's connection has too much to write already, or no longer.
    pub(crate) fn hold(&mut self, slot: Slot, held: bool, road: &mut Road<'_>) {
        let Some(consumer) = self.consumers.get_mut(slot as usize) else { return };
        consumer.wish.held = held;
        if !held {
            self.wake(slot);
            self.pump(road);
        }
    }

    /// Who consumes from it, or still has something of it.
    pub(crate) fn all_consumers(&self) -> impl Iterator<Item = &Consumer> {
        self.consumers.iter().map(|(_, consumer)| consumer)
    }

    /// Those who consume from it, with their places.
    pub(crate) fn places(&self) -> impl Iterator<Item = (Slot, At)> {
        let consuming = self.consumers.iter().filter(|(_, consumer)| !consumer.canceled);
        consuming.map(|(slot, consumer)| (slot as Slot, consumer.wish.at))
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.backlog.len()
    }

    /// How many are not disposed of.
    pub(crate) const fn unsettled(&self) -> usize {
        self.unsettled
    }

    /// How many consume.
    pub(crate) const fn consuming(&self) -> usize {
        self.consuming
    }

    /// Whether somebody has it for itself.
    pub(crate) const fn is_exclusive(&self) -> bool {
        self.exclusive > 0
    }

    /// Whether a consumer could take more than waits.
    pub(crate) fn could_take(&self) -> bool {
        self.backlog.is_empty() && self.consumers.iter().any(|(_, consumer)| consumer.wants())
    }

    /// It is in use now.
    pub(crate) fn touch(&mut self, now: Now) {
        self.used = now.moment;
    }

    /// Whether nobody has used it for as long as it says.
    pub(crate) fn is_abandoned(&self, now: Now) -> bool {
        let unused = |expires| self.consumers.is_empty() && now.moment.since(self.used) >= expires;
        let kept_until = self.private.as_ref().and_then(|private| private.kept_until);
        self.declaration.options.expires.is_some_and(unused)
            || kept_until.is_some_and(|until| until <= now.moment && self.consumers.is_empty())
    }

    /// When it is to be looked at.
    pub(crate) fn due(&self, now: Now) -> Option<Moment> {
        let first = self.backlog.front().map(|waiting| waiting.entry.due).filter(|due| *due != NEVER);
        let first = first.map(|due| now.moment + due.since(now.wall));
        let unused = self.declaration.options.expires.filter(|_| self.consumers.is_empty());
        let catches_up = self.catches_up().then(Moment::default);
        let kept_until = self.private.as_ref().and_then(|private| private.kept_until);
        [first, unused.map(|expires| self.used + expires), catches_up, kept_until].into_iter().flatten().min()
    }

    /// Whether last values wait that a consumer would take now.
    pub(crate) fn catches_up(&self) -> bool {
        self.private.as_ref().is_some_and(|private| private.open && private.catch_up.is_some())
            && self.backlog.is_empty()
            && self.consumers.iter().any(|(_, consumer)| consumer.wants())
    }

    fn pop(&mut self) -> Option<Waiting<Item>> {
        let waiting = self.backlog.pop()?;
        self.payload -= waiting.entry.event.payload.len() as u64;
        Some(waiting)
    }

    /// Tells those who wait for it that nothing more waits for them, or that they have had all that they would take.
    fn tell_drained(&mut self, road: &mut Road<'_>) {
        if self.draining == 0 || self.private.as_ref().is_some_and(|private| !private.open) {
            return;
        }
        let catches_up = self.private.as_ref().is_some_and(|private| private.catch_up.is_some());
        let empty = self.backlog.is_empty() && !catches_up;
        for (_, consumer) in &mut self.consumers {
            if !consumer.draining {
                continue;
            }
            let serial = consumer.serial;
            let nothing = || {
                empty
                    || !catches_up
                        && self.backlog.iter().take(LOOK_AHEAD).all(|waiting| waiting.entry.avoids == serial)
            };
            if consumer.given >= consumer.wish.limit || nothing() {
                consumer.draining = false;
                self.draining -= 1;
                consumer.wish.limit = consumer.given;
                road.drained(consumer.wish.at, consumer.given);
            }
        }
    }
}
