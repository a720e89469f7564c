//! Scenarios: what a run is made of, and how it is played.

use crate::client::{Client, Message, Profile};
use crate::document::Document;
use crate::link::Weather;
use crate::oracle::Topic;
use crate::rng::Rng;
use crate::trace::ClientId;
use crate::world::{Conditions, World};
use std::fmt;
use std::time::Duration;
use windrose_event::{Assurance, Filter};
use windrose_protocol::mqtt::codec::Version;

/// How long clients may take to get ready, and everything to settle, once nothing goes wrong any more.
const PATIENCE: Duration = Duration::from_secs(120);

/// Notes that a failure tells.
const TOLD: usize = 60;

/// A node, its clients, and what goes wrong.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Decides everything that chance decides.
    pub seed: u64,
    /// Shards of the node.
    pub shards: u16,
    /// The node's document, and those that reloads put in its place.
    pub documents: Vec<Document>,
    /// Topics; each has one sender.
    pub topics: Vec<Topic>,
    /// The clients; their ids are their indices.
    pub clients: Vec<Profile>,
    /// How the world treats the node.
    pub conditions: Conditions,
    /// How long things go wrong once clients publish.
    pub chaos: Duration,
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Stands for everything that happened.
    pub hash: u64,
    /// Steps of the world.
    pub steps: u64,
    /// Publications of all clients.
    pub publications: usize,
    /// Deliveries that subscribers saw.
    pub deliveries: u64,
    /// Connections of all clients.
    pub connections: usize,
    /// Bytes of each client's first connection, to the node and from it.
    pub first_bytes: Vec<(usize, usize)>,
    /// Everything, in words, if asked for.
    pub trace: Option<String>,
}

/// A broken promise, and what led to it.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Of the scenario.
    pub seed: u64,
    /// What is wrong.
    pub what: String,
    /// What led to it, in words.
    pub trace: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}: {}\n{}", self.seed, self.what, self.trace)
    }
}

impl Scenario {
    /// Makes up a scenario.
    pub fn from_seed(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x5eed);
        let rng = &mut rng;
        let count = rng.between(3, 7);
        let senders = rng.between(2, count - 1);
        let mut topics = Vec::new();
        let clients = (0..count)
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
            .collect();
        let first = document(rng);
        let queue = if rng.chance(10) { 30 } else { first.session_queue_events };
        let documents = [first.clone(), document(rng), document(rng)].map(|document| Document {
            // A smaller Receive Maximum is for new connections only, so clients would have to be told apart.
            receive_maximum: first.receive_maximum,
            session_queue_events: queue,
            ..document
        });
        Self {
            seed,
            shards: rng.between(1, 4) as u16,
            documents: documents.into(),
            topics,
            clients,
            conditions: conditions(rng),
            chaos: rng.millis(2_000, 12_000),
        }
    }

    /// Plays it to its end. `told`: the report tells everything in words.
    pub fn play(self, told: bool) -> Result<Report, Failure> {
        let seed = self.seed;
        let chaos = self.chaos;
        let clients = self.clients.into_iter().map(Client::new).collect();
        let mut world = World::new(seed, self.shards, self.documents, clients, self.conditions);
        world.oracle.topics = self.topics;
        world.oracle.order_over_shards = world.conditions.one_inbox;
        world.oracle.short_queues =
            world.documents.iter().any(|document| document.session_queue_events < 1_000);
        acts(&mut world, chaos);
        if let Some(violation) = &world.oracle.violation {
            let trace = match told {
                true => world.oracle.trace.tell_all(),
                false => world.oracle.trace.tell(violation.publication, &violation.clients, TOLD),
            };
            let what = match violation.publication {
                Some(publication) => format!("publication {}: {violation}", publication.0),
                None => violation.to_string(),
            };
            return Err(Failure { seed, what, trace });
        }
        Ok(Report {
            hash: world.oracle.trace.hash(),
            steps: world.steps(),
            publications: world.oracle.publications.len(),
            deliveries: world.oracle.deliveries(),
            connections: world.connections.values().sum(),
            first_bytes: world.first_bytes(),
            trace: told.then(|| world.oracle.trace.tell_all()),
        })
    }
}

/// A run's acts: clients get ready, publish while things go wrong, settle in peace, and the node shuts down.
fn acts(world: &mut World, chaos: Duration) {
    let until = world.now() + PATIENCE;
    if !world.run(until, |world| world.clients.iter().all(Client::is_ready)) {
        return not_in_time(world, "clients did not get ready", |client| !client.is_ready());
    }
    let now = world.now();
    for index in 0..world.clients.len() {
        world.clients[index].start(now);
        world.rearm(ClientId(index as u16));
    }
    let until = now + chaos;
    world.run(until, |world| world.clients.iter().all(Client::is_done));
    world.calm();
    let until = world.now() + PATIENCE;
    if !world.run(until, |world| world.clients.iter().all(Client::is_done)) {
        return not_in_time(world, "publications were not settled", |client| !client.is_done());
    }
    // Until the node has noticed every connection that is gone, and sessions have got what waited for them.
    if !world.pass(Duration::from_secs(20)) {
        return;
    }
    world.check_settled();
    world.oracle.finish();
    if world.oracle.violation.is_some() {
        return;
    }
    world.drain();
    let until = world.now() + PATIENCE;
    if !world.run(until, World::is_idle) {
        let what = format!("the node did not shut down: {}", world.not_idle());
        world.oracle.fail(what, None, &[]);
    }
}

fn not_in_time(world: &mut World, what: &str, who: impl Fn(&Client) -> bool) {
    let late: Vec<ClientId> =
        world.clients.iter().filter(|client| who(client)).map(|client| client.profile.id).collect();
    let names: Vec<String> = late.iter().map(|client| client.name()).collect();
    let what = format!("{what} within {} s: {}", PATIENCE.as_secs(), names.join(", "));
    world.oracle.fail(what, None, &late);
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
        receive_maximum: rng.between(1, 20) as u16,
        window: rng.between(1, 10),
        keep_alive: 10,
        subscriptions: subscriptions.map(|filter| (filter, qos(rng))).collect(),
        messages,
        pace: rng.pick(&[0, 5_000, 50_000, 200_000]),
        acknowledges_within: rng.pick(&[0, 0, 5_000, 100_000]),
        reconnects_within: rng.pick(&[1_000, 50_000, 1_000_000]),
    }
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
        registry_fails: rng.pick(&[0, 0, 10]),
        breaks: Vec::new(),
    }
}
