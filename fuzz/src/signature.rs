//! What tells one behaviour from another.

use std::hash::{DefaultHasher, Hash, Hasher};

/// A number made of what a target did.
#[derive(Debug, Default)]
pub struct Signature(DefaultHasher);

impl Signature {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Something happened.
    pub fn add(&mut self, what: impl Hash) {
        what.hash(&mut self.0);
    }

    /// The number.
    pub fn finish(&self) -> u64 {
        self.0.finish()
    }
}
