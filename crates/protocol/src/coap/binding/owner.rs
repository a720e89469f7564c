//! Who has a lane of its own: sessions, and endpoints that observe.

use super::lanes::Lanes;
use super::request::Key;
use crate::coap::{Remote, SessionId, Token};
use std::collections::HashMap;
use windrose_event::{Claim, Moment};

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Owners(HashMap<Remote, Owner>);

/// One of them.
#[derive(Debug, Default)]
pub(super) struct Owner {
    /// What the session claims; an address claims nothing.
    pub(super) claim: Option<Box<Claim>>,
    pub(super) lane: Option<usize>,
    pub(super) observations: Vec<Observation>,
    /// Deliveries that no acknowledgement came for: their tags, and for which observation they are.
    pub(super) unsettled: Vec<(u16, u32)>,
    /// Notifications that await an acknowledgement though their events need none, by their observations.
    pub(super) confirming: Vec<u32>,
    /// When it last showed that it is there.
    pub(super) seen: Option<Moment>,
    /// The number of the last observation; none has the number 0.
    pub(super) observed: u32,
}

/// One endpoint's wish to be told what happens somewhere (RFC 7641).
#[derive(Debug)]
pub(super) struct Observation {
    /// A number that no other of the endpoint has or had.
    pub(super) id: u32,
    /// By which notifications are known.
    pub(super) token: Token,
    /// The lane's subscription.
    pub(super) subscription: u32,
    /// Whether it is of one address.
    pub(super) is_exact: bool,
    /// Whether its first response is given.
    pub(super) is_active: bool,
    pub(super) accept: Option<u16>,
    /// The blocks that it asked for, of larger notifications (RFC 7959 §2.8).
    pub(super) exponent: Option<u8>,
    /// What it was told first, if it is of one address: RFC 7641 §4.2 allows no other later.
    #[expect(clippy::option_option, reason = "nothing told yet is not the same as told without a format")]
    pub(super) format: Option<Option<u16>>,
    /// The last sequence number (RFC 7641 §4.4).
    pub(super) sequence: u32,
    /// Notifications since the last that was to be acknowledged.
    pub(super) unconfirmed: u8,
    /// When that was.
    pub(super) confirmed: Moment,
    /// By which the rest of a large notification is asked for.
    pub(super) key: Key,
}

impl Owners {
    /// A session begins.
    pub(super) fn begin(&mut self, session: SessionId, claim: Claim) {
        let owner = Owner { claim: Some(Box::new(claim)), ..Owner::default() };
        self.0.insert(Remote::Session(session), owner);
    }

    pub(super) fn get(&self, remote: Remote) -> Option<&Owner> {
        self.0.get(&remote)
    }

    pub(super) fn get_mut(&mut self, remote: Remote) -> Option<&mut Owner> {
        self.0.get_mut(&remote)
    }

    /// Somebody who may not have had a lane of its own.
    pub(super) fn enter(&mut self, remote: Remote) -> &mut Owner {
        self.0.entry(remote).or_default()
    }

    pub(super) fn remove(&mut self, remote: Remote) -> Option<Owner> {
        self.0.remove(&remote)
    }

    /// How many there are, for tests.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Owner {
    /// The observation with a number.
    pub(super) fn observation(&mut self, id: u32) -> Option<&mut Observation> {
        self.observations.iter_mut().find(|observation| observation.id == id)
    }

    /// Whether an acknowledgement is awaited: what is sent meanwhile waits behind it, in order.
    pub(super) fn is_awaited(&self) -> bool {
        !self.unsettled.is_empty() || !self.confirming.is_empty()
    }

    /// Whether its lane, if it has one, is that with a serial number.
    pub(super) fn is_at(&self, lanes: &Lanes, serial: u32) -> bool {
        self.lane.and_then(|lane| lanes.get(lane)).is_some_and(|lane| lane.serial == serial)
    }
}
