//! Memory with a bound: what was used of late stays, and nothing is ever moved about to make room.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// A map that holds at most so many entries, in two generations: when the younger one is full, it becomes the older one, and
/// what was in that and nobody asked for meanwhile is forgotten.
#[derive(Debug)]
pub(crate) struct Generations<K, V> {
    current: HashMap<K, V>,
    previous: HashMap<K, V>,
    /// What one generation holds at most.
    most: usize,
}

impl<K: Eq + Hash, V> Generations<K, V> {
    /// Holds at most `most` entries, and at least a few.
    pub(crate) fn new(most: usize) -> Self {
        Self { current: HashMap::new(), previous: HashMap::new(), most: (most / 2).max(1) }
    }

    /// What is known under a key.
    pub(crate) fn get<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        if !self.previous.is_empty()
            && let Some((key, value)) = self.previous.remove_entry(key)
        {
            self.insert(key, value);
        }
        self.current.get_mut(key)
    }

    /// Remembers.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        self.previous.remove(&key);
        if self.current.len() >= self.most && !self.current.contains_key(&key) {
            self.turn();
        }
        self.current.insert(key, value);
    }

    /// Forgets one.
    pub(crate) fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.current.remove(key).or_else(|| self.previous.remove(key))
    }

    /// The younger generation becomes the older one, which is forgotten.
    pub(crate) fn turn(&mut self) {
        self.previous = std::mem::take(&mut self.current);
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.current = HashMap::new();
        self.previous = HashMap::new();
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.current.len() + self.previous.len()
    }

    /// All keys.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.current.keys().chain(self.previous.keys())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_rest_is_bounded() {
        let mut map = Generations::new(100);
        for number in 0..1_000 {
            map.insert(number, number);
            assert_eq!(map.get(&0), Some(&mut 0), "it is asked for all the time");
            assert!(map.len() <= 100);
        }
        assert!(map.get(&1).is_none());
        assert_eq!(map.remove(&999), Some(999));
        assert!(map.get(&999).is_none());
        map.clear();
        assert_eq!(map.keys().count(), 0);
    }
}
