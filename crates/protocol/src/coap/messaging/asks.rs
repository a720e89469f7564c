//! Messages of peers that wait for our answer, and when the silence about a confirmable one becomes too long.

use super::chance::EndpointHash;
use super::exchanges::Position;
use crate::coap::{Remote, Token};
use slab::Slab;
use std::collections::VecDeque;
use std::time::Duration;
use windrose_event::Moment;

/// How long an answer may take to travel in the acknowledgement itself; then an empty one goes ahead (RFC 7252 §5.2.2). Less
/// than ACK_TIMEOUT, so that the peer does not send again.
const ACKNOWLEDGE_AFTER: Duration = Duration::from_millis(1_000);

/// A message that waits for our answer.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) remote: Remote,
    pub(super) endpoint: EndpointHash,
    pub(super) token: Token,
    pub(super) id: u16,
    pub(super) confirmable: bool,
    /// How long it was, as long as its source has not got credit for it: most answers are so short that it needs none.
    pub(super) unbanked: u32,
    /// Whether an empty acknowledgement was sent.
    pub(super) acknowledged: bool,
    /// Whether repeating what it asks for has no effect besides the first (RFC 7252 §5.1, safe methods).
    pub(super) safe: bool,
    pub(super) position: Position,
}

#[derive(Debug, Default)]
pub(super) struct Asks {
    asks: Slab<Ask>,
    /// Those that may need an acknowledgement, in the order they came.
    silent: VecDeque<(Moment, u32, Position)>,
}

impl Asks {
    /// One came. Its number is free again after [`Asks::take`].
    pub(super) fn insert(&mut self, now: Moment, ask: Ask) -> u32 {
        let (confirmable, position) = (ask.confirmable, ask.position);
        let number = self.asks.insert(ask) as u32;
        if confirmable {
            self.drop_answered();
            self.silent.push_back((now + ACKNOWLEDGE_AFTER, number, position));
        }
        number
    }

    /// The number that the next one will have.
    pub(super) fn next_number(&self) -> u32 {
        self.asks.vacant_key() as u32
    }

    pub(super) fn get(&self, number: u32) -> Option<&Ask> {
        self.asks.get(number as usize)
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Ask> {
        self.asks.get_mut(number as usize)
    }

    pub(super) fn take(&mut self, number: u32) -> Option<Ask> {
        self.asks.try_remove(number as usize)
    }

    pub(super) fn len(&self) -> usize {
        self.asks.len()
    }

    /// The next one that was met with silence for too long, which ends now.
    pub(super) fn poll_silent(&mut self, now: Moment) -> Option<&mut Ask> {
        self.drop_answered();
        let (_, number, _) = self.silent.pop_front_if(|(due, _, _)| *due <= now)?;
        let ask = self.asks.get_mut(number as usize)?;
        ask.acknowledged = true;
        Some(ask)
    }

    pub(super) fn next_timeout(&self) -> Option<Moment> {
        self.silent.front().map(|(due, _, _)| *due)
    }

    /// Most are answered at once: what is at the front then is no concern any more.
    fn drop_answered(&mut self) {
        while let Some((_, number, position)) = self.silent.front()
            && self.asks.get(*number as usize).is_none_or(|ask| ask.position != *position || !ask.confirmable)
        {
            self.silent.pop_front();
        }
    }
}
