//! Items: events that wait in queues, and events that got out of one otherwise than to a consumer.

use crate::backlog::Waits;
use crate::journal::MessageRecord;
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{Delivery, Event, QueueDeclaration, Tag, Text, Timestamp};

/// An event in a queue.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) event: Arc<Event>,
    /// When it has waited too long.
    pub(crate) due: Timestamp,
    /// What it counts for in the bound on bytes.
    pub(crate) weight: u32,
    /// How often its delivery failed.
    pub(crate) failures: u16,
    /// Whether somebody may have seen it.
    pub(crate) again: bool,
    /// Whether it is told to be a last value.
    pub(crate) retain: bool,
    /// Whether the journal has it.
    pub(crate) journaled: bool,
    /// The consumer that cannot use it, by its serial; zero: none said so.
    pub(crate) avoids: u32,
}

/// The end of all waiting, for what may wait for ever.
pub(crate) const NEVER: Timestamp = Timestamp::from_micros(u64::MAX);

impl Item {
    /// An event that comes to a queue, in which events may wait so long.
    pub(crate) fn new(event: &Arc<Event>, ttl: Option<Duration>, wall: Timestamp) -> Self {
        let mut due = event.expires.unwrap_or(NEVER);
        if let Some(ttl) = ttl {
            due = due.min(wall + ttl);
        }
        let event = event.clone();
        let weight = u32::try_from(event.weight()).unwrap_or(u32::MAX);
        Self { event, due, weight, failures: 0, again: false, retain: false, journaled: false, avoids: 0 }
    }

    /// Whether it has waited too long.
    #[inline]
    pub(crate) fn is_due(&self, wall: Timestamp) -> bool {
        self.due <= wall
    }

    /// Its delivery by a tag.
    pub(crate) fn delivery(&self, tag: Tag) -> Delivery {
        Delivery {
            tag,
            event: self.event.clone(),
            assurance: self.event.assurance,
            again: self.again,
            retain: self.retain,
            subscriptions: SmallVec::new(),
        }
    }

    /// Its delivery, after which it is done with.
    pub(crate) fn into_delivery(self) -> Delivery {
        let Self { event, again, retain, .. } = self;
        let assurance = event.assurance;
        Delivery { tag: Tag::NONE, event, assurance, again, retain, subscriptions: SmallVec::new() }
    }

    /// What is written of it in the journal.
    pub(crate) fn to_record(&self) -> MessageRecord {
        MessageRecord {
            event: self.event.clone(),
            assurance: self.event.assurance,
            retain: self.retain,
            subscriptions: SmallVec::new(),
            share: None,
        }
    }
}

impl Waits for Item {
    fn weight(&self) -> u64 {
        self.weight.into()
    }
}

/// Why an event got out of a queue without anybody's using it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// A consumer cannot use it.
    Rejected,
    /// It waited too long.
    Expired,
    /// There is no room for it.
    Full,
}

impl Loss {
    /// Its name in `x-death` and in metrics of dead letters.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Full => "maxlen",
        }
    }

    /// Its name among the causes of drops.
    pub(crate) const fn cause(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Full => "queue_full",
        }
    }
}

/// An event that got out of a queue without anybody's using it.
#[derive(Debug)]
pub(crate) struct Lost {
    pub(crate) event: Arc<Event>,
    pub(crate) loss: Loss,
    pub(crate) queue: Text,
    pub(crate) declaration: Arc<QueueDeclaration>,
}
