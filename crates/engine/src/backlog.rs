//! Backlog: what waits for somebody, in order of position and within bounds. Sessions and queues keep what waits for them in
//! the same way.

use std::collections::VecDeque;
use windrose_policy::QueueFull;

/// Something that waits.
pub(crate) trait Waits {
    /// What it counts for in the bound on bytes.
    fn weight(&self) -> u64;
}

/// Bounds on what waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueBounds {
    pub(crate) events: usize,
    pub(crate) bytes: u64,
    /// Whose turn it is to be dropped when more would wait.
    pub(crate) full: QueueFull,
}

/// An entry that waits.
#[derive(Debug)]
pub(crate) struct Waiting<T> {
    pub(crate) position: u64,
    pub(crate) entry: T,
}

/// Entries in order. Owns no memory while it is empty, unless it was in use lately.
#[derive(Debug)]
pub(crate) struct Backlog<T> {
    row: VecDeque<Waiting<T>>,
    bytes: u64,
    /// The place in the row that the last entry got: the journal names entries by it.
    last_position: u64,
}

impl<T> Default for Backlog<T> {
    fn default() -> Self {
        Self { row: VecDeque::new(), bytes: 0, last_position: 0 }
    }
}

impl<T: Waits> Backlog<T> {
    /// Whether something of that weight may wait, too.
    pub(crate) fn fits(&self, weight: u64, bounds: QueueBounds) -> bool {
        self.row.len() < bounds.events && self.bytes + weight <= bounds.bytes
    }

    /// A place in the row for something that need not wait.
    pub(crate) fn pass(&mut self) -> u64 {
        self.last_position += 1;
        self.last_position
    }

    /// Puts an entry at the end of the row. Returns its position.
    pub(crate) fn push(&mut self, entry: T) -> u64 {
        let position = self.pass();
        self.bytes += entry.weight();
        self.row.push_back(Waiting { position, entry });
        position
    }

    /// Puts an entry at its position, where it has been before.
    pub(crate) fn put_back(&mut self, position: u64, entry: T) {
        self.last_position = self.last_position.max(position);
        self.bytes += entry.weight();
        let waiting = Waiting { position, entry };
        // What comes back is mostly older than all that waits.
        if self.row.front().is_none_or(|first| position < first.position) {
            return self.row.push_front(waiting);
        }
        let place = self.row.partition_point(|known| known.position < position);
        self.row.insert(place, waiting);
    }

    /// Puts an entry at its position, which is after all that wait.
    pub(crate) fn put_last(&mut self, position: u64, entry: T) {
        self.last_position = self.last_position.max(position);
        self.bytes += entry.weight();
        self.row.push_back(Waiting { position, entry });
    }

    /// The entry that has waited longest.
    pub(crate) fn front(&self) -> Option<&Waiting<T>> {
        self.row.front()
    }

    /// Takes out the entry that has waited longest.
    pub(crate) fn pop(&mut self) -> Option<Waiting<T>> {
        let waiting = self.row.pop_front()?;
        self.popped(&waiting);
        Some(waiting)
    }

    /// Takes out the first entry of which that holds, among the first `most`.
    pub(crate) fn pop_where(&mut self, most: usize, holds: impl Fn(&T) -> bool) -> Option<Waiting<T>> {
        let place = self.row.iter().take(most).position(|waiting| holds(&waiting.entry))?;
        let waiting = self.row.remove(place)?;
        self.popped(&waiting);
        Some(waiting)
    }

    /// Keeps only the entries of which that holds. Returns how many are gone.
    pub(crate) fn retain(&mut self, holds: impl Fn(&T) -> bool) -> usize {
        let before = self.row.len();
        self.row.retain(|waiting| holds(&waiting.entry));
        self.bytes = self.row.iter().map(|waiting| waiting.entry.weight()).sum();
        before - self.row.len()
    }

    /// Takes out all.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = Waiting<T>> + use<T> {
        self.bytes = 0;
        std::mem::take(&mut self.row).into_iter()
    }

    /// What waits, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Waiting<T>> {
        self.row.iter()
    }

    /// The position of the last entry that came.
    pub(crate) const fn last_position(&self) -> u64 {
        self.last_position
    }

    /// Positions up to this one were given out before.
    pub(crate) fn begin_after(&mut self, position: u64) {
        self.last_position = self.last_position.max(position);
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.row.len()
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.row.is_empty()
    }

    /// Bytes that wait, as events are weighed.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    fn popped(&mut self, waiting: &Waiting<T>) {
        self.bytes -= waiting.entry.weight();
        if self.row.is_empty() {
            shrink(&mut self.row);
        }
    }
}

/// Gives a burst's memory back.
pub(crate) fn shrink<T>(queue: &mut VecDeque<T>) {
    if queue.capacity() > 64 {
        *queue = VecDeque::new();
    }
}
