//! Deliveries that the client has not acknowledged, and what it does with them (AMQP 0-9-1 §1.8.3.13 to 16).

use super::Server;
use super::channel::Channel;
use super::failure::Failure;
use crate::amqp::v091::codec::{BasicAck, BasicNack, BasicRecoverOk, BasicReject, ReplyCode};
use smallvec::SmallVec;
use std::collections::VecDeque;
use windrose_event::{ConsumerId, Disposition, Intent, Tag};

/// Settled ones that are kept among the others at most, before they are taken out.
const TOMBSTONES: usize = 64;

/// A delivery.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unacked {
    /// Its delivery tag.
    pub(super) delivery: u64,
    pub(super) consumer: u32,
    pub(super) tag: Tag,
    /// Whether it is unacknowledged still.
    pub(super) is_live: bool,
    /// Whether it counts for the channel's prefetch: what basic.get took does not.
    pub(super) is_consumed: bool,
}

impl Channel {
    /// Takes out one, or all up to it. `None`: there is no such delivery.
    fn take(&mut self, delivery: u64, multiple: bool) -> Option<Vec<Unacked>> {
        let mut taken = Vec::new();
        if multiple {
            if delivery != 0 && self.find(delivery).is_none() {
                return None;
            }
            while let Some(first) = self.unacked.front()
                && (delivery == 0 || first.delivery <= delivery)
                && let Some(first) = self.unacked.pop_front()
            {
                if first.is_live {
                    taken.push(first);
                } else {
                    self.settled -= 1;
                }
            }
        } else {
            let index = self.find(delivery)?;
            let one = self.unacked.get_mut(index)?;
            taken.push(*one);
            one.is_live = false;
            self.settled += 1;
        }
        while self.unacked.front().is_some_and(|first| !first.is_live) {
            self.unacked.pop_front();
            self.settled -= 1;
        }
        if self.settled > TOMBSTONES && self.settled > self.unacked.len() / 2 {
            self.unacked.retain(|one| one.is_live);
            self.settled = 0;
        }
        if self.unacked.is_empty() && self.unacked.capacity() > 256 {
            self.unacked = VecDeque::new();
        }
        self.outstanding -= taken.iter().filter(|one| one.is_consumed).count() as u32;
        Some(taken)
    }

    /// Takes the first out if it is that one: the common case, without a list.
    #[inline]
    fn take_first(&mut self, delivery: u64) -> Option<Unacked> {
        if self.settled > 0 || self.unacked.front()?.delivery != delivery {
            return None;
        }
        let first = self.unacked.pop_front()?;
        self.outstanding -= u32::from(first.is_consumed);
        Some(first)
    }

    fn find(&self, delivery: u64) -> Option<usize> {
        let index = self.unacked.binary_search_by_key(&delivery, |one| one.delivery).ok()?;
        self.unacked.get(index).filter(|one| one.is_live).map(|_| index)
    }
}

fn unknown(delivery: u64) -> Failure {
    Failure::new(ReplyCode::PRECONDITION_FAILED, format!("unknown delivery tag {delivery}"))
}

const fn disposition(requeue: bool) -> Disposition {
    if requeue { Disposition::Released } else { Disposition::Rejected }
}

impl Server {
    pub(super) fn ack(&mut self, number: u16, ack: BasicAck) -> Result<(), Failure> {
        let BasicAck { delivery_tag, multiple } = ack;
        let channel = self.open_one(number)?;
        if channel.tx.is_none()
            && !multiple
            && let Some(first) = channel.take_first(delivery_tag)
        {
            let parked = !channel.parked.is_empty();
            self.accept_one(first);
            if parked {
                self.unpark(number);
            }
            return Ok(());
        }
        self.dispose_of(number, delivery_tag, multiple, Disposition::Accepted)
    }

    pub(super) fn reject(&mut self, number: u16, reject: BasicReject) -> Result<(), Failure> {
        self.dispose_of(number, reject.delivery_tag, false, disposition(reject.requeue))
    }

    pub(super) fn nack(&mut self, number: u16, nack: BasicNack) -> Result<(), Failure> {
        self.dispose_of(number, nack.delivery_tag, nack.multiple, disposition(nack.requeue))
    }

    /// All that is unacknowledged goes back to where it came from. RabbitMQ knows no other way to recover.
    pub(super) fn recover(&mut self, number: u16, requeue: bool, answered: bool) -> Result<(), Failure> {
        if !requeue {
            return Err(Failure::new(ReplyCode::NOT_IMPLEMENTED, "requeue=false"));
        }
        let taken = self.open_one(number)?.take(0, true).unwrap_or_default();
        self.dispose(number, &taken, Disposition::Released);
        if answered {
            self.say(number, BasicRecoverOk {});
        }
        self.unpark(number);
        Ok(())
    }

    fn dispose_of(
        &mut self,
        number: u16,
        delivery: u64,
        multiple: bool,
        disposition: Disposition,
    ) -> Result<(), Failure> {
        let channel = self.open_one(number)?;
        let taken = channel.take(delivery, multiple).ok_or_else(|| unknown(delivery))?;
        if let Some(transaction) = &mut channel.tx {
            transaction.settle(taken, disposition);
            return Ok(());
        }
        self.dispose(number, &taken, disposition);
        self.unpark(number);
        Ok(())
    }

    /// Tells the engine what becomes of deliveries.
    pub(super) fn dispose(&mut self, _number: u16, taken: &[Unacked], disposition: Disposition) {
        if disposition == Disposition::Accepted {
            return taken.iter().for_each(|one| self.accept_one(*one));
        }
        for same in taken.chunk_by(|one, next| one.consumer == next.consumer) {
            let Some(first) = same.first() else { continue };
            let tags: SmallVec<[Tag; 4]> = same.iter().map(|one| one.tag).collect();
            let Some(consumer) = self.consumers.get_mut(first.consumer) else { continue };
            consumer.unsettled = consumer.unsettled.saturating_sub(tags.len() as u32);
            consumer.taken += tags.len() as u64;
            self.stir(first.consumer);
            self.intend(Intent::Dispose { consumer: ConsumerId(first.consumer), tags, disposition });
        }
    }

    /// One delivery is accepted; the engine is told of all of a read together.
    #[inline]
    fn accept_one(&mut self, one: Unacked) {
        let Some(consumer) = self.consumers.get_mut(one.consumer) else { return };
        consumer.unsettled = consumer.unsettled.saturating_sub(1);
        consumer.taken += 1;
        consumer.accepted.push(one.tag);
        if !consumer.is_stirred {
            consumer.is_stirred = true;
            self.stirred.push(one.consumer);
        }
    }
}
