//! Randomness from the shard's seed: the same seed replays the same run.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// Jitter, salts, tokens and names, all from one seed.
///
/// Jitter comes from SplitMix64, which is fast and easily predicted. Tokens are hashes of the secret seed and a
/// counter, so that whoever saw some of them cannot tell the next one.
#[derive(Debug)]
pub(crate) struct Random {
    seed: u64,
    state: u64,
    tokens: u64,
}

impl Random {
    /// Starts from `seed`, which must be secret where tokens must not be guessed.
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, state: keyed(seed, 0, 0), tokens: 0 }
    }

    /// 64 bits for jitter (SplitMix64).
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A duration from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: Duration, high: Duration) -> Duration {
        let span = u64::try_from(high.saturating_sub(low).as_micros()).unwrap_or(u64::MAX - 1);
        low + Duration::from_micros(self.next() % (span + 1))
    }

    /// 128 bits that cannot be guessed from earlier ones.
    pub(crate) fn token(&mut self) -> u128 {
        self.tokens += 1;
        u128::from(keyed(self.seed, self.tokens, 1)) << 64 | u128::from(keyed(self.seed, self.tokens, 2))
    }
}

fn keyed(seed: u64, count: u64, purpose: u8) -> u64 {
    let mut hasher = DefaultHasher::new();
    (seed, count, purpose).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_replays_and_jitter_stays_within_its_bounds() {
        let (mut one, mut two) = (Random::new(7), Random::new(7));
        let (low, high) = (Duration::from_millis(100), Duration::from_millis(200));
        for _ in 0..1_000 {
            let wait = one.between(low, high);
            assert_eq!(wait, two.between(low, high));
            assert!(wait >= low && wait <= high);
        }
        assert_eq!(one.between(high, low), high, "an empty range is its lower end");
        assert_ne!(one.token(), one.token());
    }
}
