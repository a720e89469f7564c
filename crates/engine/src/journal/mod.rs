//! The journal: what must outlive the process, told as plain [`Record`]s to a [`Keeper`] that stores them.
//!
//! Whoever sits outside may rely on what we said; so whatever could be relied on waits in the `Gate` until all records
//! that came before it are stored (output commit). One input's records leave as one [`Batch`], before any other output of
//! that input, and a keeper stores a batch whole or not at all: that an event was taken and where it waits is one fact.
//!
//! An event that crosses shards is told by several of them. The shard that sends it on says [`Record::Expect`], the one
//! that takes it says [`Record::Part`] after its own records of it; the keeper reports the sender's records as stored once
//! all parts are. An event that is delivered exactly once is stored whole or not at all, on however many shards it is:
//! otherwise its sender, who repeats it after a crash, could have it delivered twice, or be told that it was taken where
//! half of it was lost.

mod assembly;
mod gate;
mod record;
mod shelf;

pub use assembly::Assembly;
pub(crate) use gate::Gate;
pub use record::*;
pub use shelf::Shelf;

use crate::io::ShardId;

/// Stores batches, in the order in which they are handed over, whichever shard they come from.
pub trait Keeper: Send + Sync {
    /// Who is told how far a shard's records are stored: `stored` is called with the number of the last record of an
    /// unbroken row that is stored, from any thread, and must not block.
    fn attach(&self, shard: ShardId, stored: Box<dyn Fn(u64) + Send>);

    /// Takes batches of one shard. Never blocks: shards brake their senders when much waits to be stored.
    fn keep(&self, shard: ShardId, batches: Vec<Batch>);

    /// Stores all that was handed over, and stores no more after that.
    fn close(&self);

    /// What there is to say of it now.
    fn figures(&self) -> KeeperFigures;
}

/// A keeper's counts since the start, for metrics.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeeperFigures {
    /// Records stored.
    pub records: u64,
    /// Times that records were made durable.
    pub commits: u64,
    /// Microseconds that took, in all.
    pub commit_micros: u64,
    /// Times that storing failed and was tried again.
    pub failures: u64,
    /// Records handed over and not stored yet.
    pub waiting: u64,
    /// Bytes of files.
    pub file_bytes: u64,
    /// Entries that could not be read at the start.
    pub skipped: u64,
    /// Whether it has ended by a mistake of its own, so that nothing is stored any more.
    pub failed: bool,
}
