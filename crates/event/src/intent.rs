//! Intents: what a protocol machine understood its peer to want.

use crate::{
    Arrangement, Assurance, Claim, Consume, ConsumerId, Disposition, EnrolRequest, Filter, Outcome,
    Publication, Secret, Text,
};
use smallvec::SmallVec;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A connection of one shard. The generation tells a slot's tenants apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId {
    /// Index in the shard's table.
    pub slot: u32,
    /// How often the slot was given out before.
    pub generation: u32,
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot, self.generation)
    }
}

/// What pairs an answer with its question on one connection. Zero: no answer is wanted.
///
/// Tags of intents are the peer's (MQTT: its packet identifiers), tags of deliveries are the engine's (1 to 65,535, and
/// used by the MQTT machine as packet identifiers as they are). The two never mix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(pub u16);

impl Tag {
    /// No answer is wanted.
    pub const NONE: Tag = Tag(0);
}

/// What a peer wants, in neutral words.
#[derive(Debug)]
pub enum Intent {
    /// Begin, or take up again, a session. Answered by `Accept` or `Refuse`; no other intent may come before.
    Open(Box<Open>),
    /// The peer answers a `Challenge`.
    Respond {
        /// What it says.
        response: Option<Secret>,
    },
    /// The peer of an open session proves anew who it is, by the claim's method. Answered by `Challenge`, `Reidentified`
    /// or `Close`.
    Reidentify(Box<Claim>),
    /// Publish an event. Answered by `Settle`, unless its tag is zero.
    Publish(Publish),
    /// A publication that the machine refused and answered itself, because it is past a limit or not what it says it is.
    /// It is counted and logged, and not answered again.
    Refused {
        /// Where it was for.
        address: crate::Address,
        /// The class of reason.
        cause: crate::Cause,
        /// The reason.
        detail: &'static str,
    },
    /// The sender of an exactly-once event has our `Settle` and forgets the event. Answered by `Released`.
    Release {
        /// The publication's tag.
        tag: Tag,
    },
    /// Subscribe. Answered by `Subscribed`, with a result for each request.
    Subscribe {
        /// Pairs the answer.
        tag: Tag,
        /// What is subscribed to, in order.
        requests: Vec<SubscriptionRequest>,
    },
    /// Unsubscribe. Answered by `Unsubscribed`, with a result for each filter.
    Unsubscribe {
        /// Pairs the answer.
        tag: Tag,
        /// Group (of a shared subscription) and filter.
        filters: Vec<(Option<Text>, Filter)>,
    },
    /// The peer has an exactly-once delivery and remembers its tag. Answered by `Release`.
    Receive {
        /// The delivery's tag.
        tag: Tag,
    },
    /// The peer is done with an exactly-once delivery that was released: credit returns, its tag is free.
    Complete {
        /// The delivery's tag.
        tag: Tag,
    },
    /// The peer is done with a delivery, or rejects it: credit returns, its tag is free. Not for accepting an exactly-once
    /// delivery, which goes by `Receive` and `Complete`.
    Settle {
        /// The delivery's tag.
        tag: Tag,
        /// What the peer says of it.
        outcome: Outcome,
    },
    /// Read an address's last value. Answered by `Value`.
    Read {
        /// Pairs the answer.
        tag: Tag,
        /// Whose last value.
        address: crate::Address,
    },
    /// Ask the authority for a certificate, or about it. Answered by `Enrolled`.
    Enrol {
        /// Pairs the answer.
        tag: Tag,
        /// What.
        request: Box<EnrolRequest>,
    },
    /// Look through last values, some at a time, for those that the peer may read. Answered by `Listed`.
    List {
        /// Pairs the answer.
        tag: Tag,
        /// Whose last values.
        filter: Filter,
        /// Where to go on: what an earlier `Listed` said.
        after: Option<crate::Address>,
        /// How many last values are looked at, at most; the engine may look at fewer.
        limit: u16,
    },
    /// Be told when all shards have what this connection published before: whoever reads a last value then reads it.
    /// Answered by `Synced`.
    Sync {
        /// Pairs the answer.
        tag: Tag,
    },
    /// Publish an event and wait for one answer to it. Answered by `Settle` with a worse outcome than `Accepted`, or by
    /// `Reply` once the answer comes; the caller owns the time limit.
    Request(Publish),
    /// What was delivered to the peer asked for an answer, and none will come: whoever asked is told so.
    Decline {
        /// Where the answer should have gone.
        reply_to: crate::Address,
        /// Why there is none.
        outcome: Outcome,
    },
    /// Publish an event to an exchange, at the address that it has there. Answered like `Publish`; an exchange that is not
    /// there, or that peers may not publish to, rejects it. Events for the default exchange and `amq.topic` need no more
    /// than `Publish`.
    PublishThrough {
        /// The exchange's name.
        exchange: Text,
        /// The event. Boxed, so that every other intent is small enough to be copied at once.
        publish: Box<Publish>,
    },
    /// Arrange something about exchanges and queues. Answered by `Arranged`, once every shard knows of it.
    Arrange {
        /// Pairs the answer.
        tag: Tag,
        /// What.
        arrangement: Box<Arrangement>,
    },
    /// Be supplied with events. Answered by `Consuming`, then by `Supply` for each event.
    Consume(Box<Consume>),
    /// How many deliveries a consumer takes in all, since it began: what it had already is part of it.
    Grant {
        /// Which.
        consumer: ConsumerId,
        /// How many.
        limit: u64,
        /// Whether what is left of it is given up once nothing more waits. Answered by `Drained`.
        drain: bool,
    },
    /// What a consumer does with deliveries: their tags are free.
    Dispose {
        /// Which.
        consumer: ConsumerId,
        /// The deliveries' tags.
        tags: SmallVec<[Tag; 4]>,
        /// What it does.
        disposition: Disposition,
    },
    /// A consumer wants no more. Answered by `Canceled`. One that was canceled before may be once more, to release.
    Cancel {
        /// Which.
        consumer: ConsumerId,
        /// Whether what it has not disposed of goes back; otherwise it may still dispose of it.
        release: bool,
    },
    /// Take one event from a queue. Answered by `Pulled`.
    Pull {
        /// Pairs the answer.
        tag: Tag,
        /// By whose name it is disposed of. It need not consume anything; it may have pulled from other queues.
        consumer: ConsumerId,
        /// The queue.
        queue: Text,
        /// Whether it is done with once it is sent.
        presettled: bool,
    },
    /// End the connection, and the session as `keep` says.
    Close(Close),
}

/// The wish to begin a session.
#[derive(Debug)]
pub struct Open {
    /// The protocol spoken: `mqtt`, `http`, ...
    pub protocol: &'static str,
    /// Its version as the peer named it, for logs and metrics: `3.1.1`, `5.0`.
    pub version: &'static str,
    /// The name the session goes by; `None` asks the engine for one.
    pub session: Option<Arc<str>>,
    /// What the peer says of itself.
    pub claim: Claim,
    /// Whether an earlier session of that name is taken up again; otherwise it is ended.
    pub resume: bool,
    /// How long the session outlives its connection. Zero: not at all. `Duration::MAX`: for ever.
    pub keep: Duration,
    /// How many unsettled deliveries the peer takes at once, at least 1 (MQTT 5 §3.1.2.11.3, Receive Maximum).
    pub window: u16,
    /// What to publish when the connection is lost.
    pub will: Option<Box<Will>>,
}

/// What to publish when a connection is lost.
#[derive(Clone, Debug)]
pub struct Will {
    /// The event.
    pub publication: Publication,
    /// How long to wait for the session to be taken up again before publishing.
    pub delay: Duration,
}

/// A publication and what pairs its answer.
#[derive(Debug)]
pub struct Publish {
    /// Pairs the answer; zero for at most once.
    pub tag: Tag,
    /// Whether the sender says that it may have sent this before.
    pub again: bool,
    /// What is published.
    pub publication: Publication,
}

/// One subscription that is asked for.
#[derive(Clone, Debug)]
pub struct SubscriptionRequest {
    /// Which addresses.
    pub filter: Filter,
    /// The group that shares the work, if any: each event goes to one member.
    pub group: Option<Text>,
    /// At most how surely events are delivered.
    pub assurance: Assurance,
    /// Whether the session's own events are left out.
    pub no_local: bool,
    /// Whether events keep their `retain` flag as published.
    pub retain_as_published: bool,
    /// Whether an event that other subscriptions of the session match, too, comes once more for this one.
    pub own_copy: bool,
    /// Whether last values are delivered at once.
    pub retained: RetainedDelivery,
    /// The subscriber's own number for it, told with each delivery.
    pub identifier: Option<u32>,
}

/// When a new subscription is sent the last values that it matches (MQTT 5 §3.3.1.3, Retain Handling).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetainedDelivery {
    /// At each subscribe.
    #[default]
    Always,
    /// Only if the subscription did not exist.
    IfNew,
    /// Not at all.
    Never,
}

/// The end of a connection, as the machine saw it.
#[derive(Debug)]
pub struct Close {
    /// How it ended.
    pub cause: CloseCause,
    /// Whether the will is published.
    pub with_will: bool,
    /// Changes how long the session is kept, if given (MQTT 5 §3.14.2.2.2).
    pub keep: Option<Duration>,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseCause {
    /// The peer said good-bye.
    Goodbye,
    /// The transport ended without one.
    Lost,
    /// Nothing came for longer than the keep-alive allows.
    KeepAlive,
    /// The session was never opened in time.
    NoOpen,
    /// The peer broke the protocol; the sentence says how.
    Protocol(Arc<str>),
    /// The node ended it.
    Ours,
}

impl CloseCause {
    /// The cause's name in metrics and logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Goodbye => "goodbye",
            Self::Lost => "lost",
            Self::KeepAlive => "keep_alive",
            Self::NoOpen => "no_open",
            Self::Protocol(_) => "protocol",
            Self::Ours => "ours",
        }
    }
}
