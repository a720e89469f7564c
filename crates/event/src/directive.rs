//! Directives: what the engine tells a protocol machine to say to its peer.

use crate::{
    Address, Arranged, Assurance, ConsumerId, Consuming, Declined, EnrolRefusal, Enrolled, Event, Outcome,
    Pulled, Refusal, Rejection, Supply, Tag,
};
use bytes::Bytes;
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::Duration;

/// What a machine is told by the engine.
#[derive(Debug)]
pub enum Directive {
    /// The session is open.
    Accept(Box<Accepted>),
    /// The session is not opened; the connection ends.
    Refuse(Refusal),
    /// Before `Accept`, or after `Reidentify`: the peer is to answer this. Answered by `Respond`.
    Challenge {
        /// What it is asked.
        data: Option<Bytes>,
    },
    /// The peer of an open session has proved anew who it is.
    Reidentified {
        /// What it is told besides.
        data: Option<Bytes>,
    },
    /// The answer to a `Publish` with a tag: its receipt is settled.
    Settle {
        /// The publication's tag.
        tag: Tag,
        /// What became of it.
        outcome: Outcome,
        /// Whether any route or subscriber took it; of an exactly-once publication, which is answered before anybody
        /// gets it, nothing else is said.
        heard: bool,
    },
    /// The answer to a `Release`.
    Released {
        /// The publication's tag.
        tag: Tag,
        /// Whether the tag was known.
        known: bool,
    },
    /// The answer to a `Subscribe`: for each request the granted assurance, or why not.
    Subscribed {
        /// The request's tag.
        tag: Tag,
        /// In the order of the requests.
        results: Vec<Result<Assurance, Rejection>>,
    },
    /// The answer to an `Unsubscribe`: for each filter whether there was such a subscription.
    Unsubscribed {
        /// The request's tag.
        tag: Tag,
        /// In the order of the filters.
        results: Vec<bool>,
    },
    /// An event for the peer.
    Deliver(Delivery),
    /// The answer to a `Receive`: the peer may forget the tag. Repeated when a session is taken up again.
    Release {
        /// The delivery's tag.
        tag: Tag,
    },
    /// The answer to a `Read`.
    Value {
        /// The request's tag.
        tag: Tag,
        /// The last value, if there is one; or why it may not be read.
        value: Result<Option<Arc<Event>>, Rejection>,
    },
    /// The answer to an `Enrol`.
    Enrolled {
        /// The request's tag.
        tag: Tag,
        /// What the authority says.
        result: Box<Result<Enrolled, EnrolRefusal>>,
    },
    /// The answer to a `List`.
    Listed {
        /// The request's tag.
        tag: Tag,
        /// Last values, in the order of their addresses.
        events: Vec<Arc<Event>>,
        /// Where to go on, if more may follow.
        after: Option<Address>,
    },
    /// The answer to a `Sync`.
    Synced {
        /// The question's tag.
        tag: Tag,
    },
    /// The answer to a `Request`: the thing's reply.
    Reply {
        /// The request's tag.
        tag: Tag,
        /// The reply.
        event: Arc<Event>,
    },
    /// The answer to an `Arrange`.
    Arranged {
        /// The request's tag.
        tag: Tag,
        /// What there is now, or why not.
        result: Result<Arranged, Declined>,
    },
    /// The answer to a `Consume`.
    Consuming {
        /// Which.
        consumer: ConsumerId,
        /// From what, or why not: then the consumer is none.
        result: Result<Consuming, Declined>,
    },
    /// An event for a consumer.
    Supply(Supply),
    /// Nothing more waits, so what a consumer would have taken still is given up: its deliveries so far are its limit.
    Drained {
        /// Which.
        consumer: ConsumerId,
        /// How many deliveries it had in all.
        limit: u64,
    },
    /// A consumer gets no more: it asked for that, or what it consumed from is gone.
    Canceled {
        /// Which.
        consumer: ConsumerId,
        /// Why, if it did not ask.
        because: Option<Declined>,
    },
    /// The answer to a `Pull`.
    Pulled {
        /// The request's tag.
        tag: Tag,
        /// The event, if one waited; or why none can be had.
        result: Result<Option<Box<Pulled>>, Declined>,
    },
    /// End the connection, telling the peer why as far as its protocol can.
    Close(CloseReason),
}

/// An opened session.
#[derive(Debug)]
pub struct Accepted {
    /// Whether an earlier session was taken up again.
    pub resumed: bool,
    /// The name the session goes by.
    pub session: Arc<str>,
    /// Whether the engine made that name up.
    pub assigned: bool,
    /// How long the session will outlive its connection.
    pub keep: Duration,
    /// How many unsettled publications the node takes at once from this session.
    pub window: u16,
    /// What the peer is told besides, if it proved itself by a conversation.
    pub data: Option<Bytes>,
}

/// An event on its way to one peer.
#[derive(Debug)]
pub struct Delivery {
    /// Pairs the peer's answer; zero for at most once.
    pub tag: Tag,
    /// The event.
    pub event: Arc<Event>,
    /// How surely it is delivered: the lesser of the event's and the subscription's.
    pub assurance: Assurance,
    /// Whether the peer may have seen this delivery before.
    pub again: bool,
    /// Whether the peer is told that this is a last value.
    pub retain: bool,
    /// The numbers of the subscriptions that it matched, if they have numbers.
    pub subscriptions: SmallVec<[u32; 2]>,
}

/// Why the node ends a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The session was taken over by a newer connection.
    TakenOver,
    /// The node is shutting down.
    ShuttingDown,
    /// What it asked may not be done by it, or may not be done any more.
    NotPermitted,
    /// It went past a limit.
    Quota,
    /// It answered a delivery otherwise than the delivery's assurance has it.
    OutOfOrder,
    /// It is no longer let in, as the registry or the document now says.
    Revoked,
    /// What proved who it is has come to its end: a token, a certificate.
    Expired,
    /// Two things seem to share its identity, and neither is let in for a while.
    Quarantined,
    /// The node failed; the sentence says how.
    Failed(Arc<str>),
}

impl CloseReason {
    /// The reason's name in metrics and logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::TakenOver => "taken_over",
            Self::ShuttingDown => "shutting_down",
            Self::NotPermitted => "not_permitted",
            Self::Quota => "quota",
            Self::OutOfOrder => "out_of_order",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Quarantined => "quarantined",
            Self::Failed(_) => "failed",
        }
    }
}
