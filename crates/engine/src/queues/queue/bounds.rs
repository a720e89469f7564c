//! How much waits in a queue at most, and what happens when more would.

use super::{Offered, Queue};
use crate::backlog::{QueueBounds, Waits};
use crate::queues::item::{Item, Loss};
use crate::queues::road::Road;
use windrose_event::{Assurance, Overflow};
use windrose_policy::QueueFull;

impl Queue {
    pub(super) fn wait(&mut self, mut item: Item, road: &mut Road<'_>) -> Offered {
        if !self.has_room(&item, road) {
            self.expire(road);
        }
        let over = !self.has_room(&item, road);
        if over && self.refuses(&item, road) {
            if self.declaration.options.overflow == Some(Overflow::RejectPublishDlx) {
                self.lose(item, Loss::Full, road);
            } else {
                road.counts.drop("queue_full");
            }
            return Offered::Refused;
        }
        if let Some(queue) = self.number.filter(|_| item.event.assurance != Assurance::AtMostOnce) {
            item.journaled = true;
            road.queued(queue, self.backlog.last_position() + 1, &item);
        }
        self.payload += item.event.payload.len() as u64;
        road.counts.queued += 1;
        self.backlog.push(item);
        while over && self.is_over(road) {
            let Some(waiting) = self.pop() else { break };
            self.give_up(waiting, Loss::Full, road);
        }
        if !self.line.is_empty() {
            // What waits before it is not for those who want more.
            self.pump(road);
        }
        Offered::Taken
    }

    /// Whether one more may wait.
    pub(super) fn has_room(&self, item: &Item, road: &Road<'_>) -> bool {
        self.fits(item.weight(), road) && self.has_own_room(item)
    }

    /// Whether there is room for so much, as far as the document says. What consumers have and do not dispose of takes room, too:
    /// a queue is no larger for having many who take and keep.
    pub(super) fn fits(&self, weight: u64, road: &Road<'_>) -> bool {
        if road.promised {
            return true;
        }
        if self.private.is_some() {
            return self.backlog.fits(weight, road.bounds);
        }
        self.held() < road.bounds.events
            && self.backlog.bytes() + self.unsettled_bytes + weight <= road.bounds.bytes
    }

    /// Whether one more may wait as far as the queue itself says.
    pub(super) fn has_own_room(&self, item: &Item) -> bool {
        let options = &self.declaration.options;
        let payload = self.payload + item.event.payload.len() as u64;
        options.max_length.is_none_or(|most| (self.backlog.len() as u64) < most)
            && options.max_length_bytes.is_none_or(|most| payload <= most)
    }

    /// Whether it is what comes that goes, and not what waits, when there is no room.
    pub(super) fn refuses(&self, item: &Item, road: &Road<'_>) -> bool {
        match self.declaration.options.overflow {
            Some(overflow) => overflow != Overflow::DropHead,
            // Of a queue's own bounds the oldest make room unless it says otherwise; of all queues' the document tells.
            None => road.bounds.full == QueueFull::RefuseNewest && self.has_own_room(item),
        }
    }

    /// Whether all shards are to be told that it is nearly full, or no longer: then whoever has something for it asks first, so
    /// that nobody is told of an event that it is taken, and it has no room then.
    pub(crate) fn crowds(&mut self, bounds: QueueBounds) -> Option<bool> {
        // Those that refuse by themselves are always asked; where the oldest make room nobody needs to ask.
        if self.declaration.options.overflow.is_some() || bounds.full != QueueFull::RefuseNewest {
            return None;
        }
        let (events, bytes) = (self.held(), self.backlog.bytes() + self.unsettled_bytes);
        let over =
            |parts: usize| events > bounds.events / 4 * parts || bytes > bounds.bytes / 4 * parts as u64;
        let crowded = if self.crowded { over(2) } else { over(3) };
        (std::mem::replace(&mut self.crowded, crowded) != crowded).then_some(crowded)
    }

    /// Whether all shards were told that it is nearly full.
    pub(crate) const fn is_crowded(&self) -> bool {
        self.crowded
    }

    /// Whether more wait than may.
    pub(super) fn is_over(&self, road: &Road<'_>) -> bool {
        let options = &self.declaration.options;
        let over = if self.private.is_some() {
            self.backlog.len() > road.bounds.events || self.backlog.bytes() > road.bounds.bytes
        } else {
            self.held() > road.bounds.events
                || self.backlog.bytes() + self.unsettled_bytes > road.bounds.bytes
        };
        over || options.max_length.is_some_and(|most| self.backlog.len() as u64 > most)
            || options.max_length_bytes.is_some_and(|most| self.payload > most)
    }
}
