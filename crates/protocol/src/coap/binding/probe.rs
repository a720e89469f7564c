//! Signs of life of endpoints that observe: what never happens tells nobody that its observer is gone, or never was there.
//!
//! A registration may have come from a forged address, and things that start anew forget what they observed. So each endpoint
//! that observes is pinged a while after it began, and now and then from there on (RFC 7252 §4.3): whoever does not even
//! reset that observes no longer (RFC 7641 §4.5).

use super::{Binding, Fate, Notice, Output};
use crate::coap::codec::Code;
use crate::coap::{Remote, Response, Token};
use std::collections::BTreeMap;
use std::time::Duration;
use windrose_event::{Moment, Now};

/// When a new observer is pinged.
const FIRST: Duration = Duration::from_secs(60);
/// How often it is pinged from there on.
const EVERY: Duration = Duration::from_secs(3_600);

/// No observation has this number.
const PING: u32 = 0;

/// Whom to ping, by when; the lane's serial number tells an endpoint's earlier observations from the present ones.
#[derive(Debug, Default)]
pub(super) struct Probes(BTreeMap<(Moment, u32), Remote>);

impl Probes {
    /// An endpoint has begun to observe.
    pub(super) fn begin(&mut self, now: Moment, serial: u32, remote: Remote) {
        self.0.insert((now + FIRST, serial), remote);
    }

    /// When the next ping is due.
    pub(super) fn next_timeout(&self) -> Option<Moment> {
        self.0.first_key_value().map(|((due, _), _)| *due)
    }
}

impl Notice {
    /// Whether it is of a ping.
    pub(super) const fn is_ping(&self) -> bool {
        self.observation == PING
    }
}

impl Fate {
    /// Whether the endpoint is there: a reset is how a ping is answered.
    pub(super) const fn is_alive(self) -> bool {
        !matches!(self, Self::TimedOut)
    }
}

impl Binding {
    /// Pings those whose time it is, if they have not shown that they are there.
    pub(super) fn ping_observers(&mut self, now: Now) {
        while let Some(entry) = self.probes.0.first_entry()
            && entry.key().0 <= now.moment
        {
            let ((_, serial), remote) = entry.remove_entry();
            let Some(owner) = self.owners.get(remote).filter(|owner| owner.is_at(&self.lanes, serial)) else {
                continue;
            };
            self.probes.0.insert((now.moment + EVERY, serial), remote);
            if owner.seen.is_some_and(|seen| now.moment.since(seen) < FIRST) {
                continue;
            }
            self.outputs.push_back(Output::Notify {
                remote,
                token: Token::new(),
                response: Response::new(Code::EMPTY),
                confirmable: true,
                notice: Notice { lane: serial, observation: PING, tag: 0 },
            });
        }
    }
}
