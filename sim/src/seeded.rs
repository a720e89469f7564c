//! Scenarios that chance makes up.

use crate::client::{Message, Profile};
use crate::document::Document;
use crate::link::Weather;
use crate::oracle::Topic;
use crate::rng::Rng;
use crate::scenario::{Ending, Scenario};
use crate::trace::ClientId;
use crate::world::Conditions;
use std::time::Duration;
use windrose_event::{Assurance, Filter};
use windrose_protocol::mqtt::codec::Version;

impl Scenario {
    /// Makes up a scenario.
    pub fn from_seed(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x5eed);
        let rng = &mut rng;
        let count = rng.between(3, 7);
        let senders = rng.between(2, count - 1);
        let mut topics = Vec::new();
        let mut clients = (0..count)
            .map(|index| {
                let id = ClientId(index as u16);
                let own = topics.len();
                if index < senders {
                    for number in 0..rng.between(1, 3) {
                        topics.push(topic(rng, id, number));
                    }
                }
                client(rng, id, own..topics.len(), index + 1 >= senders)
            })
            .collect::<Vec<_>>();
        if rng.chance(35) {
            let qos = rng.pick(&[Assurance::AtLeastOnce, Assurance::ExactlyOnce]);
            let group = (count..count + rng.between(2, 3)).map(|index| member(rng, index, qos));
            clients.extend(group);
        }
        let first = document(rng);
        let queue = if rng.chance(10) { 30 } else { first.session_queue_events };
        let documents = [first.clone(), document(rng), document(rng)]
            .map(|document| Document { session_queue_events: queue, ..document });
        Self {
            seed,
            shards: rng.between(1, 4) as u16,
            documents: documents.into(),
            topics,
            clients: with_expiry(seed, clients),
            conditions: with_revocations(seed, with_journal(seed, conditions(rng))),
            chaos: rng.millis(2_000, 12_000),
            ending: if rng.chance(25) { Ending::AmidTraffic } else { Ending::InPeace },
        }
    }
}

/// Some sessions of MQTT 5 end if their client is away for too long, which it is at times. Chance of its own, as
/// [`with_journal`].
fn with_expiry(seed: u64, clients: Vec<Profile>) -> Vec<Profile> {
    let mut rng = Rng::new(seed ^ 0xe0d5);
    let mut with = |client: Profile| {
        let may = client.lasting && client.version == Version::V5 && client.group.is_none();
        if !may || !rng.chance(25) {
            return client;
        }
        Profile { expires: Some(Duration::from_secs(2)), reconnects_within: 3_500_000, ..client }
    };
    clients.into_iter().map(&mut with).collect()
}

fn topic(rng: &mut Rng, sender: ClientId, number: usize) -> Topic {
    let kind = rng.pick(&["d", "d", "r", "e"]);
    let qos = qos(rng);
    Topic { name: format!("{kind}/{}/{number}", sender.name()), sender, qos, delivered: kind == "d" }
}

fn qos(rng: &mut Rng) -> Assurance {
    rng.pick(&[
        Assurance::AtMostOnce,
        Assurance::AtLeastOnce,
        Assurance::AtLeastOnce,
        Assurance::ExactlyOnce,
        Assurance::ExactlyOnce,
    ])
}

fn client(rng: &mut Rng, id: ClientId, topics: std::ops::Range<usize>, subscribes: bool) -> Profile {
    let version = rng.pick(&[Version::V3, Version::V5]);
    let messages = match topics.is_empty() {
        true => Vec::new(),
        false => (0..rng.between(5, 60))
            .map(|_| Message {
                topic: rng.between(topics.start, topics.end - 1),
                poison: rng.chance(3),
                retain: rng.chance(10),
                size: if rng.chance(5) { rng.between(2_000, 3_000) } else { rng.between(0, 200) },
            })
            .collect(),
    };
    let filters: &[&str] =
        rng.pick::<&[&str]>(&[&["#"], &["d/#", "e/#"], &["+/+/0", "+/+/1"], &["#", "r/#"]]);
    let subscriptions = filters.iter().filter(|_| subscribes).filter_map(|filter| Filter::new(filter).ok());
    Profile {
        id,
        version,
        lasting: rng.chance(85),
        expires: None,
        receive_maximum: rng.between(1, 20) as u16,
        window: rng.between(1, 10),
        keep_alive: 10,
        subscriptions: subscriptions.map(|filter| (filter, qos(rng))).collect(),
        group: None,
        shard: None,
        messages,
        pace: rng.pick(&[0, 5_000, 50_000, 200_000]),
        acknowledges_within: rng.pick(&[0, 0, 5_000, 100_000]),
        reads_every: rng.pick(&[0, 0, 0, 20_000]),
        reconnects_within: rng.pick(&[1_000, 50_000, 1_000_000]),
    }
}

/// A member of a group that shares the work of everything.
fn member(rng: &mut Rng, index: usize, qos: Assurance) -> Profile {
    let id = ClientId(index as u16);
    let subscriptions = Filter::new("#").map(|filter| (filter, qos)).into_iter().collect();
    Profile { lasting: true, subscriptions, group: Some(1), ..client(rng, id, 0..0, false) }
}

fn document(rng: &mut Rng) -> Document {
    Document {
        members: rng.pick::<&[usize]>(&[&[0], &[0, 1], &[1, 2], &[2, 0, 1]]).to_vec(),
        balance: rng.pick(&["least-outstanding", "round-robin"]),
        batch: rng.pick(&[1, 1, 1, 5]),
        timeout: rng.pick(&[200, 500, 1_000]),
        queue: rng.pick(&[4, 20, 100, 1_000]),
        max_in_flight: rng.pick(&[1, 4, 16, 64]),
        deadline: rng.pick(&[1_000, 3_000, 10_000]),
        receive_maximum: rng.pick(&[4, 16, 64]),
        session_in_flight: rng.pick(&[2, 16, 64]),
        session_queue_events: 100_000,
        shard_queue: rng.pick(&[2, 16, 1_000]),
        output_bytes: rng.pick(&[1_024, 4_096, 65_536]),
        idle_routes: rng.below(3),
    }
}

/// A third of the nodes keep a journal, and most of those are killed at times. Chance of its own: what else a seed makes
/// up does not depend on it.
fn with_journal(seed: u64, conditions: Conditions) -> Conditions {
    let mut rng = Rng::new(seed ^ 0xd15c);
    let journal = rng.chance(33);
    let crashes = if journal && rng.chance(80) { rng.between(1, 15) } else { 0 };
    Conditions { journal, crashes, ..conditions }
}

/// In a third of the worlds clients are revoked at times. Chance of its own, as [`with_journal`].
fn with_revocations(seed: u64, conditions: Conditions) -> Conditions {
    let mut rng = Rng::new(seed ^ 0x0e_4d);
    let revocations = if rng.chance(33) { rng.between(5, 40) } else { 0 };
    Conditions { revocations, ..conditions }
}

fn conditions(rng: &mut Rng) -> Conditions {
    Conditions {
        weather: Weather {
            latency: rng.pick(&[0, 1_000, 20_000]),
            fragments: rng.chance(70),
            capacity: rng.pick(&[256, 2_048, 65_536]),
        },
        shard_latency: rng.pick(&[0, 1_000, 20_000]),
        one_inbox: rng.chance(50),
        lookup_latency: rng.pick(&[0, 1_000, 20_000]),
        fault_every: rng.pick(&[50_000, 200_000, 1_000_000]),
        cuts: rng.between(0, 70),
        moods: rng.between(0, 30),
        reloads: rng.pick(&[0, 0, 20]),
        crashes: 0,
        revocations: 0,
        journal: false,
        registry_fails: rng.pick(&[0, 0, 10]),
        breaks: Vec::new(),
    }
}
