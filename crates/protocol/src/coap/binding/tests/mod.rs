//! The meaning of requests, against an engine that is a stand-in.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used)]

mod asking;
mod blocks;
mod est;
mod lanes;
mod links;
mod observing;
mod requests;
mod values;

use super::{Asker, Binding, Fate, Notice, Output};
use crate::coap::codec::{Block, Code, OptionsBuf, Uint, option};
use crate::coap::{Lane, Remote, Request, Response, ServerConfig, SessionId};
use bytes::Bytes;
use smallvec::smallvec;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{
    Accepted, Address, Assurance, Claim, Delivery, Directive, EnrolRequest, Event, EventId, Filter, Identity,
    Intent, Now, Open, Origin, Outcome, Publication, Publish, Rejection, SubscriptionRequest, Tag, Timestamp,
};

/// A notification that was sent.
#[derive(Debug)]
struct Told {
    remote: Remote,
    token: Vec<u8>,
    response: Response,
    confirmable: bool,
    notice: Notice,
}

/// A binding, its clients, and an engine that does as it is asked.
struct World {
    binding: Binding,
    now: Now,
    answers: HashMap<u32, Option<Response>>,
    told: VecDeque<Told>,
    asks: u32,
    /// Whether lanes are accepted at once.
    accepts: bool,
    opened: Vec<(Lane, Option<Remote>, Box<Open>)>,
    open: Vec<Lane>,
    closed: Vec<Lane>,
    values: BTreeMap<String, Arc<Event>>,
    subscriptions: Vec<(Lane, SubscriptionRequest)>,
    unsubscribed: Vec<Filter>,
    settled: Vec<(Lane, Tag, Outcome)>,
    /// How often it was asked whether all shards have a value.
    synced: usize,
    /// What publications are answered with; without one they wait.
    outcome: Option<Outcome>,
    /// What may not be read or subscribed to.
    forbidden: Option<Rejection>,
    published: Vec<(Lane, Publish)>,
    requested: Vec<(Lane, Publish)>,
    /// What the authority is asked.
    enrolling: Vec<(Lane, Tag, EnrolRequest)>,
    /// Questions for lists.
    listed: u32,
    events: u32,
    tags: u16,
    room: u32,
}

impl World {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut ServerConfig)) -> Self {
        let mut config = ServerConfig::new("coap");
        change(&mut config);
        Self {
            binding: Binding::new(Arc::new(config), 7),
            now: Now { wall: Timestamp::from_micros(1_800_000_000_000_000), ..Now::default() },
            answers: HashMap::new(),
            told: VecDeque::new(),
            asks: 0,
            accepts: true,
            opened: Vec::new(),
            open: Vec::new(),
            closed: Vec::new(),
            values: BTreeMap::new(),
            subscriptions: Vec::new(),
            unsubscribed: Vec::new(),
            settled: Vec::new(),
            synced: 0,
            outcome: Some(Outcome::Accepted),
            forbidden: None,
            published: Vec::new(),
            requested: Vec::new(),
            enrolling: Vec::new(),
            listed: 0,
            events: 0,
            tags: 0,
            room: 1_024,
        }
    }

    /// Sends a request from an endpoint; the number that its answer will have.
    fn send(&mut self, remote: Remote, wish: &Wish) -> u32 {
        self.asks += 1;
        let asker = Asker { remote, ask: self.asks, room: self.room };
        let request = Request {
            code: wish.code,
            token: &wish.token,
            options: wish.options.as_options(),
            payload: &wish.payload,
            confirmable: wish.confirmable,
        };
        self.binding.handle_request(self.now, asker, &request);
        self.run();
        self.asks
    }

    /// Sends a request and takes its answer.
    fn ask(&mut self, wish: &Wish) -> Response {
        self.ask_from(1, wish)
    }

    fn ask_from(&mut self, port: u16, wish: &Wish) -> Response {
        let ask = self.send(endpoint(port), wish);
        self.answer(ask)
    }

    fn answer(&mut self, ask: u32) -> Response {
        let answer = self.answers.remove(&ask).unwrap_or_else(|| panic!("{ask} is not answered"));
        answer.unwrap_or_else(|| panic!("{ask} is answered by nothing"))
    }

    fn direct(&mut self, lane: Lane, directive: Directive) {
        self.binding.handle_directive(self.now, lane, directive);
        self.run();
    }

    fn advance(&mut self, by: Duration) {
        self.now = self.now.after(by);
        if self.binding.next_timeout().is_some_and(|due| due <= self.now.moment) {
            self.binding.handle_timeout(self.now);
        }
        self.run();
    }

    fn notified(&mut self, told: &Told, fate: Fate) {
        self.binding.handle_notified(self.now, told.remote, told.notice, fate);
        self.run();
    }

    /// Carries outputs about until there are none.
    fn run(&mut self) {
        while let Some(output) = self.binding.poll_output() {
            match output {
                Output::Respond { ask, response } => {
                    assert!(self.answers.insert(ask, response).is_none(), "{ask} is answered twice");
                }
                Output::Notify { remote, token, response, confirmable, notice } => {
                    let token = token.to_vec();
                    self.told.push_back(Told { remote, token, response, confirmable, notice });
                }
                Output::Connect { lane, remote } => {
                    assert!(!self.open.contains(&lane));
                    self.open.push(lane);
                    self.opened.push((lane, remote, Box::new(open())));
                }
                Output::Intent { lane, intent } => self.intent(lane, intent),
                Output::Disconnect { lane } => {
                    self.open.retain(|open| *open != lane);
                    self.closed.push(lane);
                    self.subscriptions.retain(|(of, _)| *of != lane);
                }
            }
        }
    }

    fn intent(&mut self, lane: Lane, intent: Intent) {
        assert!(self.open.contains(&lane), "{intent:?} comes before its lane is connected");
        let directive = match intent {
            Intent::Open(open) => {
                self.opened.last_mut().unwrap().2 = open;
                if !self.accepts {
                    return;
                }
                accept(256)
            }
            Intent::Publish(publish) => {
                let (tag, publication) = (publish.tag, publish.publication.clone());
                self.published.push((lane, publish));
                let Some(outcome) = self.outcome.clone() else { return };
                if outcome.is_accepted() {
                    self.happen(publication);
                }
                Directive::Settle { tag, outcome, heard: true }
            }
            Intent::Enrol { tag, request } => return self.enrolling.push((lane, tag, *request)),
            Intent::Request(publish) => return self.requested.push((lane, publish)),
            Intent::Read { tag, address } => {
                let value = self.values.get(address.as_str()).cloned();
                Directive::Value { tag, value: self.forbidden.clone().map_or(Ok(value), Err) }
            }
            Intent::List { tag, filter, after, limit } => {
                self.listed += 1;
                let after = after.map(|after| after.to_string());
                let events: Vec<_> = self
                    .values
                    .iter()
                    .filter(|(address, _)| filter.matches(address) && after.as_ref() < Some(address))
                    .take(limit.into())
                    .map(|(_, event)| event.clone())
                    .collect();
                let after = events.last().filter(|_| events.len() == usize::from(limit));
                Directive::Listed { tag, after: after.map(|event| event.address.clone()), events }
            }
            Intent::Subscribe { tag, mut requests } => {
                assert_eq!(requests.len(), 1);
                let request = requests.remove(0);
                let result = match &self.forbidden {
                    Some(rejection) => Err(rejection.clone()),
                    None => Ok(request.assurance),
                };
                self.subscriptions.retain(|(of, known)| *of != lane || known.filter != request.filter);
                self.subscriptions.push((lane, request));
                Directive::Subscribed { tag, results: vec![result] }
            }
            Intent::Unsubscribe { tag, filters } => {
                let filter = filters[0].1.clone();
                self.subscriptions.retain(|(of, known)| *of != lane || known.filter != filter);
                self.unsubscribed.push(filter);
                Directive::Unsubscribed { tag, results: vec![true] }
            }
            Intent::Sync { tag } => {
                self.synced += 1;
                Directive::Synced { tag }
            }
            Intent::Settle { tag, outcome } => return self.settled.push((lane, tag, outcome)),
            Intent::Close(_) => return,
            other => panic!("{other:?}"),
        };
        self.binding.handle_directive(self.now, lane, directive);
    }

    /// An event happens: it becomes a last value if it is one, and reaches those who subscribed.
    fn happen(&mut self, publication: Publication) {
        let event = self.event(publication);
        if event.retain && event.payload.is_empty() {
            self.values.remove(event.address.as_str());
        } else if event.retain {
            self.values.insert(event.address.to_string(), event.clone());
        }
        for (lane, request) in &self.subscriptions {
            if !request.filter.matches(event.address.as_str()) {
                continue;
            }
            let assurance = request.assurance.min(event.assurance);
            self.tags += u16::from(assurance > Assurance::AtMostOnce);
            let tag = if assurance > Assurance::AtMostOnce { Tag(self.tags) } else { Tag::NONE };
            let delivery = Delivery {
                tag,
                event: event.clone(),
                assurance,
                again: false,
                retain: false,
                subscriptions: smallvec![request.identifier.unwrap()],
            };
            self.binding.handle_directive(self.now, *lane, Directive::Deliver(delivery));
        }
    }

    fn event(&mut self, publication: Publication) -> Arc<Event> {
        self.events += 1;
        let origin = Origin {
            identity: Identity::anonymous(),
            session: "s".into(),
            protocol: "test",
            listener: "l".into(),
        };
        Arc::new(Event {
            id: EventId::new(self.now.wall, 5, self.events),
            time: self.now.wall,
            address: publication.address,
            origin: Arc::new(origin),
            assurance: publication.assurance,
            retain: publication.retain,
            expires: publication.expiry.map(|expiry| self.now.wall + expiry),
            payload: publication.payload,
            details: publication.details,
        })
    }

    /// Something is published by another protocol.
    fn publish(&mut self, address: &str, payload: &str, assurance: Assurance) {
        let publication = publication(address, payload, assurance);
        self.happen(publication);
        self.run();
    }

    /// The only notification that was sent since.
    fn one_told(&mut self) -> Told {
        let told = self.told.pop_front().expect("nobody is told");
        assert!(self.told.is_empty(), "{:?}", self.told);
        told
    }
}

const Q0: Assurance = Assurance::AtMostOnce;
const Q1: Assurance = Assurance::AtLeastOnce;

fn open() -> Open {
    Open {
        protocol: "",
        version: "",
        session: None,
        claim: Claim::default(),
        resume: false,
        keep: Duration::ZERO,
        window: 1,
        will: None,
    }
}

fn accept(window: u16) -> Directive {
    Directive::Accept(Box::new(Accepted {
        resumed: false,
        session: "s".into(),
        assigned: true,
        keep: Duration::ZERO,
        window,
        data: None,
    }))
}

fn publication(address: &str, payload: &str, assurance: Assurance) -> Publication {
    Publication {
        address: Address::new(address).unwrap(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        assurance,
        retain: false,
        expiry: None,
        details: None,
    }
}

fn endpoint(port: u16) -> Remote {
    Remote::udp(([127, 0, 0, 1], port).into())
}

/// A request that is made up.
#[derive(Clone)]
struct Wish {
    code: Code,
    token: Vec<u8>,
    options: OptionsBuf,
    payload: Vec<u8>,
    confirmable: bool,
}

impl Wish {
    fn new(code: Code, path: &str) -> Self {
        let mut options = OptionsBuf::default();
        for segment in path.split('/').skip(1) {
            options.insert(option::URI_PATH, segment.as_bytes());
        }
        Self { code, token: b"t".to_vec(), options, payload: Vec::new(), confirmable: true }
    }

    fn with(mut self, number: u16, value: &[u8]) -> Self {
        self.options.insert(number, value);
        self
    }

    fn uint(self, number: u16, value: u32) -> Self {
        self.with(number, Uint::new(value).as_bytes())
    }

    fn query(self, query: &str) -> Self {
        self.with(option::URI_QUERY, query.as_bytes())
    }

    fn payload(mut self, payload: impl AsRef<[u8]>) -> Self {
        self.payload = payload.as_ref().to_vec();
        self
    }

    fn token(mut self, token: &str) -> Self {
        self.token = token.as_bytes().to_vec();
        self
    }

    fn block(self, number: u16, block: Block) -> Self {
        self.with(number, block.value().as_bytes())
    }

    fn non(mut self) -> Self {
        self.confirmable = false;
        self
    }
}

fn get(path: &str) -> Wish {
    Wish::new(Code::GET, path)
}

fn put(path: &str, payload: &str) -> Wish {
    Wish::new(Code::PUT, path).payload(payload)
}

fn post(path: &str, payload: &str) -> Wish {
    Wish::new(Code::POST, path).payload(payload)
}

fn uint(response: &Response, number: u16) -> Option<u32> {
    response.options.as_options().uint(number)
}

fn values(response: &Response, number: u16) -> Vec<String> {
    let options = response.options.as_options();
    options.values(number).map(|value| String::from_utf8_lossy(value).into_owned()).collect()
}

fn etag_of(response: &Response) -> Vec<u8> {
    response.options.as_options().get(option::ETAG).expect("no ETag").to_vec()
}

fn block_of(response: &Response, number: u16) -> Option<Block> {
    response.options.as_options().get(number).and_then(Block::parse)
}
