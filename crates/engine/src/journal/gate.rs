//! The gate: records on their way to the keeper, and the outputs that wait until those are stored.

use super::{Batch, Record, SessionNumber};
use crate::io::{Output, ShardId};
use std::collections::VecDeque;
use windrose_event::ConnectionId;

/// Records that may wait to be stored before the connections that cause more are not read from.
const MOST_RECORDS: u64 = 65_536;

/// Bytes of records that may wait to be stored before the connections that cause more are not read from.
const MOST_BYTES: u64 = 64 << 20;

/// One shard's dealings with the keeper.
#[derive(Debug)]
pub(crate) struct Gate {
    /// Told by this input.
    records: Vec<Record>,
    weight: u64,
    /// The last record's number.
    last: u64,
    /// All records up to this one are stored.
    stored: u64,
    /// Outputs, and the record that each waits for.
    held: VecDeque<(u64, Output)>,
    /// What batches weigh that are not stored, by their last record.
    unstored: VecDeque<(u64, u64)>,
    unstored_bytes: u64,
    /// Connections that are not read from until less waits to be stored.
    braked: VecDeque<ConnectionId>,
    next_number: u64,
}

impl Gate {
    /// A gate at which nothing waits. `start` tells this start's session numbers from those of all others.
    pub(crate) fn new(start: u32, shard: ShardId) -> Self {
        Self {
            records: Vec::new(),
            weight: 0,
            last: 0,
            stored: 0,
            held: VecDeque::new(),
            unstored: VecDeque::new(),
            unstored_bytes: 0,
            braked: VecDeque::new(),
            // 64 shards at most; a shard begins no more than 2^26 sessions a start before numbers could meet.
            next_number: u64::from(start) << 32 | u64::from(shard.0 & 0x3f) << 26,
        }
    }

    /// A number for a session that begins.
    pub(crate) fn number(&mut self) -> SessionNumber {
        self.next_number += 1;
        SessionNumber(self.next_number)
    }

    /// Tells the keeper, with all else that the present input leads to.
    pub(crate) fn record(&mut self, record: Record) {
        self.weight += record.weight();
        self.last += 1;
        self.records.push(record);
    }

    /// What the present input told, as one batch.
    pub(crate) fn take_batch(&mut self) -> Option<Batch> {
        if self.records.is_empty() {
            return None;
        }
        let records = std::mem::take(&mut self.records);
        let weight = std::mem::take(&mut self.weight);
        self.unstored.push_back((self.last, weight));
        self.unstored_bytes += weight;
        Some(Batch { first: self.last + 1 - records.len() as u64, records })
    }

    /// The last record's number: what follows it now waits for it.
    pub(crate) const fn last(&self) -> u64 {
        self.last
    }

    /// Whether everything up to that record is stored.
    pub(crate) const fn is_stored(&self, record: u64) -> bool {
        self.stored >= record
    }

    /// Whether everything is stored, so that nothing has to wait.
    pub(crate) const fn is_open(&self) -> bool {
        self.is_stored(self.last)
    }

    /// Keeps an output until all records so far are stored.
    pub(crate) fn hold(&mut self, output: Output) {
        self.held.push_back((self.last, output));
    }

    /// Everything up to that record is stored.
    pub(crate) fn stored(&mut self, record: u64) {
        self.stored = self.stored.max(record.min(self.last));
        while let Some((_, weight)) = self.unstored.pop_front_if(|(last, _)| *last <= record) {
            self.unstored_bytes -= weight;
        }
    }

    /// The next output that has waited long enough.
    pub(crate) fn next_free(&mut self) -> Option<Output> {
        let stored = self.stored;
        self.held.pop_front_if(|(after, _)| *after <= stored).map(|(_, output)| output)
    }

    /// Whether so much waits to be stored that its causes are to be braked.
    pub(crate) const fn is_full(&self) -> bool {
        self.last - self.stored > MOST_RECORDS || self.unstored_bytes > MOST_BYTES
    }

    /// Whether so little waits that they may go on.
    const fn has_room(&self) -> bool {
        self.last - self.stored <= MOST_RECORDS / 2 && self.unstored_bytes <= MOST_BYTES / 2
    }

    /// A connection is not read from until there is room.
    pub(crate) fn wait(&mut self, connection: ConnectionId) {
        self.braked.push_back(connection);
    }

    /// The next connection that may go on.
    pub(crate) fn pop_waiting(&mut self) -> Option<ConnectionId> {
        if self.has_room() { self.braked.pop_front() } else { None }
    }

    /// Records that are not stored yet.
    pub(crate) const fn waiting(&self) -> u64 {
        self.last - self.stored
    }

    /// Outputs that wait.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }
}
