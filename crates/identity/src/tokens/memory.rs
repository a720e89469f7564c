//! Tokens that were verified a moment ago: a thing that comes back costs a hash, not a signature.

use super::keys::Key;
use crate::Vouched;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use windrose_event::Timestamp;

/// Parts with a lock of their own.
const PARTS: usize = 16;

/// What is remembered of tokens, by their digests.
pub(super) struct Memory {
    parts: [Mutex<Part>; PARTS],
    /// Tokens in one generation of one part.
    most: usize,
}

/// Two generations: what is asked for again moves to the younger one, and the older one is dropped whole.
#[derive(Default)]
struct Part {
    young: HashMap<[u8; 32], Remembered>,
    old: HashMap<[u8; 32], Remembered>,
}

#[derive(Clone)]
struct Remembered {
    vouched: Arc<Vouched>,
    /// The key that proved it: once its issuer has it no more, nothing that it signed counts.
    key: Weak<Key>,
}

impl Memory {
    /// Remembers so many tokens at most.
    pub(super) fn new(most: usize) -> Self {
        Self { parts: Default::default(), most: (most / PARTS / 2).max(1) }
    }

    /// Whom a token speaks for, if that is known and still so.
    pub(super) fn recall(&self, digest: &[u8; 32], now: Timestamp) -> Option<Arc<Vouched>> {
        let mut part = self.part(digest);
        let found = match part.young.get(digest) {
            Some(found) => found.clone(),
            None => {
                let found = part.old.remove(digest)?;
                part.keep(*digest, found.clone(), self.most);
                found
            }
        };
        let is_good =
            found.key.strong_count() > 0 && found.vouched.proof.until.is_some_and(|until| now < until);
        if !is_good {
            part.young.remove(digest);
        }
        is_good.then_some(found.vouched)
    }

    /// Remembers whom a token speaks for.
    pub(super) fn remember(&self, digest: [u8; 32], vouched: Arc<Vouched>, key: &Arc<Key>) {
        self.part(&digest).keep(digest, Remembered { vouched, key: Arc::downgrade(key) }, self.most);
    }

    fn part(&self, digest: &[u8; 32]) -> std::sync::MutexGuard<'_, Part> {
        // A digest's bytes are even; a part's own map hashes the rest with a key that nobody knows.
        let [first, ..] = digest;
        let index = usize::from(*first) % PARTS;
        self.parts[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Part {
    fn keep(&mut self, digest: [u8; 32], what: Remembered, most: usize) {
        if self.young.len() >= most {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(digest, what);
    }
}
