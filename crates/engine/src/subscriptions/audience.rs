//! Audience: all who want what one filter matches.

use super::shared::Group;
use super::{Options, ShareKey};
use crate::exchanges::BindingId;
use crate::io::ShardId;
use crate::sessions::SessionKey;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::sync::Arc;

/// A session's subscription, as found when an event matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subscriber {
    pub(crate) session: SessionKey,
    pub(crate) options: Options,
}

/// Everybody who subscribed to one filter.
#[derive(Debug, Default)]
pub(crate) struct Audience {
    /// Sessions of this shard, each for itself.
    pub(crate) plain: Roster<Subscriber>,
    /// Boxed, because most filters have one subscriber and that is all.
    others: Option<Box<Others>>,
}

/// Who wants it besides this shard's plain subscribers.
#[derive(Debug, Default)]
pub(crate) struct Others {
    /// Other shards with plain subscribers.
    pub(crate) shards: ShardSet,
    /// Groups with members here or elsewhere.
    pub(crate) groups: Vec<Group>,
    /// Ways to queues.
    pub(crate) bindings: Roster<BindingId>,
}

impl Audience {
    /// Groups and other shards, if there are any.
    pub(crate) fn others(&self) -> Option<&Others> {
        self.others.as_deref()
    }

    /// Groups and other shards, to be changed.
    pub(crate) fn others_mut(&mut self) -> &mut Others {
        self.others.get_or_insert_default()
    }

    /// A group, by its name.
    pub(crate) fn group_mut(&mut self, name: &str) -> Option<&mut Group> {
        self.others.as_mut()?.groups.iter_mut().find(|group| *group.key.group == *name)
    }

    /// A group, by its name, made if there is none.
    pub(crate) fn group_or_new(&mut self, key: &ShareKey) -> &mut Group {
        let groups = &mut self.others_mut().groups;
        let index = groups.iter().position(|group| group.key.group == key.group).unwrap_or_else(|| {
            groups.push(Group::new(Arc::new(key.clone())));
            groups.len() - 1
        });
        &mut groups[index]
    }

    /// Forgets empty groups. Whether anybody at all is left.
    pub(crate) fn tidy(&mut self) -> bool {
        if let Some(others) = &mut self.others {
            others.groups.retain(|group| !group.is_empty());
            if others.groups.is_empty() && others.shards.is_empty() && others.bindings.is_empty() {
                self.others = None;
            }
        }
        !self.plain.is_empty() || self.others.is_some()
    }
}

/// Entries from which a map is kept of where each session's is.
const MAP_FROM: usize = 16;

/// What a roster holds: by which number it is known.
pub(crate) trait Numbered: Copy {
    /// The number.
    fn number(&self) -> u32;
}

impl Numbered for Subscriber {
    fn number(&self) -> u32 {
        self.session
    }
}

impl Numbered for BindingId {
    fn number(&self) -> u32 {
        *self
    }
}

/// Entries in a row, each at most once; adding, replacing and removing cost the same however many there are.
#[derive(Debug)]
pub(crate) struct Roster<T> {
    row: SmallVec<[T; 1]>,
    places: Option<Box<FxHashMap<u32, u32>>>,
}

impl<T> Default for Roster<T> {
    fn default() -> Self {
        Self { row: SmallVec::new(), places: None }
    }
}

impl<T: Numbered> Roster<T> {
    /// Adds or replaces an entry.
    pub(crate) fn insert(&mut self, entry: T) {
        if let Some(place) = self.position(entry.number()) {
            self.row[place] = entry;
            return;
        }
        if let Some(places) = &mut self.places {
            places.insert(entry.number(), self.row.len() as u32);
        }
        self.row.push(entry);
        if self.places.is_none() && self.row.len() > MAP_FROM {
            let places = self.row.iter().enumerate().map(|(place, entry)| (entry.number(), place as u32));
            self.places = Some(Box::new(places.collect()));
        }
    }

    /// Removes an entry.
    pub(crate) fn remove(&mut self, number: u32) {
        let Some(place) = self.position(number) else { return };
        self.row.swap_remove(place);
        if let Some(places) = &mut self.places {
            places.remove(&number);
            if let Some(moved) = self.row.get(place) {
                places.insert(moved.number(), place as u32);
            }
            if self.row.len() <= MAP_FROM / 2 {
                self.places = None;
                self.row.shrink_to_fit();
            }
        }
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.row.is_empty()
    }

    /// Whether there is an entry of that number.
    pub(crate) fn contains(&self, number: u32) -> bool {
        self.position(number).is_some()
    }

    /// All entries.
    pub(crate) fn as_slice(&self) -> &[T] {
        &self.row
    }

    fn position(&self, number: u32) -> Option<usize> {
        match &self.places {
            Some(places) => places.get(&number).map(|place| *place as usize),
            None => self.row.iter().position(|entry| entry.number() == number),
        }
    }
}

/// A set of shards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ShardSet(SmallVec<[u64; 1]>);

impl ShardSet {
    /// Adds a shard.
    pub(crate) fn insert(&mut self, shard: ShardId) {
        let word = usize::from(shard.0 / 64);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (shard.0 % 64);
    }

    /// Removes a shard.
    pub(crate) fn remove(&mut self, shard: ShardId) {
        if let Some(word) = self.0.get_mut(usize::from(shard.0 / 64)) {
            *word &= !(1 << (shard.0 % 64));
        }
    }

    /// Adds all shards of another set.
    pub(crate) fn extend(&mut self, other: &ShardSet) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine |= theirs;
        }
    }

    /// Removes all shards.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// The shards, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = ShardId> + '_ {
        (0u16..).zip(&self.0).flat_map(|(index, word)| {
            let word = *word;
            (0..64).filter(move |bit| word & (1 << bit) != 0).map(move |bit| ShardId(index * 64 + bit))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windrose_event::Assurance;

    const OPTIONS: Options = Options {
        assurance: Assurance::AtMostOnce,
        no_local: false,
        retain_as_published: false,
        own_copy: false,
        identifier: 0,
    };

    #[test]
    fn many_subscribers_come_and_go_and_each_is_there_once() {
        let mut subscribers = Roster::default();
        for session in (0..100).chain(0..100) {
            subscribers.insert(Subscriber { session, options: OPTIONS });
        }
        assert_eq!(subscribers.as_slice().len(), 100);
        for session in (0..100).filter(|session| session % 7 != 0) {
            subscribers.remove(session);
        }
        let mut left: Vec<_> = subscribers.as_slice().iter().map(|entry| entry.session).collect();
        left.sort_unstable();
        assert_eq!(left, (0..100).filter(|session| session % 7 == 0).collect::<Vec<_>>());
        for session in 0..100 {
            subscribers.remove(session);
        }
        assert!(subscribers.is_empty());
    }

    #[test]
    fn a_set_of_shards_holds_any_shard() {
        let mut set = ShardSet::default();
        for shard in [0, 63, 64, 200] {
            set.insert(ShardId(shard));
        }
        set.remove(ShardId(63));
        set.remove(ShardId(999));
        assert_eq!(set.iter().collect::<Vec<_>>(), [ShardId(0), ShardId(64), ShardId(200)]);
        let mut all = ShardSet::default();
        all.extend(&set);
        assert_eq!(all, set);
        all.clear();
        assert!(all.is_empty());
    }
}
