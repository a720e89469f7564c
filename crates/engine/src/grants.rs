//! Grants: answers that wait until every other shard knows: to subscribers, so that whoever hears that it is subscribed gets
//! all that anybody publishes from then on, and to those who set last values.

use rustc_hash::FxHashMap;
use windrose_event::{ConnectionId, Directive};

#[derive(Debug)]
struct Grant {
    connection: ConnectionId,
    answer: Directive,
    /// Shards that have not said yet that they know.
    missing: usize,
}

/// All answers that wait.
#[derive(Debug, Default)]
pub(crate) struct Grants {
    waiting: FxHashMap<u64, Grant>,
    last: u64,
}

impl Grants {
    /// Whether no answer waits: all that was announced is known.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Keeps an answer until `shards` others have said that they know. Returns the mark that they are asked by.
    pub(crate) fn hold(&mut self, connection: ConnectionId, answer: Directive, shards: usize) -> u64 {
        self.last += 1;
        self.waiting.insert(self.last, Grant { connection, answer, missing: shards });
        self.last
    }

    /// Another shard knows. Returns the answer if it was the last one.
    pub(crate) fn known(&mut self, mark: u64) -> Option<(ConnectionId, Directive)> {
        let grant = self.waiting.get_mut(&mark)?;
        grant.missing -= 1;
        if grant.missing > 0 {
            return None;
        }
        let grant = self.waiting.remove(&mark)?;
        Some((grant.connection, grant.answer))
    }
}
