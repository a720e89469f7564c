//! Class channel: conversations side by side on one connection (AMQP 0-9-1 §2.2.5, §1.5).

use super::acks::Unacked;
use super::confirm::Confirms;
use super::content::{Content, Route};
use super::failure::Failure;
use super::tx::Transaction;
use super::{Server, State};
use crate::amqp::v091::codec::{
    AccessRequestOk, ChannelClose, ChannelCloseOk, ChannelFlowOk, ChannelOpenOk, ReplyCode,
};
use std::collections::VecDeque;
use windrose_event::{Address, ConsumerId, Intent, Supply, Text};

/// One channel.
#[derive(Default)]
pub(super) struct Channel {
    /// Tells it from others of the same number.
    pub(super) epoch: u32,
    /// channel.close was said; its answer is to come.
    pub(super) is_closing: bool,
    /// A publication of which not all has come.
    pub(super) content: Option<Box<Content>>,
    /// What the last publication was like: the next one is mostly alike.
    pub(super) route: Option<Box<Route>>,
    pub(super) confirms: Option<Box<Confirms>>,
    pub(super) tx: Option<Box<Transaction>>,
    /// How much may be unacknowledged of each consumer that begins from now on; zero: no bound (RabbitMQ: per-consumer qos).
    pub(super) prefetch: u16,
    /// How much may be unacknowledged of all its consumers together; zero: no bound.
    pub(super) shared_prefetch: u16,
    /// Whether the client takes content (AMQP 0-9-1 §1.5.2.3, channel.flow).
    pub(super) is_stopped: bool,
    /// The last delivery tag.
    pub(super) delivered: u64,
    pub(super) unacked: VecDeque<Unacked>,
    /// How many of `unacked` are settled, out of order.
    pub(super) settled: usize,
    /// How many of `unacked` were delivered to consumers.
    pub(super) outstanding: u32,
    /// Deliveries that wait for the client: it takes none, or has as many as it may.
    pub(super) parked: VecDeque<Supply>,
    /// Its consumers.
    pub(super) consumers: Vec<u32>,
    /// By whose name basic.get pulls.
    pub(super) getter: Option<u32>,
    /// Where replies to this channel go, and to which consumer (RabbitMQ: direct reply-to).
    pub(super) replies: Option<(u32, Address)>,
    /// The queue that was declared last: an empty name means it (AMQP 0-9-1 §1.7.2.1).
    pub(super) last_queue: Option<Text>,
    /// How many consumers were given a tag.
    pub(super) tags: u32,
}

impl Channel {
    /// Whether another delivery may be sent; those that are not acknowledged do not count for prefetch.
    #[inline]
    pub(super) fn takes(&self, no_ack: bool) -> bool {
        let has_room = self.shared_prefetch == 0 || self.outstanding < u32::from(self.shared_prefetch);
        !self.is_stopped && (no_ack || has_room)
    }
}

impl Server {
    /// An open channel, or one that is closing.
    #[inline]
    pub(super) fn channel(&mut self, number: u16) -> Option<&mut Channel> {
        // Most connections have one.
        match self.channels.first_mut() {
            Some((first, _)) if *first == number => {}
            _ => {
                let index = self.channels.binary_search_by_key(&number, |(number, _)| *number).ok()?;
                return self.channels.get_mut(index).map(|(_, channel)| &mut **channel);
            }
        }
        self.channels.first_mut().map(|(_, channel)| &mut **channel)
    }

    /// The channel, if it is the one of that number and epoch, and open.
    pub(super) fn channel_of(&mut self, number: u16, epoch: u32) -> Option<&mut Channel> {
        self.channel(number).filter(|channel| channel.epoch == epoch && !channel.is_closing)
    }

    /// A channel that is known to be there.
    pub(super) fn open_one(&mut self, number: u16) -> Result<&mut Channel, Failure> {
        self.channel(number).ok_or_else(|| Failure::new(ReplyCode::CHANNEL_ERROR, "the channel is not open"))
    }

    pub(super) fn open_channel(&mut self, number: u16) -> Result<(), Failure> {
        let Err(index) = self.channels.binary_search_by_key(&number, |(number, _)| *number) else {
            let closing = self.channel(number).is_some_and(|channel| channel.is_closing);
            let text = if closing {
                "'channel.open' came before 'channel.close-ok'"
            } else {
                "second 'channel.open' seen"
            };
            return Err(Failure::new(ReplyCode::CHANNEL_ERROR, text));
        };
        let most = self.channel_max;
        if most != 0 && (number > most || self.channels.len() >= usize::from(most)) {
            let text = format!(
                "number of channels opened ({}) has reached the negotiated channel_max ({most})",
                self.channels.len()
            );
            return Err(Failure::new(ReplyCode::NOT_ALLOWED, text));
        }
        self.epochs = self.epochs.wrapping_add(1);
        let channel = Channel { epoch: self.epochs, ..Channel::default() };
        self.channels.insert(index, (number, Box::new(channel)));
        self.say(number, ChannelOpenOk {});
        Ok(())
    }

    /// channel.close from the client.
    pub(super) fn close_channel(&mut self, number: u16) -> Result<(), Failure> {
        self.leave_channel(number);
        if self.channel(number).is_some_and(|channel| !channel.is_closing) {
            self.forget_channel(number);
        }
        self.say(number, ChannelCloseOk {});
        Ok(())
    }

    pub(super) fn forget_channel(&mut self, number: u16) {
        if let Ok(index) = self.channels.binary_search_by_key(&number, |(number, _)| *number) {
            self.channels.remove(index);
        }
    }

    /// An exception: it ends the channel, or the connection (AMQP 0-9-1 §4.10).
    pub(super) fn raise(&mut self, number: u16, failure: &Failure) {
        let open = self.channel(number).is_some_and(|channel| !channel.is_closing);
        if number == 0 || failure.code.is_hard() || self.state != State::Open || !open {
            return self.fail(failure);
        }
        self.leave_channel(number);
        let (class_id, method_id) = self.method;
        let reply_text = &failure.sentence();
        self.say(number, ChannelClose { reply_code: failure.code.0, reply_text, class_id, method_id });
        if let Some(channel) = self.channel(number) {
            let epoch = channel.epoch;
            *channel = Channel { epoch, is_closing: true, ..Channel::default() };
        }
    }

    /// Its consumers are canceled, and what is not acknowledged goes back to its queues, as does what those have not
    /// acknowledged that were canceled before.
    fn leave_channel(&mut self, number: u16) {
        let Some(channel) = self.channel(number) else { return };
        channel.parked = VecDeque::new();
        let epoch = channel.epoch;
        for id in self.consumers.of_channel(number, epoch) {
            self.tell_one(id);
            if let Some(consumer) = self.consumers.get_mut(id) {
                consumer.is_over = true;
                // One that was canceled before is answered once more.
                consumer.is_canceled = false;
                self.intend(Intent::Cancel { consumer: ConsumerId(id), release: true });
            }
        }
    }

    /// channel.flow from the client: it takes content, or does not for now.
    pub(super) fn flow(&mut self, number: u16, active: bool) {
        self.say(number, ChannelFlowOk { active });
        if let Some(channel) = self.channel(number) {
            channel.is_stopped = !active;
        }
        self.unpark(number);
    }

    /// access.request of AMQP 0-8 is granted: what may be done is looked at when it is done.
    pub(super) fn grant_access(&mut self, number: u16) {
        self.say(number, AccessRequestOk { ticket: 1 });
    }
}
