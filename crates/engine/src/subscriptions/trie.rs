//! The trie of filters: which of them match an address, in time that depends on the address and not on their number.

use rustc_hash::FxHashMap;
use slab::Slab;
use smallvec::{SmallVec, smallvec};
use std::sync::Arc;
use windrose_event::Filter;

/// A filter's place in a trie.
pub(crate) type Place = u32;

const ROOT: Place = 0;
/// No child: the root is nobody's.
const NONE: Place = 0;
const PLUS: u32 = u32::MAX - 1;
const HASH: u32 = u32::MAX;

/// Filters and what is kept for each, in an arena.
///
/// Levels are interned, so an address's levels are hashed as text once, however many branches are followed.
#[derive(Debug)]
pub(crate) struct Trie<V> {
    levels: Levels,
    edges: FxHashMap<(Place, u32), Place>,
    nodes: Slab<Node<V>>,
}

#[derive(Debug)]
struct Node<V> {
    parent: Place,
    /// The interned level, or `PLUS` or `HASH`.
    level: u32,
    children: u32,
    plus: Place,
    hash: Place,
    /// Boxed, because most nodes only lead to others.
    value: Option<Box<V>>,
}

impl<V> Node<V> {
    const fn new(parent: Place, level: u32) -> Self {
        Self { parent, level, children: 0, plus: NONE, hash: NONE, value: None }
    }
}

impl<V> Default for Trie<V> {
    fn default() -> Self {
        let mut nodes = Slab::new();
        nodes.insert(Node::new(ROOT, HASH));
        Self { levels: Levels::default(), edges: FxHashMap::default(), nodes }
    }
}

impl<V> Trie<V> {
    /// The filter's place, made if it has none. A place without a value must be given one or pruned.
    pub(crate) fn place(&mut self, filter: &Filter) -> Place {
        let mut at = ROOT;
        for level in filter.levels() {
            at = self.child(at, level).unwrap_or_else(|| self.grow(at, level));
        }
        at
    }

    /// The filter's place, if it has one.
    pub(crate) fn find(&self, filter: &Filter) -> Option<Place> {
        filter.levels().try_fold(ROOT, |at, level| self.child(at, level))
    }

    /// What is kept at a place.
    pub(crate) fn value(&self, place: Place) -> Option<&V> {
        self.nodes.get(place as usize)?.value.as_deref()
    }

    /// What is kept at a place, to be changed.
    pub(crate) fn value_mut(&mut self, place: Place) -> Option<&mut V> {
        self.nodes.get_mut(place as usize)?.value.as_deref_mut()
    }

    /// What is kept at a filter, made if there is nothing.
    pub(crate) fn value_or_default(&mut self, filter: &Filter) -> &mut V
    where
        V: Default,
    {
        let place = self.place(filter);
        self.nodes[place as usize].value.get_or_insert_default()
    }

    /// Forgets what is kept at a place, and the branch that led only there.
    pub(crate) fn remove(&mut self, place: Place) {
        self.nodes[place as usize].value = None;
        let mut at = place;
        while at != ROOT && self.nodes[at as usize].children == 0 && self.nodes[at as usize].value.is_none() {
            let Node { parent, level, .. } = self.nodes.remove(at as usize);
            let above = &mut self.nodes[parent as usize];
            above.children -= 1;
            match level {
                PLUS => above.plus = NONE,
                HASH => above.hash = NONE,
                _ => {
                    self.edges.remove(&(parent, level));
                    self.levels.release(level);
                }
            }
            at = parent;
        }
    }

    /// Whether anything is kept at a place.
    pub(crate) fn has_value(&self, place: Place) -> bool {
        self.nodes.get(place as usize).is_some_and(|node| node.value.is_some())
    }

    /// All filters for which something is kept, in no order.
    pub(crate) fn filters(&self) -> Vec<Filter> {
        let kept = self.nodes.iter().filter(|(_, node)| node.value.is_some());
        kept.filter_map(|(place, _)| self.filter(place as Place)).collect()
    }

    fn filter(&self, place: Place) -> Option<Filter> {
        let mut levels = Vec::new();
        let mut at = place;
        while at != ROOT {
            let Node { parent, level, .. } = self.nodes.get(at as usize)?;
            levels.push(match *level {
                PLUS => "+",
                HASH => "#",
                level => self.levels.name(level)?,
            });
            at = *parent;
        }
        levels.reverse();
        Filter::new(&levels.join("/")).ok()
    }

    /// Calls `visit` for each filter that matches the address.
    pub(crate) fn matches<'a>(&'a self, address: &[u8], mut visit: impl FnMut(Place, &'a V)) {
        let mut visit = |place: Place| {
            if place != NONE
                && let Some(value) = &self.nodes[place as usize].value
            {
                visit(place, value);
            }
        };
        // Wildcards at the first level do not match addresses of the node itself (MQTT 5 §4.7.2).
        let mut wild = address.first() != Some(&b'$');
        let mut here: SmallVec<[Place; 8]> = smallvec![ROOT];
        let mut next: SmallVec<[Place; 8]> = smallvec![];
        for level in address.split(|byte| *byte == b'/') {
            let level = self.levels.find(level);
            for &place in &here {
                let node = &self.nodes[place as usize];
                if wild {
                    visit(node.hash);
                    if node.plus != NONE {
                        next.push(node.plus);
                    }
                }
                if let Some(child) = level.and_then(|level| self.edges.get(&(place, level))) {
                    next.push(*child);
                }
            }
            wild = true;
            std::mem::swap(&mut here, &mut next);
            next.clear();
            if here.is_empty() {
                return;
            }
        }
        for place in here {
            visit(place);
            // `sport/#` matches `sport` itself (MQTT 5 §4.7.1.2).
            visit(self.nodes[place as usize].hash);
        }
    }

    fn child(&self, at: Place, level: &str) -> Option<Place> {
        let node = self.nodes.get(at as usize)?;
        let child = match level {
            "+" => node.plus,
            "#" => node.hash,
            _ => *self.edges.get(&(at, self.levels.find(level.as_bytes())?))?,
        };
        (child != NONE).then_some(child)
    }

    fn grow(&mut self, at: Place, level: &str) -> Place {
        let level = match level {
            "+" => PLUS,
            "#" => HASH,
            _ => self.levels.acquire(level),
        };
        // The arena cannot outgrow 32 bits before memory ends: a node is 32 bytes and more.
        let child = self.nodes.insert(Node::new(at, level)) as Place;
        match level {
            PLUS => self.nodes[at as usize].plus = child,
            HASH => self.nodes[at as usize].hash = child,
            _ => {
                self.edges.insert((at, level), child);
            }
        }
        self.nodes[at as usize].children += 1;
        child
    }

    /// Nodes in the arena, for tests: an empty trie has one.
    #[cfg(test)]
    pub(crate) fn nodes(&self) -> usize {
        self.nodes.len()
    }
}

/// Interned levels, counted by the edges that use them.
#[derive(Debug, Default)]
struct Levels {
    ids: FxHashMap<Arc<[u8]>, u32>,
    names: Slab<(Arc<[u8]>, u32)>,
}

impl Levels {
    fn find(&self, level: &[u8]) -> Option<u32> {
        self.ids.get(level).copied()
    }

    fn name(&self, id: u32) -> Option<&str> {
        self.names.get(id as usize).and_then(|(name, _)| std::str::from_utf8(name).ok())
    }

    fn acquire(&mut self, level: &str) -> u32 {
        if let Some(id) = self.find(level.as_bytes()) {
            self.names[id as usize].1 += 1;
            return id;
        }
        let name: Arc<[u8]> = level.as_bytes().into();
        let id = self.names.insert((name.clone(), 1)) as u32;
        self.ids.insert(name, id);
        id
    }

    fn release(&mut self, id: u32) {
        let (name, users) = &mut self.names[id as usize];
        *users -= 1;
        if *users == 0 {
            self.ids.remove(name);
            self.names.remove(id as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn level() -> impl Strategy<Value = String> {
        prop_oneof![4 => "[ab]", 1 => Just(String::new()), 1 => Just("$x".to_owned()), 2 => Just("+".to_owned())]
    }

    fn filter() -> impl Strategy<Value = Filter> {
        (prop::collection::vec(level(), 1..5), any::<bool>())
            .prop_map(|(mut levels, hash)| {
                if hash {
                    levels.push("#".to_owned());
                }
                Filter::new(&levels.join("/"))
            })
            .prop_filter_map("an empty filter", Result::ok)
    }

    fn address() -> impl Strategy<Value = String> {
        let level = prop_oneof![4 => "[abc]", 1 => Just(String::new()), 1 => Just("$x".to_owned())];
        prop::collection::vec(level, 1..6).prop_map(|levels| levels.join("/"))
    }

    proptest! {
        #[test]
        fn it_agrees_with_matching_one_by_one(
            steps in prop::collection::vec((filter(), any::<bool>()), 0..60),
            addresses in prop::collection::vec(address(), 1..20),
        ) {
            let mut trie = Trie::<Filter>::default();
            let mut naive = BTreeSet::new();
            for (filter, add) in steps {
                if add {
                    let place = trie.place(&filter);
                    trie.nodes[place as usize].value = Some(Box::new(filter.clone()));
                    naive.insert(filter);
                } else if naive.remove(&filter) {
                    trie.remove(trie.find(&filter).unwrap());
                }
            }
            for address in addresses {
                let mut found = Vec::new();
                trie.matches(address.as_bytes(), |_, filter| found.push(filter.clone()));
                let unique: BTreeSet<_> = found.iter().cloned().collect();
                prop_assert_eq!(found.len(), unique.len(), "each filter once");
                let expected: BTreeSet<_> = naive.iter().filter(|filter| filter.matches(&address)).cloned().collect();
                prop_assert_eq!(unique, expected, "{}", address);
            }
            for filter in naive {
                trie.remove(trie.find(&filter).unwrap());
            }
            prop_assert_eq!(trie.nodes(), 1, "nothing is left when all filters are gone");
            prop_assert!(trie.edges.is_empty() && trie.levels.ids.is_empty() && trie.levels.names.is_empty());
        }
    }
}
