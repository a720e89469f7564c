//! Passwords that were right of late.
//!
//! Verifying a password takes milliseconds of a core and megabytes of memory, by design. When thousands of devices come
//! back at once, those that were here within a day are recognised by a keyed digest instead. The key is random, made anew
//! with each start, and never leaves the process; the digest is of the hash as well, so that a password that was changed is
//! verified anew. Whether somebody is let in at all is looked at each time, whatever is remembered.

use crate::generations::Generations;
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a generation takes in. What it took in and nobody used is remembered for at most as long again.
const GENERATION: Duration = Duration::from_secs(12 * 3600);
/// Parts with a lock each, so that shards seldom wait for one another.
const PARTS: usize = 16;

/// What a right user name and password is recognised by.
pub(super) type Proof = [u8; 16];

/// The passwords that were right of late: a bounded number of them.
pub(super) struct Verified {
    /// `None` if the system has no randomness: then nothing is remembered.
    key: Option<[u8; 32]>,
    parts: Vec<Mutex<Part>>,
}

struct Part {
    proofs: Generations<Proof, ()>,
    since: Instant,
}

impl Verified {
    /// Remembers nothing yet. The key is random.
    pub(super) fn new(entries: usize) -> Self {
        let random = || argon2::password_hash::try_generate_salt().ok();
        let key = random().zip(random()).map(|(first, second)| {
            let mut key = [0; 32];
            key[..16].copy_from_slice(&first);
            key[16..].copy_from_slice(&second);
            key
        });
        let since = Instant::now();
        let part = || Mutex::new(Part { proofs: Generations::new((entries / PARTS).max(2)), since });
        Self { key, parts: (0..PARTS).map(|_| part()).collect() }
    }

    /// What stands for a text as long as this lasts, and tells nobody anything.
    pub(super) fn mark(&self, text: &str) -> [u8; 32] {
        super::scram::hmac(&self.key.unwrap_or_default(), &[b"salt", text.as_bytes()])
    }

    /// The proof for a user name and password, as they would fit `hash`.
    pub(super) fn proof(&self, username: &str, password: &[u8], hash: &[u8]) -> Option<Proof> {
        let mut digest = Sha256::new_with_prefix(self.key?);
        for part in [username.as_bytes(), password, hash] {
            digest.update(part.len().to_le_bytes());
            digest.update(part);
        }
        digest.finalize().first_chunk().copied()
    }

    /// The same proof, brought from an address.
    pub(super) fn from(&self, proof: &Proof, peer: IpAddr) -> Option<Proof> {
        let mut digest = Sha256::new_with_prefix(self.key?);
        digest.update(b"from");
        digest.update(proof);
        match peer.to_canonical() {
            IpAddr::V4(address) => digest.update(address.octets()),
            IpAddr::V6(address) => digest.update(address.octets().get(..8).unwrap_or_default()),
        }
        digest.finalize().first_chunk().copied()
    }

    /// Whether the proof was remembered of late. What the time tells is about the digest, which nobody can choose.
    pub(super) fn knows(&self, proof: &Proof) -> bool {
        self.knows_at(proof, Instant::now())
    }

    /// Remembers a proof.
    pub(super) fn remember(&self, proof: Proof) {
        self.remember_at(proof, Instant::now());
    }

    fn part(&self, proof: &Proof) -> Option<&Mutex<Part>> {
        self.parts.get(usize::from(proof[0]) % PARTS)
    }

    fn knows_at(&self, proof: &Proof, now: Instant) -> bool {
        let Some(part) = self.part(proof) else { return false };
        let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
        part.age(now);
        part.proofs.get(proof).is_some()
    }

    fn remember_at(&self, proof: Proof, now: Instant) {
        let Some(part) = self.part(&proof) else { return };
        let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
        part.age(now);
        part.proofs.insert(proof, ());
    }
}

impl Part {
    fn age(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.since);
        if age >= 2 * GENERATION {
            self.proofs.clear();
            self.since = now;
        } else if age >= GENERATION {
            self.proofs.turn();
            self.since += GENERATION;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn proofs_are_of_one_name_password_hash_and_process() {
        let verified = Verified::new(1_000);
        let proof = verified.proof("a", b"b", b"c").unwrap();
        assert_eq!(verified.proof("a", b"b", b"c"), Some(proof));
        for other in [("ab", "", "c"), ("", "ab", "c"), ("a", "b", "d"), ("a", "B", "c"), ("a", "bc", "")] {
            let other = verified.proof(other.0, other.1.as_bytes(), other.2.as_bytes());
            assert_ne!(other, Some(proof), "{other:?}");
        }
        assert_ne!(Verified::new(1_000).proof("a", b"b", b"c"), Some(proof), "another key");
    }

    #[test]
    fn a_proof_that_nobody_uses_is_forgotten_within_a_day() {
        let verified = Verified::new(1_000);
        let start = Instant::now();
        let hours = |hours: u64| start + Duration::from_secs(3600 * hours);
        verified.remember_at([1; 16], hours(11));
        assert!(verified.knows_at(&[1; 16], hours(11)));
        verified.remember_at([2; 16], hours(11));
        assert!(verified.knows_at(&[2; 16], hours(13)), "used again in the next generation");
        assert!(!verified.knows_at(&[1; 16], hours(25)));
        assert!(verified.knows_at(&[2; 16], hours(25)));
        verified.remember_at([3; 16], hours(26));
        assert!(!verified.knows_at(&[3; 16], hours(60)), "nobody asked in between");
    }

    #[test]
    fn memory_is_bounded() {
        let verified = Verified::new(10_000);
        let now = Instant::now();
        for number in 0..120_000_u64 {
            let mut proof = [0; 16];
            proof[..8].copy_from_slice(&number.to_le_bytes());
            verified.remember_at(proof, now);
        }
        let remembered: usize = verified.parts.iter().map(|part| part.lock().unwrap().proofs.len()).sum();
        assert!((5_000..=10_000).contains(&remembered), "{remembered}");
    }
}
