//! Chance and keys of one machine, from the seed that it was given.

use crate::coap::Remote;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

/// A source of numbers that peers cannot foresee as long as they do not know the seed.
#[derive(Clone, Debug)]
pub(in crate::coap) struct Chance(u64);

impl Chance {
    pub(in crate::coap) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number (SplitMix64).
    pub(in crate::coap) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

/// An endpoint as 64 bits, by a keyed hash: nobody outside can find two endpoints that have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EndpointHash(pub(super) u64);

/// Makes hashes of endpoints.
#[derive(Clone, Debug)]
pub(super) struct Key(DefaultHasher);

impl Key {
    pub(super) fn new(chance: &mut Chance) -> Self {
        let mut hasher = DefaultHasher::new();
        [chance.next(), chance.next()].hash(&mut hasher);
        Self(hasher)
    }

    pub(super) fn hash(&self, remote: &Remote) -> EndpointHash {
        let mut hasher = self.0.clone();
        remote.hash(&mut hasher);
        EndpointHash(hasher.finish())
    }
}
