//! basic.deliver and basic.get-ok: events on their way to the client (AMQP 0-9-1 §1.8.3.10 and 11).

use super::Server;
use super::acks::Unacked;
use super::ask::{Pending, Question};
use super::failure::Failure;
use crate::amqp::v091::codec::{
    BasicGetEmpty, FRAME_OVERHEAD, Properties, body_frames, content_header, put_short, raw_method,
};
use crate::amqp::v091::message::{deaths_of, original_of, write_dead, write_properties};
use windrose_event::{Declined, Event, Pulled, Supply, TOPIC_EXCHANGE, Tag, key_of};

/// Bytes of a content header's frame beside its properties.
const HEADER: usize = FRAME_OVERHEAD + 12;

impl Server {
    /// An event for a consumer.
    #[inline]
    pub(super) fn supply(&mut self, supply: Supply) {
        let Some(consumer) = self.consumers.get_mut(supply.consumer.0) else { return };
        if consumer.is_over {
            return;
        }
        let (number, no_ack) = (consumer.channel, consumer.no_ack);
        let Some(channel) = self.channel(number) else { return };
        if !channel.parked.is_empty() || !channel.takes(no_ack) {
            channel.parked.push_back(supply);
            return;
        }
        self.deliver(number, &supply);
    }

    /// What was parked is delivered, as far as the client takes it now.
    pub(super) fn unpark(&mut self, number: u16) {
        loop {
            let Some(channel) = self.channel(number) else { return };
            let Some(first) = channel.parked.front() else { return };
            if !channel.takes(first.delivery.tag == Tag::NONE) {
                return;
            }
            let Some(supply) = channel.parked.pop_front() else { return };
            self.deliver(number, &supply);
        }
    }

    fn deliver(&mut self, number: u16, supply: &Supply) {
        let (id, tag) = (supply.consumer.0, supply.delivery.tag);
        let Some(consumer) = self.consumers.get_mut(id) else { return };
        let consumer_tag = consumer.tag.clone();
        let mut is_behind = false;
        if consumer.no_ack {
            consumer.taken += 1;
            is_behind = consumer.is_far_ahead();
        } else {
            consumer.unsettled += 1;
        }
        if is_behind {
            self.stir(id);
        }
        let Some(channel) = self.channel(number) else { return };
        channel.delivered += 1;
        let delivery = channel.delivered;
        if tag != Tag::NONE {
            let one = Unacked { delivery, consumer: id, tag, is_live: true, is_consumed: true };
            channel.unacked.push_back(one);
            channel.outstanding += 1;
        }
        let again = u8::from(supply.delivery.again);
        let head = |out: &mut Vec<u8>| {
            out.extend_from_slice(&[0, 60, 0, 60]);
            put_short(out, consumer_tag.as_bytes());
            out.extend_from_slice(&delivery.to_be_bytes());
            out.push(again);
        };
        self.write_event(number, &supply.delivery.event, head, &[]);
    }

    /// The answer to basic.get.
    pub(super) fn pulled(&mut self, result: Result<Option<Box<Pulled>>, Declined>) {
        let Some(Pending { channel: number, epoch, .. }) =
            self.answer(|question| matches!(question, Question::Pull))
        else {
            return;
        };
        let Some(channel) = self.channel_of(number, epoch) else { return };
        let pulled = match result {
            Ok(Some(pulled)) => pulled,
            Ok(None) => return self.say(number, BasicGetEmpty {}),
            Err(declined) => return self.raise(number, &Failure::from(declined)),
        };
        let Pulled { supply, remaining } = *pulled;
        channel.delivered += 1;
        let (delivery, id, tag) = (channel.delivered, supply.consumer.0, supply.delivery.tag);
        if tag != Tag::NONE {
            let one = Unacked { delivery, consumer: id, tag, is_live: true, is_consumed: false };
            channel.unacked.push_back(one);
            if let Some(getter) = self.consumers.get_mut(id) {
                getter.unsettled += 1;
            }
        }
        let again = u8::from(supply.delivery.again);
        let head = |out: &mut Vec<u8>| {
            out.extend_from_slice(&[0, 60, 0, 71]);
            out.extend_from_slice(&delivery.to_be_bytes());
            out.push(again);
        };
        self.write_event(number, &supply.delivery.event, head, &remaining.to_be_bytes());
    }

    /// Writes an event: what `head` writes, its exchange and routing key, `tail`; then its properties and its payload.
    #[inline]
    fn write_event(&mut self, number: u16, event: &Event, head: impl FnOnce(&mut Vec<u8>), tail: &[u8]) {
        let (largest, size) = (self.frame_max, event.payload.len());
        match original_of(event) {
            Some((route, properties)) if deaths_of(event).is_empty() && fits(properties.len(), largest) => {
                let room = 2 * HEADER + 320 + route.len() + properties.len();
                let out = self.transmit.frame(room, size + FRAME_OVERHEAD);
                raw_method(number, out, |out| {
                    head(out);
                    out.extend_from_slice(route);
                    out.extend_from_slice(tail);
                });
                content_header(number, size as u64, properties, out);
            }
            original => self.write_rendered(number, event, original, head, tail),
        }
        let bodies = body_frames(number, &event.payload, largest, &mut self.transmit);
        self.count(2 + bodies);
    }

    /// The same for what did not come as it goes: by another protocol, or by a dead-letter exchange.
    fn write_rendered(
        &mut self,
        number: u16,
        event: &Event,
        original: Option<(&[u8], &[u8])>,
        head: impl FnOnce(&mut Vec<u8>),
        tail: &[u8],
    ) {
        let mut properties = Vec::new();
        let mut foreign = Vec::new();
        let route = match original {
            Some((route, sent)) => {
                match Properties::read(sent) {
                    Ok(sent) if !deaths_of(event).is_empty() => write_dead(event, &sent, &mut properties),
                    _ => properties.extend_from_slice(sent),
                }
                route
            }
            None => {
                let key = key_of(event.address.as_str());
                write_properties(event, key.len() > 255, &mut properties);
                put_short(&mut foreign, TOPIC_EXCHANGE.as_bytes());
                put_short(&mut foreign, key.as_bytes());
                &foreign
            }
        };
        if !fits(properties.len(), self.frame_max) {
            // A content header has one frame: what the client cannot take it does not get, but for the message.
            let mut rest = Vec::new();
            match Properties::read(&properties) {
                Ok(all) => Properties { headers: None, ..all }.write(&mut rest),
                Err(_) => Properties::default().write(&mut rest),
            }
            properties = rest;
        }
        let out = self.transmit.buffer();
        raw_method(number, out, |out| {
            head(out);
            out.extend_from_slice(route);
            out.extend_from_slice(tail);
        });
        content_header(number, event.payload.len() as u64, &properties, out);
    }
}

/// Whether a content header with so many bytes of properties fits into a frame.
const fn fits(properties: usize, largest: u32) -> bool {
    largest == 0 || properties + HEADER <= largest as usize
}
