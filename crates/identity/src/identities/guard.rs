//! The guard: who tries wrong credentials time and again is not looked at for a while.
//!
//! Wrong attempts are counted by the address that they come from (of IPv6 the /64, which is one subscriber's) and by the name
//! that they are for. While either is blocked, nothing is looked at that would take work; what is known to be right
//! without any (a certificate, a password that was right of late) is let in all the same, so that a guesser shuts nobody out
//! who was here before.

use crate::generations::Generations;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use windrose_policy as policy;

/// Addresses and names whose wrong attempts are counted, at most.
const MOST: usize = 100_000;

/// Counts wrong attempts.
pub(super) struct Guard {
    counts: Mutex<Generations<u64, Count>>,
    hasher: RandomState,
    /// How many blocks were ever begun: as long as it is none, nobody is looked up.
    blocks: AtomicU64,
}

#[derive(Clone, Copy)]
struct Count {
    failures: u32,
    since: Instant,
    blocked: Option<Instant>,
}

impl Guard {
    pub(super) fn new() -> Self {
        Self {
            counts: Mutex::new(Generations::new(MOST)),
            hasher: RandomState::new(),
            blocks: AtomicU64::new(0),
        }
    }

    /// Whether attempts from there, or for that name, are not looked at now.
    pub(super) fn blocks(&self, peer: Option<SocketAddr>, name: Option<&str>, now: Instant) -> bool {
        if self.blocks.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        self.keys(peer, name)
            .into_iter()
            .flatten()
            .any(|key| counts.get(&key).is_some_and(|count| count.blocked.is_some_and(|until| now < until)))
    }

    /// A wrong attempt. Tells whether that begins a block.
    pub(super) fn failed(
        &self,
        peer: Option<SocketAddr>,
        name: Option<&str>,
        policy: &policy::Guard,
        now: Instant,
    ) -> bool {
        if policy.failures == 0 {
            return false;
        }
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut begins = false;
        for key in self.keys(peer, name).into_iter().flatten() {
            let fresh = Count { failures: 0, since: now, blocked: None };
            let mut count = counts.get(&key).map_or(fresh, |count| *count);
            let age = now.saturating_duration_since(count.since);
            if age > policy.within && count.blocked.is_none_or(|until| now >= until) {
                count = fresh;
            }
            count.failures = count.failures.saturating_add(1);
            if count.failures >= policy.failures && count.blocked.is_none_or(|until| now >= until) {
                count = Count { failures: 0, since: now, blocked: Some(now + bounded(policy.block)) };
                self.blocks.fetch_add(1, Ordering::Relaxed);
                begins = true;
            }
            counts.insert(key, count);
        }
        begins
    }

    fn keys(&self, peer: Option<SocketAddr>, name: Option<&str>) -> [Option<u64>; 2] {
        let peer = peer.map(|peer| match peer.ip().to_canonical() {
            IpAddr::V4(address) => self.hasher.hash_one((0_u8, address.octets())),
            IpAddr::V6(address) => {
                self.hasher.hash_one((1_u8, address.octets().get(..8).unwrap_or_default()))
            }
        });
        [peer, name.map(|name| self.hasher.hash_one((2_u8, name)))]
    }
}

/// A block that ends within a day, whatever the document says: clocks have an end.
fn bounded(block: Duration) -> Duration {
    block.min(Duration::from_secs(24 * 3600))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn policy() -> policy::Guard {
        policy::Guard { failures: 3, within: Duration::from_secs(60), block: Duration::from_secs(30) }
    }

    fn from(address: &str) -> Option<SocketAddr> {
        Some(SocketAddr::new(address.parse().unwrap(), 1))
    }

    #[test]
    fn an_address_that_fails_time_and_again_is_blocked_for_a_while() {
        let (guard, start) = (Guard::new(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        for (seconds, name) in [(0, "a"), (1, "b"), (2, "c")] {
            assert!(!guard.blocks(from("10.0.0.1"), Some(name), after(seconds)));
            guard.failed(from("10.0.0.1"), Some(name), &policy(), after(seconds));
        }
        assert!(guard.blocks(from("10.0.0.1"), Some("d"), after(3)), "whatever name it tries");
        assert!(guard.blocks(from("::ffff:10.0.0.1"), None, after(3)), "the same address");
        assert!(!guard.blocks(from("10.0.0.2"), Some("a"), after(3)));
        assert!(!guard.blocks(from("10.0.0.1"), Some("d"), after(33)), "it ends");
    }

    #[test]
    fn a_name_that_is_tried_from_everywhere_is_blocked() {
        let (guard, now) = (Guard::new(), Instant::now());
        for number in 0..3 {
            guard.failed(from(&format!("10.0.0.{number}")), Some("victim"), &policy(), now);
        }
        assert!(guard.blocks(from("10.0.1.1"), Some("victim"), now));
        assert!(!guard.blocks(from("10.0.0.1"), Some("other"), now));
    }

    #[test]
    fn of_ipv6_the_whole_subscriber_counts() {
        let (guard, now) = (Guard::new(), Instant::now());
        for number in 0..3 {
            guard.failed(from(&format!("2001:db8::{number}")), None, &policy(), now);
        }
        assert!(guard.blocks(from("2001:db8::ffff"), None, now));
        assert!(!guard.blocks(from("2001:db8:0:1::1"), None, now));
    }

    #[test]
    fn slow_failures_and_many_names_cost_nothing() {
        let (guard, start) = (Guard::new(), Instant::now());
        for minute in 0..10 {
            let now = start + Duration::from_secs(61 * minute);
            assert!(!guard.failed(from("10.0.0.1"), None, &policy(), now));
        }
        for number in 0..150_000 {
            guard.failed(None, Some(&number.to_string()), &policy(), start);
        }
        assert!(guard.counts.lock().unwrap().len() <= MOST);
        let off = policy::Guard { failures: 0, ..policy() };
        assert!((0..10).all(|_| !guard.failed(from("10.0.0.9"), None, &off, start)));
    }
}
