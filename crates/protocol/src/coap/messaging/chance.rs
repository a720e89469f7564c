//! Chance of one machine, from the seed that it was given, and endpoints as numbers.

use crate::coap::Remote;
use std::net::{IpAddr, SocketAddr};

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

/// Makes hashes of endpoints. One multiplication for each eight bytes: every datagram takes this way.
#[derive(Clone, Debug)]
pub(in crate::coap) struct Key([u64; 4]);

impl Key {
    pub(in crate::coap) fn new(chance: &mut Chance) -> Self {
        Self(std::array::from_fn(|_| chance.next() | 1))
    }

    pub(super) fn hash(&self, remote: &Remote) -> EndpointHash {
        let Self([.., last]) = self;
        let hash = match remote {
            Remote::Session(session) => self.mix(0, session.0),
            Remote::Udp { peer, local } => {
                let scope = match peer {
                    SocketAddr::V4(_) => 0,
                    SocketAddr::V6(peer) => peer.scope_id(),
                };
                let local = local.map_or(0, |local| self.address(1, local));
                let port = u64::from(peer.port()) | u64::from(scope) << 16;
                self.mix(self.address(local, peer.ip()), port)
            }
        };
        EndpointHash(fold(hash, *last))
    }

    /// An address as 64 bits.
    pub(in crate::coap) fn address(&self, hash: u64, address: IpAddr) -> u64 {
        match address {
            IpAddr::V4(address) => self.mix(hash, u64::from(address.to_bits()) | 1 << 32),
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                self.mix(self.mix(hash, (bits >> 64) as u64), bits as u64)
            }
        }
    }

    fn mix(&self, hash: u64, word: u64) -> u64 {
        let Self([first, second, third, _]) = self;
        fold(word ^ first, hash ^ second).wrapping_add(*third)
    }
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}
