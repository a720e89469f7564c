//! The oracle: it knows what was promised, and says when a promise is broken.

use crate::trace::{ClientId, Note, PubId, Trace};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use windrose_event::{Assurance, EventId, Filter, Moment, Outcome};

/// A topic that one client publishes on, always with the same quality of service.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// The only client that publishes on it.
    pub sender: ClientId,
    /// Quality of service.
    pub qos: Assurance,
    /// Whether an acknowledgement promises that the service has the event.
    pub delivered: bool,
}

/// Index of a topic in [`Oracle::topics`].
pub type TopicId = usize;

/// One publication and what became of it.
#[derive(Clone, Debug)]
pub struct Publication {
    /// Where.
    pub topic: TopicId,
    /// Whether the service refuses it for good.
    pub poison: bool,
    /// What its sender was told: accepted or not.
    pub acknowledged: Option<bool>,
    /// Whether a service has taken it.
    taken: bool,
    /// Whether the node heard a service say 2xx.
    accepted: bool,
    /// The events that the node made of it, as far as it sent them to a service.
    events: Vec<EventId>,
    /// How often its sender wrote it.
    writes: u32,
}

/// A subscription that was granted.
#[derive(Clone, Debug)]
struct Expectation {
    filter: Filter,
    qos: Assurance,
    /// Publications from this one on must arrive; `None`: what arrives must be right, nothing must arrive.
    since: Option<PubId>,
}

/// How often a client saw a publication.
#[derive(Clone, Copy, Debug, Default)]
struct Sighting {
    times: u32,
    without_dup: u32,
}

/// What a subscriber has seen.
#[derive(Debug, Default)]
struct Subscriber {
    expectations: Vec<Expectation>,
    seen: BTreeMap<PubId, Sighting>,
    /// The newest publication by topic.
    newest: BTreeMap<TopicId, PubId>,
}

/// A broken promise.
#[derive(Clone, Debug)]
pub struct Violation {
    /// What is wrong.
    pub what: String,
    /// The publication concerned.
    pub publication: Option<PubId>,
    /// The clients concerned.
    pub clients: Vec<ClientId>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// Everything that was promised in a run, and its trace.
#[derive(Debug, Default)]
pub struct Oracle {
    /// All topics.
    pub topics: Vec<Topic>,
    /// All publications, by id.
    pub publications: Vec<Publication>,
    /// What happened.
    pub trace: Trace,
    /// The first broken promise.
    pub violation: Option<Violation>,
    /// Whether events of one sender keep their order when it changes shards amid traffic.
    pub order_over_shards: bool,
    /// Whether sessions' queues are so short that events may be dropped.
    pub short_queues: bool,
    /// The shard that each client used last, and when it came there from another one.
    homes: BTreeMap<ClientId, (u16, Option<Moment>)>,
    subscribers: BTreeMap<ClientId, Subscriber>,
    now: Moment,
}

/// How long after a takeover between shards a subscriber's events may be out of order: what was on its way to the old
/// shard comes after what is published at the new one.
const UNSETTLED: Duration = Duration::from_secs(3);

impl Oracle {
    /// Notes what happened.
    pub fn note(&mut self, now: Moment, note: Note) {
        if let Note::Opened { client, shard, .. } = &note {
            let home = self.homes.entry(*client).or_insert((*shard, None));
            if home.0 != *shard {
                *home = (*shard, Some(now));
            }
        }
        self.now = now;
        self.trace.note(now, note);
    }

    /// A promise is broken; only the first is kept.
    pub fn fail(&mut self, what: impl Into<String>, publication: Option<PubId>, clients: &[ClientId]) {
        if self.violation.is_some() {
            return;
        }
        let mut clients = clients.to_vec();
        if let Some(publication) = publication.and_then(|id| self.publications.get(id.0 as usize)) {
            clients.push(self.topics[publication.topic].sender);
        }
        self.violation = Some(Violation { what: what.into(), publication, clients });
    }

    /// A client is about to put a new publication on the wire.
    pub fn publish(&mut self, topic: TopicId, poison: bool) -> PubId {
        let id = PubId(self.publications.len() as u32);
        let publication = Publication {
            topic,
            poison,
            acknowledged: None,
            taken: false,
            accepted: false,
            events: Vec::new(),
            writes: 0,
        };
        self.publications.push(publication);
        id
    }

    /// A client writes a publication, for the first time or again.
    pub fn written(&mut self, id: PubId) {
        self.publications[id.0 as usize].writes += 1;
    }

    /// The topic of a publication.
    pub fn topic_of(&self, id: PubId) -> &Topic {
        &self.topics[self.publications[id.0 as usize].topic]
    }

    /// A client was told what became of its publication (PUBACK, PUBREC).
    pub fn acknowledged(&mut self, id: PubId, code: u8, says_no: bool) {
        let publication = &mut self.publications[id.0 as usize];
        let accepted = code < 0x80;
        publication.acknowledged = Some(accepted);
        let topic = &self.topics[publication.topic];
        // MQTT 3.1.1 cannot say no: what the service refuses for good is acknowledged all the same.
        let refused_silently = publication.poison && !says_no;
        if topic.delivered && accepted && !refused_silently && !(publication.taken && publication.accepted) {
            self.fail("acknowledged before the service has said 2xx", Some(id), &[]);
        }
    }

    /// An event was sent to a service.
    pub fn sent(&mut self, id: PubId, event: EventId) {
        let Some(publication) = self.publications.get_mut(id.0 as usize) else {
            return self.fail("the service got a payload that nobody published", None, &[]);
        };
        let topic = &self.topics[publication.topic];
        let newest = publication.events.last().copied();
        if newest == Some(event) {
            return;
        }
        // What the node did not accept is a new publication when it is sent again (MQTT 5 §4.3.3): then, and only then,
        // there may be a second event.
        let gave_up = topic.delivered && !publication.accepted && !publication.events.contains(&event);
        publication.events.push(event);
        if newest.is_some() && topic.qos == Assurance::ExactlyOnce && !gave_up {
            self.fail("the node took an exactly-once publication twice", Some(id), &[]);
        }
    }

    /// A service has taken an event.
    pub fn taken(&mut self, id: PubId) {
        if let Some(publication) = self.publications.get_mut(id.0 as usize) {
            publication.taken = true;
        }
    }

    /// The node has heard a service's answer.
    pub fn answered(&mut self, id: PubId, outcome: &Outcome) {
        if outcome.is_accepted()
            && let Some(publication) = self.publications.get_mut(id.0 as usize)
        {
            publication.accepted = true;
        }
    }

    /// A subscription was granted. A session that lasts must get everything from now on.
    pub fn subscribed(&mut self, client: ClientId, filter: Filter, qos: Assurance, lasting: bool) {
        let since = lasting.then_some(PubId(self.publications.len() as u32));
        let subscriber = self.subscribers.entry(client).or_default();
        if subscriber.expectations.iter().all(|known| known.filter != filter) {
            subscriber.expectations.push(Expectation { filter, qos, since });
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
        if !wrong.is_empty() {
            return self.fail(format!("delivered {wrong}"), Some(id), &[client]);
        }
        let moved = |client| self.homes.get(&client).and_then(|home| home.1);
        let in_takeover = moved(client).is_some_and(|at| self.now < at + UNSETTLED);
        let may_overtake = in_takeover || moved(sender).is_some() && !self.order_over_shards;
        // Whoever may have missed the first of several tellings sees a later one out of its turn.
        let told_once = writes == 1 || qos_sent == Assurance::ExactlyOnce && !may_fail;
        let missed_none = lasting && qos != Assurance::AtMostOnce && !self.short_queues;
        let judged = (told_once || missed_none) && !may_overtake;
        if let Some(newest) = newest
            && !again
            && newest > id
            && judged
        {
            let what = format!("delivered after publication {} of the same topic", newest.0);
            self.fail(what, Some(id), &[client]);
        }
    }

    /// At the end of a run, when everything had time to settle.
    pub fn finish(&mut self) {
        if self.short_queues {
            return;
        }
        let mut missing = Vec::new();
        for (index, publication) in self.publications.iter().enumerate() {
            let id = PubId(index as u32);
            let topic = &self.topics[publication.topic];
            if topic.qos == Assurance::AtMostOnce
                || publication.acknowledged != Some(true)
                || publication.poison
            {
                continue;
            }
            for (client, subscriber) in &self.subscribers {
                let owed = subscriber.expectations.iter().any(|known| {
                    known.since.is_some_and(|since| since <= id)
                        && known.qos != Assurance::AtMostOnce
                        && known.filter.matches(&topic.name)
                });
                if owed && !subscriber.seen.contains_key(&id) {
                    missing.push((id, *client));
                }
            }
        }
        if let Some((id, client)) = missing.first().copied() {
            let what = format!(
                "acknowledged and never delivered to {}; {} such in all",
                client.name(),
                missing.len()
            );
            self.fail(what, Some(id), &[client]);
        }
    }

    /// How many publications a service has accepted, as far as the node has heard.
    pub fn accepted(&self) -> usize {
        self.publications.iter().filter(|publication| publication.accepted).count()
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

#[cfg(test)]
mod tests {
    use super::*;
    use windrose_event::Timestamp;

    const SENDER: ClientId = ClientId(0);
    const LISTENER: ClientId = ClientId(1);
    const TOPIC: &str = "d/x";

    /// An oracle of one topic with one lasting subscriber.
    fn oracle(qos: Assurance, delivered: bool) -> Oracle {
        let mut oracle = Oracle::default();
        oracle.topics.push(Topic { name: TOPIC.to_owned(), sender: SENDER, qos, delivered });
        oracle.subscribed(LISTENER, Filter::new("#").expect("a filter"), qos, true);
        oracle
    }

    fn publish(oracle: &mut Oracle) -> PubId {
        let id = oracle.publish(0, false);
        oracle.written(id);
        id
    }

    fn complaint(oracle: &Oracle) -> &str {
        oracle.violation.as_ref().map_or("none", |violation| &violation.what)
    }

    #[test]
    fn an_acknowledgement_ahead_of_the_service_is_noticed() {
        let mut oracle = oracle(Assurance::AtLeastOnce, true);
        let id = publish(&mut oracle);
        oracle.taken(id);
        oracle.acknowledged(id, 0x83, true);
        assert_eq!(complaint(&oracle), "none", "it says no");
        oracle.acknowledged(id, 0, true);
        assert!(complaint(&oracle).contains("before the service"));
    }

    #[test]
    fn a_second_event_or_delivery_of_an_exactly_once_publication_is_noticed() {
        let event = |count| EventId::new(Timestamp::from_micros(0), 1, count);
        let mut taken_twice = oracle(Assurance::ExactlyOnce, true);
        let id = publish(&mut taken_twice);
        taken_twice.sent(id, event(1));
        taken_twice.sent(id, event(1));
        taken_twice.sent(id, event(2));
        assert_eq!(complaint(&taken_twice), "none", "the first may have failed");
        taken_twice.answered(id, &Outcome::Accepted);
        taken_twice.sent(id, event(3));
        assert!(complaint(&taken_twice).contains("took an exactly-once publication twice"));

        let mut delivered_twice = oracle(Assurance::ExactlyOnce, false);
        let id = publish(&mut delivered_twice);
        for _ in 0..2 {
            delivered_twice.delivered(LISTENER, id, TOPIC, Assurance::ExactlyOnce, false);
        }
        assert!(complaint(&delivered_twice).contains("delivered twice"));
    }

    #[test]
    fn lost_and_overtaken_deliveries_are_noticed() {
        let mut oracle = oracle(Assurance::AtLeastOnce, false);
        let [first, second] = [publish(&mut oracle), publish(&mut oracle)];
        oracle.acknowledged(first, 0, true);
        oracle.delivered(LISTENER, second, TOPIC, Assurance::AtLeastOnce, false);
        let mut without = std::mem::take(&mut oracle);
        without.finish();
        assert!(complaint(&without).contains("never delivered"));

        let mut oracle = super::tests::oracle(Assurance::AtLeastOnce, false);
        let [first, second] = [publish(&mut oracle), publish(&mut oracle)];
        oracle.delivered(LISTENER, second, TOPIC, Assurance::AtLeastOnce, false);
        oracle.delivered(LISTENER, second, TOPIC, Assurance::AtLeastOnce, true);
        assert_eq!(complaint(&oracle), "none", "at least once is more than once at times");
        oracle.delivered(LISTENER, first, TOPIC, Assurance::AtLeastOnce, false);
        assert!(complaint(&oracle).contains("delivered after publication 1"));
    }
}
