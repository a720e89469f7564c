//! The world: a node's shards, its clients and the network between them, moved on one step at a time.

use crate::agenda::Agenda;
use crate::client::{Client, Context, Profile};
use crate::disk::Disk;
use crate::document::Document;
use crate::link::{Notice, Pipe, Weather};
use crate::node::Shard;
use crate::oracle::Oracle;
use crate::outlaws::Outlaws;
use crate::rng::Rng;
use crate::service::Mood;
use crate::trace::{ClientId, LinkId, Note, PubId};
use std::collections::BTreeMap;
use std::time::Duration;
use windrose_engine::{Answer, DispatchId, ShardId};
use windrose_event::{ConnectionId, Moment, Verdict};
use windrose_network::Directory;

/// Steps of one moment after which the node is taken to go round in circles.
const STEPS_AT_ONCE: u32 = 50_000;

/// Something that happens.
#[derive(Debug)]
pub enum Step {
    /// Bytes arrive at the node.
    Up(LinkId),
    /// Bytes arrive at the client.
    Down(LinkId),
    /// The node notices that the connection is gone.
    UpEnd(LinkId),
    /// The client notices.
    DownEnd(LinkId),
    /// A client's timer.
    Client(ClientId),
    /// A shard's timer.
    Timer(usize),
    /// A message arrives from one shard at another.
    Message {
        /// Who sent it.
        from: usize,
        /// To whom.
        to: usize,
    },
    /// The directory's answer arrives.
    Located {
        /// At which shard.
        shard: usize,
        /// For whom.
        connection: ConnectionId,
        /// What it says.
        holder: Option<ShardId>,
    },
    /// The registry's answer arrives.
    Identified {
        /// At which shard.
        shard: usize,
        /// For whom.
        connection: ConnectionId,
        /// What it says.
        verdict: Verdict,
    },
    /// A shard hears that a client is not let in any more.
    Changed {
        /// Which shard.
        shard: usize,
        /// Who.
        client: ClientId,
    },
    /// A client is let in again.
    Reinstate(ClientId),
    /// A service has a dispatch's events.
    Takes {
        /// Of which shard.
        shard: usize,
        /// Which.
        dispatch: DispatchId,
    },
    /// A shard hears of a dispatch.
    Answers {
        /// Which shard.
        shard: usize,
        /// Which dispatch.
        dispatch: DispatchId,
        /// What it hears.
        answer: Answer,
    },
    /// A shard takes the document in force.
    Reload(usize),
    /// What the node of that start was writing to its disk is written.
    Written(u32),
    /// A shard of the node of that start hears how far its records are stored.
    Stored {
        /// Which start.
        start: u32,
        /// Which shard.
        shard: usize,
        /// How far.
        stored: u64,
    },
    /// Something goes wrong.
    Fault,
}

/// A connection: a pipe each way, and who still holds its ends.
#[derive(Debug)]
pub struct Link {
    /// Whose.
    pub client: ClientId,
    /// To which shard.
    pub shard: usize,
    /// The shard's name for it.
    pub connection: ConnectionId,
    pub(crate) up: Pipe,
    pub(crate) down: Pipe,
    pub(crate) client_here: bool,
    pub(crate) node_here: bool,
    /// Whether the node does not read.
    pub(crate) paused: bool,
    /// Whether the node closes it as soon as everything is written.
    pub(crate) closing: bool,
    /// The end of the stream has arrived at the node, which does not read.
    pub(crate) end_waits: bool,
    pub(crate) cut: bool,
    pub(crate) opened: Moment,
    /// When the client reads next.
    pub(crate) reads_at: Moment,
}

/// Breaks a client's connection at a byte.
#[derive(Clone, Copy, Debug)]
pub struct Break {
    /// Whose.
    pub client: ClientId,
    /// Which of its connections, from zero.
    pub connection: usize,
    /// Whether bytes towards the node are counted; otherwise those towards the client.
    pub up: bool,
    /// How many bytes get through.
    pub after: usize,
}

/// How the world treats the node.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// Connections.
    pub weather: Weather,
    /// The longest time between shards, in microseconds.
    pub shard_latency: u64,
    /// Whether a shard gets all messages in the order sent, whoever sent them; otherwise only those of each shard.
    pub one_inbox: bool,
    /// The longest time to an answer of directory and registry, in microseconds.
    pub lookup_latency: u64,
    /// The longest time between two faults, in microseconds; zero: none.
    pub fault_every: u64,
    /// Of a hundred faults, how many cut a connection.
    pub cuts: usize,
    /// Of a hundred faults, how many change a service's mood.
    pub moods: usize,
    /// Of a hundred faults, how many reload the document.
    pub reloads: usize,
    /// Of a hundred faults, how many kill the node's process. Only a node that keeps a journal outlives that.
    pub crashes: usize,
    /// Of a hundred faults, how many have a client revoked, for a while.
    pub revocations: usize,
    /// Whether the node keeps a journal (`node.persistence`).
    pub journal: bool,
    /// Of a hundred claims, how many the registry cannot answer.
    pub registry_fails: usize,
    /// Breaks at exact bytes.
    pub breaks: Vec<Break>,
}

impl Conditions {
    /// Nothing goes wrong and nothing takes time.
    pub fn calm() -> Self {
        Self {
            weather: Weather::CALM,
            shard_latency: 0,
            one_inbox: true,
            lookup_latency: 0,
            fault_every: 0,
            cuts: 0,
            moods: 0,
            reloads: 0,
            crashes: 0,
            revocations: 0,
            journal: false,
            registry_fails: 0,
            breaks: Vec::new(),
        }
    }
}

/// Everything there is.
pub struct World {
    /// The clock.
    pub agenda: Agenda<Step>,
    /// Chance.
    pub rng: Rng,
    /// What was promised.
    pub oracle: Oracle,
    /// How the world is.
    pub conditions: Conditions,
    /// The clients, by id.
    pub clients: Vec<Client>,
    /// The document in force, and those that a reload may put in its place.
    pub documents: Vec<Document>,
    pub(crate) document: usize,
    pub(crate) shards: Vec<Shard>,
    pub(crate) directory: Directory,
    pub(crate) disk: Option<Disk>,
    pub(crate) outlaws: Outlaws,
    pub(crate) links: Vec<Link>,
    /// How many connections each client has had.
    pub(crate) connections: BTreeMap<ClientId, usize>,
    client_timers: Vec<Option<Moment>>,
    /// How members answer, by number.
    pub(crate) moods: Vec<Mood>,
    steps: u64,
    steps_at_once: u32,
    last_step: Moment,
}

impl World {
    /// A node of `shards` shards with the first of `documents`, and clients that have not connected yet.
    pub fn new(
        seed: u64,
        shards: u16,
        documents: Vec<Document>,
        clients: Vec<Client>,
        conditions: Conditions,
    ) -> Self {
        let mut rng = Rng::new(seed);
        let shards = Shard::all(shards, &documents[0], &mut rng);
        let mut world = Self {
            agenda: Agenda::new(),
            rng,
            oracle: Oracle::default(),
            client_timers: vec![None; clients.len()],
            clients,
            documents,
            document: 0,
            shards,
            directory: Directory::default(),
            disk: None,
            outlaws: Outlaws::default(),
            links: Vec::new(),
            connections: BTreeMap::new(),
            moods: vec![Mood::Well; 8],
            steps: 0,
            steps_at_once: 0,
            last_step: Moment::from_micros(0),
            conditions,
        };
        if world.conditions.journal {
            world.insert_disk();
        }
        for shard in 0..world.shards.len() {
            world.act(shard);
        }
        for client in 0..world.clients.len() {
            world.agenda.after(Duration::ZERO, Step::Client(ClientId(client as u16)));
        }
        if world.conditions.fault_every > 0 {
            world.agenda.after(Duration::ZERO, Step::Fault);
        }
        world
    }

    /// Another client arrives. Its id is the next one, whatever its profile says.
    pub fn arrive(&mut self, profile: Profile) -> ClientId {
        let id = ClientId(self.clients.len() as u16);
        self.clients.push(Client::new(Profile { id, ..profile }));
        self.client_timers.push(None);
        self.agenda.after(Duration::ZERO, Step::Client(id));
        id
    }

    /// The time.
    pub fn now(&self) -> Moment {
        self.agenda.now().moment
    }

    /// Steps so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Adds to the trace.
    pub fn note(&mut self, note: Note) {
        self.oracle.note(self.agenda.now().moment, note);
    }

    /// Moves on until `until`, or until `done` says so. `false`: a promise was broken, or the time is up.
    pub fn run(&mut self, until: Moment, done: impl Fn(&World) -> bool) -> bool {
        while self.oracle.violation.is_none() {
            if done(self) {
                return true;
            }
            if self.agenda.next_at().is_none_or(|at| at > until) {
                return false;
            }
            self.step();
        }
        false
    }

    fn step(&mut self) {
        let Some(step) = self.agenda.pop() else { return };
        self.steps += 1;
        self.steps_at_once = if self.now() == self.last_step { self.steps_at_once + 1 } else { 0 };
        self.last_step = self.now();
        if self.steps_at_once > STEPS_AT_ONCE {
            let what =
                format!("the node does not come to rest: {STEPS_AT_ONCE} steps in one moment, now {step:?}");
            return self.oracle.fail(what, None, &[]);
        }
        match step {
            Step::Up(link) => self.arrive_up(link),
            Step::Down(link) => self.arrive_down(link),
            Step::UpEnd(link) => self.end_up(link),
            Step::DownEnd(link) => self.end_down(link),
            Step::Client(client) => self.wake(client),
            Step::Timer(shard) => self.timer(shard),
            Step::Message { from, to } => self.message(from, to),
            Step::Located { shard, connection, holder } => self.located(shard, connection, holder),
            Step::Identified { shard, connection, verdict } => self.identified(shard, connection, verdict),
            Step::Changed { shard, client } => self.changed(shard, client),
            Step::Reinstate(client) => self.reinstate(client),
            Step::Takes { shard, dispatch } => self.takes(shard, dispatch),
            Step::Answers { shard, dispatch, answer } => self.answers(shard, dispatch, answer),
            Step::Reload(shard) => self.reload(shard),
            Step::Written(start) => self.written(start),
            Step::Stored { start, shard, stored } => self.stored(start, shard, stored),
            Step::Fault => self.fault(),
        }
        self.check();
    }

    /// Calls a client.
    pub(crate) fn client<R>(
        &mut self,
        id: ClientId,
        call: impl FnOnce(&mut Client, &mut Context<'_>) -> R,
    ) -> R {
        let mut context =
            Context { now: self.agenda.now().moment, rng: &mut self.rng, oracle: &mut self.oracle };
        call(&mut self.clients[usize::from(id.0)], &mut context)
    }

    fn wake(&mut self, id: ClientId) {
        self.client_timers[usize::from(id.0)] = None;
        if self.clients[usize::from(id.0)].wants_connection(self.now()) {
            if !self.is_up(id) {
                return;
            }
            self.open(id);
        } else {
            self.client(id, Client::wake);
        }
        self.serve(id);
    }

    /// Enters a client's timer.
    pub(crate) fn rearm(&mut self, id: ClientId) {
        let Some(due) = self.clients[usize::from(id.0)].next_timeout() else { return };
        let timer = &mut self.client_timers[usize::from(id.0)];
        if timer.is_none_or(|armed| due < armed) {
            *timer = Some(due);
            self.agenda.at(due, Step::Client(id));
        }
    }

    /// Something goes wrong, and the next fault is entered.
    fn fault(&mut self) {
        if self.conditions.fault_every == 0 {
            return;
        }
        let next = self.rng.micros(0, self.conditions.fault_every);
        self.agenda.after(next, Step::Fault);
        let Conditions { cuts, moods, reloads, crashes, revocations, .. } = self.conditions;
        if crashes > 0 && self.rng.chance(crashes) {
            return self.crash();
        }
        if revocations > 0 && self.rng.chance(revocations) {
            let client = ClientId(self.rng.below(self.clients.len()) as u16);
            return self.revoke(client);
        }
        let kind = self.rng.below(100);
        if kind < cuts {
            let client = self.rng.below(self.clients.len());
            if let Some(link) = self.clients[client].link() {
                let notice = self.notice();
                self.cut(link, notice);
            }
        } else if kind < cuts + moods {
            let member = self.rng.below(self.moods.len());
            let mood = self.rng.pick(&Mood::ALL);
            // Most often all are in the same mood: one that is well takes over for the others.
            if self.rng.chance(60) {
                self.moods.fill(mood);
            } else {
                self.moods[member] = mood;
            }
            self.note(Note::Mood(mood.name()));
        } else if kind < cuts + moods + reloads {
            let document = self.rng.below(self.documents.len());
            self.put_in_force(document);
        }
    }

    /// A document takes force, shard by shard.
    pub fn put_in_force(&mut self, document: usize) {
        self.document = document;
        for shard in 0..self.shards.len() {
            let wait = self.rng.micros(0, 20_000);
            self.agenda.after(wait, Step::Reload(shard));
        }
    }

    /// All services are of one mood.
    pub fn set_mood(&mut self, mood: Mood) {
        self.moods.fill(mood);
        self.note(Note::Mood(mood.name()));
    }

    fn notice(&mut self) -> Notice {
        let client = self.rng.micros(0, 50_000);
        let node = match self.rng.below(10) {
            0..=3 => Some(self.rng.micros(0, 5_000)),
            4..=7 => Some(self.rng.micros(0, 2_000_000)),
            _ => None,
        };
        Notice { client, node }
    }

    /// No more faults: from now on everything must come right.
    pub fn calm(&mut self) {
        self.conditions.fault_every = 0;
        self.conditions.registry_fails = 0;
        self.note(Note::Calm);
        self.set_mood(Mood::Well);
    }

    /// The publications in events' payloads.
    pub(crate) fn named<'a>(
        events: impl IntoIterator<Item = &'a std::sync::Arc<windrose_event::Event>>,
    ) -> Vec<PubId> {
        let payloads = events.into_iter().filter_map(|event| crate::client::read_payload(&event.payload));
        payloads.map(|(id, _)| id).collect()
    }
}
