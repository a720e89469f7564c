//! Member: what a pool knows of one of its services.

use super::backoff;
use crate::random::Random;
use std::sync::Arc;
use windrose_event::Moment;
use windrose_policy::Pool;

/// Failures in a row after which a member rests.
const FAILURES: u32 = 3;

/// How a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    /// It takes what it is given; so many attempts in a row have failed.
    Well { failures: u32 },
    /// It is left alone until then; so many probes in a row have failed.
    Resting { until: Moment, rests: u32 },
    /// A single request finds out whether it is back.
    Probing { rests: u32 },
}

/// One service of a pool, as this shard sees it.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) url: Arc<str>,
    /// Requests under way.
    pub(super) in_flight: u32,
    /// Index in the pool's counts of attempts.
    pub(super) tally: usize,
    health: Health,
}

impl Member {
    /// A member that is thought well.
    pub(super) fn new(url: Arc<str>, tally: usize) -> Self {
        Self { url, in_flight: 0, tally, health: Health::Well { failures: 0 } }
    }

    /// Whether it takes a message like any other.
    pub(super) const fn is_well(&self) -> bool {
        matches!(self.health, Health::Well { .. })
    }

    /// Whether it has rested and should be tried with one message.
    pub(super) fn wants_probe(&self, now: Moment) -> bool {
        matches!(self.health, Health::Resting { until, .. } if until <= now)
    }

    /// When it has rested, if it rests.
    pub(super) const fn rests_until(&self) -> Option<Moment> {
        match self.health {
            Health::Resting { until, .. } => Some(until),
            _ => None,
        }
    }

    /// A request goes out to it. `true`: it is a probe.
    pub(super) fn sent(&mut self) -> bool {
        self.in_flight += 1;
        let Health::Resting { rests, .. } = self.health else { return false };
        self.health = Health::Probing { rests };
        true
    }

    /// It answered, whatever it said. `true`: it had failed before and is back.
    pub(super) fn succeeded(&mut self) -> bool {
        self.in_flight = self.in_flight.saturating_sub(1);
        let back = !self.is_well();
        self.health = Health::Well { failures: 0 };
        back
    }

    /// It failed. What was sent before it was laid to rest does not prolong its rest: only a probe does.
    pub(super) fn failed(&mut self, probe: bool, now: Moment, pool: &Pool, random: &mut Random) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let rests = match &mut self.health {
            Health::Well { failures } => {
                *failures += 1;
                if *failures < FAILURES {
                    return;
                }
                1
            }
            Health::Probing { rests } if probe => *rests + 1,
            Health::Probing { .. } | Health::Resting { .. } => return,
        };
        self.health = Health::Resting { until: now + backoff::rest(pool, rests, random), rests };
    }
}
