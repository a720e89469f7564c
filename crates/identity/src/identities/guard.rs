//! The guard: who tries wrong credentials time and again is not looked at for a while.
//!
//! Wrong attempts are counted by the address that they come from (of IPv6 the /64, which is one subscriber's) and by the name
//! that they are for. While either is blocked, nothing is looked at that would take work. What a handshake proved is let in
//! all the same, and so is a password that was right of late: for a blocked name from anywhere, so that a guesser shuts
//! nobody out who was here before; from a blocked address only if it was right from there before, and only as long as not
//! ever more is tried from there, so that what is remembered does not make guessing cheap.

use crate::generations::Generations;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use windrose_policy as policy;

/// Addresses and names whose wrong attempts are counted, at most.
const MOST: usize = 100_000;

/// Attempts from a blocked address, as a multiple of those that led to its block, after which what is remembered counts no
/// more.
const PATIENCE: u32 = 10;

/// What is blocked of a claim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Blocked {
    /// Its address.
    pub(super) address: bool,
    /// Its address, from which ever more is tried.
    pub(super) wholly: bool,
    /// Its name.
    pub(super) name: bool,
}

impl Blocked {
    /// Whether anything is.
    pub(super) fn is_any(self) -> bool {
        self.address || self.name
    }
}

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

    /// What is blocked of attempts from there, for that name.
    pub(super) fn blocked(
        &self,
        peer: Option<SocketAddr>,
        name: Option<&str>,
        policy: &policy::Guard,
        now: Instant,
    ) -> Blocked {
        if self.blocks.load(Ordering::Relaxed) == 0 {
            return Blocked::default();
        }
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut count = |key: Option<u64>| {
            let count = counts.get(&key?)?;
            count.blocked.is_some_and(|until| now < until).then_some(count.failures)
        };
        let [address, name] = self.keys(peer, name).map(&mut count);
        let most = policy.failures.saturating_mul(PATIENCE);
        Blocked {
            address: address.is_some(),
            wholly: address.is_some_and(|tried| tried >= most),
            name: name.is_some(),
        }
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

    fn blocks(guard: &Guard, peer: Option<SocketAddr>, name: Option<&str>, now: Instant) -> bool {
        guard.blocked(peer, name, &policy(), now).is_any()
    }

    fn from(address: &str) -> Option<SocketAddr> {
        Some(SocketAddr::new(address.parse().unwrap(), 1))
    }

    #[test]
    fn an_address_that_fails_time_and_again_is_blocked_for_a_while() {
        let (guard, start) = (Guard::new(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        for (seconds, name) in [(0, "a"), (1, "b"), (2, "c")] {
            assert!(!blocks(&guard, from("10.0.0.1"), Some(name), after(seconds)));
            guard.failed(from("10.0.0.1"), Some(name), &policy(), after(seconds));
        }
        assert!(blocks(&guard, from("10.0.0.1"), Some("d"), after(3)), "whatever name it tries");
        assert!(blocks(&guard, from("::ffff:10.0.0.1"), None, after(3)), "the same address");
        assert!(!blocks(&guard, from("10.0.0.2"), Some("a"), after(3)));
        assert!(!blocks(&guard, from("10.0.0.1"), Some("d"), after(33)), "it ends");
    }

    #[test]
    fn a_name_that_is_tried_from_everywhere_is_blocked() {
        let (guard, now) = (Guard::new(), Instant::now());
        for number in 0..3 {
            guard.failed(from(&format!("10.0.0.{number}")), Some("victim"), &policy(), now);
        }
        assert!(blocks(&guard, from("10.0.1.1"), Some("victim"), now));
        assert!(!blocks(&guard, from("10.0.0.1"), Some("other"), now));
    }

    #[test]
    fn of_ipv6_the_whole_subscriber_counts() {
        let (guard, now) = (Guard::new(), Instant::now());
        for number in 0..3 {
            guard.failed(from(&format!("2001:db8::{number}")), None, &policy(), now);
        }
        assert!(blocks(&guard, from("2001:db8::ffff"), None, now));
        assert!(!blocks(&guard, from("2001:db8:0:1::1"), None, now));
    }

    #[test]
    fn an_address_that_goes_on_is_blocked_wholly() {
        let (guard, now) = (Guard::new(), Instant::now());
        for number in 0..40 {
            guard.failed(from("10.0.0.1"), None, &policy(), now);
            let blocked = guard.blocked(from("10.0.0.1"), None, &policy(), now);
            assert_eq!(blocked.address, number >= 2, "{number}");
            assert_eq!(blocked.wholly, number >= 32, "{number}");
        }
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
