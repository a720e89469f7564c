//! What subscribers were promised, and what they get.

use super::{Oracle, TopicId};
use crate::trace::{ClientId, PubId};
use std::collections::BTreeMap;
use std::time::Duration;
use windrose_event::{Assurance, Filter};

/// A subscription that was granted.
#[derive(Clone, Debug)]
struct Expectation {
    filter: Filter,
    qos: Assurance,
    /// Publications from this one on must arrive; `None`: what arrives must be right, nothing must arrive.
    since: Option<PubId>,
    /// The group that shares the work, if any.
    group: Option<u8>,
}

impl Expectation {
    /// Whether a publication must arrive, here or at another of the group.
    fn asks_for(&self, id: PubId, topic: &str) -> bool {
        self.since.is_some_and(|since| since <= id)
            && self.qos != Assurance::AtMostOnce
            && self.filter.matches(topic)
    }
}

/// How often a client saw a publication.
#[derive(Clone, Copy, Debug, Default)]
struct Sighting {
    times: u32,
    without_dup: u32,
}

/// What a subscriber has seen.
#[derive(Debug, Default)]
pub(super) struct Subscriber {
    expectations: Vec<Expectation>,
    seen: BTreeMap<PubId, Sighting>,
    /// The newest publication by topic.
    newest: BTreeMap<TopicId, PubId>,
    /// Last values that it got for having subscribed.
    recalled: BTreeMap<TopicId, PubId>,
}

impl Subscriber {
    fn group(&self) -> Option<u8> {
        self.expectations.iter().find_map(|known| known.group)
    }
}

/// How long after a takeover between shards a subscriber's events may be out of order: what was on its way to the old
/// shard may come after what is published at the new one (ADR 7).
const UNSETTLED: Duration = Duration::from_secs(3);

impl Oracle {
    /// A subscription was granted. A session that lasts must get everything from now on.
    pub fn subscribed(
        &mut self,
        client: ClientId,
        filter: Filter,
        qos: Assurance,
        lasting: bool,
        group: Option<u8>,
    ) {
        let since = lasting.then_some(PubId(self.publications.len() as u32));
        let subscriber = self.subscribers.entry(client).or_default();
        if subscriber.expectations.iter().all(|known| known.filter != filter) {
            subscriber.expectations.push(Expectation { filter, qos, since, group });
        }
    }

    /// A session ended in its time: what waited for it is lost, and it asks for nothing any more.
    pub fn session_ended(&mut self, client: ClientId) {
        self.sessions_ended += 1;
        if let Some(subscriber) = self.subscribers.get_mut(&client) {
            subscriber.expectations.clear();
        }
    }

    /// A subscriber's application gets a publication.
    pub fn delivered(&mut self, client: ClientId, id: PubId, topic: &str, qos: Assurance, dup: bool) {
        let Some(publication) = self.publications.get(id.0 as usize) else {
            return self.fail("a subscriber got a payload that nobody published", None, &[client]);
        };
        let topic_id = publication.topic;
        let sent = &self.topics[topic_id];
        let (sender, qos_sent, may_fail, writes) =
            (sent.sender, sent.qos, sent.delivered, publication.writes);
        if sent.name != topic {
            return self.fail(format!("delivered as an event of {topic}"), Some(id), &[client]);
        }
        let subscriber = self.subscribers.entry(client).or_default();
        let matching = subscriber.expectations.iter().filter(|known| known.filter.matches(topic));
        let most = matching.clone().map(|known| known.qos).max();
        let lasting = matching.map(|known| known.since.is_some_and(|since| since <= id)).max() == Some(true);
        if most.is_some_and(|most| qos != most.min(sent.qos)) {
            return self.fail(
                format!("delivered with {qos:?}, subscribed with {most:?}"),
                Some(id),
                &[client],
            );
        }
        let sighting = subscriber.seen.entry(id).or_default();
        sighting.times += 1;
        sighting.without_dup += u32::from(!dup);
        let (sighting, newest) = (*sighting, subscriber.newest.get(&topic_id).copied());
        if sighting.times == 1 {
            subscriber.newest.insert(topic_id, id);
        }
        let again = sighting.times > 1;
        // See `Oracle::sent`: a publication that may have failed may have been published more than once.
        let most = if may_fail { writes } else { 1 };
        let wrong = match (qos_sent, qos) {
            (Assurance::AtMostOnce, _) if again => "twice",
            (Assurance::ExactlyOnce, Assurance::ExactlyOnce) if sighting.times > most => "twice",
            // The node has it once, so only deliveries that say so are repetitions.
            (Assurance::ExactlyOnce, _) if sighting.without_dup > most => "twice, and not as a repetition",
            _ => "",
        };
        let group = subscriber.group();
        let in_group = group.map(|group| {
            let times = self.groups.entry((group, id)).or_default();
            *times += 1;
            *times
        });
        let shared_twice = (qos_sent, qos) == (Assurance::ExactlyOnce, Assurance::ExactlyOnce)
            && in_group.is_some_and(|times| times > most);
        let wrong = if shared_twice { "to two members of a group" } else { wrong };
        if !wrong.is_empty() {
            return self.fail(format!("delivered {wrong}"), Some(id), &[client]);
        }
        let moved = |client| self.homes.get(&client).and_then(|home| home.1);
        let in_takeover = moved(client).is_some_and(|at| self.now < at + UNSETTLED);
        let may_overtake = in_takeover || moved(sender).is_some() && !self.order_over_shards;
        // Whoever may have missed the first of several tellings sees a later one out of its turn.
        let told_once = writes == 1 || qos_sent == Assurance::ExactlyOnce && !may_fail;
        let missed_none = lasting && qos != Assurance::AtMostOnce && !self.short_queues;
        // Among the members of a group there is no order.
        let judged = (told_once || missed_none) && !may_overtake && group.is_none();
        if let Some(newest) = newest
            && !again
            && newest > id
            && judged
        {
            let what = format!("delivered after publication {} of the same topic", newest.0);
            self.fail(what, Some(id), &[client]);
        }
    }

    /// A subscriber gets a last value for having subscribed.
    pub fn recalled(&mut self, client: ClientId, id: PubId, topic: &str) {
        let Some(publication) = self.publications.get(id.0 as usize) else {
            return self.fail("a last value is a payload that nobody published", None, &[client]);
        };
        if self.topics[publication.topic].name != topic || !publication.retain {
            return self.fail(format!("is not a last value of {topic}"), Some(id), &[client]);
        }
        self.subscribers.entry(client).or_default().recalled.insert(publication.topic, id);
    }

    /// At the end of a run, when everything had time to settle.
    pub fn finish(&mut self) {
        if self.short_queues {
            return;
        }
        let missing: Vec<(PubId, ClientId)> = (0..self.publications.len())
            .map(|index| PubId(index as u32))
            .filter(|id| self.is_promised(*id))
            .flat_map(|id| self.subscribers.keys().map(move |client| (id, *client)))
            .filter(|(id, client)| self.is_missing(*id, *client))
            .collect();
        if let Some((id, client)) = missing.first().copied() {
            let (name, all) = (client.name(), missing.len());
            let what = format!("acknowledged and never delivered to {name}; {all} such in all");
            self.fail(what, Some(id), &[client]);
        }
    }

    /// Whether there is a session that must get a publication.
    pub(super) fn is_asked_for(&self, id: PubId) -> bool {
        let topic = &self.topic_of(id).name;
        let mut expectations = self.subscribers.values().flat_map(|subscriber| &subscriber.expectations);
        expectations.any(|known| known.asks_for(id, topic))
    }

    /// Whether a publication's sender was told that it is accepted, so that subscribers must get it.
    fn is_promised(&self, id: PubId) -> bool {
        let publication = &self.publications[id.0 as usize];
        let certain = self.topics[publication.topic].qos != Assurance::AtMostOnce;
        certain && publication.acknowledged == Some(true) && !publication.poison
    }

    fn is_missing(&self, id: PubId, client: ClientId) -> bool {
        let topic = &self.topic_of(id).name;
        let Some(subscriber) = self.subscribers.get(&client) else { return false };
        let seen = match subscriber.group() {
            Some(group) => self.groups.contains_key(&(group, id)),
            None => subscriber.seen.contains_key(&id),
        };
        !seen && subscriber.expectations.iter().any(|known| known.asks_for(id, topic))
    }

    /// Whether a client that has just subscribed to everything got the last value of every topic, where it is known.
    pub fn check_recalled(&mut self, client: ClientId) {
        let mut last = BTreeMap::new();
        for (index, publication) in self.publications.iter().enumerate() {
            let topic = &self.topics[publication.topic];
            // Whether others arrived, their senders do not know.
            let known = topic.qos != Assurance::AtMostOnce && !topic.delivered;
            if known && publication.retain && publication.acknowledged == Some(true) {
                last.insert(publication.topic, PubId(index as u32));
            }
        }
        let recalled = self.subscribers.get(&client).map(|subscriber| subscriber.recalled.clone());
        let recalled = recalled.unwrap_or_default();
        for (topic, id) in last {
            if recalled.get(&topic) != Some(&id) {
                let what = format!("is not what {} is told: {:?}", client.name(), recalled.get(&topic));
                return self.fail(what, Some(id), &[client]);
            }
        }
    }

    /// Whether any topic has a last value.
    pub fn has_last_values(&self) -> bool {
        self.publications.iter().any(|publication| publication.retain)
    }

    /// How many publications a subscriber saw.
    pub fn delivered_to(&self, client: ClientId) -> usize {
        self.subscribers.get(&client).map_or(0, |subscriber| subscriber.seen.len())
    }

    /// How many deliveries subscribers saw.
    pub fn deliveries(&self) -> u64 {
        let sightings = self.subscribers.values().flat_map(|subscriber| subscriber.seen.values());
        sightings.map(|sighting| u64::from(sighting.times)).sum()
    }
}
