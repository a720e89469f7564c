//! Queueing: what peers arrange about exchanges and queues, and how they take events from queues.

use crate::{Address, Delivery, ExchangeKind, HeadersTest, SubscriptionRequest, Text};
use std::time::Duration;

/// What a peer wants of exchanges and queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrangement {
    /// Make an exchange, or check that it is there.
    DeclareExchange(ExchangeDeclaration),
    /// Remove an exchange with its bindings.
    DeleteExchange {
        /// Which.
        name: Text,
        /// Only if nothing is bound to it.
        if_unused: bool,
    },
    /// Make a queue, or check that it is there.
    DeclareQueue(QueueDeclaration),
    /// Remove a queue with its bindings and what waits in it. Answered with how many events that was.
    DeleteQueue {
        /// Which.
        name: Text,
        /// Only if nobody consumes from it.
        if_unused: bool,
        /// Only if nothing waits in it.
        if_empty: bool,
    },
    /// Remove what waits in a queue. Answered with how many events that was.
    PurgeQueue {
        /// Which.
        name: Text,
    },
    /// Bind to an exchange.
    Bind(Binding),
    /// Take a binding back.
    Unbind(Binding),
}

/// An exchange that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeDeclaration {
    /// Its name, never empty.
    pub name: Text,
    /// Only check that there is one of that name; nothing else is compared.
    pub passive: bool,
    /// How it picks queues.
    pub kind: ExchangeKind,
    /// Whether it outlives the process.
    pub durable: bool,
    /// Whether it is removed when its last binding is.
    pub auto_delete: bool,
    /// Whether only other exchanges may send events through it.
    pub internal: bool,
    /// The exchange by which those events go that nobody here wants.
    pub alternate: Option<Text>,
}

/// A queue that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueDeclaration {
    /// Its name; `None` asks the engine for one.
    pub name: Option<Text>,
    /// Only check that there is one of that name; nothing else is compared.
    pub passive: bool,
    /// Whether it, and what waits in it, outlives the process.
    pub durable: bool,
    /// Whether only this connection may use it, and it goes with the connection.
    pub exclusive: bool,
    /// Whether it is removed when its last consumer goes.
    pub auto_delete: bool,
    /// What else is particular to it.
    pub options: QueueOptions,
}

/// What is particular to a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueOptions {
    /// How long an event may wait in it.
    pub message_ttl: Option<Duration>,
    /// After how long without use it is removed.
    pub expires: Option<Duration>,
    /// How many events may wait in it.
    pub max_length: Option<u64>,
    /// How many bytes of payloads may wait in it.
    pub max_length_bytes: Option<u64>,
    /// What happens when more would wait; `None`: as the document says.
    pub overflow: Option<Overflow>,
    /// The exchange by which those events go that are rejected, expire or have no room.
    pub dead_letter_exchange: Option<Text>,
    /// The routing key that they go by, instead of their own.
    pub dead_letter_routing_key: Option<Text>,
    /// Whether one consumer at a time gets events.
    pub single_active_consumer: bool,
}

/// What happens when more would wait in a queue than may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Overflow {
    /// What has waited longest is dropped, or goes by the dead-letter exchange.
    DropHead,
    /// What is published is refused.
    RejectPublish,
    /// What is published is refused, and goes by the dead-letter exchange.
    RejectPublishDlx,
}

/// A queue, or an exchange, bound to an exchange.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Binding {
    /// The exchange that events come from.
    pub source: Text,
    /// Where they go.
    pub destination: Destination,
    /// The binding key.
    pub key: Text,
    /// Which headers they must have, if the exchange asks for headers.
    pub headers: Option<HeadersTest>,
}

/// Where a binding leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// Into a queue.
    Queue(Text),
    /// Into another exchange.
    Exchange(Text),
}

/// What was arranged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arranged {
    /// The queue's name, if it is about a queue.
    pub queue: Text,
    /// Events that wait in it, or that were removed from it.
    pub messages: u32,
    /// How many consume from it.
    pub consumers: u32,
}

/// Why an arrangement is not made, or nothing can be consumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declined {
    /// The class of reason, which decides the protocol's code.
    pub cause: DeclineCause,
    /// A sentence for whoever reads the answer; never a secret.
    pub detail: String,
}

/// The classes of reasons for declining an arrangement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeclineCause {
    /// There is no such exchange or queue.
    NotFound,
    /// It is there, but not as it was asked for; or it is in use, or not empty, and was to be removed only otherwise.
    Precondition,
    /// It is exclusive to another connection.
    Locked,
    /// No access rule allows it, or its name is the node's own.
    NotPermitted,
    /// As many are held as may be.
    Quota,
    /// The name or key is not acceptable.
    BadName,
    /// The node does not do what was asked.
    Unsupported,
}

impl DeclineCause {
    /// The cause's name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Precondition => "precondition",
            Self::Locked => "locked",
            Self::NotPermitted => "not_permitted",
            Self::Quota => "quota",
            Self::BadName => "bad_name",
            Self::Unsupported => "unsupported",
        }
    }
}

/// Names a consumer on its connection. The machine picks the number; it is free again after `Canceled` and after its last
/// delivery is disposed of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConsumerId(pub u32);

/// The wish to be supplied with events.
#[derive(Clone, Debug)]
pub struct Consume {
    /// Names the consumer from now on.
    pub consumer: ConsumerId,
    /// Where the events come from.
    pub from: Source,
    /// Whether nobody else may consume from the queue.
    pub exclusive: bool,
    /// Whether deliveries are done with once they are sent: they have no tag, and are not disposed of.
    pub presettled: bool,
    /// How many deliveries it takes, in all, until `Grant` says otherwise.
    pub limit: u64,
}

/// Where a consumer's events come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A queue, shared with others.
    Queue {
        /// Its name.
        name: Text,
        /// How it is made if there is none; otherwise there must be one. Nothing is compared if there is.
        or_new: Option<Box<QueueDeclaration>>,
    },
    /// A subscription of its own. What matches while it has no credit waits for it, within bounds.
    Address {
        /// To what, and how. `identifier` is not used.
        request: SubscriptionRequest,
        /// Which events of those, if not all.
        headers: Option<HeadersTest>,
        /// Under which name, and for how long, it is kept when the consumer or its connection is gone: whoever consumes
        /// with that name, and is the same somebody, takes it up again. `None`: it is not kept.
        kept: Option<(Text, Duration)>,
    },
    /// A new address that replies can be sent to by whoever learns of it, and that nobody can guess. `Consuming` tells it.
    Replies,
}

/// What a consumer consumes from now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consuming {
    /// The address of `Source::Replies`.
    pub address: Option<Address>,
    /// Whether what was kept was taken up again.
    pub resumed: bool,
}

/// What a consumer does with a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Disposition {
    /// It is done with.
    Accepted,
    /// It cannot be used, by anybody: it goes by the dead-letter exchange, if there is one, or is dropped.
    Rejected,
    /// It was not looked at: it goes back to its place.
    Released,
    /// It goes back to its place, or if it is not to come here again, to others.
    Modified {
        /// Whether it counts as a failure.
        failed: bool,
        /// Whether this consumer cannot use it.
        undeliverable_here: bool,
    },
}

/// An event for one consumer.
#[derive(Debug)]
pub struct Supply {
    /// Whose.
    pub consumer: ConsumerId,
    /// How often its delivery failed before (AMQP 1.0 §3.2.1, delivery-count).
    pub failures: u32,
    /// The event. Its tag is zero if the consumer's deliveries are presettled; otherwise the consumer disposes of it by the
    /// tag, which no other unsettled delivery of the consumer has.
    pub delivery: Delivery,
}

/// What was pulled from a queue.
#[derive(Debug)]
pub struct Pulled {
    /// The event.
    pub supply: Supply,
    /// How many wait still.
    pub remaining: u32,
}

/// One station of an event's way through dead-letter exchanges, latest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// The queue that it did not get out of.
    pub queue: Text,
    /// Why: `rejected`, `expired`, `maxlen` or `delivery_limit`.
    pub reason: &'static str,
    /// How often that happened there for that reason.
    pub count: u32,
    /// When it first did.
    pub time: crate::Timestamp,
    /// The exchange that it had come through: `Original::route` knows, or else `amq.topic`.
    pub exchange: Text,
    /// The routing key that it had come with: `Original::route` knows, or else `key_of` its address.
    pub key: Text,
}

impl Death {
    /// All reasons.
    pub const REASONS: [&'static str; 4] = ["rejected", "expired", "maxlen", "delivery_limit"];
}

/// How an event's sender wrote it, for receivers that speak the same protocol: they get it as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Original {
    /// The protocol and its version: `amqp-1.0`, `amqp-0-9-1`.
    pub form: &'static str,
    /// What its machine wants to know of it.
    pub bytes: bytes::Bytes,
}

impl Original {
    /// AMQP 1.0: the sections of the message as they were sent, body included.
    pub const AMQP_1_0: &'static str = "amqp-1.0";
    /// AMQP 0-9-1: the exchange and the routing key as short strings, then the content header's property flags and list.
    pub const AMQP_0_9_1: &'static str = "amqp-0-9-1";

    /// The form of that name, as it was written down.
    pub fn form_named(name: &str) -> Option<&'static str> {
        [Self::AMQP_1_0, Self::AMQP_0_9_1].into_iter().find(|form| *form == name)
    }

    /// The exchange and the routing key that an event came with, if it came by AMQP 0-9-1.
    pub fn route(&self) -> Option<(&str, &str)> {
        if self.form != Self::AMQP_0_9_1 {
            return None;
        }
        let (exchange, rest) = short_string(&self.bytes)?;
        Some((exchange, short_string(rest)?.0))
    }

    /// The same, sent on to another exchange, as dead letters are. Names longer than 255 bytes have no such form.
    pub fn routed(&self, exchange: &str, key: &str) -> Option<Self> {
        if self.form != Self::AMQP_0_9_1 {
            return None;
        }
        let (_, rest) = short_string(&self.bytes)?;
        let (_, properties) = short_string(rest)?;
        let mut bytes = Vec::with_capacity(2 + exchange.len() + key.len() + properties.len());
        for name in [exchange, key] {
            bytes.push(u8::try_from(name.len()).ok()?);
            bytes.extend_from_slice(name.as_bytes());
        }
        bytes.extend_from_slice(properties);
        Some(Self { form: self.form, bytes: bytes.into() })
    }
}

fn short_string(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (&length, rest) = bytes.split_first()?;
    let (text, rest) = rest.split_at_checked(length.into())?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_original_of_0_9_1_says_its_route_and_takes_another() {
        let bytes = bytes::Bytes::from_static(b"\x01e\x03a.b\x10\x00\x02");
        let original = Original { form: Original::AMQP_0_9_1, bytes };
        assert_eq!(original.route(), Some(("e", "a.b")));
        let routed = original.routed("", "dead").unwrap();
        assert_eq!(routed.route(), Some(("", "dead")));
        assert_eq!(&routed.bytes[..], b"\x00\x04dead\x10\x00\x02");
        assert_eq!(Original { form: Original::AMQP_1_0, ..original }.route(), None);
    }
}
