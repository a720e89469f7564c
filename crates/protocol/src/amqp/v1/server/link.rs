//! Links, as far as they have got (part 2 §2.6).

use super::transfer::Partial;
use crate::amqp::v1::codec::{Attach, CodecError, Performative, Role, Symbols};
use windrose_event::{Address, Disposition, Filter, HeadersTest, Text};

/// A link of a session, by the peer's handle.
pub(super) enum Link {
    /// The engine is asked for what it leads to; the peer has no answer yet.
    Asked(Box<Asked>),
    /// The peer sends.
    In(Box<Incoming>),
    /// The peer receives.
    Out(Box<Outgoing>),
    /// We have detached it, and the peer has not yet: what it still sends is passed by. Our handle for it.
    Detaching(u32),
}

/// A link that the peer has no answer to its attach for.
pub(super) struct Asked {
    pub(super) key: u32,
    pub(super) local: u32,
    /// The peer's attach as it came, to be answered.
    pub(super) body: Box<[u8]>,
    /// Where a sender's messages go, once that is there.
    pub(super) route: Option<Route>,
    /// A receiver's credit that came before its answer, and whether it is to be drained.
    pub(super) credit: Option<(u32, bool)>,
    /// A receiver's consumer, once it is asked for.
    pub(super) consumer: Option<u32>,
    /// Whether it has events of many addresses.
    pub(super) wild: bool,
    /// The name under which its subscription is kept, and what is subscribed to.
    pub(super) kept: Option<Box<(Text, Filter)>>,
}

impl Asked {
    /// The same, of which the engine is asked more.
    pub(super) fn again(&self, body: Box<[u8]>, route: Option<Route>) -> Self {
        let Self { key, local, credit, wild, .. } = *self;
        Self { key, local, body, route, credit, consumer: None, wild, kept: None }
    }

    /// The attach that it answers.
    pub(super) fn attach(&self) -> Result<Attach<'_>, CodecError> {
        match Performative::read(&self.body)? {
            (Performative::Attach(attach), _) => Ok(attach),
            _ => Err(CodecError::decode("it was an attach before")),
        }
    }
}

/// Where a sender's messages go.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Route {
    /// To an address, always the same.
    Address(Address),
    /// Through an exchange; without a key, each message's subject is the key.
    Exchange { name: Text, key: Option<Text> },
    /// Where each message says itself (part 2 §2.6.13, anonymous relay).
    Anonymous,
}

/// A link on which the peer sends.
pub(super) struct Incoming {
    pub(super) key: u32,
    pub(super) local: u32,
    pub(super) name: Box<str>,
    pub(super) route: Route,
    /// The peer's count of deliveries (part 2 §2.6.7).
    pub(super) delivery_count: u32,
    /// Deliveries that it may send still.
    pub(super) credit: u32,
    /// Publications that the engine has not settled.
    pub(super) unsettled: u32,
    /// How many it may have in all, sent and to be sent.
    pub(super) window: u32,
    /// Whether a flow is put off.
    pub(super) flow_due: bool,
    /// Whether we settle only after the peer has (part 2 §2.8.3).
    pub(super) second: bool,
    /// The outcomes that the peer understands.
    pub(super) outcomes: u8,
    /// A delivery of which more is to come.
    pub(super) partial: Option<Box<Partial>>,
    /// The queue that was made for the link.
    pub(super) dynamic: Option<Text>,
}

impl Incoming {
    /// Whether enough credit is back that the peer is told.
    #[inline]
    pub(super) fn wants_flow(&self) -> bool {
        let held = self.unsettled + self.credit;
        self.window.saturating_sub(held) >= (self.window / 2).max(1)
    }
}

/// A link on which the peer receives.
pub(super) struct Outgoing {
    pub(super) key: u32,
    pub(super) local: u32,
    pub(super) name: Box<str>,
    pub(super) consumer: u32,
    /// Our count of deliveries (part 2 §2.6.7).
    pub(super) delivery_count: u32,
    /// Deliveries that the peer takes still.
    pub(super) credit: u32,
    /// Deliveries in all, since the consumer began.
    pub(super) supplied: u64,
    /// How many the engine knows that it may supply.
    pub(super) granted: u64,
    /// Whether the peer waits for credit to be used up.
    pub(super) drain: bool,
    /// Whether a flow is put off.
    pub(super) flow_due: bool,
    /// What becomes of deliveries that the peer settles without a word.
    pub(super) default_outcome: Disposition,
    /// The largest message that the peer takes.
    pub(super) max_message_size: u64,
    /// Whether it has events of many addresses: each is told with its own.
    pub(super) wild: bool,
    /// The name under which its subscription is kept when it is detached, and what is subscribed to.
    pub(super) kept: Option<Box<(Text, Filter)>>,
}

impl Outgoing {
    /// The peer grants so many deliveries from where its own count stands; what is on its way to it is among them.
    pub(super) fn take_credit(&mut self, count: Option<u32>, credit: u32) {
        // A peer that has no answer to its attach yet counts from our first.
        let on_its_way = self.delivery_count.wrapping_sub(count.unwrap_or(0));
        let on_its_way = if on_its_way > u32::MAX / 2 { 0 } else { on_its_way };
        self.credit = credit.saturating_sub(on_its_way);
    }
}

/// A consumer of the engine's that a link has.
pub(super) struct Consumer {
    pub(super) channel: u16,
    pub(super) handle: u32,
    pub(super) key: u32,
    /// Whether it is canceled: until the engine's word of that its number is not free, and whatever comes for it is late.
    pub(super) canceled: bool,
    /// Deliveries that are not disposed of.
    pub(super) unsettled: u32,
}

/// What a receiver's link wants of an exchange that is not the namespace itself.
#[derive(Clone, Debug)]
pub(super) struct BindTo {
    pub(super) exchange: Text,
    pub(super) key: Text,
    pub(super) headers: Option<HeadersTest>,
}

/// Which outcomes a source lets be said (part 3 §3.5.3), as bits; nothing said: all.
pub(super) fn outcome_bits(outcomes: &Symbols<'_>) -> u8 {
    let bits = outcomes.iter().map(|name| match name {
        "amqp:accepted:list" => super::outcome::ACCEPTED,
        "amqp:rejected:list" => super::outcome::REJECTED,
        "amqp:released:list" => super::outcome::RELEASED,
        "amqp:modified:list" => super::outcome::MODIFIED,
        _ => 0,
    });
    match bits.fold(0, |all, bit| all | bit) {
        0 => u8::MAX,
        bits => bits,
    }
}

impl Link {
    /// Our handle.
    pub(super) fn local(&self) -> u32 {
        match self {
            Self::Asked(link) => link.local,
            Self::In(link) => link.local,
            Self::Out(link) => link.local,
            Self::Detaching(local) => *local,
        }
    }

    /// The name of an attached link, with which end the peer is.
    pub(super) fn name(&self) -> Option<(&str, Role)> {
        match self {
            Self::In(link) => Some((&link.name, Role::Sender)),
            Self::Out(link) => Some((&link.name, Role::Receiver)),
            Self::Asked(_) | Self::Detaching(_) => None,
        }
    }
}
