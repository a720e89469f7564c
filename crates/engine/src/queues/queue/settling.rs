//! What becomes of events that consumers have: done with, rejected, or back to their place.

use super::Queue;
use crate::backlog::{Waiting, Waits};
use crate::queues::consumer::{InFlight, Slot};
use crate::queues::item::{Item, Loss};
use crate::queues::road::Road;
use std::cmp::Reverse;
use windrose_event::{ConsumerId, Disposition, Supply, Tag};

impl Queue {
    /// A consumer says what becomes of deliveries. Whether it has gone with that: it was canceled before.
    pub(crate) fn dispose(
        &mut self,
        slot: Slot,
        tags: &[Tag],
        disposition: Disposition,
        road: &mut Road<'_>,
    ) -> bool {
        let Some(consumer) = self.consumers.get_mut(slot as usize) else { return false };
        let serial = consumer.serial;
        if let (Disposition::Accepted, &[tag]) = (disposition, tags) {
            let Some(in_flight) = consumer.settle(tag) else { return false };
            consumer.tidy();
            self.settled(&in_flight, road);
        } else {
            let back: Vec<_> = tags.iter().filter_map(|tag| consumer.settle(*tag)).collect();
            consumer.tidy();
            self.dispose_all(back, disposition, serial, road);
        }
        let Some(consumer) = self.consumers.get(slot as usize) else { return false };
        let gone = consumer.canceled && consumer.unsettled() == 0;
        if gone {
            self.leave(slot);
        } else {
            self.wake(slot);
        }
        self.pump(road);
        gone
    }

    /// What becomes of deliveries, of whomever.
    pub(super) fn dispose_all(
        &mut self,
        mut back: Vec<InFlight>,
        disposition: Disposition,
        serial: u32,
        road: &mut Road<'_>,
    ) {
        let (failed, avoids) = match disposition {
            Disposition::Accepted => return back.iter().for_each(|in_flight| self.settled(in_flight, road)),
            Disposition::Rejected => {
                for InFlight { position, item } in back {
                    self.came_back(&item);
                    self.give_up(Waiting { position, entry: item }, Loss::Rejected, road);
                }
                return;
            }
            Disposition::Released => (false, false),
            Disposition::Modified { failed, undeliverable_here } => (failed, undeliverable_here),
        };
        // From the last to the first, so that each goes to the very beginning of the row.
        back.sort_unstable_by_key(|in_flight| Reverse(in_flight.position));
        for InFlight { position, mut item } in back {
            self.came_back(&item);
            item.again = true;
            item.failures = item.failures.saturating_add(u16::from(failed));
            if avoids {
                item.avoids = serial;
            }
            self.payload += item.event.payload.len() as u64;
            self.backlog.put_back(position, item);
        }
    }

    pub(super) fn came_back(&mut self, item: &Item) {
        self.unsettled -= 1;
        self.unsettled_bytes -= item.weight();
    }

    pub(super) fn settled(&mut self, in_flight: &InFlight, road: &mut Road<'_>) {
        self.came_back(&in_flight.item);
        road.counts.queued -= 1;
        if in_flight.item.journaled
            && let Some(queue) = self.number
        {
            road.done(queue, in_flight.position);
        }
    }

    /// A consumer wants no more. `release`: what it has not disposed of goes back. Whether it is gone with that.
    pub(crate) fn cancel(&mut self, slot: Slot, release: bool, road: &mut Road<'_>) -> bool {
        let Some(consumer) = self.consumers.get_mut(slot as usize) else { return true };
        if !std::mem::replace(&mut consumer.canceled, true) {
            self.consuming -= 1;
            self.exclusive -= usize::from(consumer.wish.exclusive);
        }
        self.draining -= u32::from(std::mem::take(&mut consumer.draining));
        let serial = consumer.serial;
        if release {
            let back = consumer.take();
            self.dispose_all(back, Disposition::Released, serial, road);
        }
        let gone = self.consumers.get(slot as usize).is_none_or(|consumer| consumer.unsettled() == 0);
        if gone {
            self.leave(slot);
        }
        self.used = road.now.moment;
        if let Some(active) = self.declaration.options.single_active_consumer.then(|| self.active()).flatten()
        {
            self.wake(active);
        }
        self.pump(road);
        gone
    }

    pub(super) fn leave(&mut self, slot: Slot) {
        if self.consumers.try_remove(slot as usize).is_some() {
            self.line.retain(|known| *known != slot);
        }
    }

    /// Takes out the first event for somebody who asks once. `number`: by which it is disposed of; `None`: it is done with.
    pub(crate) fn pull(&mut self, number: Option<u64>, road: &mut Road<'_>) -> Option<Supply> {
        self.used = road.now.moment;
        self.expire(road);
        let Waiting { position, entry: item } = self.pop()?;
        let failures = u32::from(item.failures);
        let consumer = ConsumerId(0);
        let delivery = match number {
            None => {
                road.counts.queued -= 1;
                if let Some(queue) = self.number.filter(|_| item.journaled) {
                    road.done(queue, position);
                }
                item.into_delivery()
            }
            Some(number) => {
                if let Some(queue) = self.number.filter(|_| item.journaled && !item.again) {
                    road.launched(queue, position, Tag(1));
                }
                let delivery = item.delivery(Tag::NONE);
                self.unsettled += 1;
                self.unsettled_bytes += item.weight();
                self.pulled.insert(number, InFlight { position, item });
                delivery
            }
        };
        Some(Supply { consumer, failures, delivery })
    }

    /// What becomes of what was pulled.
    pub(crate) fn dispose_pulled(&mut self, numbers: &[u64], disposition: Disposition, road: &mut Road<'_>) {
        let back = numbers.iter().filter_map(|number| self.pulled.remove(number)).collect();
        self.dispose_all(back, disposition, 0, road);
        self.pump(road);
    }
}
