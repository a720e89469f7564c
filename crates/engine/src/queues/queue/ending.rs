//! Events that get out of a queue without anybody's using them, and the end of the queue itself.

use super::Queue;
use crate::backlog::Waiting;
use crate::queues::item::{Item, Loss, Lost};
use crate::queues::road::Road;
use std::sync::Arc;
use windrose_event::{Declined, Event};

/// Events that are dropped at once because they have waited too long; then others have their turn.
const EXPIRE_AT_ONCE: usize = 1_000;

impl Queue {
    /// Drops what has waited too long at the beginning of the row.
    pub(crate) fn expire(&mut self, road: &mut Road<'_>) {
        for _ in 0..EXPIRE_AT_ONCE {
            if !self.backlog.front().is_some_and(|first| first.entry.is_due(road.now.wall)) {
                return;
            }
            let Some(waiting) = self.pop() else { return };
            self.give_up(waiting, Loss::Expired, road);
        }
    }

    /// Drops all that waits. Returns how many that was.
    pub(crate) fn purge(&mut self, road: &mut Road<'_>) -> u32 {
        self.payload = 0;
        let mut count = 0;
        for Waiting { position, entry } in self.backlog.take() {
            count += 1;
            road.counts.queued -= 1;
            if let Some(queue) = self.number.filter(|_| entry.journaled) {
                road.done(queue, position);
            }
        }
        count
    }

    /// The end of the queue: its consumers hear why. Returns how many events waited.
    pub(crate) fn close(&mut self, because: &Declined, road: &mut Road<'_>) -> u32 {
        road.counts.queued -= (self.backlog.len() + self.unsettled) as u64;
        for (_, consumer) in &self.consumers {
            if !consumer.canceled {
                road.canceled(consumer.wish.at, Some(because.clone()));
            }
        }
        self.backlog.len() as u32
    }

    /// All that is not done with, in order.
    pub(crate) fn into_rest(self) -> Vec<Arc<Event>> {
        let Self { mut backlog, consumers, pulled, .. } = self;
        let mut rest: Vec<_> = backlog.take().map(|waiting| (waiting.position, waiting.entry)).collect();
        let flying = consumers.into_iter().flat_map(|(_, mut consumer)| consumer.take());
        let flying = flying.chain(pulled.into_values());
        rest.extend(flying.map(|in_flight| (in_flight.position, in_flight.item)));
        rest.sort_unstable_by_key(|(position, _)| *position);
        rest.into_iter().map(|(_, item)| item.event).collect()
    }

    /// An event is done with though nobody could use it.
    pub(super) fn give_up(&mut self, waiting: Waiting<Item>, loss: Loss, road: &mut Road<'_>) {
        let Waiting { position, entry: item } = waiting;
        road.counts.queued -= 1;
        if let Some(queue) = self.number.filter(|_| item.journaled) {
            road.done(queue, position);
        }
        self.lose(item, loss, road);
    }

    pub(super) fn lose(&self, item: Item, loss: Loss, road: &mut Road<'_>) {
        if self.declaration.options.dead_letter_exchange.is_none() {
            return road.counts.drop(loss.cause());
        }
        let (queue, declaration) = (self.name.clone(), self.declaration.clone());
        road.lost.push_back(Lost { event: item.event, loss, queue, declaration });
    }
}
