//! Brakes: who is not read from for want of credit, and who is read from first when credit is back.

use crate::io::ShardId;
use std::collections::VecDeque;
use windrose_event::{ConnectionId, Credit};

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Brake {
    /// Credit of a pool, by its key.
    Pool(usize),
    /// Credit for another shard.
    Shard(ShardId),
    /// The keeper: too much waits to be stored.
    Keeper,
}

/// Credit, and the connections that wait for it in the order in which they ran out.
#[derive(Debug)]
pub(crate) struct BrakedCredit {
    credit: Credit,
    line: VecDeque<ConnectionId>,
    /// Entries of `line` whose connections are gone.
    gone: usize,
    /// Permits that may stay in use though nothing is in flight: whoever gives them back does so when there are more.
    kept: u32,
}

impl BrakedCredit {
    /// `limit` permits, none in use.
    pub(crate) const fn new(limit: u32) -> Self {
        Self { credit: Credit::new(limit), line: VecDeque::new(), gone: 0, kept: 0 }
    }

    /// Up to so many permits may be given back late.
    pub(crate) fn set_kept(&mut self, kept: u32) {
        self.kept = kept;
    }

    /// Takes a permit. `false`: brake the source.
    #[must_use]
    pub(crate) fn take(&mut self) -> bool {
        self.credit.take()
    }

    /// Gives permits back. Returns how many connections to release now, with [`BrakedCredit::pop`].
    ///
    /// Releasing all at once would let each send a whole read into the little room there is, so the line goes on as fast
    /// as what is in flight settles; when nothing is in flight any more, nobody is left waiting.
    #[must_use]
    pub(crate) fn give(&mut self, permits: u32) -> usize {
        for _ in 0..permits.min(self.credit.used()) {
            let _ = self.credit.give();
        }
        self.releases(permits)
    }

    /// Changes the limit. Returns how many connections to release now.
    #[must_use]
    pub(crate) fn resize(&mut self, limit: u32) -> usize {
        self.credit.resize(limit);
        self.releases(1)
    }

    fn releases(&self, permits: u32) -> usize {
        let waiting = self.line.len() - self.gone;
        if waiting == 0 || !self.credit.available() {
            return 0;
        }
        waiting.div_ceil(self.credit.used().saturating_sub(self.kept) as usize + 1).max(permits as usize)
    }

    /// Puts a connection at the end of the line. It must not be in it.
    pub(crate) fn wait(&mut self, connection: ConnectionId) {
        self.line.push_back(connection);
    }

    /// The connection whose turn it is; it may be gone, then ask again.
    pub(crate) fn pop(&mut self) -> Option<ConnectionId> {
        self.line.pop_front()
    }

    /// A connection taken from the line was gone.
    pub(crate) fn popped_gone(&mut self) {
        self.gone = self.gone.saturating_sub(1);
    }

    /// A connection in the line is gone. When half of the line is, `is_here` tells who stays.
    pub(crate) fn leave(&mut self, is_here: impl Fn(ConnectionId) -> bool) {
        self.gone += 1;
        if self.gone > 16 && self.gone * 2 > self.line.len() {
            self.line.retain(|connection| is_here(*connection));
            self.gone = 0;
        }
    }

    /// The credit itself.
    pub(crate) const fn credit(&self) -> &Credit {
        &self.credit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn connection(slot: u32) -> ConnectionId {
        ConnectionId { slot, generation: 0 }
    }

    #[test]
    fn the_line_moves_with_credit_and_nobody_is_left_when_nothing_is_in_flight() {
        let mut braked = BrakedCredit::new(2);
        assert!(braked.take());
        assert!(!braked.take());
        for slot in 0..5 {
            braked.wait(connection(slot));
        }
        let first = braked.give(1);
        assert_eq!(first, 3, "half of what was in flight has settled, so about half of the line goes on");
        for slot in 0..3 {
            assert_eq!(braked.pop(), Some(connection(slot)), "in the order of waiting");
        }
        assert_eq!(braked.give(1), 2, "nothing is in flight: all go on");
    }

    #[test]
    fn permits_that_come_back_late_keep_nobody_waiting() {
        let mut braked = BrakedCredit::new(16);
        braked.set_kept(1);
        while braked.take() {}
        for slot in 0..5 {
            braked.wait(connection(slot));
        }
        let released = (0..15).map(|_| braked.give(1)).last();
        assert_eq!(released, Some(5), "one is kept back, and nothing is in flight");
    }

    #[test]
    fn a_line_of_the_departed_is_cleared() {
        let mut braked = BrakedCredit::new(1);
        for slot in 0..100 {
            braked.wait(connection(slot));
        }
        for slot in 0..100 {
            braked.leave(|connection| connection.slot > slot);
        }
        assert!(braked.line.len() <= 32, "{} entries are left", braked.line.len());
    }
}
