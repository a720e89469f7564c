//! The engine: all state of one shard, and the door through which inputs come and outputs go.

use crate::brakes::Brake;
use crate::connections::Connections;
use crate::counts::{Counts, PROMISES};
use crate::exchanges::{Asks, Clerk, Topology};
use crate::grants::Grants;
use crate::ids::EventIds;
use crate::interest::Interest;
use crate::io::{Input, Output, Seat, ShardMessage};
use crate::journal::Gate;
use crate::notices::Notices;
use crate::pools::{Desk, Done, PoolKey, Pools};
use crate::queues::{Lost, Queues};
use crate::random::Random;
use crate::receipts::Receipts;
use crate::requests::Requests;
use crate::retained::{Bounds, Retained};
use crate::routes::RouteTable;
use crate::sessions::{Duplicates, Rival, Session, Sessions, Takeovers, Ticket};
use crate::shards::{Shards, Unheard};
use crate::standing::Lately;
use crate::subscriptions::{Headcount, Index, Matches};
use crate::tally::Tally;
use crate::topics::Topics;
use std::collections::VecDeque;
use std::sync::Arc;
use windrose_event::{ConnectionId, Directive, Intent, Moment, Now};
use windrose_policy::{Limits, Snapshot};

/// One shard's engine.
#[derive(Debug)]
pub struct Engine {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) routes: RouteTable,
    pub(crate) connections: Connections,
    pub(crate) sessions: Sessions,
    pub(crate) takeovers: Takeovers,
    pub(crate) duplicates: Duplicates,
    /// Whose sessions were ended lately.
    pub(crate) lately: Lately,
    pub(crate) subscriptions: Index,
    pub(crate) interest: Interest,
    pub(crate) grants: Grants,
    /// Exchanges, queues and bindings of the node.
    pub(crate) topology: Topology,
    pub(crate) asks: Asks,
    /// What this shard, if it is the first, decided for all.
    pub(crate) clerk: Clerk,
    pub(crate) retained: Retained,
    /// What the node tells of itself, under `$SYS/`.
    pub(crate) own: Retained,
    pub(crate) pools: Pools,
    pub(crate) shards: Shards,
    /// The moment of the input that is handled.
    pub(crate) moment: Moment,
    /// What was published here a moment ago and nobody heard.
    pub(crate) unheard: Unheard,
    pub(crate) receipts: Receipts,
    pub(crate) requests: Requests,
    pub(crate) queues: Queues,
    /// What got out of queues without anybody's using it.
    pub(crate) lost: VecDeque<Lost>,
    pub(crate) counts: Counts,
    pub(crate) notices: Notices,
    pub(crate) random: Random,
    pub(crate) ids: EventIds,
    pub(crate) outputs: VecDeque<Output>,
    /// What must outlive the process, if anything (`node.persistence`).
    pub(crate) gate: Option<Box<Gate>>,
    pub(crate) draining: bool,
    /// What is known of the addresses that are published to.
    pub(crate) topics: Topics,
    /// Reused from event to event.
    pub(crate) matches: Matches,
    done: Vec<(PoolKey, Done)>,
    tickets: u64,
    /// Shards that do not know yet of the sessions that were kept over a restart.
    pub(crate) recovering: usize,
    /// Sessions of which only the will was kept over a restart.
    pub(crate) bereaved: Vec<Session>,
}

/// What was owed to senders since the start. `published` is `settled` and `in_flight` together, always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// Events taken.
    pub published: u64,
    /// Events whose senders were answered.
    pub settled: u64,
    /// Events whose senders wait for a target.
    pub in_flight: u64,
}

impl Engine {
    /// An engine without connections. `seed` drives jitter, identifiers and assigned session names; it must differ from
    /// shard to shard and not be guessable, for reply addresses come from it.
    pub fn new(seat: Seat, snapshot: Arc<Snapshot>, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let ids = EventIds::new(random.next());
        let mut engine = Self {
            routes: RouteTable::default(),
            connections: Connections::default(),
            sessions: Sessions::default(),
            takeovers: Takeovers::default(),
            duplicates: Duplicates::default(),
            lately: Lately::default(),
            subscriptions: Index::default(),
            interest: Interest::default(),
            grants: Grants::default(),
            topology: Topology::default(),
            asks: Asks::default(),
            clerk: Clerk::default(),
            retained: Retained::default(),
            own: Retained::default(),
            pools: Pools::default(),
            moment: Moment::default(),
            unheard: Unheard::default(),
            shards: Shards::new(seat, snapshot.limits.shard_queue),
            receipts: Receipts::default(),
            requests: Requests::default(),
            queues: Queues::default(),
            lost: VecDeque::new(),
            counts: Counts::default(),
            notices: Notices::default(),
            random,
            ids,
            outputs: VecDeque::new(),
            gate: None,
            draining: false,
            topics: Topics::default(),
            matches: Matches::default(),
            done: Vec::new(),
            tickets: u64::from(seat.shard.0) << 48,
            recovering: 0,
            bereaved: Vec::new(),
            snapshot: snapshot.clone(),
        };
        engine.take_force(snapshot);
        engine
    }

    /// Takes one input. Drain [`Engine::poll_output`] until it has nothing before the next; only the intents of one read may
    /// come a few at a time, so that what follows from them is carried away in one go.
    pub fn handle(&mut self, now: Now, input: Input) {
        self.moment = now.moment;
        match input {
            Input::Connect { connection, listener, peer } => self.connect(now, connection, listener, peer),
            Input::Intent { connection, intent } => self.intent(now, connection, intent),
            Input::Lost { connection, cause } => self.lost(now, connection, &cause),
            Input::Congested { connection } => self.congested(now, connection),
            Input::Cleared { connection } => self.cleared(now, connection),
            Input::Identified { connection, verdict } => self.identified(now, connection, verdict),
            Input::Conversed { connection, step } => self.conversed(now, connection, step),
            Input::IdentitiesChanged(changes) => self.identities_changed(now, &changes),
            Input::Enrolled { connection, tag, result } => self.enrolled(now, connection, tag, result),
            Input::Located { connection, holder } => self.located(now, connection, holder),
            Input::Shard { from, message } => match message {
                ShardMessage::Interest { filter, group, members, connected, ranks, since } => {
                    let before = self.is_wanted(&filter);
                    if group.is_none() && members > 0 {
                        self.forward_since(from, &filter, since);
                    }
                    let count = Headcount { members, connected };
                    self.subscriptions.set_interest(from, &filter, group, count, &ranks);
                    self.note_interest(&filter, before);
                }
                ShardMessage::Mark(mark) => self.tell(from, ShardMessage::Marked(mark)),
                ShardMessage::Marked(mark) => self.marked(now, mark),
                ShardMessage::Events(events) => self.forwarded(now, from, events),
                ShardMessage::Words(words) => self.words(now, from, words),
                ShardMessage::Credit(count) => self.shard_credit(now, from, count),
                ShardMessage::Remember(event) => self.remember_elsewhere(now, from, &event),
                ShardMessage::Take { session, rival, held } => {
                    self.take(now, session, Rival { shard: from, ..rival }, held);
                }
                ShardMessage::TakenOver(takeover) => self.count_takeover(now, &takeover),
                ShardMessage::Hand { session, handed } => self.handed(now, from, &session, handed),
                ShardMessage::Late { session, parcel, more, expected } => {
                    self.late(now, &session, *parcel, more, expected);
                }
                ShardMessage::Settled { session, tag, ticket, outcome, heard } => {
                    self.settled_elsewhere(session, tag, ticket, outcome, heard);
                }
                ShardMessage::Topology(message) => self.hear_topology(now, from, message.0),
                ShardMessage::Reply { address, event } => self.reply_elsewhere(now, &address, event),
                ShardMessage::Decline { address, outcome } => self.decline(address, outcome),
            },
            Input::Replied { pool, event, form, reply } => self.replied(now, &pool, &event, form, reply),
            Input::Answer { dispatch, answer } => {
                self.with_pools(now, |pools, desk| pools.answer(dispatch, answer, desk));
            }
            Input::Stored(record) => self.stored(record),
            Input::State(values) => self.state(now, values),
            Input::Snapshot(snapshot) => self.take_force(snapshot),
            Input::Drain => self.drain(now),
            Input::Timeout => self.timeout(now),
        }
        if self.has_dead_letters() {
            self.bury(now);
        }
        self.fade_interest(now);
    }

    /// The next output, if any. One that could be relied on comes once all that this input recorded is stored.
    pub fn poll_output(&mut self) -> Option<Output> {
        let Some(gate) = &mut self.gate else { return self.next_output(false) };
        // First of all: whoever hears of what this input led to may tell the keeper of its own part.
        if let Some(batch) = gate.take_batch() {
            return Some(Output::Store(batch));
        }
        let braked = gate.is_full();
        if let Some(output) = gate.next_free() {
            return Some(output);
        }
        loop {
            let output = self.next_output(braked)?;
            if let Some(output) = self.pass(output) {
                return Some(output);
            }
        }
    }

    fn next_output(&mut self, braked: bool) -> Option<Output> {
        if self.outputs.is_empty() {
            self.shards.flush(&mut self.outputs, braked);
        }
        self.outputs.pop_front()
    }

    /// When `Input::Timeout` is due. A moment that has passed means at once.
    pub fn next_timeout(&self) -> Option<Moment> {
        if self.recovering > 0 {
            return None;
        }
        [
            self.sessions.next_timeout(),
            self.takeovers.next_timeout(),
            self.pools.next_timeout(),
            self.interest.next_timeout(),
            self.queues.next_timeout(),
            self.has_dead_letters().then(Moment::default),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Counts since the start, for metrics.
    pub fn tally(&self) -> Tally {
        let promises = PROMISES.iter().zip(&self.counts.acknowledge);
        Tally {
            listeners: self.counts.listeners.clone(),
            routes: self.counts.routes.clone(),
            sockets: Vec::new(),
            pools: self.pools.iter().map(|(_, pool)| pool.tally()).collect(),
            dropped: self.counts.dropped.clone(),
            subscriptions_refused: self.counts.subscriptions_refused.clone(),
            paused: self.counts.paused,
            sessions: self.sessions.len() as u64,
            subscriptions: self.counts.subscriptions,
            retained: self.retained.len().into(),
            exchanges: self.topology.exchanges() as u64,
            queues: self.topology.queues() as u64,
            bindings: self.topology.bindings() as u64,
            consumers: self.queues.iter().map(|queue| queue.consuming() as u64).sum(),
            queue_waiting: self.queues.iter().map(|queue| queue.waiting() as u64).sum(),
            queue_unsettled: self.queues.iter().map(|queue| queue.unsettled() as u64).sum(),
            dead_letters: self.counts.dead_letters.clone(),
            declined: self.counts.declined.clone(),
            queued: self.counts.queued,
            packets_in: 0,
            packets_out: 0,
            bytes_in: 0,
            bytes_out: 0,
            unstored: self.gate.as_ref().map_or(0, |gate| gate.waiting()),
            held: self.gate.as_ref().map_or(0, |gate| gate.held() as u64),
            acknowledge: promises.map(|(promise, histogram)| (promise.name(), histogram.clone())).collect(),
        }
    }

    /// Whether nothing is in flight and no session is open: a drain is complete.
    pub fn is_idle(&self) -> bool {
        self.connections.open() == 0
            && self.ledger().in_flight == 0
            && self.pools.is_idle()
            && self.shards.is_idle()
            && self.outputs.is_empty()
            && self.gate.as_ref().is_none_or(|gate| gate.is_open())
    }

    /// What was owed to senders since the start, for tests and simulations: nothing may be lost between its columns.
    pub fn ledger(&self) -> Ledger {
        let (published, settled, in_flight) = self.receipts.ledger();
        Ledger { published, settled, in_flight }
    }

    /// Lets a document take force, between two events.
    fn take_force(&mut self, snapshot: Arc<Snapshot>) {
        let shards = self.shards.count();
        let pools = self.pools.reload(&snapshot.pools, shards);
        let keys: Vec<PoolKey> = pools.iter().map(|(key, _)| *key).collect();
        self.routes = RouteTable::new(&snapshot, &keys, &mut self.counts);
        self.interest.reload(&snapshot.pools, || self.subscriptions.filters(), &mut self.outputs);
        self.snapshot = snapshot;
        self.topics.clear();
        for (key, releases) in pools {
            self.release(Brake::Pool(key), releases);
        }
        for (shard, releases) in self.shards.resize(self.limits().shard_queue) {
            self.release(Brake::Shard(shard), releases);
        }
        if self.draining {
            self.shards.settle();
        }
    }

    fn intent(&mut self, now: Now, connection: ConnectionId, intent: Intent) {
        self.brake_for_keeper(connection);
        match intent {
            Intent::Open(open) => self.open(now, connection, open),
            Intent::Publish(publish) => self.publish(now, connection, publish),
            Intent::Respond { response } => self.respond(connection, response),
            Intent::Reidentify(claim) => self.reidentify(connection, claim),
            Intent::Refused { address, cause, detail } => {
                self.refused_by_machine(now, connection, &address, cause, detail);
            }
            Intent::Release { tag } => self.release_inbound(connection, tag),
            Intent::Subscribe { tag, requests } => self.subscribe(now, connection, tag, requests),
            Intent::Unsubscribe { tag, filters } => self.unsubscribe(connection, tag, &filters),
            Intent::Receive { tag } => self.received(now, connection, tag),
            Intent::Complete { tag } => self.completed_by_peer(now, connection, tag),
            Intent::Settle { tag, outcome } => self.settled_by_peer(now, connection, tag, &outcome),
            Intent::Read { tag, address } => self.read(now, connection, tag, &address),
            Intent::Enrol { tag, request } => self.enrol(now, connection, tag, request),
            Intent::List { tag, filter, after, limit } => {
                self.list(now, connection, tag, &filter, after.as_ref(), limit);
            }
            Intent::Sync { tag } => self.sync(connection, tag),
            Intent::Request(publish) => self.request(now, connection, publish),
            Intent::Decline { reply_to, outcome } => {
                self.decline(reply_to, outcome);
            }
            Intent::PublishThrough { exchange, publish } => {
                self.publish_through(now, connection, &exchange, *publish);
            }
            Intent::Arrange { tag, arrangement } => self.arrange(now, connection, tag, *arrangement),
            Intent::Consume(consume) => self.consume(now, connection, consume),
            Intent::Grant { consumer, limit, drain } => {
                self.grant_consumer(now, connection, consumer, limit, drain);
            }
            Intent::Dispose { consumer, tags, disposition } => {
                self.dispose(now, connection, consumer, tags, disposition);
            }
            Intent::Cancel { consumer, release } => self.cancel_consumer(now, connection, consumer, release),
            Intent::Pull { tag, consumer, queue, presettled } => {
                self.pull(now, connection, tag, consumer, &queue, presettled);
            }
            Intent::Close(close) => self.close(now, connection, &close),
        }
    }

    fn timeout(&mut self, now: Now) {
        self.with_pools(now, |pools, desk| pools.timeout(desk));
        while let Some(name) = self.takeovers.pop_due(now.moment) {
            self.not_handed_in_time(now, &name);
        }
        // Sessions that go on at once enter themselves anew, so only those that are due now are looked at.
        let mut due = Vec::new();
        while let Some(key) = self.sessions.pop_due(now.moment) {
            due.push(key);
        }
        for key in due {
            self.session_due(now, key);
        }
        let mut due = Vec::new();
        while let Some(key) = self.queues.pop_due(now.moment) {
            due.push(key);
        }
        for key in due {
            self.queue_due(now, key);
        }
    }

    /// Lets the pools work, then settles what they are done with.
    pub(crate) fn with_pools<R>(&mut self, now: Now, work: impl FnOnce(&mut Pools, &mut Desk<'_>) -> R) -> R {
        let mut done = std::mem::take(&mut self.done);
        let mut desk = Desk { now, random: &mut self.random, outputs: &mut self.outputs, done: &mut done };
        let result = work(&mut self.pools, &mut desk);
        for (pool, done) in done.drain(..) {
            self.pool_done(now, pool, done);
        }
        self.done = done;
        result
    }

    /// Tells a connection's machine.
    pub(crate) fn direct(&mut self, connection: ConnectionId, directive: Directive) {
        self.outputs.push_back(Output::Directive { connection, directive });
    }

    /// Bounds as the document has them now.
    pub(crate) fn limits(&self) -> &Limits {
        &self.snapshot.limits
    }

    /// This shard's part of a bound that is for the whole node.
    pub(crate) fn share_of(&self, bound: u32) -> usize {
        (bound / self.shards.count()).max(1) as usize
    }

    /// Bounds on last values. Every shard has all of them.
    pub(crate) fn retained_bounds(&self) -> Bounds {
        let limits = self.limits();
        Bounds { events: limits.retained_events, bytes: limits.retained_bytes }
    }

    /// Tells an exactly-once publication from all others of this node.
    pub(crate) fn next_ticket(&mut self) -> Ticket {
        self.tickets += 1;
        self.tickets
    }
}
