//! What was found out a moment ago, by digests of what was shown: bounded, and what is asked for again stays longest.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Parts with a lock of their own.
const PARTS: usize = 16;

/// A bounded memory. Whether what it holds is still good is its user's to say.
pub(crate) struct Recent<V> {
    parts: [Mutex<Part<V>>; PARTS],
    /// Entries in one generation of one part.
    most: usize,
}

/// Two generations: what is asked for again moves to the younger one, and the older one is dropped whole.
struct Part<V> {
    young: HashMap<[u8; 32], V>,
    old: HashMap<[u8; 32], V>,
}

impl<V> Recent<V> {
    /// Holds so many entries at most.
    pub(crate) fn new(most: usize) -> Self {
        let parts = std::array::from_fn(|_| Mutex::new(Part { young: HashMap::new(), old: HashMap::new() }));
        Self { parts, most: (most / PARTS / 2).max(1) }
    }

    /// What `read` makes of what is known; where that is nothing, what is known is forgotten.
    pub(crate) fn get<T>(&self, digest: &[u8; 32], read: impl FnOnce(&V) -> Option<T>) -> Option<T> {
        let mut part = self.part(digest);
        let Some(found) = part.young.get(digest) else {
            let found = part.old.remove(digest)?;
            let made = read(&found)?;
            part.put(*digest, found, self.most);
            return Some(made);
        };
        let made = read(found);
        if made.is_none() {
            part.young.remove(digest);
        }
        made
    }

    /// Remembers something.
    pub(crate) fn put(&self, digest: [u8; 32], what: V) {
        self.part(&digest).put(digest, what, self.most);
    }

    fn part(&self, digest: &[u8; 32]) -> MutexGuard<'_, Part<V>> {
        // A digest's bytes are even; a part's own map hashes all of them with a key that nobody knows.
        let [first, ..] = digest;
        let index = usize::from(*first) % PARTS;
        self.parts[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Part<V> {
    fn put(&mut self, digest: [u8; 32], what: V, most: usize) {
        if self.young.len() >= most {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(digest, what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_and_keeps_what_is_asked_for() {
        let recent = Recent::new(PARTS * 20);
        let digest = |count: u32| {
            let mut digest = [0; 32];
            digest[1..5].copy_from_slice(&count.to_be_bytes());
            digest
        };
        for count in 0..10_000 {
            recent.put(digest(count), count);
            assert_eq!(recent.get(&digest(0), |known| Some(*known)), Some(0), "after {count}");
        }
        let held = (0..10_000).filter(|count| recent.get(&digest(*count), |_| Some(())).is_some()).count();
        assert!((1..=20).contains(&held), "{held}");
        assert_eq!(recent.get(&digest(0), |_| None::<()>), None);
        assert_eq!(recent.get(&digest(0), |_| Some(())), None, "what is not good is forgotten");
    }
}
