//! Event: what happened.

use crate::{Address, Death, Identity, Original, Text, Timestamp};
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What happened: immutable and protocol-neutral. Shared as `Arc<Event>` by everyone that it is delivered to.
#[derive(Clone, Debug)]
pub struct Event {
    /// Unique on this node and, by its random part, in practice everywhere.
    pub id: EventId,
    /// When the node received it.
    pub time: Timestamp,
    /// Where it happened.
    pub address: Address,
    /// Who published it and by which road; shared by all events of one connection.
    pub origin: Arc<Origin>,
    /// How surely the sender wants it delivered.
    pub assurance: Assurance,
    /// Whether it is its address's last value, kept for those who ask later.
    pub retain: bool,
    /// When it stops being worth delivering.
    pub expires: Option<Timestamp>,
    /// What happened, in bytes.
    pub payload: Bytes,
    /// What most events do not have.
    pub details: Option<Box<Details>>,
}

impl Event {
    /// Whether it has stopped being worth delivering.
    pub fn is_expired(&self, wall: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= wall)
    }

    /// The payload's media type, if the sender said.
    pub fn content_type(&self) -> Option<&Text> {
        self.details.as_ref().and_then(|details| details.content_type.as_ref())
    }

    /// Where an answer should go, if one is wanted.
    pub fn reply_to(&self) -> Option<&Address> {
        self.details.as_ref().and_then(|details| details.reply_to.as_ref())
    }

    /// What the asker recognises its answer by.
    pub fn correlation(&self) -> Option<&Bytes> {
        self.details.as_ref().and_then(|details| details.correlation.as_ref())
    }

    /// Named values beside the payload, in the sender's order.
    pub fn headers(&self) -> &[(Text, Text)] {
        self.details.as_ref().map_or(&[], |details| &details.headers)
    }

    /// How its sender wrote it, if that was in this form.
    pub fn original(&self, form: &str) -> Option<&Bytes> {
        let original = self.details.as_ref()?.original.as_ref()?;
        (original.form == form).then_some(&original.bytes)
    }

    /// Bytes that keeping it costs, roughly: the bound of queues is counted in these.
    pub fn weight(&self) -> usize {
        let details = self.details.as_ref().map_or(0, |details| {
            let headers = details.headers.iter().map(|(name, value)| 64 + name.len() + value.len());
            let correlation = details.correlation.as_ref().map_or(0, Bytes::len);
            let original = details.original.as_ref().map_or(0, |original| match original.form {
                // The payload is a part of it.
                Original::AMQP_1_0 => original.bytes.len().saturating_sub(self.payload.len()),
                _ => original.bytes.len(),
            });
            let deaths = details.deaths.iter().map(|death| 128 + death.queue.len() + death.key.len());
            128 + headers.sum::<usize>() + correlation + original + deaths.sum::<usize>()
        });
        size_of::<Self>() + self.address.as_bytes().len() + self.payload.len() + details
    }
}

/// An event as a sender gives it, before the node knows it: no id, no time, no origin yet.
#[derive(Clone, Debug)]
pub struct Publication {
    /// Where it happened.
    pub address: Address,
    /// What happened, in bytes.
    pub payload: Bytes,
    /// How surely it is to be delivered.
    pub assurance: Assurance,
    /// Whether it becomes its address's last value; with an empty payload it clears that value.
    pub retain: bool,
    /// How long it is worth delivering, from when the node receives it.
    pub expiry: Option<Duration>,
    /// What most events do not have.
    pub details: Option<Box<Details>>,
}

/// The parts of an event that most events do not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// The payload's media type.
    pub content_type: Option<Text>,
    /// Whether the sender says that the payload is UTF-8 text, if it says anything.
    pub is_text: Option<bool>,
    /// Where an answer should go.
    pub reply_to: Option<Address>,
    /// What the asker recognises its answer by.
    pub correlation: Option<Bytes>,
    /// Named values beside the payload, in the sender's order, names may repeat.
    /// CloudEvents attributes that a sender gave travel here under their HTTP names (`ce-id`, `ce-type`, ...).
    pub headers: Vec<(Text, Text)>,
    /// How its sender wrote it, for receivers that speak the same protocol.
    pub original: Option<Original>,
    /// Its way through dead-letter exchanges, latest station first.
    pub deaths: Vec<Death>,
}

/// Who published an event and by which road.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Who it is, as far as the node could tell.
    pub identity: Identity,
    /// The name that its session goes by (MQTT: the client identifier).
    pub session: Arc<str>,
    /// The protocol it speaks: `mqtt`, `http`, ...
    pub protocol: &'static str,
    /// The listener it came in by, as the document names it; or the pool that it was fetched from.
    pub listener: Arc<str>,
}

impl Origin {
    /// The protocol of what was fetched from a pool's members.
    pub const FETCHED: &'static str = "fetched";

    /// Whether sessions of a protocol end with their connections, and nobody can ask for them by name.
    pub fn is_ephemeral(protocol: &str) -> bool {
        matches!(protocol, "http" | "coap" | "amqp" | Self::FETCHED)
    }
}

/// How surely an event is delivered over one hop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Assurance {
    /// Sent and forgotten.
    #[default]
    AtMostOnce = 0,
    /// Sent until acknowledged.
    AtLeastOnce = 1,
    /// Sent until acknowledged, and told apart from its repetitions.
    ExactlyOnce = 2,
}

/// An event's identifier: the time in milliseconds, then what makes it unique; written as a UUID of version 7 (RFC 9562).
/// In two halves, upper first: events that contain it need no wider alignment than allocators give at no cost.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId([u64; 2]);

impl EventId {
    /// `salt` is 42 random bits of the shard's start, `count` how many events the shard made before.
    pub fn new(time: Timestamp, salt: u64, count: u32) -> Self {
        let millis = u128::from(time.as_millis() & 0xffff_ffff_ffff);
        let salt = u128::from(salt & 0x3ff_ffff_ffff);
        // The counter's upper 12 bits stand where UUIDs of version 7 keep their fraction: ids sort as they were made.
        let count = u128::from(count);
        Self::from_u128(
            millis << 80 | 0x7 << 76 | (count >> 20) << 64 | 0b10 << 62 | (count & 0xf_ffff) << 42 | salt,
        )
    }

    /// An identifier that was written down as a number.
    #[inline]
    pub const fn from_u128(id: u128) -> Self {
        Self([(id >> 64) as u64, id as u64])
    }

    /// The identifier as a number.
    pub const fn as_u128(self) -> u128 {
        let Self([high, low]) = self;
        (high as u128) << 64 | low as u128
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.as_u128();
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            id >> 96,
            (id >> 80) & 0xffff,
            (id >> 64) & 0xffff,
            (id >> 48) & 0xffff,
            id & 0xffff_ffff_ffff
        )
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_as_made_and_read_as_uuids() {
        let time = Timestamp::from_micros(1_700_000_000_123_456);
        let first = EventId::new(time, u64::MAX, 7);
        let second = EventId::new(time, u64::MAX, 0x10_0000);
        assert!(first < second);
        let text = first.to_string();
        assert_eq!(text.len(), 36);
        assert_eq!(text.as_bytes()[14], b'7', "version 7: {text}");
        assert!(matches!(text.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "RFC 9562 variant: {text}");
    }
}
