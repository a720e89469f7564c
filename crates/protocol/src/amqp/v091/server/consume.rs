//! Consumers: how they begin, what they may have unacknowledged, how they end (AMQP 0-9-1 §1.8.3.3 to 6).

use super::Server;
use super::ask::{Pending, QUESTION, Question};
use super::failure::Failure;
use super::queue::REPLY_TO;
use crate::amqp::v091::codec::{
    BasicCancel, BasicCancelOk, BasicConsume, BasicConsumeOk, BasicGet, BasicQos, BasicQosOk, ReplyCode,
};
use smallvec::SmallVec;
use windrose_event::{Consume, ConsumerId, Consuming, Declined, Disposition, Intent, Source, Tag, Text};

/// How many deliveries a consumer that acknowledges nothing is ahead of us at most.
const AHEAD: u64 = 16_384;

/// A consumer, or by whose name a channel pulls.
pub(super) struct Consumer {
    id: u32,
    pub(super) channel: u16,
    pub(super) epoch: u32,
    /// Its channel is gone: what comes for it still goes back.
    pub(super) is_over: bool,
    /// It gets no more.
    pub(super) is_canceled: bool,
    pub(super) no_ack: bool,
    pub(super) is_stirred: bool,
    pub(super) tag: Text,
    /// How many it may have unacknowledged; `u64::MAX`: as many as it likes.
    window: u64,
    /// How many it may have in all, as the engine was told.
    limit: u64,
    /// How many it is done with.
    pub(super) taken: u64,
    pub(super) unsettled: u32,
    /// What it accepted and the engine is not told of yet.
    pub(super) accepted: Vec<Tag>,
}

impl Consumer {
    /// Whether so much was sent of what it takes that it should be told to take more.
    pub(super) const fn is_far_ahead(&self) -> bool {
        self.taken + self.window >= self.limit + AHEAD / 2
    }
}

/// A connection's consumers. Numbers are not used again, so that an answer that comes late is nobody else's.
#[derive(Default)]
pub(super) struct Consumers {
    next: u32,
    list: Vec<Consumer>,
}

impl Consumers {
    fn insert(&mut self, consumer: Consumer) -> u32 {
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        self.list.push(Consumer { id, ..consumer });
        id
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut Consumer> {
        let index = self.index(id)?;
        self.list.get_mut(index)
    }

    #[inline]
    fn index(&self, id: u32) -> Option<usize> {
        if self.list.first().is_some_and(|first| first.id == id) {
            return Some(0);
        }
        self.list.binary_search_by_key(&id, |consumer| consumer.id).ok()
    }

    fn remove(&mut self, id: u32) {
        if let Some(index) = self.index(id) {
            self.list.remove(index);
        }
    }

    /// Those of a channel, and by whose name it pulls; those that were canceled and have something unacknowledged, too.
    pub(super) fn of_channel(&self, channel: u16, epoch: u32) -> Vec<u32> {
        let is_its = |consumer: &&Consumer| {
            consumer.channel == channel && consumer.epoch == epoch && !consumer.is_over
        };
        self.list.iter().filter(is_its).map(|consumer| consumer.id).collect()
    }

    fn len(&self) -> usize {
        self.list.len()
    }
}

impl Server {
    pub(super) fn qos(&mut self, number: u16, qos: BasicQos) -> Result<(), Failure> {
        if qos.prefetch_size != 0 {
            let text = format!("prefetch_size!=0 ({})", qos.prefetch_size);
            return Err(Failure::new(ReplyCode::NOT_IMPLEMENTED, text));
        }
        let channel = self.open_one(number)?;
        if qos.global {
            channel.shared_prefetch = qos.prefetch_count;
        } else {
            channel.prefetch = qos.prefetch_count;
        }
        self.say(number, BasicQosOk {});
        self.unpark(number);
        Ok(())
    }

    pub(super) fn consume(&mut self, number: u16, consume: BasicConsume<'_>) -> Result<(), Failure> {
        let most = self.config.links as usize;
        if self.consumers.len() >= most {
            let text = format!("consumer limit ({most}) of the connection is reached");
            return Err(Failure::new(ReplyCode::PRECONDITION_FAILED, text));
        }
        let tag = self.consumer_tag(number, consume.consumer_tag)?;
        let from = if consume.queue == REPLY_TO {
            self.may_get_replies(number, consume.no_ack)?;
            Source::Replies
        } else {
            Source::Queue { name: self.queue_named(number, consume.queue)?, or_new: None }
        };
        let channel = self.open_one(number)?;
        let window = match (consume.no_ack, channel.prefetch, channel.shared_prefetch) {
            (true, _, _) => AHEAD,
            (false, 0, 0) => u64::MAX,
            (false, 0, shared) => shared.into(),
            (false, own, _) => own.into(),
        };
        let id = self.new_consumer(number, tag, consume.no_ack, window)?;
        self.tell_stirred();
        self.intend(Intent::Consume(Box::new(Consume {
            consumer: ConsumerId(id),
            from,
            exclusive: consume.exclusive,
            presettled: consume.no_ack,
            limit: window,
        })));
        self.await_answer(number, Question::Consume { consumer: id, told: !consume.no_wait });
        Ok(())
    }

    fn new_consumer(&mut self, number: u16, tag: Text, no_ack: bool, window: u64) -> Result<u32, Failure> {
        let epoch = self.open_one(number)?.epoch;
        Ok(self.consumers.insert(Consumer {
            id: 0,
            channel: number,
            epoch,
            is_over: false,
            is_canceled: false,
            no_ack,
            is_stirred: false,
            tag,
            window,
            limit: window,
            taken: 0,
            unsettled: 0,
            accepted: Vec::new(),
        }))
    }

    fn consumer_tag(&mut self, number: u16, wanted: &str) -> Result<Text, Failure> {
        if self.consumer_of(number, wanted).is_some() {
            let text = format!("attempt to reuse consumer tag '{wanted}'");
            return Err(Failure::new(ReplyCode::NOT_ALLOWED, text));
        }
        let channel = self.open_one(number)?;
        if !wanted.is_empty() {
            return Ok(Text::from(wanted));
        }
        channel.tags = channel.tags.wrapping_add(1);
        Ok(Text::from(format!("amq.ctag-{number}.{}.{}", channel.epoch, channel.tags)))
    }

    fn consumer_of(&mut self, number: u16, tag: &str) -> Option<u32> {
        let ids = self.channel(number)?.consumers.clone();
        ids.into_iter().find(|id| self.consumers.get_mut(*id).is_some_and(|consumer| consumer.tag == *tag))
    }

    /// Replies come to one consumer of a channel, which does not acknowledge them (RabbitMQ: direct reply-to).
    fn may_get_replies(&mut self, number: u16, no_ack: bool) -> Result<(), Failure> {
        let text = if !no_ack {
            "reply consumer cannot acknowledge"
        } else if self.open_one(number)?.replies.is_some() {
            "reply consumer already set"
        } else {
            return Ok(());
        };
        Err(Failure::new(ReplyCode::PRECONDITION_FAILED, text))
    }

    /// The engine says whether a consumer begins.
    pub(super) fn consuming(&mut self, id: ConsumerId, result: Result<Consuming, Declined>) {
        let is_it =
            |question: &Question| matches!(question, Question::Consume { consumer, .. } if *consumer == id.0);
        let Some(Pending { channel: number, epoch, question: Question::Consume { told, .. }, .. }) =
            self.answer(is_it)
        else {
            return;
        };
        let begun = match result {
            Ok(begun) => begun,
            Err(declined) => {
                self.consumers.remove(id.0);
                if self.channel_of(number, epoch).is_some() {
                    self.raise(number, &Failure::from(declined));
                }
                return;
            }
        };
        let Some(channel) = self.channel_of(number, epoch) else {
            // An exception ended the channel meanwhile.
            if let Some(consumer) = self.consumers.get_mut(id.0) {
                consumer.is_over = true;
            }
            return self.intend(Intent::Cancel { consumer: id, release: true });
        };
        channel.consumers.push(id.0);
        if let Some(address) = begun.address {
            channel.replies = Some((id.0, address));
            channel.route = None;
        }
        if told && let Some(consumer) = self.consumers.get_mut(id.0) {
            let tag = consumer.tag.clone();
            self.say(number, BasicConsumeOk { consumer_tag: tag.as_str() });
        }
    }

    pub(super) fn cancel(&mut self, number: u16, cancel: BasicCancel<'_>) {
        let Some(id) = self.consumer_of(number, cancel.consumer_tag) else {
            // It may have been canceled at the same time.
            if !cancel.no_wait {
                self.say(number, BasicCancelOk { consumer_tag: cancel.consumer_tag });
            }
            return;
        };
        self.leave_consumer(number, id, true);
        self.tell_stirred();
        self.intend(Intent::Cancel { consumer: ConsumerId(id), release: false });
        self.await_answer(number, Question::Cancel { consumer: id, told: !cancel.no_wait });
    }

    /// A consumer is none of its channel's any more; what was parked for it goes back.
    fn leave_consumer(&mut self, number: u16, id: u32, release: bool) {
        let Some(channel) = self.channel(number) else { return };
        channel.consumers.retain(|known| *known != id);
        if channel.replies.as_ref().is_some_and(|(known, _)| *known == id) {
            channel.replies = None;
            channel.route = None;
        }
        let consumer = ConsumerId(id);
        let mut tags: SmallVec<[Tag; 4]> = SmallVec::new();
        channel.parked.retain(|supply| {
            if supply.consumer == consumer && supply.delivery.tag != Tag::NONE {
                tags.push(supply.delivery.tag);
            }
            supply.consumer != consumer
        });
        if release && !tags.is_empty() {
            self.intend(Intent::Dispose { consumer, tags, disposition: Disposition::Released });
        }
    }

    /// A consumer gets no more.
    pub(super) fn canceled(&mut self, id: ConsumerId, because: Option<Declined>) {
        let is_it =
            |question: &Question| matches!(question, Question::Cancel { consumer, .. } if *consumer == id.0);
        let pending = self.answer(is_it);
        let Some(consumer) = self.consumers.get_mut(id.0) else { return };
        consumer.is_canceled = true;
        let (tag, number, epoch) = (consumer.tag.clone(), consumer.channel, consumer.epoch);
        if let Some(Pending { question: Question::Cancel { told, .. }, .. }) = pending {
            if told && self.channel_of(number, epoch).is_some() {
                self.say(number, BasicCancelOk { consumer_tag: tag.as_str() });
            }
        } else if because.is_some() && self.channel_of(number, epoch).is_some() {
            // What it consumed from is gone (RabbitMQ: consumer cancel notify).
            self.leave_consumer(number, id.0, false);
            if self.capabilities.consumer_cancel_notify {
                self.say(number, BasicCancel { consumer_tag: tag.as_str(), no_wait: true });
            }
        }
        self.tell_one(id.0);
    }

    pub(super) fn get(&mut self, number: u16, get: BasicGet<'_>) -> Result<(), Failure> {
        let queue = self.queue_named(number, get.queue)?;
        let known = self.open_one(number)?.getter;
        let id = match known {
            Some(id) => id,
            None => {
                let id = self.new_consumer(number, Text::default(), false, u64::MAX)?;
                self.open_one(number)?.getter = Some(id);
                id
            }
        };
        self.tell_stirred();
        self.intend(Intent::Pull { tag: QUESTION, consumer: ConsumerId(id), queue, presettled: get.no_ack });
        self.await_answer(number, Question::Pull);
        Ok(())
    }

    /// Notes that the engine has to be told something of a consumer.
    pub(super) fn stir(&mut self, id: u32) {
        if let Some(consumer) = self.consumers.get_mut(id)
            && !consumer.is_stirred
        {
            consumer.is_stirred = true;
            self.stirred.push(id);
        }
    }

    /// Tells the engine what consumers accepted, and how much more they take: once for all that came together.
    #[inline]
    pub(super) fn tell_stirred(&mut self) {
        if self.stirred.is_empty() {
            return;
        }
        let mut stirred = std::mem::take(&mut self.stirred);
        stirred.drain(..).for_each(|id| self.tell_one(id));
        if stirred.capacity() <= 16 {
            self.stirred = stirred;
        }
    }

    pub(super) fn tell_one(&mut self, id: u32) {
        let Some(state) = self.consumers.get_mut(id) else { return };
        let consumer = ConsumerId(id);
        state.is_stirred = false;
        let is_free = state.is_canceled && (state.is_over || state.unsettled == 0);
        let tags = std::mem::take(&mut state.accepted);
        let limit = state.taken.saturating_add(state.window);
        // Who is never behind is told seldom.
        let step = if state.no_ack { AHEAD / 2 } else { 1 };
        let granted = !state.is_canceled && !state.is_over && limit.saturating_sub(state.limit) >= step;
        if granted {
            state.limit = limit;
        }
        if !tags.is_empty() {
            let tags = SmallVec::from_vec(tags);
            self.intend(Intent::Dispose { consumer, tags, disposition: Disposition::Accepted });
        }
        if granted {
            self.intend(Intent::Grant { consumer, limit, drain: false });
        }
        if is_free {
            self.consumers.remove(id);
        }
    }
}
