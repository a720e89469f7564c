//! Datagrams that wait to be sent, in one buffer, for a system call that sends many.

use super::Remote;
use std::ops::Range;

/// What waits to be sent, in order.
#[derive(Debug, Default)]
pub struct Datagrams {
    bytes: Vec<u8>,
    entries: Vec<(Remote, Range<usize>)>,
}

impl Datagrams {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Each with whom it is for, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Remote, &[u8])> {
        self.entries
            .iter()
            .map(|(remote, range)| (*remote, self.bytes.get(range.clone()).unwrap_or_default()))
    }

    /// They are sent. What the buffers hold beyond `keep` bytes is given back.
    pub fn clear(&mut self, keep: usize) {
        self.bytes.clear();
        self.entries.clear();
        if self.bytes.capacity() > keep {
            self.bytes = Vec::new();
            self.entries = Vec::new();
        }
    }

    /// One more: `write` appends it. What it returns is how many bytes it has.
    pub fn push(&mut self, remote: Remote, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        let start = self.bytes.len();
        write(&mut self.bytes);
        self.entries.push((remote, start..self.bytes.len()));
        self.bytes.len() - start
    }

    /// The bytes of the last one.
    pub fn last(&self) -> &[u8] {
        self.entries.last().and_then(|(_, range)| self.bytes.get(range.clone())).unwrap_or_default()
    }

    /// Takes the last one back.
    pub fn retract(&mut self) {
        if let Some((_, range)) = self.entries.pop() {
            self.bytes.truncate(range.start);
        }
    }
}
