//! Publications to the server, and its confirms (AMQP 0-9-1 §1.8.3.6; RabbitMQ's publisher confirms).

use super::message::{self, Ask};
use super::{CHANNEL, Client, State};
use crate::amqp::client::ClientOutput;
use crate::amqp::v091::codec::{
    BasicConsume, BasicPublish, FRAME_OVERHEAD, Table, body_frames, content_header, method_frame,
};
use bytes::Bytes;
use std::sync::Arc;
use windrose_event::{Assurance, Cause, Event, Now, Outcome};

/// Where replies come to (RabbitMQ's direct reply-to): a name that stands for something else on every channel.
const REPLIES: &str = "amq.rabbitmq.reply-to";

/// The consumer tag of replies.
pub(super) const REPLIES_TAG: &str = "replies";

/// The longest routing key (AMQP 0-9-1 §4.2.5.3).
const LONGEST: usize = 255;

/// A publication that is not confirmed.
pub(super) struct Outgoing {
    /// The caller's name for it, as long as it waits for the outcome.
    token: Option<u64>,
    /// By what it is known again when it is returned.
    key: String,
    message_id: Vec<u8>,
    /// Whether no queue takes it.
    returned: bool,
}

impl Client {
    pub(crate) fn publish(&mut self, now: Now, token: u64, event: Arc<Event>) {
        self.waiting.push_back((token, event));
        self.send_waiting(now);
    }

    pub(crate) fn abandon(&mut self, token: u64) {
        self.waiting.retain(|(waiting, _)| *waiting != token);
        let known = |outgoing: &&mut Outgoing| outgoing.token == Some(token);
        if let Some(outgoing) = self.outgoing.iter_mut().flatten().find(known) {
            outgoing.token = None;
        }
    }

    /// What was never sent.
    pub(crate) fn take_waiting(&mut self) -> Vec<(u64, Arc<Event>)> {
        self.waiting.drain(..).collect()
    }

    /// Sends what waits, unless the server is blocked.
    pub(super) fn send_waiting(&mut self, now: Now) {
        while self.state == State::Open
            && !self.blocked
            && let Some((token, event)) = self.waiting.pop_front()
        {
            if event.is_expired(now.wall) {
                self.settled(token, Outcome::rejected(Cause::Expired));
            } else if let Err(problem) = self.write(now, token, &event) {
                // What is too large for the node ends its sender's connection. This may be for one server only.
                self.settled(token, Outcome::rejected_because(Cause::ByService, problem));
            }
        }
    }

    fn write(&mut self, now: Now, token: u64, event: &Event) -> Result<(), &'static str> {
        let config = self.config.clone();
        let key = config.routing_key.of(event);
        if key.len() > LONGEST {
            return Err("the routing key would be longer than 255 bytes");
        }
        let ask = event.reply_to().is_some().then_some(Ask { reply_to: REPLIES, correlation: token });
        let mut properties = Vec::new();
        let message_id = message::write(event, now, ask, &config.via, &mut properties);
        // 12 bytes of a content header's own.
        if self.frame_max > 0 && properties.len() + 12 + FRAME_OVERHEAD > self.frame_max as usize {
            return Err("the properties are larger than a frame of the server");
        }
        if ask.is_some() && !self.hears_replies {
            self.hears_replies = true;
            let consume = BasicConsume {
                queue: REPLIES,
                consumer_tag: REPLIES_TAG,
                no_local: false,
                no_ack: true,
                exclusive: false,
                no_wait: true,
                arguments: Table::default(),
            };
            self.say(now, CHANNEL, consume);
        }
        let mandatory = event.assurance > Assurance::AtMostOnce;
        let publish =
            BasicPublish { exchange: &config.exchange, routing_key: &key, mandatory, immediate: false };
        let out = self.transmit.buffer();
        method_frame(&publish.into(), CHANNEL, out);
        content_header(CHANNEL, event.payload.len() as u64, &properties, out);
        body_frames(CHANNEL, &event.payload, self.frame_max, &mut self.transmit);
        self.last_said = now.moment;
        let outgoing = Outgoing { token: Some(token), key, message_id, returned: false };
        self.outgoing.push_back(Some(outgoing));
        Ok(())
    }

    /// basic.ack and basic.nack of publications.
    pub(super) fn confirmed(&mut self, number: u64, multiple: bool, taken: bool) {
        let last = self.first + self.outgoing.len() as u64;
        // Zero with `multiple` is all of them (AMQP 0-9-1 §1.8.3.13).
        let number = if number == 0 && multiple { last - 1 } else { number };
        if number < self.first || number >= last {
            return;
        }
        let place = (number - self.first) as usize;
        let range = if multiple { 0..=place } else { place..=place };
        for place in range {
            let Some(outgoing) = self.outgoing.get_mut(place).and_then(Option::take) else { continue };
            let outcome = match taken {
                true if outgoing.returned => Outcome::unavailable(),
                true => Outcome::Accepted,
                false => Outcome::Busy { retry_after: None },
            };
            if let Some(token) = outgoing.token {
                self.settled(token, outcome);
            }
        }
        while let Some(None) = self.outgoing.front() {
            self.outgoing.pop_front();
            self.first += 1;
        }
    }

    /// basic.return: no queue takes a publication. Its confirm comes all the same, after this.
    pub(super) fn returned(&mut self, key: &str, message_id: &[u8]) {
        let is_it = |outgoing: &&mut Outgoing| {
            !outgoing.returned && outgoing.key == key && outgoing.message_id == message_id
        };
        if let Some(outgoing) = self.outgoing.iter_mut().flatten().find(is_it) {
            outgoing.returned = true;
        }
    }

    /// Somebody answered.
    pub(super) fn replied(&mut self, correlation: &[u8], content_type: Option<&[u8]>, payload: Bytes) {
        let Some(token) = message::token(correlation) else { return };
        let content_type = content_type.and_then(message::text);
        self.put(ClientOutput::Replied { token, content_type, payload });
    }

    /// The transport is gone: what is not confirmed may or may not have arrived, and another server may take it.
    pub(super) fn give_back(&mut self) {
        let tokens = self.outgoing.drain(..).flatten().filter_map(|outgoing| outgoing.token);
        let tokens: Vec<_> = tokens.chain(self.waiting.drain(..).map(|(token, _)| token)).collect();
        self.first = 1;
        for token in tokens {
            self.settled(token, Outcome::unavailable());
        }
    }

    fn settled(&mut self, token: u64, outcome: Outcome) {
        self.put(ClientOutput::Settled { token, outcome });
    }
}
