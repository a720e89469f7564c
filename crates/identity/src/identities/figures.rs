//! Figures for metrics: how the registry is asked, and what it costs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What the registry has counted since the start, and how it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IdentityFigures {
    /// Whether there is a database.
    pub has_database: bool,
    /// Whether the database cannot be asked now.
    pub away: bool,
    /// Questions answered from memory.
    pub hits: u64,
    /// Questions answered from memory: nobody is known by that.
    pub negatives: u64,
    /// Questions answered from memory that is old, because the database cannot be asked.
    pub stale: u64,
    /// Questions that went to the database.
    pub misses: u64,
    /// Records that are remembered.
    pub remembered: u64,
    /// Passwords that were verified, at the cost of argon2id.
    pub passwords_verified: u64,
    /// Passwords that wait to be verified.
    pub passwords_waiting: u64,
    /// Claims that the guard did not look at.
    pub throttled: u64,
    /// How often the guard began to block an address or a name.
    pub blocks: u64,
}

/// The counters behind them.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) away: AtomicBool,
    pub(super) hits: AtomicU64,
    pub(super) negatives: AtomicU64,
    pub(super) stale: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) verified: AtomicU64,
    pub(super) waiting: AtomicU64,
    pub(super) throttled: AtomicU64,
    pub(super) blocks: AtomicU64,
}

impl Counters {
    pub(super) fn figures(&self, has_database: bool, remembered: usize) -> IdentityFigures {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        IdentityFigures {
            has_database,
            away: self.away.load(Ordering::Relaxed),
            hits: read(&self.hits),
            negatives: read(&self.negatives),
            stale: read(&self.stale),
            misses: read(&self.misses),
            remembered: remembered as u64,
            passwords_verified: read(&self.verified),
            passwords_waiting: read(&self.waiting),
            throttled: read(&self.throttled),
            blocks: read(&self.blocks),
        }
    }
}

/// Counts one.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
