//! One registered thing, and what the engine is told for it.

use crate::coap::{Lane, Remote};
use std::time::Duration;
use windrose_event::{Claim, Moment};

/// How far a registration has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The thing is asked for its links.
    Asked,
    /// Its session is opened and its subscriptions are made; then whoever asked is answered.
    Opening { ask: Option<u32> },
    /// It is registered.
    Live,
}

/// A registration.
#[derive(Debug)]
pub(super) struct Thing {
    pub(super) remote: Remote,
    /// What it claims to be, until its session is opened.
    pub(super) claim: Option<Box<Claim>>,
    /// What it is known as (RFC 9176 §5, endpoint name).
    pub(super) name: String,
    pub(super) lifetime: Duration,
    pub(super) end: Moment,
    pub(super) resources: Vec<String>,
    pub(super) stage: Stage,
    pub(super) lane: Option<Lane>,
}

impl Thing {
    /// Whether a peer may end the registration.
    pub(super) fn is_from(&self, remote: Remote) -> bool {
        self.may_move_to(remote)
    }

    /// Whether requests may go to a peer from now on: one without security may have another address, a session is itself.
    pub(super) fn may_move_to(&self, remote: Remote) -> bool {
        match (self.remote, remote) {
            (Remote::Udp { .. }, Remote::Udp { .. }) => true,
            (mine, theirs) => mine == theirs,
        }
    }

    /// The resource that a delivery's subscription is for.
    pub(super) fn resource(&self, subscriptions: &[u32]) -> Option<&str> {
        let number = subscriptions.first()?.checked_sub(1)?;
        self.resources.get(number as usize).map(String::as_str)
    }
}
