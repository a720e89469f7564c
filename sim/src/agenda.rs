//! The virtual clock, and what is to happen when.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Duration;
use windrose_event::{Moment, Now, Timestamp};

/// When every run begins on the wall clock.
const BEGINNING: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

/// What is to happen, by time and then in the order in which it was entered.
#[derive(Debug)]
pub struct Agenda<T> {
    now: Now,
    entered: u64,
    entries: BinaryHeap<Entry<T>>,
}

#[derive(Debug)]
struct Entry<T> {
    at: Moment,
    number: u64,
    what: T,
}

impl<T> Agenda<T> {
    /// An empty one, at the beginning.
    pub fn new() -> Self {
        let now = Now { moment: Moment::from_micros(0), wall: BEGINNING };
        Self { now, entered: 0, entries: BinaryHeap::new() }
    }

    /// The time now.
    pub fn now(&self) -> Now {
        self.now
    }

    /// Enters something for `at`; what is past happens now.
    pub fn at(&mut self, at: Moment, what: T) {
        let entry = Entry { at: at.max(self.now.moment), number: self.entered, what };
        self.entered += 1;
        self.entries.push(entry);
    }

    /// Enters something for after `wait`.
    pub fn after(&mut self, wait: Duration, what: T) {
        self.at(self.now.moment + wait, what);
    }

    /// Takes out what is not to happen after all.
    pub fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.entries.retain(|entry| keep(&entry.what));
    }

    /// When the next thing happens.
    pub fn next_at(&self) -> Option<Moment> {
        self.entries.peek().map(|entry| entry.at)
    }

    /// Moves the clock to the next thing.
    pub fn pop(&mut self) -> Option<T> {
        let entry = self.entries.pop()?;
        self.now = self.now.after(entry.at.since(self.now.moment));
        Some(entry.what)
    }
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Ord for Entry<T> {
    /// The heap gives its greatest first: the earliest is that.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Entry<T> {}
