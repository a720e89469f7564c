//! Tokens that were verified a moment ago: a thing that comes back costs a hash, not a signature.

use super::keys::Key;
use crate::Vouched;
use crate::recent::Recent;
use std::sync::{Arc, Weak};
use windrose_event::Timestamp;

/// What is remembered of tokens, by their digests.
pub(super) struct Memory(Recent<Remembered>);

struct Remembered {
    vouched: Arc<Vouched>,
    /// The key that proved it: once its issuer has it no more, nothing that it signed counts.
    key: Weak<Key>,
}

impl Memory {
    /// Remembers so many tokens at most.
    pub(super) fn new(most: usize) -> Self {
        Self(Recent::new(most))
    }

    /// Whom a token speaks for, if that is known and still so.
    pub(super) fn recall(&self, digest: &[u8; 32], now: Timestamp) -> Option<Arc<Vouched>> {
        self.0.get(digest, |found| {
            let is_good =
                found.key.strong_count() > 0 && found.vouched.proof.until.is_some_and(|until| now < until);
            is_good.then(|| Arc::clone(&found.vouched))
        })
    }

    /// Remembers whom a token speaks for.
    pub(super) fn remember(&self, digest: [u8; 32], vouched: Arc<Vouched>, key: &Arc<Key>) {
        self.0.put(digest, Remembered { vouched, key: Arc::downgrade(key) });
    }
}
