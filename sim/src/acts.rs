//! A run's acts: clients get ready, publish while things go wrong, settle in peace, and the node shuts down. Each says
//! whether every promise was kept.

use crate::client::{Client, Profile};
use crate::trace::ClientId;
use crate::world::World;
use std::time::Duration;
use windrose_event::{Assurance, Filter};
use windrose_protocol::mqtt::codec::Version;

/// How long each act may take once nothing goes wrong any more.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long the node may take to notice every connection that is gone, and sessions to get what waits for them.
const AFTERMATH: Duration = Duration::from_secs(20);

/// How long last values may take to reach a new subscriber.
const RECALL: Duration = Duration::from_secs(5);

/// A client that subscribes to everything at one shard; its id is given to it when it arrives.
fn auditor(shard: usize) -> Profile {
    Profile {
        id: ClientId(u16::MAX),
        version: Version::V5,
        lasting: false,
        expires: None,
        receive_maximum: 10,
        window: 1,
        keep_alive: 10,
        subscriptions: Filter::new("#").map(|filter| (filter, Assurance::AtLeastOnce)).into_iter().collect(),
        group: None,
        shard: Some(shard),
        messages: Vec::new(),
        pace: 0,
        acknowledges_within: 0,
        reconnects_within: 0,
        reads_every: 0,
    }
}

impl World {
    /// All clients connect and subscribe.
    pub fn get_ready(&mut self) -> bool {
        let until = self.now() + PATIENCE;
        self.run(until, |world| world.clients.iter().all(Client::is_ready))
            || self.not_in_time("clients did not get ready", |client| !client.is_ready())
    }

    /// Applications publish, for that long or until they have nothing left.
    pub fn publish_for(&mut self, time: Duration) -> bool {
        let now = self.now();
        for index in 0..self.clients.len() {
            self.clients[index].start(now);
            self.rearm(ClientId(index as u16));
        }
        self.run(now + time, |world| world.clients.iter().all(Client::is_done));
        self.oracle.violation.is_none()
    }

    /// Nothing goes wrong any more: everything is acknowledged and delivered, and nothing is left anywhere.
    pub fn settle(&mut self) -> bool {
        self.calm();
        let until = self.now() + PATIENCE;
        if !self.run(until, |world| world.clients.iter().all(Client::is_done)) {
            return self.not_in_time("publications were not settled", |client| !client.is_done());
        }
        // What was sent again after each kill takes slow subscribers longer.
        let times = if self.conditions.crashes > 0 { 4 } else { 1 };
        if self.pass(times * AFTERMATH) {
            self.check_settled();
            self.oracle.finish();
        }
        self.oracle.violation.is_none() && (!self.oracle.has_last_values() || self.audit())
    }

    /// Somebody new subscribes to everything at each shard, and must be told the last values.
    fn audit(&mut self) -> bool {
        let auditors: Vec<ClientId> =
            (0..self.shards.len()).map(|shard| self.arrive(auditor(shard))).collect();
        if !self.get_ready() || !self.pass(RECALL) {
            return false;
        }
        for auditor in auditors {
            self.oracle.check_recalled(auditor);
        }
        self.oracle.violation.is_none()
    }

    /// The node shuts down: it finishes what it has, tells its clients, and is idle.
    pub fn shut_down(&mut self) -> bool {
        self.drain();
        let until = self.now() + PATIENCE;
        if !self.run(until, World::is_idle) {
            let what = format!("the node did not shut down: {}", self.not_idle());
            self.oracle.fail(what, None, &[]);
        }
        self.oracle.violation.is_none()
    }

    fn not_in_time(&mut self, what: &str, who: impl Fn(&Client) -> bool) -> bool {
        let late = self.clients.iter().filter(|client| who(client)).map(|client| client.profile.id);
        let late: Vec<ClientId> = late.collect();
        let names: Vec<String> = late.iter().map(|client| client.name()).collect();
        let what = format!("{what} within {} s: {}", PATIENCE.as_secs(), names.join(", "));
        self.oracle.fail(what, None, &late);
        false
    }
}
