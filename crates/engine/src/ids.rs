//! Identifiers of events.

use windrose_event::{EventId, Timestamp};

/// Makes this shard's event identifiers: time, then a count, then the salt of the shard's start.
#[derive(Debug)]
pub(crate) struct EventIds {
    salt: u64,
    count: u32,
}

impl EventIds {
    /// `salt` tells shards and starts apart.
    pub(crate) const fn new(salt: u64) -> Self {
        Self { salt, count: 0 }
    }

    /// The next identifier.
    pub(crate) fn next(&mut self, time: Timestamp) -> EventId {
        self.count = self.count.wrapping_add(1);
        EventId::new(time, self.salt, self.count)
    }
}
