//! Identifiers and times of events.

use std::time::Duration;
use windrose_event::{EventId, Timestamp};

/// A wall clock that was set back by no more than this stands still for events until it has caught up; one that was set
/// back further is believed.
pub(crate) const CLOCK_SLACK: Duration = Duration::from_secs(10);

/// Makes this shard's event identifiers: time, then a count, then the salt of the shard's start.
#[derive(Debug)]
pub(crate) struct EventIds {
    salt: u64,
    count: u32,
    latest: Timestamp,
}

impl EventIds {
    /// `salt` tells shards and starts apart.
    pub(crate) const fn new(salt: u64) -> Self {
        Self { salt, count: 0, latest: Timestamp::from_micros(0) }
    }

    /// The next event's time and identifier: both grow from event to event.
    pub(crate) fn next(&mut self, wall: Timestamp) -> (Timestamp, EventId) {
        if self.latest.since(wall) > CLOCK_SLACK || wall > self.latest {
            self.latest = wall;
        }
        self.count = self.count.wrapping_add(1);
        (self.latest, self.last())
    }

    /// The latest event's identifier.
    pub(crate) fn last(&self) -> EventId {
        EventId::new(self.latest, self.salt, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_keep_their_order_when_the_clock_is_set_back_a_little() {
        let mut ids = EventIds::new(1);
        let seconds = |seconds: u64| Timestamp::from_micros(seconds * 1_000_000);
        let (first, id) = ids.next(seconds(100));
        let (second, later) = ids.next(seconds(95));
        assert_eq!(first, second);
        assert!(id < later);
        assert_eq!(ids.next(seconds(101)).0, seconds(101));
        assert_eq!(ids.next(seconds(50)).0, seconds(50), "that was no slip");
    }
}
