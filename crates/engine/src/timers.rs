//! Timers: who is to be looked at, and when.

use std::collections::BTreeSet;
use windrose_event::Moment;

/// Keys in order of their moments. An entry is removed exactly, so nothing stale piles up however long it would wait.
#[derive(Debug)]
pub(crate) struct Timers<K> {
    entries: BTreeSet<(Moment, K)>,
}

impl<K: Ord> Default for Timers<K> {
    fn default() -> Self {
        Self { entries: BTreeSet::new() }
    }
}

impl<K: Ord + Clone> Timers<K> {
    /// Enters `key` at `due`.
    pub(crate) fn insert(&mut self, due: Moment, key: K) {
        self.entries.insert((due, key));
    }

    /// Removes what [`Timers::insert`] entered.
    pub(crate) fn remove(&mut self, due: Moment, key: K) {
        self.entries.remove(&(due, key));
    }

    /// The earliest entry's moment.
    pub(crate) fn next(&self) -> Option<Moment> {
        self.entries.first().map(|(due, _)| *due)
    }

    /// Takes the earliest entry out if it is due.
    pub(crate) fn pop_due(&mut self, now: Moment) -> Option<(Moment, K)> {
        if self.next()? > now {
            return None;
        }
        self.entries.pop_first()
    }
}
