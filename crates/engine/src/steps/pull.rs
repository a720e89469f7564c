//! How peers take events from queues one by one.

use crate::engine::Engine;
use crate::io::{QueueId, ShardId, Word};
use crate::queues::{Consumption, QueueKey};
use windrose_event::{
    ConnectionId, ConsumerId, DeclineCause, Declined, Directive, Disposition, Now, Outcome, Pulled, Tag, Text,
};

/// What comes of a pull.
type PullResult = Result<Option<Box<Pulled>>, Declined>;

impl Engine {
    /// What becomes of what was pulled, wherever that was.
    pub(super) fn dispose_pulls(
        &mut self,
        now: Now,
        places: &mut [(ShardId, QueueKey, u64)],
        disposition: Disposition,
    ) {
        places.sort_unstable();
        for same in places.chunk_by(|one, other| (one.0, one.1) == (other.0, other.1)) {
            let Some(&(home, queue, _)) = same.first() else { continue };
            let numbers: Vec<u64> = same.iter().map(|(_, _, number)| *number).collect();
            if home == self.shards.here() {
                self.with_queue(now, queue, |queue, road| {
                    queue.dispose_pulled(&numbers, disposition, road);
                });
            } else {
                self.shards.say(home, Word::Pulls { queue, numbers, disposition });
            }
        }
    }

    /// Takes one event from a queue.
    pub(crate) fn pull(
        &mut self,
        now: Now,
        connection: ConnectionId,
        tag: Tag,
        consumer: ConsumerId,
        name: &Text,
        presettled: bool,
    ) {
        let usable = self.usable_queue(connection, name).and_then(|found| {
            match self.consumption(connection, consumer) {
                None => {
                    self.may_consume(connection, consumer)?;
                    self.enter(connection, consumer, Consumption::Pulls(Box::default()));
                }
                Some(Consumption::Pulls(_)) => {}
                Some(_) => {
                    let detail = "the consumer of that number has events brought".into();
                    return Err(Declined { cause: DeclineCause::Precondition, detail });
                }
            }
            Ok(found)
        });
        let (queue, home) = match usable {
            Ok(found) => found,
            Err(declined) => {
                return self.direct(connection, Directive::Pulled { tag, result: Err(declined) });
            }
        };
        if let Some(Consumption::Pulls(pulls)) = self.consumption(connection, consumer) {
            pulls.asked += 1;
        }
        if home != self.shards.here() {
            return self.shards.say(home, Word::Pull { connection, tag, consumer, queue, presettled });
        }
        let (place, result) = self.pull_here(now, queue, presettled);
        self.pulled(now, connection, tag, consumer, home, place, result);
    }

    /// Takes one event from a queue of this shard.
    pub(crate) fn pull_here(
        &mut self,
        now: Now,
        queue: QueueId,
        presettled: bool,
    ) -> (Option<(QueueKey, u64)>, PullResult) {
        let Some(key) = self.queues.find(queue) else {
            let detail = "the queue is gone".into();
            return (None, Err(Declined { cause: DeclineCause::NotFound, detail }));
        };
        let number = (!presettled).then(|| self.queues.next_pull());
        let pulled = self.with_queue(now, key, |queue, road| {
            let supply = queue.pull(number, road)?;
            Some(Box::new(Pulled { supply, remaining: queue.waiting() as u32 }))
        });
        let pulled = pulled.flatten();
        (number.filter(|_| pulled.is_some()).map(|number| (key, number)), Ok(pulled))
    }

    /// The answer to a pull.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn pulled(
        &mut self,
        now: Now,
        connection: ConnectionId,
        tag: Tag,
        consumer: ConsumerId,
        home: ShardId,
        place: Option<(QueueKey, u64)>,
        mut result: PullResult,
    ) {
        let listener = self.connections.get(connection).map(|known| known.tally);
        let Some(Consumption::Pulls(pulls)) = self.consumption(connection, consumer) else {
            if let Some((queue, number)) = place {
                self.dispose_pulls(now, &mut [(home, queue, number)], Disposition::Released);
            }
            return;
        };
        pulls.asked = pulls.asked.saturating_sub(1);
        if let Ok(Some(pulled)) = &mut result {
            pulled.supply.consumer = consumer;
            match place {
                Some((queue, number)) if pulls.taken.len() < 65_535 => {
                    let tag = pulls.taken.insert((home, queue, number)) + 1;
                    pulled.supply.delivery.tag = Tag(u16::try_from(tag).unwrap_or(0));
                }
                Some((queue, number)) => {
                    let mut places = [(home, queue, number)];
                    self.dispose_pulls(now, &mut places, Disposition::Released);
                    let detail = "65,535 events that were pulled are not disposed of".into();
                    result = Err(Declined { cause: DeclineCause::Quota, detail });
                }
                None => {
                    if let Some(listener) = listener {
                        self.counts.at(listener).events_out[Outcome::Accepted.rank()] += 1;
                    }
                }
            }
        }
        if let Some(Consumption::Pulls(pulls)) = self.consumption(connection, consumer)
            && pulls.taken.is_empty()
            && pulls.asked == 0
        {
            self.forget_consumer(connection, consumer);
        }
        self.direct(connection, Directive::Pulled { tag, result });
    }
}
