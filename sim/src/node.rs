//! The node: shards, the words between them, and what their pumps ask of the world.

use crate::client::read_payload;
use crate::document::{Document, member_number};
use crate::rng::Rng;
use crate::service::fate;
use crate::trace::{ClientId, LinkId, Note, PubId};
use crate::world::{Step, World};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use windrose_engine::{Answer, Dispatch, DispatchId, Engine, Handed, Input, Seat, ShardId, ShardMessage};
use windrose_event::{
    Claim, CloseCause, ConnectionId, EventId, Identity, Moment, Now, Principal, Refusal, RefusalCause,
    Verdict,
};
use windrose_network::pump::{Effect, Pump, mqtt_config};
use windrose_policy::Snapshot;
use windrose_protocol::mqtt::ServerConfig;

/// One shard, and what its drivers would hold.
pub(crate) struct Shard {
    pub(crate) pump: Pump,
    pub(crate) snapshot: Arc<Snapshot>,
    config: Arc<ServerConfig>,
    links: HashMap<ConnectionId, LinkId>,
    timer: Option<Moment>,
    /// What is on its way here, by sender.
    inbox: Vec<VecDeque<ShardMessage>>,
    /// When the last message of each sender arrives.
    arrivals: Vec<Moment>,
    /// Publications and events of dispatches without an answer.
    dispatches: HashMap<DispatchId, Vec<(PubId, EventId)>>,
}

impl Shard {
    pub(crate) fn all(count: u16, document: &Document, rng: &mut Rng) -> Vec<Self> {
        let snapshot = document.compile();
        let shard = |index| {
            let seat = Seat { shard: ShardId(index), shards: count };
            let engine = Engine::new(seat, Arc::clone(&snapshot), rng.bits());
            Self {
                pump: Pump::new(engine, &snapshot),
                config: Arc::new(mqtt_config(&snapshot.limits, &snapshot.listeners[0].mqtt)),
                snapshot: Arc::clone(&snapshot),
                links: HashMap::new(),
                timer: None,
                inbox: (0..count).map(|_| VecDeque::new()).collect(),
                arrivals: vec![Moment::from_micros(0); usize::from(count)],
                dispatches: HashMap::new(),
            }
        };
        (0..count).map(shard).collect()
    }

    /// A connection's transport is gone.
    pub(crate) fn forget(&mut self, now: Now, connection: ConnectionId, cause: CloseCause) {
        self.links.remove(&connection);
        self.pump.remove(now, connection, cause);
    }

    /// Whether a drain is complete here.
    pub(crate) fn is_idle(&self) -> bool {
        self.pump.engine().is_idle()
            && self.pump.connections() == 0
            && self.inbox.iter().all(VecDeque::is_empty)
            && self.dispatches.is_empty()
    }
}

impl World {
    /// A connection arrives at a shard.
    pub(crate) fn accept(&mut self, shard: usize, link: LinkId) -> ConnectionId {
        let now = self.agenda.now();
        let shard = &mut self.shards[shard];
        let listener = Arc::clone(&shard.snapshot.listeners[0]);
        let claim = Claim { listener: listener.name.clone(), ..Claim::default() };
        let connection = shard.pump.connect_mqtt(now, Arc::clone(&shard.config), listener, claim);
        shard.links.insert(connection, link);
        connection
    }

    /// Does what a shard's pump wants, until it wants nothing, and sets its timer.
    pub(crate) fn act(&mut self, shard: usize) {
        while let Some(effect) = self.shards[shard].pump.poll_effect() {
            self.effect(shard, effect);
        }
        let Some(due) = self.shards[shard].pump.next_timeout() else { return };
        let timer = &mut self.shards[shard].timer;
        if timer.is_none_or(|armed| due < armed) {
            *timer = Some(due);
            self.agenda.at(due, Step::Timer(shard));
        }
    }

    fn effect(&mut self, shard: usize, effect: Effect) {
        let link_of = |world: &Self, id| world.shards[shard].links.get(&id).copied();
        match effect {
            Effect::Flush(id) => {
                if let Some(link) = link_of(self, id) {
                    self.flush(link);
                }
            }
            Effect::Close(id) => {
                if let Some(link) = link_of(self, id) {
                    self.link(link).closing = true;
                    self.flush(link);
                }
            }
            Effect::Pause(id) | Effect::Resume(id) => {
                if let Some(link) = link_of(self, id) {
                    self.brake(link, matches!(effect, Effect::Pause(_)));
                }
            }
            Effect::Identify(connection, claim) => {
                let verdict = self.verdict(&claim);
                let wait = self.lookup();
                self.agenda.after(wait, Step::Identified { shard, connection, verdict });
            }
            Effect::Converse(..) | Effect::Respond(..) => unreachable!("no client asks for a method"),
            Effect::Enrol(..) => unreachable!("no client enrols"),
            Effect::Suspect(_) => {}
            Effect::Locate(connection, session) => {
                let holder = self.directory.claim(&session, ShardId(shard as u16));
                let wait = self.lookup();
                self.agenda.after(wait, Step::Located { shard, connection, holder });
            }
            Effect::Forget(session) => self.directory.forget(&session, ShardId(shard as u16)),
            Effect::Shard(to, message) => self.tell(shard, usize::from(to.0), message),
            Effect::Store(batch) => self.store(shard, batch),
            Effect::Send(_) | Effect::Mishap(..) => unreachable!("there are no sockets of datagrams"),
            Effect::Fetch(pool, ..) => unreachable!("there are no brokers: {pool}"),
            Effect::Dispatch(dispatch) => self.dispatch(shard, dispatch),
        }
    }

    fn lookup(&mut self) -> Duration {
        // The directory answers at once as a rule.
        if self.rng.chance(50) { Duration::ZERO } else { self.rng.micros(0, self.conditions.lookup_latency) }
    }

    fn verdict(&mut self, claim: &Claim) -> Verdict {
        if self.rng.chance(self.conditions.registry_fails) {
            return Err(Refusal { cause: RefusalCause::Unavailable, detail: "simulated".to_owned() });
        }
        let id = claim.session.clone().unwrap_or_else(|| "nameless".into());
        if self.outlaws.is_revoked(&id) {
            return Err(Refusal { cause: RefusalCause::Revoked, detail: "simulated".to_owned() });
        }
        let principal = Principal::Device { id, owner: None };
        Ok(Identity { principal, ..Identity::anonymous() })
    }

    pub(crate) fn timer(&mut self, shard: usize) {
        let now = self.agenda.now();
        self.shards[shard].timer = None;
        self.shards[shard].pump.timeout(now);
        self.act(shard);
    }

    pub(crate) fn input(&mut self, shard: usize, input: Input) {
        let now = self.agenda.now();
        self.shards[shard].pump.input(now, input);
        self.act(shard);
    }

    pub(crate) fn located(&mut self, shard: usize, connection: ConnectionId, holder: Option<ShardId>) {
        if let Some(link) = self.shards[shard].links.get(&connection).copied() {
            let client = self.link(link).client;
            self.note(Note::Located { shard: shard as u16, client, holder: holder.map(|holder| holder.0) });
        }
        self.input(shard, Input::Located { connection, holder });
    }

    pub(crate) fn identified(&mut self, shard: usize, connection: ConnectionId, verdict: Verdict) {
        self.input(shard, Input::Identified { connection, verdict });
    }

    /// A message to another shard leaves.
    fn tell(&mut self, from: usize, to: usize, message: ShardMessage) {
        if let ShardMessage::Events(events) = &message {
            events.iter().for_each(|forward| self.check_lawful(&forward.event));
        }
        let (what, session, publications) = describe(&message);
        self.note(Note::Told { from: from as u16, to: to as u16, what, session, publications });
        let latency = self.rng.micros(0, self.conditions.shard_latency);
        let now = self.now();
        let one_inbox = self.conditions.one_inbox;
        let shard = &mut self.shards[to];
        let last = if one_inbox { shard.arrivals.iter().max().copied() } else { None };
        let at = (now + latency).max(last.unwrap_or(shard.arrivals[from]));
        shard.arrivals[from] = at;
        shard.inbox[from].push_back(message);
        self.agenda.at(at, Step::Message { from, to });
    }

    pub(crate) fn message(&mut self, from: usize, to: usize) {
        let Some(message) = self.shards[to].inbox[from].pop_front() else { return };
        let (what, session, publications) = describe(&message);
        self.note(Note::Heard { from: from as u16, to: to as u16, what, session, publications });
        self.input(to, Input::Shard { from: ShardId(from as u16), message });
    }

    /// Events leave for a service, and what will become of them is decided.
    fn dispatch(&mut self, shard: usize, dispatch: Dispatch) {
        let Dispatch { id, pool, member, events, timeout, .. } = dispatch;
        events.iter().for_each(|event| self.check_lawful(event));
        let number = pool.members.get(member).map_or(0, |member| member_number(&member.url));
        let named: Vec<_> =
            events.iter().filter_map(|event| Some((read_payload(&event.payload)?, event.id))).collect();
        let poison = named.iter().any(|((_, poison), _)| *poison);
        let events: Vec<(PubId, EventId)> =
            named.iter().map(|((publication, _), id)| (*publication, *id)).collect();
        let publications = events.iter().map(|(publication, _)| *publication).collect();
        self.note(Note::Dispatched { shard: shard as u16, dispatch: id.0, member: number, publications });
        for (publication, event) in &events {
            self.oracle.sent(*publication, *event);
        }
        let mood = self.moods[number % self.moods.len()];
        let fate = fate(mood, &mut self.rng, timeout, poison);
        self.shards[shard].dispatches.insert(id, events);
        if let Some(takes) = fate.takes_after {
            self.agenda.after(takes, Step::Takes { shard, dispatch: id });
        }
        let answer = Answer { outcome: fate.outcome, reply: None };
        self.agenda.after(fate.answers_after, Step::Answers { shard, dispatch: id, answer });
    }

    pub(crate) fn takes(&mut self, shard: usize, dispatch: DispatchId) {
        let events = self.shards[shard].dispatches.get(&dispatch).cloned().unwrap_or_default();
        let publications: Vec<PubId> = events.iter().map(|(publication, _)| *publication).collect();
        for publication in &publications {
            self.oracle.taken(*publication);
        }
        self.note(Note::Took { shard: shard as u16, dispatch: dispatch.0, publications });
    }

    pub(crate) fn answers(&mut self, shard: usize, dispatch: DispatchId, answer: Answer) {
        let events = self.shards[shard].dispatches.remove(&dispatch).unwrap_or_default();
        let publications: Vec<PubId> = events.iter().map(|(publication, _)| *publication).collect();
        for publication in &publications {
            self.oracle.answered(*publication, &answer.outcome);
        }
        let outcome = answer.outcome.name();
        self.note(Note::Answered { shard: shard as u16, dispatch: dispatch.0, outcome, publications });
        self.input(shard, Input::Answer { dispatch, answer });
    }

    /// A shard takes the document in force.
    pub(crate) fn reload(&mut self, shard: usize) {
        let document = self.document;
        let snapshot = self.documents[document].compile();
        self.note(Note::Reloaded { shard: shard as u16, document });
        let state = &mut self.shards[shard];
        state.snapshot = Arc::clone(&snapshot);
        state.config = Arc::new(mqtt_config(&snapshot.limits, &snapshot.listeners[0].mqtt));
        self.input(shard, Input::Snapshot(snapshot));
    }

    /// The node shuts down.
    pub fn drain(&mut self) {
        self.note(Note::Drain);
        for client in 0..self.clients.len() {
            self.clients[client].draining = true;
            self.rearm(ClientId(client as u16));
        }
        for shard in 0..self.shards.len() {
            self.input(shard, Input::Drain);
        }
    }

    /// What keeps the node from being idle, shard by shard.
    pub fn not_idle(&self) -> String {
        let busy = self.shards.iter().enumerate().filter(|(_, shard)| !shard.is_idle()).map(|(index, shard)| {
            format!(
                "shard {index} has {} connections, {} messages, {} dispatches, an engine that is {}idle ({:?}, {:?})",
                shard.pump.connections(),
                shard.inbox.iter().map(VecDeque::len).sum::<usize>(),
                shard.dispatches.len(),
                if shard.pump.engine().is_idle() { "" } else { "not " },
                shard.pump.engine().ledger(),
                shard.pump.engine().tally().pools,
            )
        });
        let open = self.links.iter().enumerate().filter(|(_, link)| link.node_here);
        let open = open.map(|(index, link)| format!("link {index} is open: {link:?}"));
        busy.chain(open).collect::<Vec<_>>().join("; ")
    }

    /// Whether the node's drain is complete.
    pub fn is_idle(&self) -> bool {
        self.shards.iter().all(Shard::is_idle)
    }
}

/// A message between shards, for the trace.
fn describe(message: &ShardMessage) -> (&'static str, Option<Arc<str>>, Vec<PubId>) {
    match message {
        ShardMessage::Interest { members: 0, .. } => ("that it has no subscribers", None, Vec::new()),
        ShardMessage::Interest { .. } => ("that it has subscribers", None, Vec::new()),
        ShardMessage::Mark(_) => ("to say what it knows", None, Vec::new()),
        ShardMessage::Marked(_) => ("that it knows", None, Vec::new()),
        ShardMessage::Events(events) => {
            ("events", None, World::named(events.iter().map(|forward| &forward.event)))
        }
        ShardMessage::Words(_) => ("what is said of queues", None, Vec::new()),
        ShardMessage::Topology(_) => ("what is said of exchanges and queues", None, Vec::new()),
        ShardMessage::Credit(_) => ("credit", None, Vec::new()),
        ShardMessage::Remember(event) => ("a last value", None, World::named([event])),
        ShardMessage::Take { session, .. } => ("to hand over", Some(session.clone()), Vec::new()),
        ShardMessage::TakenOver(_) => ("of a takeover", None, Vec::new()),
        ShardMessage::Hand { session, handed } => {
            let what = match handed {
                Handed::Session { .. } => "here it is:",
                Handed::Nothing => "there is none:",
                Handed::Denied(_) => "denied:",
            };
            (what, Some(session.clone()), Vec::new())
        }
        ShardMessage::Late { session, .. } => ("of a late event for", Some(session.clone()), Vec::new()),
        ShardMessage::Settled { session, .. } => ("an answer for", Some(session.clone()), Vec::new()),
        ShardMessage::Reply { event, .. } => ("a reply", None, World::named([event])),
        ShardMessage::Decline { .. } => ("that there will be no reply", None, Vec::new()),
    }
}
