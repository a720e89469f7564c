//! The index of all subscriptions: this shard's sessions, and what the other shards said that theirs want.

use super::audience::Audience;
use super::changes::Changes;
use super::shared::{Group, Headcount};
use super::trie::Place;
use super::{Change, Picked, ShardSet, ShareKey, Subscriber, Trie};
use crate::exchanges::{BindingId, Bound};
use crate::io::ShardId;
use crate::sessions::SessionKey;
use std::sync::Arc;
use windrose_event::Filter;

/// A group that matched, until the index changes.
pub(crate) type GroupRef = (Place, usize);

/// Who wants an event. Reused from event to event, so that matching allocates nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Matches {
    /// Sessions of this shard, each once for every filter of its that matched, those of one session together.
    pub(crate) plain: Vec<Subscriber>,
    /// Whether a session can be in `plain` more than once.
    pub(crate) overlapping: bool,
    /// Groups of which one member gets it.
    pub(crate) groups: Vec<GroupRef>,
    /// Other shards whose plain subscribers want it.
    pub(crate) shards: ShardSet,
    /// Bindings of queues and exchanges, if any matched, and the queues that they lead to.
    pub(crate) bound: Option<Box<Bound>>,
}

impl Matches {
    fn clear(&mut self) {
        self.plain.clear();
        self.overlapping = false;
        self.groups.clear();
        self.shards.clear();
        self.bound = None;
    }
}

/// All subscriptions by filter.
#[derive(Debug, Default)]
pub(crate) struct Index {
    trie: Trie<Audience>,
    changes: Changes,
}

impl Index {
    /// Adds or replaces a session's own subscription. Says what to tell the other shards, if anything.
    pub(crate) fn subscribe(&mut self, filter: &Filter, subscriber: Subscriber) -> Option<Change> {
        self.changes.note(filter);
        let plain = &mut self.trie.value_or_default(filter).plain;
        let first = plain.is_empty();
        plain.insert(subscriber);
        first.then_some(Change(Headcount { members: 1, connected: 1 }))
    }

    /// Whether a session has subscribed to a filter, for itself.
    pub(crate) fn is_subscribed(&self, filter: &Filter, session: SessionKey) -> bool {
        let audience = self.trie.find(filter).and_then(|place| self.trie.value(place));
        audience.is_some_and(|audience| audience.plain.contains(session))
    }

    /// Removes a session's own subscription.
    pub(crate) fn unsubscribe(&mut self, filter: &Filter, session: SessionKey) -> Option<Change> {
        self.changes.note(filter);
        let place = self.trie.find(filter)?;
        let audience = self.trie.value_mut(place)?;
        if audience.plain.is_empty() {
            return None;
        }
        audience.plain.remove(session);
        let last = audience.plain.is_empty();
        self.tidy(place);
        last.then_some(Change(Headcount::default()))
    }

    /// Adds a session to a group, or replaces its options.
    pub(crate) fn join(&mut self, key: &Arc<ShareKey>, subscriber: Subscriber, connected: bool) -> Change {
        self.changes.note(&key.filter);
        let group = self.trie.value_or_default(&key.filter).group_or_new(key);
        group.insert(subscriber, connected);
        Change(group.headcount())
    }

    /// Removes a session from a group.
    pub(crate) fn leave(&mut self, key: &ShareKey, session: SessionKey) -> Option<Change> {
        self.change_group(key, |group| group.remove(session))
    }

    /// The connection of a group's member came or went.
    pub(crate) fn member_connected(
        &mut self,
        key: &ShareKey,
        session: SessionKey,
        connected: bool,
    ) -> Option<Change> {
        self.change_group(key, |group| group.set_connected(session, connected))
    }

    /// What another shard says that its sessions want.
    pub(crate) fn set_interest(
        &mut self,
        from: ShardId,
        filter: &Filter,
        group: Option<Arc<str>>,
        count: Headcount,
        ranks: &[u32],
    ) {
        if count.members == 0 && self.trie.find(filter).is_none() {
            return;
        }
        self.changes.note(filter);
        let audience = self.trie.value_or_default(filter);
        match group {
            None if count.members > 0 => audience.others_mut().shards.insert(from),
            None => audience.others_mut().shards.remove(from),
            Some(name) => {
                let group = audience.group_or_new(&ShareKey { group: name, filter: filter.clone() });
                group.set_elsewhere(from, count, ranks);
            }
        }
        if count.members == 0
            && let Some(place) = self.trie.find(filter)
        {
            self.tidy(place);
        }
    }

    /// Enters a binding. `chained`: it is a part of ways that begin at other addresses, too.
    pub(crate) fn bind(&mut self, filter: &Filter, binding: BindingId, chained: bool) {
        self.note_binding(filter, chained);
        self.trie.value_or_default(filter).others_mut().bindings.insert(binding);
    }

    /// Takes a binding out.
    pub(crate) fn unbind(&mut self, filter: &Filter, binding: BindingId, chained: bool) {
        self.note_binding(filter, chained);
        let Some(place) = self.trie.find(filter) else { return };
        if let Some(audience) = self.trie.value_mut(place) {
            audience.others_mut().bindings.remove(binding);
        }
        self.tidy(place);
    }

    fn note_binding(&mut self, filter: &Filter, chained: bool) {
        if chained {
            self.changes.note_all();
        } else {
            self.changes.note(filter);
        }
    }

    /// Looks at all bindings that match an address.
    pub(crate) fn bindings_at(&self, address: &[u8], mut visit: impl FnMut(BindingId)) {
        self.trie.matches(address, |_, audience| {
            let bindings = audience.others().map_or(&[][..], |others| others.bindings.as_slice());
            bindings.iter().for_each(|id| visit(*id));
        });
    }

    /// Whether anybody wants what a filter matches.
    pub(crate) fn has(&self, filter: &Filter) -> bool {
        self.trie.find(filter).is_some_and(|place| self.trie.has_value(place))
    }

    /// All filters that anybody subscribed to, in no order.
    pub(crate) fn filters(&self) -> Vec<Filter> {
        self.trie.filters()
    }

    /// The ranks of a group's connected members here, for the other shards.
    pub(crate) fn ranks(&mut self, filter: &Filter, group: Option<&Arc<str>>) -> Vec<u32> {
        let group = group.and_then(|group| self.named(group, filter));
        group.map_or_else(Vec::new, |group| group.ranks())
    }

    /// How often what [`Index::collect`] finds may have changed, by address.
    pub(crate) const fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Finds all who want an event at `address`.
    pub(crate) fn collect(&self, address: &[u8], matches: &mut Matches) {
        matches.clear();
        self.trie.matches(address, |place, audience| {
            let plain = audience.plain.as_slice();
            matches.overlapping |= !plain.is_empty() && !matches.plain.is_empty();
            matches.plain.extend_from_slice(plain);
            if let Some(others) = audience.others() {
                matches.shards.extend(&others.shards);
                matches.groups.extend((0..others.groups.len()).map(|index| (place, index)));
                let bindings = others.bindings.as_slice();
                if !bindings.is_empty() {
                    matches.bound.get_or_insert_default().bindings.extend_from_slice(bindings);
                }
            }
        });
        if matches.overlapping {
            matches.plain.sort_by_key(|subscriber| subscriber.session);
        }
    }

    /// The group at a reference that [`Index::collect`] gave.
    pub(crate) fn group_mut(&mut self, (place, index): GroupRef) -> Option<&mut Group> {
        self.trie.value_mut(place)?.others_mut().groups.get_mut(index)
    }

    /// Picks who takes an event for a group, by the group's name.
    pub(crate) fn pick(
        &mut self,
        group: &str,
        filter: &Filter,
        has_room: impl Fn(SessionKey) -> bool,
    ) -> Option<Picked> {
        let group = self.named(group, filter)?;
        group.pick(has_room)
    }

    /// Picks a member of this shard, by the group's name.
    pub(crate) fn pick_here(
        &mut self,
        group: &str,
        filter: &Filter,
        has_room: impl Fn(SessionKey) -> bool,
    ) -> Option<(Subscriber, Arc<ShareKey>)> {
        let group = self.named(group, filter)?;
        let key = group.key.clone();
        group.pick_here(has_room).map(|subscriber| (subscriber, key))
    }

    fn named(&mut self, name: &str, filter: &Filter) -> Option<&mut Group> {
        let place = self.trie.find(filter)?;
        self.trie.value_mut(place)?.group_mut(name)
    }

    fn change_group(&mut self, key: &ShareKey, change: impl FnOnce(&mut Group)) -> Option<Change> {
        self.changes.note(&key.filter);
        let group = self.named(&key.group, &key.filter)?;
        let before = group.headcount();
        change(group);
        let after = group.headcount();
        if let Some(place) = self.trie.find(&key.filter) {
            self.tidy(place);
        }
        (before != after).then_some(Change(after))
    }

    /// Removes empty groups, and the filter if nobody is left.
    fn tidy(&mut self, place: Place) {
        let Some(audience) = self.trie.value_mut(place) else { return };
        if !audience.tidy() {
            self.trie.remove(place);
        }
    }

    /// Whether nothing is kept, for tests.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.trie.nodes() == 1
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::Options;
    use super::*;
    use windrose_event::Assurance;

    const OPTIONS: Options = Options {
        assurance: Assurance::AtLeastOnce,
        no_local: false,
        retain_as_published: false,
        own_copy: false,
        identifier: 0,
    };

    #[test]
    fn other_shards_hear_of_the_first_and_the_last_subscriber_only() {
        let mut index = Index::default();
        let filter = Filter::new("a/+").unwrap();
        let subscriber = |session| Subscriber { session, options: OPTIONS };
        assert!(index.subscribe(&filter, subscriber(1)).is_some());
        assert!(index.subscribe(&filter, subscriber(2)).is_none());
        assert!(index.subscribe(&filter, subscriber(2)).is_none(), "the same one again");
        assert!(index.is_subscribed(&filter, 2) && !index.is_subscribed(&filter, 3));
        assert!(!index.is_subscribed(&Filter::new("a").unwrap(), 2));
        assert!(index.unsubscribe(&filter, 1).is_none());
        assert_eq!(index.unsubscribe(&filter, 2), Some(Change(Headcount::default())));
        assert!(index.is_empty());
    }

    #[test]
    fn what_others_want_comes_and_goes_without_a_trace() {
        let mut index = Index::default();
        let filter = Filter::new("a/#").unwrap();
        index.set_interest(ShardId(1), &filter, None, Headcount { members: 1, connected: 1 }, &[]);
        index.set_interest(
            ShardId(2),
            &filter,
            Some("g".into()),
            Headcount { members: 2, connected: 0 },
            &[],
        );
        let mut matches = Matches::default();
        index.collect(b"a/b", &mut matches);
        assert_eq!(matches.shards.iter().collect::<Vec<_>>(), [ShardId(1)]);
        assert_eq!(matches.groups.len(), 1);
        assert_eq!(index.pick("g", &filter, |_| true), Some(Picked::There(ShardId(2))));
        index.set_interest(ShardId(1), &filter, None, Headcount::default(), &[]);
        index.set_interest(ShardId(2), &filter, Some("g".into()), Headcount::default(), &[]);
        index.set_interest(ShardId(2), &Filter::new("never").unwrap(), None, Headcount::default(), &[]);
        assert!(index.is_empty());
    }
}
