//! Consumer: who takes events from a queue, how many it takes, and what it has not disposed of.

use super::Item;
use crate::counts::ListenerIndex;
use crate::io::ShardId;
use slab::Slab;
use windrose_event::{ConnectionId, ConsumerId, Tag};

/// Deliveries that one consumer may have unsettled, whatever it granted: it has tags for no more than 65,535.
const MOST_UNSETTLED: usize = 32_768;

/// A consumer's place in its queue.
pub(crate) type Slot = u32;

/// Where a consumer is, on the whole node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct At {
    pub(crate) shard: ShardId,
    pub(crate) connection: ConnectionId,
    pub(crate) consumer: ConsumerId,
}

/// What a consumer asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) at: At,
    /// Counts what it gets, if it is here.
    pub(crate) listener: ListenerIndex,
    pub(crate) limit: u64,
    pub(crate) presettled: bool,
    pub(crate) exclusive: bool,
    /// Whether its connection has too much to write already.
    pub(crate) held: bool,
}

/// An event on its way to a consumer, or at it.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub(crate) position: u64,
    pub(crate) item: Item,
}

/// One consumer of a queue. Its tags are places in its window, so that each is found at once whatever order it is settled in.
#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) wish: Wish,
    /// Tells it from all others that the queue ever had. Never zero.
    pub(crate) serial: u32,
    /// Deliveries so far.
    pub(crate) given: u64,
    /// Whether what it would take still is given up once nothing more waits.
    pub(crate) draining: bool,
    /// Whether it gets no more, and only disposes of what it has.
    pub(crate) canceled: bool,
    /// Whether it is in the line of those that take turns.
    pub(crate) in_line: bool,
    window: Slab<InFlight>,
}

impl Consumer {
    /// A consumer that has had nothing yet.
    pub(crate) const fn new(wish: Wish, serial: u32) -> Self {
        Self { wish, serial, given: 0, draining: false, canceled: false, in_line: false, window: Slab::new() }
    }

    /// Whether it takes another delivery now.
    #[inline]
    pub(crate) fn wants(&self) -> bool {
        self.given < self.wish.limit
            && !self.wish.held
            && !self.canceled
            && self.window.len() < MOST_UNSETTLED
    }

    /// Enters a delivery that it is to dispose of. Returns its tag.
    pub(crate) fn launch(&mut self, in_flight: InFlight) -> Tag {
        // Places are taken again as soon as they are free, so they are less than there are entries at most.
        Tag(u16::try_from(self.window.insert(in_flight) + 1).unwrap_or(0))
    }

    /// Takes out a delivery that it is done with.
    #[inline]
    pub(crate) fn settle(&mut self, tag: Tag) -> Option<InFlight> {
        self.window.try_remove(usize::from(tag.0).checked_sub(1)?)
    }

    /// Takes out all that it has not disposed of.
    pub(crate) fn take(&mut self) -> Vec<InFlight> {
        std::mem::take(&mut self.window).into_iter().map(|(_, in_flight)| in_flight).collect()
    }

    /// Deliveries that it has not disposed of.
    pub(crate) fn unsettled(&self) -> usize {
        self.window.len()
    }

    /// Gives a burst's memory back.
    pub(crate) fn tidy(&mut self) {
        if self.window.is_empty() && self.window.capacity() > 256 {
            self.window = Slab::new();
        }
    }
}
