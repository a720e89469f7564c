//! Publications that the engine has not settled yet.

use bytes::Bytes;
use std::collections::VecDeque;
use windrose_event::Tag;

/// Beyond so many nothing more is taken until some are settled. Tags are 65,535.
const MOST: usize = 60_000;

/// One publication.
pub(super) struct Entry {
    pub(super) channel: u16,
    pub(super) is_settled: bool,
    /// Whether it is part of a commit.
    pub(super) is_committed: bool,
    pub(super) epoch: u32,
    /// Its number among the channel's confirms; zero: it is not confirmed.
    pub(super) number: u64,
    /// What goes back if nobody wants it.
    pub(super) returnable: Option<Box<Returnable>>,
}

/// A mandatory publication, kept until it is known whether it is heard.
pub(super) struct Returnable {
    /// Exchange and key as short strings, then properties.
    pub(super) original: Bytes,
    pub(super) body: Bytes,
}

/// All of them, in the order in which they came: a tag is a place.
#[derive(Default)]
pub(super) struct Unsettled {
    entries: VecDeque<Entry>,
    /// How many were taken out before the first that is here.
    gone: u64,
}

impl Unsettled {
    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= MOST
    }

    /// Puts one in, and says its tag.
    #[inline]
    pub(super) fn push(&mut self, entry: Entry) -> Tag {
        let place = self.gone + self.entries.len() as u64;
        self.entries.push_back(entry);
        Tag((place % 65_535) as u16 + 1)
    }

    /// Takes the one of that tag out; `None`: there is none.
    #[inline]
    pub(super) fn take(&mut self, tag: Tag) -> Option<Entry> {
        let first = self.gone % 65_535;
        let place = u64::from(tag.0).checked_sub(1)?;
        let index = (place + 65_535 - first) % 65_535;
        if index == 0 {
            let entry = self.entries.pop_front()?;
            self.gone += 1;
            while self.entries.front().is_some_and(|entry| entry.is_settled) {
                self.entries.pop_front();
                self.gone += 1;
            }
            if self.entries.is_empty() && self.entries.capacity() > 64 {
                // Memory of a burst is given back.
                self.entries = VecDeque::new();
            }
            return Some(entry);
        }
        let entry = self.entries.get_mut(index as usize).filter(|entry| !entry.is_settled)?;
        entry.is_settled = true;
        Some(Entry { returnable: entry.returnable.take(), is_settled: false, ..*entry })
    }
}
