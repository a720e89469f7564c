//! Records: what happened to sessions, their messages and the last values, in words that a keeper can write down.

use crate::io::{QueueId, ShardId};
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{
    Address, Assurance, Binding, Event, EventId, ExchangeDeclaration, Filter, Identity, Origin,
    QueueDeclaration, Tag, Text, Timestamp, Will,
};

/// Names a session in records, from its beginning to its end. A session that begins anew has a new number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionNumber(pub u64);

/// Something that must outlive the process.
#[derive(Clone, Debug)]
pub enum Record {
    /// A session began or changed.
    Session(Box<SessionRecord>),
    /// A session is over, with everything of its.
    Ended(SessionNumber),
    /// A session subscribed, or changed a subscription.
    Subscribed {
        /// Whose.
        session: SessionNumber,
        /// To what.
        subscription: Box<SubscriptionRecord>,
    },
    /// A session unsubscribed.
    Unsubscribed {
        /// Whose.
        session: SessionNumber,
        /// From what.
        filter: Filter,
        /// In which group.
        group: Option<Arc<str>>,
    },
    /// An exchange was declared.
    Exchange(Box<ExchangeDeclaration>),
    /// An exchange is gone. Its bindings are told of each for itself.
    ExchangeGone(Text),
    /// A queue was declared. Messages that wait in it are told of as a session's are, and it ends as a session does.
    Queue(Box<QueueRecord>),
    /// Something was bound to an exchange.
    Bound(Box<BindingRecord>),
    /// Something is not bound to an exchange any more.
    Unbound(Arc<Binding>),
    /// A message waits for a session.
    Queued {
        /// Whose.
        session: SessionNumber,
        /// Its place in the session's row: messages are delivered in this order.
        position: u64,
        /// The message.
        message: MessageRecord,
    },
    /// A message is on its way to the peer.
    Launched {
        /// Whose.
        session: SessionNumber,
        /// Which.
        position: u64,
        /// The tag that it is delivered by, now and when it is sent again.
        tag: Tag,
    },
    /// The peer has a message that is delivered exactly once; only its last word is missing.
    Received {
        /// Whose.
        session: SessionNumber,
        /// Which.
        position: u64,
        /// Its tag.
        tag: Tag,
    },
    /// A message is delivered or dropped.
    Done {
        /// Whose.
        session: SessionNumber,
        /// Which.
        position: u64,
    },
    /// An exactly-once publication of the session's: the peer may send it again.
    Taken {
        /// Who published.
        session: SessionNumber,
        /// The publication's tag.
        tag: Tag,
        /// The event made of it.
        event: EventId,
        /// What was answered, if it was.
        state: TakenState,
    },
    /// The peer will not send that publication again.
    Released {
        /// Whose.
        session: SessionNumber,
        /// The publication's tag.
        tag: Tag,
        /// The event made of it, if that was rejected.
        event: Option<EventId>,
    },
    /// An address's last value; one without a payload clears it. Of two the later one stays, by time and identifier.
    Retained(Arc<Event>),
    /// Another shard was sent the event and will say [`Record::Part`].
    Expect {
        /// Which.
        event: EventId,
        /// Whether all records of the event are stored together or not at all.
        whole: bool,
    },
    /// All that this shard had to record of an event that another one sent is recorded.
    Part {
        /// Which.
        event: EventId,
    },
}

impl Record {
    /// The event that a record is part of, if any: what [`Record::Expect`] speaks of.
    pub fn event(&self) -> Option<EventId> {
        match self {
            Self::Queued { message, .. } => Some(message.event.id),
            Self::Taken { event, .. } | Self::Expect { event, .. } | Self::Part { event } => Some(*event),
            Self::Released { event, .. } => *event,
            Self::Retained(event) => Some(event.id),
            _ => None,
        }
    }

    /// Bytes that it costs to keep until it is stored, roughly.
    pub(crate) fn weight(&self) -> u64 {
        let event = match self {
            Self::Queued { message, .. } => message.event.weight(),
            Self::Retained(event) => event.weight(),
            _ => 0,
        };
        (size_of::<Self>() + event) as u64
    }
}

/// What is known of an exactly-once publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakenState {
    /// Subscribers have it; a service that was promised to be asked has not answered yet.
    Pending,
    /// It was accepted.
    Accepted {
        /// Whether any route or subscriber took it.
        heard: bool,
    },
}

/// What outlives the process of a session itself.
#[derive(Clone, Debug)]
pub struct SessionRecord {
    /// Its number.
    pub number: SessionNumber,
    /// Its name.
    pub name: Arc<str>,
    /// Who spoke last, and by which road.
    pub origin: Arc<Origin>,
    /// How long it outlives its connection. Zero: only its will outlives the process.
    pub keep: Duration,
    /// When it ends, while it has no connection.
    pub expires: Option<Timestamp>,
    /// What is published when the connection is lost.
    pub will: Option<Box<Will>>,
    /// When the will is published, once the connection is lost.
    pub will_due: Option<Timestamp>,
}

/// A queue that outlives the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueRecord {
    /// Its number; see [`QueueId::number`].
    pub number: SessionNumber,
    /// Its declaration, with its name.
    pub declaration: Arc<QueueDeclaration>,
}

/// A binding that outlives the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingRecord {
    /// What is bound, and to what.
    pub binding: Arc<Binding>,
    /// Who made it: what is denied to that one does not go by it.
    pub by: Option<Arc<Identity>>,
}

/// The bit of a [`SessionNumber`] that says that it is a queue's.
const QUEUE: u64 = 1 << 63;

impl QueueId {
    /// The number by which records name the queue.
    pub const fn number(self) -> SessionNumber {
        SessionNumber(self.0 | QUEUE)
    }

    /// The queue of which records speak by this number, if it is a queue's.
    pub const fn numbered(number: SessionNumber) -> Option<Self> {
        if number.0 & QUEUE == 0 { None } else { Some(Self(number.0 & !QUEUE)) }
    }
}

/// A subscription of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionRecord {
    /// Which addresses.
    pub filter: Filter,
    /// The group that shares the work, if any.
    pub group: Option<Arc<str>>,
    /// At most how surely events are delivered.
    pub assurance: Assurance,
    /// Whether the session's own events are left out.
    pub no_local: bool,
    /// Whether events keep their `retain` flag as published.
    pub retain_as_published: bool,
    /// Whether an event that other subscriptions of the session match, too, comes once more for this one.
    pub own_copy: bool,
    /// The subscriber's own number for it; zero: none.
    pub identifier: u32,
    /// Whether last values are still to be sent for it, and after which address.
    pub recall: Option<Recall>,
}

/// Where a subscription is in its walk over the last values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recall {
    /// The last address that was sent; `None`: none was.
    pub after: Option<Address>,
}

/// An event addressed to one session.
#[derive(Clone, Debug)]
pub struct MessageRecord {
    /// The event.
    pub event: Arc<Event>,
    /// The lesser of the event's and the subscription's.
    pub assurance: Assurance,
    /// Whether the peer is told that this is a last value.
    pub retain: bool,
    /// Numbers of the subscriptions that matched.
    pub subscriptions: SmallVec<[u32; 2]>,
    /// The group, and its filter, that it was picked for.
    pub share: Option<(Arc<str>, Filter)>,
}

/// What one input led to. Stored whole or not at all.
#[derive(Debug)]
pub struct Batch {
    /// The first record's number; the others follow. Numbers begin with one at every start.
    pub first: u64,
    /// The records, in order.
    pub records: Vec<Record>,
}

impl Batch {
    /// The last record's number.
    pub fn last(&self) -> u64 {
        self.first + self.records.len() as u64 - 1
    }
}

/// What was kept, at a start.
#[derive(Debug, Default)]
pub struct Kept {
    /// Tells this start's session numbers from those of all others.
    pub start: u32,
    /// Sessions, in the order of their numbers.
    pub sessions: Vec<KeptSession>,
    /// Last values.
    pub retained: Arc<[Arc<Event>]>,
    /// Exchanges.
    pub exchanges: Arc<[ExchangeDeclaration]>,
    /// Queues, in the order of their numbers.
    pub queues: Vec<KeptQueue>,
    /// Bindings; of some, what they bind may be gone.
    pub bindings: Arc<[BindingRecord]>,
}

impl Kept {
    /// Deals the sessions out to shards, and homes to queues; each gets all last values and knows all queues, exchanges
    /// and bindings, but what waits in a queue only its home.
    pub fn split(self, shards: u16) -> Vec<Kept> {
        let Kept { start, sessions, retained, exchanges, queues, bindings } = self;
        let kept = |_| Kept {
            start,
            sessions: Vec::new(),
            retained: retained.clone(),
            exchanges: exchanges.clone(),
            queues: Vec::new(),
            bindings: bindings.clone(),
        };
        let mut hands: Vec<Kept> = (0..shards.max(1)).map(kept).collect();
        for (index, mut queue) in queues.into_iter().enumerate() {
            let home = (index % usize::from(shards.max(1))) as u16;
            let mut messages = std::mem::take(&mut queue.messages);
            for (shard, hand) in (0..).zip(&mut hands) {
                let messages = if shard == home { std::mem::take(&mut messages) } else { Vec::new() };
                hand.queues.push(KeptQueue { record: queue.record.clone(), home: ShardId(home), messages });
            }
        }
        for (index, session) in sessions.into_iter().enumerate() {
            let hand = index % usize::from(shards.max(1));
            if let Some(hand) = hands.get_mut(hand) {
                hand.sessions.push(session);
            }
        }
        hands
    }
}

/// A session as it was kept.
#[derive(Debug)]
pub struct KeptSession {
    /// The session itself.
    pub session: SessionRecord,
    /// What it subscribed to.
    pub subscriptions: Vec<SubscriptionRecord>,
    /// What waits for it or was on its way, in order of position.
    pub messages: Vec<KeptMessage>,
    /// Its exactly-once publications that it may send again.
    pub taken: Vec<(Tag, TakenState)>,
}

/// A queue as it was kept.
#[derive(Debug)]
pub struct KeptQueue {
    /// The queue itself.
    pub record: QueueRecord,
    /// The shard that is its home from now on.
    pub home: ShardId,
    /// What waits in it or was at a consumer, in order of position.
    pub messages: Vec<KeptMessage>,
}

/// A message as it was kept.
#[derive(Debug)]
pub struct KeptMessage {
    /// Its place in the session's row.
    pub position: u64,
    /// The tag that it was sent by, if it was.
    pub tag: Option<Tag>,
    /// The message; `None` if the peer has it and only its last word is missing.
    pub message: Option<MessageRecord>,
}
