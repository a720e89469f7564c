//! Certificates that were let in while there were lists, so that a newer list finds those of them that it names.

use super::lists::{Mark, RevocationLists};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use windrose_event::CertificateClaim;

/// What lists may name a certificate by: itself, and what stands above it, which it shares with its like.
struct Marks {
    own: Option<Mark>,
    above: Arc<[Mark]>,
}

/// Two generations: when the newer one is full, the older one is forgotten.
pub(super) struct Seen {
    generations: Mutex<Generations>,
    /// Of one generation.
    most: usize,
}

#[derive(Default)]
struct Generations {
    current: HashMap<[u8; 32], Marks>,
    previous: HashMap<[u8; 32], Marks>,
    /// What stands above certificates, by their issuer.
    above: HashMap<[u8; 32], Arc<[Mark]>>,
}

/// Issuers whose own marks are remembered.
const ISSUERS: usize = 1_024;

impl Seen {
    pub(super) fn new(most: usize) -> Self {
        Self { generations: Mutex::default(), most: (most / 2).max(1) }
    }

    /// It is let in.
    pub(super) fn note(&self, claim: &CertificateClaim, lists: &RevocationLists) {
        let Some(fingerprint) = claim.fingerprint else { return };
        let mut all = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if all.current.contains_key(&fingerprint) {
            return;
        }
        let own = lists.marks(claim).next();
        let above = match claim.issuers.first() {
            None => Arc::default(),
            Some(issuer) => match all.above.get(issuer) {
                Some(known) => Arc::clone(known),
                None => {
                    let marks: Arc<[Mark]> = lists.marks_above(claim).into();
                    if all.above.len() >= ISSUERS {
                        all.above.clear();
                    }
                    all.above.insert(*issuer, Arc::clone(&marks));
                    marks
                }
            },
        };
        if all.current.len() >= self.most {
            all.previous = std::mem::take(&mut all.current);
        }
        all.current.insert(fingerprint, Marks { own, above });
    }

    /// Takes out those that the lists name now.
    pub(super) fn revoked(&self, lists: &RevocationLists) -> Vec<[u8; 32]> {
        let mut all = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let mut revoked = Vec::new();
        let is_good = |fingerprint: &[u8; 32], marks: &mut Marks| {
            let named = marks.own.iter().chain(marks.above.iter()).any(|mark| lists.holds(mark));
            if named {
                revoked.push(*fingerprint);
            }
            !named
        };
        let mut is_good = is_good;
        let Generations { current, previous, .. } = &mut *all;
        current.retain(&mut is_good);
        previous.retain(&mut is_good);
        revoked.sort_unstable();
        revoked.dedup();
        revoked
    }
}
