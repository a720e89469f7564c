//! Shared subscriptions: groups whose members share the work, each event going to one of them (MQTT 5 §4.8.2).

use super::Subscriber;
use crate::io::ShardId;
use crate::sessions::SessionKey;
use smallvec::SmallVec;
use std::sync::Arc;
use windrose_event::Filter;

/// Members of one shard up to which a group is served in the order in which its members came, over all shards. In larger
/// groups each shard gets its share, which comes to the same for each member and costs the shards less talk.
const IN_ORDER: usize = 32;

/// Names a group: the same name with another filter is another group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ShareKey {
    pub(crate) group: Arc<str>,
    pub(crate) filter: Filter,
}

/// Members and connected members of a group on one shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Headcount {
    pub(crate) members: u32,
    pub(crate) connected: u32,
}

/// What the other shards are to be told of a filter or group.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Change(pub(crate) Headcount);

#[derive(Debug)]
struct Member {
    subscriber: Subscriber,
    connected: bool,
    /// How many members the group had when this one came, as far as its shard knew.
    rank: u32,
}

/// Who takes an event for a group.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Picked {
    /// A session of this shard.
    Here(Subscriber),
    /// A member of that shard; it picks which.
    There(ShardId),
}

/// One group: its members here, and how many there are elsewhere.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) key: Arc<ShareKey>,
    members: Vec<Member>,
    connected: u32,
    elsewhere: SmallVec<[(ShardId, Headcount); 2]>,
    /// Ranks of the connected members elsewhere, if all shards have told them.
    ranks_elsewhere: Vec<(u32, ShardId)>,
    /// Where the connected members are, in order of rank; empty if that is not known.
    order: Vec<Option<ShardId>>,
    /// Whose turn it is, over all shards' members.
    turn: u32,
    /// Whose turn it is among the members here.
    local_turn: usize,
}

impl Group {
    /// A group without members.
    pub(crate) fn new(key: Arc<ShareKey>) -> Self {
        Self {
            key,
            members: Vec::new(),
            connected: 0,
            elsewhere: SmallVec::new(),
            ranks_elsewhere: Vec::new(),
            order: Vec::new(),
            turn: 0,
            local_turn: 0,
        }
    }

    /// Adds a session, or replaces its options.
    pub(crate) fn insert(&mut self, subscriber: Subscriber, connected: bool) {
        match self.position(subscriber.session) {
            Some(index) => self.members[index].subscriber = subscriber,
            None => {
                let elsewhere: u32 = self.elsewhere.iter().map(|(_, count)| count.members).sum();
                let rank = elsewhere.saturating_add(self.members.len() as u32);
                self.members.push(Member { subscriber, connected: false, rank });
            }
        }
        self.set_connected(subscriber.session, connected);
    }

    /// Removes a session.
    pub(crate) fn remove(&mut self, session: SessionKey) {
        if let Some(index) = self.position(session) {
            let member = self.members.remove(index);
            self.connected -= u32::from(member.connected);
            self.reorder();
        }
    }

    /// A member's connection came or went.
    pub(crate) fn set_connected(&mut self, session: SessionKey, connected: bool) {
        if let Some(index) = self.position(session) {
            let member = &mut self.members[index];
            self.connected -= u32::from(member.connected);
            self.connected += u32::from(connected);
            member.connected = connected;
            self.reorder();
        }
    }

    /// What another shard says of its members.
    pub(crate) fn set_elsewhere(&mut self, shard: ShardId, count: Headcount, ranks: &[u32]) {
        self.elsewhere.retain(|(other, _)| *other != shard);
        if count.members > 0 {
            self.elsewhere.push((shard, count));
        }
        self.ranks_elsewhere.retain(|(_, other)| *other != shard);
        self.ranks_elsewhere.extend(ranks.iter().map(|rank| (*rank, shard)));
        self.reorder();
    }

    /// The ranks of the members here that are connected, for the other shards; none if there are too many.
    pub(crate) fn ranks(&self) -> Vec<u32> {
        if self.connected as usize > IN_ORDER {
            return Vec::new();
        }
        self.members.iter().filter(|member| member.connected).map(|member| member.rank).collect()
    }

    fn reorder(&mut self) {
        self.order.clear();
        let told: usize = self.elsewhere.iter().map(|(_, count)| count.connected as usize).sum();
        if told == 0 || told != self.ranks_elsewhere.len() || self.connected as usize > IN_ORDER {
            return;
        }
        let here = self.ranks().into_iter().map(|rank| (rank, None));
        let elsewhere = self.ranks_elsewhere.iter().map(|(rank, shard)| (*rank, Some(*shard)));
        let mut all: Vec<(u32, Option<ShardId>)> = here.chain(elsewhere).collect();
        all.sort_unstable();
        self.order.extend(all.into_iter().map(|(_, shard)| shard));
    }

    /// How many members are here.
    pub(crate) fn headcount(&self) -> Headcount {
        Headcount { members: self.members.len() as u32, connected: self.connected }
    }

    /// Whether it has no members anywhere.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.elsewhere.is_empty()
    }

    /// Picks a member: in turn over all shards, each as often as it has members. Those that are connected come first;
    /// the others only when nobody is.
    pub(crate) fn pick(&mut self, has_room: impl Fn(SessionKey) -> bool) -> Option<Picked> {
        let elsewhere: u32 = self.elsewhere.iter().map(|(_, count)| count.connected).sum();
        let anybody = self.connected + elsewhere == 0;
        let weigh = |count: Headcount| if anybody { count.members } else { count.connected };
        let here = weigh(self.headcount());
        let total = here + self.elsewhere.iter().map(|(_, count)| weigh(*count)).sum::<u32>();
        if total == 0 {
            return None;
        }
        let mut turn = self.turn % total;
        self.turn = turn + 1;
        if !anybody && self.order.len() == total as usize {
            return match self.order.get(turn as usize).copied().flatten() {
                None => self.pick_here(has_room).map(Picked::Here),
                Some(shard) => Some(Picked::There(shard)),
            };
        }
        if turn < here {
            return self.pick_here(has_room).map(Picked::Here);
        }
        turn -= here;
        for (shard, count) in &self.elsewhere {
            let weight = weigh(*count);
            if turn < weight {
                return Some(Picked::There(*shard));
            }
            turn -= weight;
        }
        None
    }

    /// Picks a member of this shard in turn: one that is connected and has room, else one that is connected, else any.
    pub(crate) fn pick_here(&mut self, has_room: impl Fn(SessionKey) -> bool) -> Option<Subscriber> {
        let count = self.members.len();
        if count == 0 {
            return None;
        }
        let start = self.local_turn % count;
        let in_turn = || (start..count).chain(0..start);
        let picked = in_turn()
            .find(|index| self.members[*index].connected && has_room(self.members[*index].subscriber.session))
            .or_else(|| in_turn().find(|index| self.members[*index].connected))
            .unwrap_or(start);
        self.local_turn = picked + 1;
        Some(self.members[picked].subscriber)
    }

    fn position(&self, session: SessionKey) -> Option<usize> {
        self.members.iter().position(|member| member.subscriber.session == session)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::Options;
    use super::*;
    use windrose_event::Assurance;

    fn member(session: SessionKey) -> Subscriber {
        let options = Options {
            assurance: Assurance::AtLeastOnce,
            no_local: false,
            retain_as_published: false,
            own_copy: false,
            identifier: 0,
        };
        Subscriber { session, options }
    }

    fn group() -> Group {
        Group::new(Arc::new(ShareKey { group: "g".into(), filter: Filter::new("a/#").unwrap() }))
    }

    #[test]
    fn each_shard_gets_its_share_and_each_member_its_turn() {
        let mut group = group();
        group.insert(member(1), true);
        group.insert(member(2), true);
        group.set_elsewhere(ShardId(3), Headcount { members: 1, connected: 1 }, &[]);
        let picks: Vec<_> = (0..6).map(|_| group.pick(|_| true).unwrap()).collect();
        let count = |wanted: Picked| picks.iter().filter(|picked| **picked == wanted).count();
        assert_eq!(count(Picked::There(ShardId(3))), 2);
        assert_eq!((count(Picked::Here(member(1))), count(Picked::Here(member(2)))), (2, 2));
    }

    #[test]
    fn members_take_turns_in_the_order_in_which_they_came() {
        let mut group = group();
        group.insert(member(1), true);
        group.set_elsewhere(ShardId(3), Headcount { members: 1, connected: 1 }, &[1]);
        group.insert(member(2), true);
        group.insert(member(1), true);
        assert_eq!(group.ranks(), [0, 2], "subscribing again changes nothing");
        let picks: Vec<_> = (0..4).map(|_| group.pick(|_| true).unwrap()).collect();
        let (first, second, third) =
            (Picked::Here(member(1)), Picked::There(ShardId(3)), Picked::Here(member(2)));
        assert_eq!(picks, [first, second, third, Picked::Here(member(1))]);
    }

    #[test]
    fn members_with_room_come_before_busy_ones_and_offline_ones_come_last() {
        let mut group = group();
        group.insert(member(1), false);
        assert_eq!(
            group.pick(|_| true),
            Some(Picked::Here(member(1))),
            "only an offline one: it waits for it"
        );
        group.insert(member(2), true);
        group.insert(member(3), true);
        for _ in 0..4 {
            assert_eq!(group.pick(|session| session == 3), Some(Picked::Here(member(3))), "2 has no room");
        }
        group.set_connected(2, false);
        group.set_connected(3, false);
        group.set_elsewhere(ShardId(1), Headcount { members: 5, connected: 1 }, &[]);
        for _ in 0..8 {
            assert_eq!(group.pick(|_| true), Some(Picked::There(ShardId(1))), "only one is connected");
        }
        group.set_elsewhere(ShardId(1), Headcount::default(), &[]);
        for session in [1, 2, 3] {
            group.remove(session);
        }
        assert!(group.is_empty());
        assert_eq!(group.pick(|_| true), None);
    }
}
