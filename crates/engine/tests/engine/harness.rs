//! A node without a network: engines wired to one another, a directory, a registry, and services that answer as told.

use crate::disk::Disk;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use windrose_engine::{Answer, Dispatch, Engine, Input, Output, Seat, ShardId, ShardMessage, Tally};
use windrose_event::{
    Accepted, Address, Assurance, Claim, Close, CloseCause, ConnectionId, Delivery, Directive, Filter,
    Identity, IdentityChange, Intent, Now, Open, Outcome, Principal, Publication, Publish, Refusal,
    RefusalCause, RetainedDelivery, Secret, Standing, Subject, SubscriptionRequest, Suspicion, Tag, Text,
    Timestamp, Verdict, Will,
};
use windrose_policy::{Listener, Snapshot};

pub(crate) const Q0: Assurance = Assurance::AtMostOnce;
pub(crate) const Q1: Assurance = Assurance::AtLeastOnce;
pub(crate) const Q2: Assurance = Assurance::ExactlyOnce;

pub(crate) const MILLI: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// A document whose listeners and open access rule are given, and whatever `more` says.
pub(crate) fn snapshot(more: &str) -> Arc<Snapshot> {
    let access = if more.contains("access:") {
        ""
    } else {
        "access: [{who: anyone, may: [publish, subscribe, read, request], on: \"#\"}]\n"
    };
    let identity = if more.contains("identity:") { "" } else { "identity: {anonymous: allow}\n" };
    let text = format!(
        "listeners:\n  - {{name: mqtt, protocol: mqtt, bind: \"127.0.0.1:1883\"}}\n  \
         - {{name: rest, protocol: http, bind: \"127.0.0.1:8080\"}}\n{identity}{access}{more}"
    );
    match windrose_policy::compile("test.yaml", &text, &|_| None) {
        Ok(snapshot) => Arc::new(snapshot),
        Err(mistakes) => panic!("{mistakes}"),
    }
}

/// A connection of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Peer {
    pub(crate) shard: usize,
    pub(crate) id: ConnectionId,
}

/// What the directory holds, and when it answers.
#[derive(Default)]
struct Directory {
    holders: HashMap<Arc<str>, ShardId>,
    /// Answers held back, while `held` is set.
    answers: VecDeque<(usize, ConnectionId, Option<ShardId>)>,
    held: bool,
}

type Service = Box<dyn FnMut(&Dispatch) -> Option<Answer>>;

pub(crate) struct Node {
    /// What the registry was told in conversations, which tests answer themselves.
    pub(crate) responses: Vec<(Peer, Option<String>)>,
    pub(crate) engines: Vec<Engine>,
    pub(crate) now: Now,
    pub(crate) snapshot: Arc<Snapshot>,
    directory: Directory,
    /// Messages under way between shards, in order.
    wires: BTreeMap<(usize, usize), VecDeque<ShardMessage>>,
    /// Whether messages between shards stay under way.
    pub(crate) wires_held: bool,
    said: HashMap<Peer, VecDeque<Directive>>,
    /// Dispatches that no service has answered.
    pub(crate) dispatches: VecDeque<(usize, Dispatch)>,
    service: Service,
    pub(crate) paused: HashSet<Peer>,
    /// Where a journal is kept, if one is.
    pub(crate) disk: Option<Disk>,
    slots: u32,
    /// What the registry answers next, whatever is claimed.
    verdict: Option<Identity>,
    /// Verdicts that the registry gave and that have not come, if it is slow.
    late: Option<VecDeque<(Peer, Verdict)>>,
    /// Whom the registry was told of, as sharing an identity.
    pub(crate) suspicions: Vec<Suspicion>,
    /// Where new connections come from.
    pub(crate) from: Option<SocketAddr>,
    /// What brokers are asked for (`+`) and no longer (`-`), by shard.
    fetched: Vec<Vec<String>>,
}

impl Node {
    pub(crate) fn new(more: &str) -> Self {
        Self::with_shards(1, more)
    }

    pub(crate) fn with_shards(shards: u16, more: &str) -> Self {
        let snapshot = snapshot(more);
        let engine = |shard| {
            let seat = Seat { shard: ShardId(shard), shards };
            Engine::new(seat, snapshot.clone(), 1_000 + u64::from(shard))
        };
        Self {
            engines: (0..shards).map(engine).collect(),
            now: Now { wall: Timestamp::from_micros(1_800_000_000_000_000), ..Now::default() },
            snapshot: snapshot.clone(),
            directory: Directory::default(),
            wires: BTreeMap::new(),
            wires_held: false,
            said: HashMap::new(),
            responses: Vec::new(),
            dispatches: VecDeque::new(),
            service: Box::new(|_| None),
            paused: HashSet::new(),
            disk: None,
            slots: 0,
            verdict: None,
            late: None,
            suspicions: Vec::new(),
            from: None,
            fetched: vec![Vec::new(); usize::from(shards)],
        }
    }

    /// Has the services answer; `None` leaves a dispatch in [`Node::dispatches`].
    pub(crate) fn service(&mut self, service: impl FnMut(&Dispatch) -> Option<Answer> + 'static) {
        self.service = Box::new(service);
    }

    pub(crate) fn input(&mut self, shard: usize, input: Input) {
        self.engines[shard].handle(self.now, input);
        self.run();
    }

    pub(crate) fn intent(&mut self, peer: Peer, intent: Intent) {
        self.input(peer.shard, Input::Intent { connection: peer.id, intent });
    }

    /// Carries outputs to where they belong until there are none.
    pub(crate) fn run(&mut self) {
        loop {
            let mut quiet = true;
            for shard in 0..self.engines.len() {
                while let Some(output) = self.engines[shard].poll_output() {
                    quiet = false;
                    self.output(shard, output);
                }
            }
            if !self.wires_held {
                quiet &= !self.carry_one_round();
            }
            if quiet && self.disk.as_ref().is_some_and(|disk| !disk.held) {
                quiet &= !self.store();
            }
            if quiet {
                break;
            }
        }
        for engine in &self.engines {
            let ledger = engine.ledger();
            assert_eq!(ledger.published, ledger.settled + ledger.in_flight, "a debt was lost: {ledger:?}");
        }
    }

    /// Delivers the first message of each wire. `false`: there was none.
    pub(crate) fn carry_one_round(&mut self) -> bool {
        let pairs: Vec<_> = self.wires.keys().copied().collect();
        pairs.into_iter().fold(false, |any, (from, to)| self.carry(from, to) | any)
    }

    /// Delivers the first message from one shard to another.
    pub(crate) fn carry(&mut self, from: usize, to: usize) -> bool {
        let Some(message) = self.wires.get_mut(&(from, to)).and_then(VecDeque::pop_front) else {
            return false;
        };
        self.engines[to].handle(self.now, Input::Shard { from: ShardId(from as u16), message });
        while let Some(output) = self.engines[to].poll_output() {
            self.output(to, output);
        }
        true
    }

    fn output(&mut self, shard: usize, output: Output) {
        match output {
            Output::Directive { connection, directive } => {
                self.said.entry(Peer { shard, id: connection }).or_default().push_back(directive);
            }
            Output::Identify { connection, claim } => {
                let verdict = self.verdict.take().map_or_else(|| verdict(&claim), Ok);
                if let Some(late) = &mut self.late {
                    return late.push_back((Peer { shard, id: connection }, verdict));
                }
                self.engines[shard].handle(self.now, Input::Identified { connection, verdict });
            }
            Output::Converse { connection, claim } => {
                self.responses.push((Peer { shard, id: connection }, claim.response.map(words)));
            }
            Output::Respond { connection, response } => {
                self.responses.push((Peer { shard, id: connection }, response.map(words)));
            }
            Output::Locate { connection, session } => {
                let holder = self.directory.holders.insert(session, ShardId(shard as u16));
                self.directory.answers.push_back((shard, connection, holder));
                if !self.directory.held {
                    self.answer_directory();
                }
            }
            // Tests of these look at what the engine puts out themselves.
            Output::Enrol { .. } => {}
            Output::Suspect(suspicion) => self.suspicions.push(*suspicion),
            Output::Forget { session } => {
                if self.directory.holders.get(&session) == Some(&ShardId(shard as u16)) {
                    self.directory.holders.remove(&session);
                }
            }
            Output::Shard { to, message } => {
                self.wires.entry((shard, usize::from(to.0))).or_default().push_back(message);
            }
            Output::Store(batch) => self.disk.as_mut().expect("a disk").take(shard, batch),
            Output::Dispatch(dispatch) => match (self.service)(&dispatch) {
                Some(answer) => {
                    self.engines[shard].handle(self.now, Input::Answer { dispatch: dispatch.id, answer });
                }
                None => self.dispatches.push_back((shard, dispatch)),
            },
            Output::Fetch { filter, wanted, .. } => {
                self.fetched[shard].push(format!("{}{filter}", if wanted { '+' } else { '-' }));
            }
            Output::Pause { connection } => {
                assert!(self.paused.insert(Peer { shard, id: connection }), "paused twice");
            }
            Output::Resume { connection } => {
                assert!(self.paused.remove(&Peer { shard, id: connection }), "resumed without a pause");
            }
        }
    }

    /// An input, and what it leads to on its own shard.
    pub(crate) fn input_quietly(&mut self, shard: usize, input: Input) {
        self.engines[shard].handle(self.now, input);
        while let Some(output) = self.engines[shard].poll_output() {
            self.output(shard, output);
        }
    }

    /// Enters a session's holder in the directory.
    pub(crate) fn enter(&mut self, session: &Arc<str>, shard: usize) {
        self.directory.holders.insert(session.clone(), ShardId(shard as u16));
    }

    /// The process is gone.
    pub(crate) fn forget_everything(&mut self) {
        self.directory = Directory::default();
        self.wires.clear();
        self.said.clear();
        self.dispatches.clear();
        self.paused.clear();
    }

    /// Tells all shards of a change, one after the other.
    pub(crate) fn change(&mut self, subject: Subject, standing: Standing) {
        let changes: Arc<[IdentityChange]> = [IdentityChange { subject, standing }].into();
        for shard in 0..self.engines.len() {
            self.input_quietly(shard, Input::IdentitiesChanged(changes.clone()));
        }
        self.run();
    }

    /// Has the registry's answers on their way until [`Node::let_verdicts_come`].
    pub(crate) fn hold_verdicts(&mut self) {
        self.late = Some(VecDeque::new());
    }

    pub(crate) fn let_verdicts_come(&mut self) {
        for (peer, verdict) in self.late.take().into_iter().flatten() {
            self.input(peer.shard, Input::Identified { connection: peer.id, verdict });
        }
    }

    /// Has the next connection known as this.
    pub(crate) fn identify_next(&mut self, identity: Identity) {
        self.verdict = Some(identity);
    }

    /// What brokers were asked for by a shard since the last look.
    pub(crate) fn fetched(&mut self, shard: usize) -> Vec<String> {
        std::mem::take(&mut self.fetched[shard])
    }

    pub(crate) fn hold_directory(&mut self) {
        self.directory.held = true;
    }

    pub(crate) fn answer_directory(&mut self) {
        self.directory.held = false;
        while let Some((shard, connection, holder)) = self.directory.answers.pop_front() {
            self.engines[shard].handle(self.now, Input::Located { connection, holder });
        }
    }

    pub(crate) fn holder(&self, session: &str) -> Option<usize> {
        self.directory.holders.get(session).map(|shard| usize::from(shard.0))
    }

    /// Answers the oldest dispatch that waits.
    pub(crate) fn answer(&mut self, outcome: Outcome) -> Dispatch {
        let (shard, dispatch) = self.dispatches.pop_front().expect("a dispatch waits");
        self.input(shard, Input::Answer { dispatch: dispatch.id, answer: Answer { outcome, reply: None } });
        dispatch
    }

    /// Lets time go by, with every timer at its moment.
    pub(crate) fn advance(&mut self, by: Duration) {
        let end = self.now.after(by);
        let mut rounds = 0;
        loop {
            let due = (0..self.engines.len())
                .filter_map(|shard| Some((self.engines[shard].next_timeout()?, shard)))
                .min();
            let Some((due, shard)) = due.filter(|(due, _)| *due <= end.moment) else { break };
            self.now = self.now.after(due.since(self.now.moment));
            self.input(shard, Input::Timeout);
            rounds += 1;
            assert!(rounds < 1_000_000, "timers fire without end");
        }
        self.now = end;
    }

    pub(crate) fn connect(&mut self, shard: usize, listener: usize) -> Peer {
        self.slots += 1;
        let peer = Peer { shard, id: ConnectionId { slot: self.slots, generation: 0 } };
        let listener: Arc<Listener> = self.snapshot.listeners[listener].clone();
        self.input(shard, Input::Connect { connection: peer.id, listener, peer: self.from });
        peer
    }

    /// Opens a session; what the engine answers is left in [`Node::said`].
    pub(crate) fn open(&mut self, shard: usize, open: Open) -> Peer {
        let peer = self.connect(shard, usize::from(open.protocol == "http"));
        self.intent(peer, Intent::Open(Box::new(open)));
        peer
    }

    /// Opens a session that is let in, and ends with its connection.
    pub(crate) fn client(&mut self, name: &str) -> Peer {
        self.client_at(0, name)
    }

    pub(crate) fn client_at(&mut self, shard: usize, name: &str) -> Peer {
        let peer = self.open(shard, open(name));
        self.accepted(peer);
        peer
    }

    /// Opens, or takes up, a session that outlives its connection for an hour.
    pub(crate) fn lasting(&mut self, shard: usize, name: &str) -> (Peer, Accepted) {
        let peer = self.open(shard, lasting(name));
        let accepted = self.accepted(peer);
        (peer, accepted)
    }

    /// An exchange, as HTTP makes one for a request.
    pub(crate) fn exchange(&mut self, shard: usize) -> Peer {
        let peer = self.open(shard, Open { protocol: "http", session: None, ..open("") });
        self.accepted(peer);
        peer
    }

    pub(crate) fn accepted(&mut self, peer: Peer) -> Accepted {
        match self.next(peer) {
            Some(Directive::Accept(accepted)) => *accepted,
            other => panic!("not accepted but {other:?}"),
        }
    }

    pub(crate) fn refused(&mut self, peer: Peer) -> RefusalCause {
        match self.next(peer) {
            Some(Directive::Refuse(refusal)) => refusal.cause,
            other => panic!("not refused but {other:?}"),
        }
    }

    /// The next directive for a connection.
    pub(crate) fn next(&mut self, peer: Peer) -> Option<Directive> {
        self.said.get_mut(&peer)?.pop_front()
    }

    /// All directives for a connection since the last look.
    pub(crate) fn said(&mut self, peer: Peer) -> Vec<Directive> {
        self.said.get_mut(&peer).map(|said| said.drain(..).collect()).unwrap_or_default()
    }

    /// The deliveries among what a connection was told since the last look.
    pub(crate) fn deliveries(&mut self, peer: Peer) -> Vec<Delivery> {
        let deliveries = self.said(peer).into_iter().filter_map(|directive| match directive {
            Directive::Deliver(delivery) => Some(delivery),
            _ => None,
        });
        deliveries.collect()
    }

    /// The payloads of what was delivered since the last look.
    pub(crate) fn payloads(&mut self, peer: Peer) -> Vec<String> {
        self.deliveries(peer).iter().map(payload).collect()
    }

    /// The outcomes of publications that were settled since the last look.
    pub(crate) fn settled(&mut self, peer: Peer) -> Vec<(u16, Outcome, bool)> {
        let settled = self.said(peer).into_iter().filter_map(|directive| match directive {
            Directive::Settle { tag, outcome, heard } => Some((tag.0, outcome, heard)),
            _ => None,
        });
        settled.collect()
    }

    pub(crate) fn publish(
        &mut self,
        peer: Peer,
        tag: u16,
        address: &str,
        payload: &str,
        assurance: Assurance,
    ) {
        let publication = publication(address, payload, assurance);
        self.intent(peer, Intent::Publish(Publish { tag: Tag(tag), again: false, publication }));
    }

    pub(crate) fn retain(&mut self, peer: Peer, address: &str, payload: &str) {
        let publication = Publication { retain: true, ..publication(address, payload, Q0) };
        self.intent(peer, Intent::Publish(Publish { tag: Tag::NONE, again: false, publication }));
    }

    /// Subscribes and returns the answer.
    pub(crate) fn subscribe(&mut self, peer: Peer, filter: &str, assurance: Assurance) {
        let results = self.subscribe_with(peer, subscription(filter, assurance));
        assert_eq!(results, [Ok(assurance)]);
    }

    pub(crate) fn share(&mut self, peer: Peer, group: &str, filter: &str, assurance: Assurance) {
        let request =
            SubscriptionRequest { group: Some(Text::from(group)), ..subscription(filter, assurance) };
        assert_eq!(self.subscribe_with(peer, request), [Ok(assurance)]);
    }

    pub(crate) fn subscribe_with(
        &mut self,
        peer: Peer,
        request: SubscriptionRequest,
    ) -> Vec<Result<Assurance, windrose_event::Rejection>> {
        self.intent(peer, Intent::Subscribe { tag: Tag(9), requests: vec![request] });
        let said = self.said.get_mut(&peer).expect("an answer");
        // Last values may come before it (MQTT 5 §3.8.4).
        let answer = said.iter().position(|directive| matches!(directive, Directive::Subscribed { .. }));
        match answer.and_then(|index| said.remove(index)) {
            Some(Directive::Subscribed { tag: Tag(9), results }) => results,
            other => panic!("not an answer to subscribe: {other:?}"),
        }
    }

    pub(crate) fn settle(&mut self, peer: Peer, tag: Tag) {
        self.intent(peer, Intent::Settle { tag, outcome: Outcome::Accepted });
    }

    pub(crate) fn complete(&mut self, peer: Peer, tag: Tag) {
        self.intent(peer, Intent::Complete { tag });
    }

    /// The transport is gone.
    pub(crate) fn lose(&mut self, peer: Peer) {
        self.input(peer.shard, Input::Lost { connection: peer.id, cause: CloseCause::Lost });
    }

    /// The peer says good-bye.
    pub(crate) fn leave(&mut self, peer: Peer) {
        let close = Close { cause: CloseCause::Goodbye, with_will: false, keep: None };
        self.intent(peer, Intent::Close(close));
    }

    /// The tallies of all shards.
    pub(crate) fn tally(&self, shard: usize) -> Tally {
        self.engines[shard].tally()
    }

    /// Events dropped for a cause, on all shards.
    pub(crate) fn dropped(&self, cause: &str) -> u64 {
        let of = |engine: &Engine| {
            let dropped = engine.tally().dropped;
            dropped.iter().find(|(name, _)| *name == cause).map_or(0, |(_, count)| *count)
        };
        self.engines.iter().map(of).sum()
    }
}

/// `deny` is refused, `device:ID` is that device, anybody else is anonymous.
fn verdict(claim: &Claim) -> Verdict {
    let username = claim.username.as_deref().unwrap_or_default();
    if username == "deny" {
        return Err(Refusal { cause: RefusalCause::BadCredentials, detail: "wrong password".to_owned() });
    }
    Ok(match username.strip_prefix("device:") {
        Some(id) => {
            Identity { principal: Principal::Device { id: id.into(), owner: None }, ..Identity::anonymous() }
        }
        None => Identity::anonymous(),
    })
}

pub(crate) fn open(name: &str) -> Open {
    Open {
        protocol: "mqtt",
        version: "5.0",
        session: Some(name.into()),
        claim: Claim::default(),
        resume: false,
        keep: Duration::ZERO,
        window: u16::MAX,
        will: None,
    }
}

fn words(secret: Secret) -> String {
    String::from_utf8_lossy(secret.reveal()).into_owned()
}

pub(crate) fn lasting(name: &str) -> Open {
    Open { resume: true, keep: 3_600 * SECOND, ..open(name) }
}

pub(crate) fn as_device(open: Open, id: &str) -> Open {
    let username = Some(Text::from(format!("device:{id}")));
    Open { claim: Claim { username, ..Claim::default() }, ..open }
}

pub(crate) fn with_will(open: Open, address: &str, delay: Duration) -> Open {
    let will = Will { publication: publication(address, "will", Q1), delay };
    Open { will: Some(Box::new(will)), ..open }
}

pub(crate) fn publication(address: &str, payload: &str, assurance: Assurance) -> Publication {
    Publication {
        address: Address::new(address).unwrap(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        assurance,
        retain: false,
        expiry: None,
        details: None,
    }
}

pub(crate) fn subscription(filter: &str, assurance: Assurance) -> SubscriptionRequest {
    SubscriptionRequest {
        filter: Filter::new(filter).unwrap(),
        group: None,
        assurance,
        no_local: false,
        retain_as_published: false,
        own_copy: false,
        retained: RetainedDelivery::Always,
        identifier: None,
    }
}

pub(crate) fn payload(delivery: &Delivery) -> String {
    String::from_utf8(delivery.event.payload.to_vec()).unwrap()
}

pub(crate) fn answered(outcome: Outcome) -> Option<Answer> {
    Some(Answer { outcome, reply: None })
}
