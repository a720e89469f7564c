//! Scenarios: what a run is made of, and how it is played.

use crate::client::{Client, Profile};
use crate::document::Document;
use crate::oracle::Topic;
use crate::world::{Conditions, World};
use std::fmt;
use std::time::Duration;

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
    /// How it ends.
    pub ending: Ending,
}

/// How a scenario ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nothing goes wrong any more, everything is settled and delivered, and then the node shuts down.
    InPeace,
    /// The node shuts down while things go wrong.
    AmidTraffic,
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
    /// The world as the scenario has it, before its first step.
    pub fn begin(self) -> World {
        let clients = self.clients.into_iter().map(Client::new).collect();
        let mut world = World::new(self.seed, self.shards, self.documents, clients, self.conditions);
        world.oracle.topics = self.topics;
        world.oracle.order_over_shards = world.conditions.one_inbox;
        world.oracle.short_queues =
            world.documents.iter().any(|document| document.session_queue_events < 1_000);
        world
    }

    /// Plays it to its end. `told`: the report tells everything in words.
    pub fn play(self, told: bool) -> Result<Report, Failure> {
        let (seed, chaos, ending) = (self.seed, self.chaos, self.ending);
        let mut world = self.begin();
        let lived = world.get_ready() && world.publish_for(chaos);
        let _ended = lived
            && match ending {
                Ending::InPeace => world.settle() && world.shut_down(),
                Ending::AmidTraffic => world.shut_down(),
            };
        world.report(seed, told)
    }
}

impl World {
    /// What the run came to so far.
    pub fn report(&self, seed: u64, told: bool) -> Result<Report, Failure> {
        if let Some(violation) = &self.oracle.violation {
            let trace = match told {
                true => self.oracle.trace.tell_all(),
                false => self.oracle.trace.tell(violation.publication, &violation.clients, TOLD),
            };
            let what = match violation.publication {
                Some(publication) => format!("publication {}: {violation}", publication.0),
                None => violation.to_string(),
            };
            return Err(Failure { seed, what, trace });
        }
        Ok(Report {
            hash: self.oracle.trace.hash(),
            steps: self.steps(),
            publications: self.oracle.publications.len(),
            deliveries: self.oracle.deliveries(),
            connections: self.connections.values().sum(),
            first_bytes: self.first_bytes(),
            trace: told.then(|| self.oracle.trace.tell_all()),
        })
    }
}
