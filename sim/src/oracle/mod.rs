//! The oracle: it knows what was promised, and says when a promise is broken.

mod deliveries;
#[cfg(test)]
mod tests;

use crate::trace::{ClientId, Note, PubId, Trace};
use deliveries::Subscriber;
use std::collections::BTreeMap;
use std::fmt;
use windrose_event::{Assurance, EventId, Moment, Outcome};

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
    /// Whether it is its topic's last value.
    retain: bool,
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
    /// Whether the node was killed at times: services may then be asked twice.
    killed: bool,
    /// Sessions that ended because their clients were away for too long.
    pub sessions_ended: u64,
    /// The shard that each client used last, and when it came there from another one.
    homes: BTreeMap<ClientId, (u16, Option<Moment>)>,
    subscribers: BTreeMap<ClientId, Subscriber>,
    /// How often the members of a group saw a publication.
    groups: BTreeMap<(u8, PubId), u32>,
    now: Moment,
}

/// "No matching subscribers" (MQTT 5 §3.4.2.1).
const NOBODY_LISTENS: u8 = 0x10;

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

    /// The node was killed, and its sessions are at other shards than before.
    pub fn crashed(&mut self) {
        self.killed = true;
        for home in self.homes.values_mut() {
            home.0 = u16::MAX;
        }
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
    pub fn publish(&mut self, topic: TopicId, poison: bool, retain: bool) -> PubId {
        let id = PubId(self.publications.len() as u32);
        let publication = Publication {
            topic,
            poison,
            retain,
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
        } else if code == NOBODY_LISTENS && self.is_asked_for(id) {
            self.fail("acknowledged as if nobody had subscribed to it", Some(id), &[]);
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
        // What a route promises to have received is not kept for its service over a crash.
        if newest.is_some() && topic.qos == Assurance::ExactlyOnce && !gave_up && !self.killed {
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

    /// How many publications a service has accepted, as far as the node has heard.
    pub fn accepted(&self) -> usize {
        self.publications.iter().filter(|publication| publication.accepted).count()
    }
}
