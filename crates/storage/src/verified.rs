//! Passwords that were right a moment ago.
//!
//! Verifying a password takes milliseconds of a core and megabytes of memory, by design. When thousands of devices come
//! back at once, those that were here within ten minutes are recognised by a keyed digest instead. The key is random,
//! made anew with each loading of the files, and never leaves the process.

use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a generation takes in. What it took in is remembered for at most as long again.
const GENERATION: Duration = Duration::from_secs(5 * 60);

/// How many one generation holds; there are two.
const GENERATION_SIZE: usize = 50_000;

/// What a right user name and password is recognised by.
pub(crate) type Proof = [u8; 32];

/// The passwords that were right within the last ten minutes, at most 100,000 of them.
pub(crate) struct Verified {
    /// `None` if the system has no randomness: then nothing is remembered.
    key: Option<[u8; 32]>,
    generations: Mutex<Generations>,
}

struct Generations {
    current: HashSet<Proof>,
    previous: HashSet<Proof>,
    since: Instant,
}

impl Verified {
    /// Remembers nothing yet. The key is random.
    pub(crate) fn new() -> Self {
        let random = || argon2::password_hash::try_generate_salt().ok();
        let key = random().zip(random()).map(|(first, second)| {
            let mut key = [0; 32];
            key[..16].copy_from_slice(&first);
            key[16..].copy_from_slice(&second);
            key
        });
        let generations =
            Generations { current: HashSet::new(), previous: HashSet::new(), since: Instant::now() };
        Self { key, generations: Mutex::new(generations) }
    }

    /// What stands for a text as long as this lasts, and tells nobody anything.
    pub(crate) fn mark(&self, text: &str) -> [u8; 32] {
        crate::scram::hmac(&self.key.unwrap_or_default(), &[b"salt", text.as_bytes()])
    }

    /// The proof for a user name and password, as they would fit `hash`.
    pub(crate) fn proof(&self, username: &str, password: &[u8], hash: &str) -> Option<Proof> {
        let mut digest = Sha256::new_with_prefix(self.key?);
        for part in [username.as_bytes(), password, hash.as_bytes()] {
            digest.update(part.len().to_le_bytes());
            digest.update(part);
        }
        Some(digest.finalize().into())
    }

    /// Whether the proof was remembered within the last ten minutes.
    pub(crate) fn knows(&self, proof: &Proof) -> bool {
        self.knows_at(proof, Instant::now())
    }

    /// Remembers a proof.
    pub(crate) fn remember(&self, proof: Proof) {
        self.remember_at(proof, Instant::now());
    }

    fn knows_at(&self, proof: &Proof, now: Instant) -> bool {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.age(now);
        generations.current.contains(proof) || generations.previous.contains(proof)
    }

    fn remember_at(&self, proof: Proof, now: Instant) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.age(now);
        if generations.current.len() >= GENERATION_SIZE {
            generations.previous = std::mem::take(&mut generations.current);
            generations.since = now;
        }
        generations.current.insert(proof);
    }
}

impl Generations {
    fn age(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.since);
        if age >= GENERATION {
            self.previous = std::mem::take(&mut self.current);
            self.since += GENERATION;
        }
        if age >= 2 * GENERATION {
            self.previous.clear();
            self.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn proofs_are_of_one_name_password_hash_and_process() {
        let verified = Verified::new();
        let proof = verified.proof("a", b"b", "c").unwrap();
        assert_eq!(verified.proof("a", b"b", "c"), Some(proof));
        for other in [("ab", "", "c"), ("", "ab", "c"), ("a", "b", "d"), ("a", "B", "c"), ("a", "bc", "")] {
            assert_ne!(verified.proof(other.0, other.1.as_bytes(), other.2), Some(proof), "{other:?}");
        }
        assert_ne!(Verified::new().proof("a", b"b", "c"), Some(proof), "another key");
    }

    #[test]
    fn a_proof_is_forgotten_within_ten_minutes() {
        let verified = Verified::new();
        let start = Instant::now();
        let minutes = |minutes: u64| start + Duration::from_secs(60 * minutes);
        verified.remember_at([1; 32], minutes(4));
        assert!(verified.knows_at(&[1; 32], minutes(4)));
        assert!(verified.knows_at(&[1; 32], minutes(9)), "it came late in its generation");
        assert!(!verified.knows_at(&[1; 32], minutes(11)));
        verified.remember_at([2; 32], minutes(12));
        assert!(!verified.knows_at(&[2; 32], minutes(60)), "nobody asked in between");
    }

    #[test]
    fn memory_is_bounded() {
        let verified = Verified::new();
        let now = Instant::now();
        for number in 0..120_000_u64 {
            let mut proof = [0; 32];
            proof[..8].copy_from_slice(&number.to_le_bytes());
            verified.remember_at(proof, now);
        }
        let generations = verified.generations.lock().unwrap();
        let remembered = generations.current.len() + generations.previous.len();
        assert!((50_000..=100_000).contains(&remembered), "{remembered}");
    }
}
