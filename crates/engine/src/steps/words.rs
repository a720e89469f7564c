//! What a consumer's shard and its queue's home say to each other.

use crate::engine::Engine;
use crate::io::{ShardId, Word};
use crate::journal::Record;
use crate::queues::{At, Consumption, Offered};
use crate::receipts::ReceiptId;
use windrose_event::{Consuming, DeclineCause, Declined, Directive, Now, Outcome, Tag};

impl Engine {
    /// Another shard says something of queues.
    pub(crate) fn words(&mut self, now: Now, from: ShardId, words: Vec<Word>) {
        for word in words {
            self.word(now, from, word);
        }
    }

    fn word(&mut self, now: Now, from: ShardId, word: Word) {
        match word {
            Word::Begin { connection, queue, consume, held, origin, heard } => {
                let consumer = consume.consumer;
                let at = At { shard: from, connection, consumer };
                let joined = if self.lately.may_have_ended(&origin.identity, heard) {
                    let detail = format!("{} is no longer let in", origin.identity);
                    Err(Declined { cause: DeclineCause::NotPermitted, detail })
                } else {
                    self.join(now, queue, &consume, at, held, &origin)
                };
                let result = match &joined {
                    Ok((_, _, attached)) => {
                        Ok(Consuming { resumed: attached.resumed, ..Consuming::default() })
                    }
                    Err(declined) => Err(declined.clone()),
                };
                self.shards.say(from, Word::Began { connection, consumer, result });
                if let Ok((key, slot, _)) = joined {
                    self.queues.remote.insert(at, (key, slot));
                    self.open_queue(now, key, slot);
                }
            }
            Word::Grant { connection, consumer, limit, drain } => {
                let at = At { shard: from, connection, consumer };
                if let Some(&(key, slot)) = self.queues.remote.get(&at) {
                    self.with_queue(now, key, |queue, road| queue.grant(slot, limit, drain, road));
                }
            }
            Word::Dispose { connection, consumer, tags, disposition } => {
                let at = At { shard: from, connection, consumer };
                let Some(&(key, slot)) = self.queues.remote.get(&at) else { return };
                let gone =
                    self.with_queue(now, key, |queue, road| queue.dispose(slot, &tags, disposition, road));
                if gone == Some(true) {
                    self.queues.remote.remove(&at);
                    self.left(now, key);
                }
            }
            Word::Cancel { connection, consumer, release } => {
                let at = At { shard: from, connection, consumer };
                if let Some(&(key, slot)) = self.queues.remote.get(&at) {
                    let gone = self.with_queue(now, key, |queue, road| queue.cancel(slot, release, road));
                    if gone != Some(false) {
                        self.queues.remote.remove(&at);
                    }
                    self.left(now, key);
                }
                self.shards.say(from, Word::Canceled { connection, consumer, because: None });
            }
            Word::Hold { connection, consumer, held } => {
                let at = At { shard: from, connection, consumer };
                if let Some(&(key, slot)) = self.queues.remote.get(&at) {
                    self.with_queue(now, key, |queue, road| queue.hold(slot, held, road));
                }
            }
            Word::Pull { connection, tag, consumer, queue, presettled } => {
                let (place, result) = self.pull_here(now, queue, presettled);
                self.shards.say(from, Word::Pulled { connection, tag, consumer, place, result });
            }
            Word::Pulls { queue, numbers, disposition } => {
                self.with_queue(now, queue, |queue, road| queue.dispose_pulled(&numbers, disposition, road));
            }
            Word::Offer { queue, event, receipt, expected } => {
                let taken = self.offer_to_queue(now, queue, &event, false) == Offered::Taken;
                if expected {
                    self.record(Record::Part { event: event.id });
                }
                self.shards.took(from, 1);
                if let Some(receipt) = receipt {
                    self.shards.say(from, Word::Offered { receipt, taken });
                }
            }
            answer => self.word_from_home(now, from, answer),
        }
    }

    fn word_from_home(&mut self, now: Now, from: ShardId, word: Word) {
        match word {
            Word::Began { connection, consumer, result } => {
                if result.is_err() {
                    self.forget_consumer(connection, consumer);
                }
                if self.connections.get(connection).is_some() {
                    self.direct(connection, Directive::Consuming { consumer, result });
                }
            }
            Word::Supply { connection, supply } => {
                self.shards.took(from, 1);
                // The connection may be gone: then the home has heard of that, or will.
                let Some(known) = self.connections.get_mut(connection) else { return };
                let listener = known.tally;
                let consumers = known.consumers.as_mut();
                let known = consumers.and_then(|consumers| consumers.by_id.get_mut(&supply.consumer));
                // What was given back before it came here is not brought.
                let Some(Consumption::There { unsettled, released: false, .. }) = known else { return };
                if supply.delivery.tag == Tag::NONE {
                    self.counts.at(listener).events_out[Outcome::Accepted.rank()] += 1;
                } else {
                    *unsettled += 1;
                }
                self.direct(connection, Directive::Supply(supply));
            }
            Word::Drained { connection, consumer, limit } => {
                let Some(_) = self.consumption(connection, consumer) else { return };
                self.direct(connection, Directive::Drained { consumer, limit });
            }
            Word::Canceled { connection, consumer, because } => {
                let known = self.consumption(connection, consumer);
                if because.is_some() && known.is_none() {
                    return;
                }
                match known {
                    Some(Consumption::There { asked, unsettled, canceled, .. })
                        if because.is_none() && *asked > 0 =>
                    {
                        *asked -= 1;
                        *canceled = true;
                        if *unsettled == 0 && *asked == 0 {
                            self.forget_consumer(connection, consumer);
                        }
                    }
                    // Its number is another's by now: the one that asked heard before that its queue is gone.
                    _ if because.is_none() => {}
                    _ => drop(self.forget_consumer(connection, consumer)),
                }
                if self.connections.get(connection).is_some() {
                    self.direct(connection, Directive::Canceled { consumer, because });
                }
            }
            Word::Crowded { queue, crowded: true } => {
                self.queues.crowded.insert(queue);
            }
            Word::Crowded { queue, crowded: false } => {
                self.queues.crowded.remove(&queue);
            }
            Word::Offered { receipt, taken } => {
                let outcome = if taken { Outcome::Accepted } else { Outcome::Busy { retry_after: None } };
                let receipt = self.receipts.target_settled(ReceiptId::from_number(receipt), outcome);
                if let Some(receipt) = receipt {
                    self.acknowledge(now, receipt);
                }
            }
            Word::Pulled { connection, tag, consumer, place, result } => {
                self.pulled(now, connection, tag, consumer, from, place, result);
            }
            _ => {}
        }
    }
}
