//! The machine of one socket: a script of datagrams from a few endpoints, answers of an engine, deliveries, sessions and time.

use super::{Script, event, start};
use crate::signature::Signature;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{
    Accepted, Assurance, Cause, Claim, CloseReason, Delivery, Directive, Intent, Now, Outcome, Refusal,
    RefusalCause, Rejection, Tag,
};
use windrose_protocol::coap::codec::{Kind, Message, option};
use windrose_protocol::coap::{Lane, Output, Remote, Server, ServerConfig, SessionId, Sources};

/// What a script may do, as its first byte modulo this.
const ACTS: u8 = 12;

/// More than any script makes one datagram cost.
const LANES: usize = 40;

fn config() -> ServerConfig {
    ServerConfig {
        payload_bytes: 400,
        address_levels: 6,
        token_bytes: 16,
        exchanges: 20,
        lanes: 2,
        waiting: 4,
        window: 4,
        observations_per_endpoint: 2,
        blocks_bytes: 1_000,
        ..ServerConfig::new("coap")
    }
}

/// What an endpoint and the machine have sent one another.
#[derive(Debug, Default)]
struct Ledger {
    received: usize,
    sent: usize,
    /// It acknowledged or reset something, or echoed: it may have shown itself.
    may_be_shown: bool,
    /// It sent something that may have registered it as a thing.
    may_have_registered: bool,
    /// Message identifiers of its confirmable messages.
    asked: BTreeSet<u16>,
}

struct World {
    server: Server,
    now: Now,
    /// What the engine has not answered yet.
    asked: VecDeque<(Lane, Intent)>,
    /// Lanes, and the tags of deliveries that they have not settled.
    lanes: BTreeMap<u32, Engine>,
    ledgers: BTreeMap<String, Ledger>,
    signature: Signature,
}

#[derive(Debug, Default)]
struct Engine {
    opened: bool,
    accepted: bool,
    closed: bool,
    window: usize,
    /// The numbers that its subscriptions go by.
    subscriptions: Vec<u32>,
    unsettled: BTreeSet<u16>,
    last_tag: u16,
}

impl World {
    fn drain(&mut self) {
        while let Some(output) = self.server.poll_output() {
            self.signature.add(std::mem::discriminant(&output));
            match output {
                Output::Connect { lane, .. } => {
                    let known = self.lanes.insert(lane.0, Engine::default());
                    assert!(known.is_none(), "lane {} is connected twice", lane.0);
                    assert!(self.lanes.len() <= LANES, "lanes without bound");
                }
                Output::Intent { lane, intent } => self.intended(lane, intent),
                Output::Disconnect { lane } => {
                    assert!(self.lanes.remove(&lane.0).is_some(), "lane {} is not connected", lane.0);
                    self.asked.retain(|(asker, _)| *asker != lane);
                }
                Output::Mishap { cause, detail, .. } => {
                    assert!(!cause.is_empty() && !detail.is_empty());
                    self.signature.add(cause);
                }
            }
        }
        let sent: Vec<_> =
            self.server.datagrams().iter().map(|(remote, bytes)| (remote, bytes.to_vec())).collect();
        self.server.datagrams().clear(0);
        for (remote, bytes) in sent {
            self.sent(remote, &bytes);
        }
    }

    fn intended(&mut self, lane: Lane, intent: Intent) {
        let engine = self.lanes.get_mut(&lane.0).unwrap_or_else(|| panic!("no lane for {intent:?}"));
        assert!(!engine.closed, "nothing follows Close: {intent:?}");
        self.signature.add(std::mem::discriminant(&intent));
        match &intent {
            Intent::Open(open) => {
                assert!(!engine.opened, "a lane is opened once");
                assert_eq!(open.protocol, "coap");
                assert!(open.window > 0);
                engine.opened = true;
                engine.window = open.window.into();
            }
            _ => assert!(engine.opened, "nothing comes before Open: {intent:?}"),
        }
        match intent {
            // An event at most once that was not told.
            Intent::Settle { tag: Tag::NONE, .. } => {}
            Intent::Settle { tag, .. } => {
                assert!(engine.unsettled.remove(&tag.0), "delivery {} is settled that is not open", tag.0);
            }
            Intent::Close(_) => engine.closed = true,
            Intent::Refused { .. } => {}
            Intent::Open(_) => self.asked.push_back((lane, intent)),
            intent => {
                assert!(engine.accepted, "nothing comes before Accept: {intent:?}");
                self.asked.push_back((lane, intent));
            }
        }
    }

    /// What is sent is a message of a server, to somebody who has sent something, and no flood.
    fn sent(&mut self, remote: Remote, bytes: &[u8]) {
        let message =
            Message::parse(bytes, 16).unwrap_or_else(|error| panic!("no message: {error:?} of {bytes:02x?}"));
        let ledger = self.ledgers.get_mut(&remote.to_string()).expect("it never sent anything");
        ledger.sent += bytes.len();
        // It asks things that have registered.
        if message.code.is_request() {
            assert!(ledger.may_have_registered && message.kind == Kind::Con, "nobody is asked: {message:?}");
        }
        assert_eq!(message.options.unknown_critical(), None, "{message:?}");
        if matches!(message.kind, Kind::Ack | Kind::Rst) {
            assert!(ledger.asked.contains(&message.id), "an answer to nothing: {message:?}");
        }
        // Nobody outside can forge the machine's own address.
        let may_be_forged = matches!(remote, Remote::Udp { local: None, .. });
        if may_be_forged && !ledger.may_be_shown {
            assert!(ledger.sent <= 3 * ledger.received, "{remote} was flooded: {ledger:?}");
        }
        self.signature.add((message.kind, message.code.0));
    }

    fn receive(&mut self, remote: Remote, bytes: &[u8]) {
        let ledger = self.ledgers.entry(remote.to_string()).or_default();
        ledger.received += bytes.len();
        if let [_, _, high, low, ..] = bytes {
            ledger.asked.insert(u16::from_be_bytes([*high, *low]));
        }
        if let Ok(message) = Message::parse(bytes, 16) {
            ledger.may_have_registered |=
                message.options.values(option::URI_PATH).any(|segment| segment == b"rd");
            ledger.may_be_shown |=
                matches!(message.kind, Kind::Ack | Kind::Rst) || message.options.has(option::ECHO);
        }
        self.server.handle_datagram(self.now, remote, bytes);
    }

    fn tell(&mut self, lane: Lane, directive: Directive) {
        self.server.handle_directive(self.now, lane, directive);
        self.drain();
    }

    /// The engine answers the oldest question as `choice` says.
    fn answer(&mut self, choice: u8) {
        let rejection = || Rejection { cause: Cause::NotPermitted, detail: Some("no".into()) };
        let outcome = || match choice % 6 {
            0 | 1 => Outcome::Accepted,
            2 => Outcome::Rejected(rejection()),
            3 => Outcome::Busy { retry_after: Some(Duration::from_secs(3)) },
            4 => Outcome::Unavailable { retry_after: None },
            _ => Outcome::TimedOut,
        };
        let Some((lane, intent)) = self.asked.pop_front() else { return };
        let Some(engine) = self.lanes.get_mut(&lane.0).filter(|engine| !engine.closed) else { return };
        let directive = match intent {
            Intent::Open(_) if choice == 0xff => {
                engine.closed = true;
                Directive::Refuse(Refusal { cause: RefusalCause::AnonymousDenied, detail: "no".into() })
            }
            Intent::Open(open) => {
                engine.accepted = true;
                Directive::Accept(Box::new(Accepted {
                    resumed: false,
                    session: "lane".into(),
                    assigned: true,
                    keep: Duration::ZERO,
                    window: open.window.min(3),
                    data: None,
                }))
            }
            Intent::Publish(publish) => {
                Directive::Settle { tag: publish.tag, outcome: outcome(), heard: true }
            }
            Intent::Request(publish) if choice & 1 == 0 => {
                Directive::Reply { tag: publish.tag, event: event(choice) }
            }
            Intent::Request(publish) => {
                Directive::Settle { tag: publish.tag, outcome: outcome(), heard: true }
            }
            Intent::Sync { tag } => Directive::Synced { tag },
            Intent::Read { tag, .. } => Directive::Value {
                tag,
                value: match choice % 4 {
                    0 => Ok(None),
                    1 => Err(rejection()),
                    _ => Ok(Some(event(choice))),
                },
            },
            Intent::List { tag, limit, .. } => Directive::Listed {
                tag,
                events: (0..u16::from(choice % 4).min(limit))
                    .map(|count| event((count as u8) << 6))
                    .collect(),
                after: (choice & 4 != 0).then(|| event(choice).address.clone()),
            },
            Intent::Subscribe { tag, requests } => {
                let numbers = requests.iter().filter_map(|request| request.identifier);
                engine.subscriptions.extend(numbers.filter(|_| choice & 1 == 0));
                let result = |request: &windrose_event::SubscriptionRequest| match choice & 1 == 0 {
                    true => Ok(request.assurance),
                    false => Err(rejection()),
                };
                Directive::Subscribed { tag, results: requests.iter().map(result).collect() }
            }
            Intent::Unsubscribe { tag, filters } => {
                Directive::Unsubscribed { tag, results: vec![true; filters.len()] }
            }
            _ => return,
        };
        self.tell(lane, directive);
    }

    /// An event for one of a lane's subscriptions, as far as the lane has credit.
    fn deliver(&mut self, choice: u8) {
        let open: Vec<u32> = self
            .lanes
            .iter()
            .filter(|(_, engine)| engine.accepted && !engine.closed)
            .map(|(lane, _)| *lane)
            .collect();
        let Some(lane) = open.get(usize::from(choice) % open.len().max(1)) else { return };
        let Some(engine) = self.lanes.get_mut(lane) else { return };
        let Some(number) =
            engine.subscriptions.get(usize::from(choice >> 4) % engine.subscriptions.len().max(1))
        else {
            return;
        };
        let number = *number;
        let is_surely = choice & 1 == 0;
        if is_surely && engine.unsettled.len() >= engine.window {
            return;
        }
        let tag = if is_surely {
            engine.last_tag += 1;
            engine.unsettled.insert(engine.last_tag);
            Tag(engine.last_tag)
        } else {
            Tag::NONE
        };
        let delivery = Delivery {
            tag,
            event: event(choice),
            assurance: if is_surely { Assurance::AtLeastOnce } else { Assurance::AtMostOnce },
            again: false,
            retain: choice & 4 != 0,
            subscriptions: [number].into_iter().collect(),
        };
        self.tell(Lane(*lane), Directive::Deliver(delivery));
    }

    fn wait(&mut self, seconds: u64) {
        let until = self.now.after(Duration::from_secs(seconds));
        let mut turns = 0;
        while let Some(next) = self.server.next_timeout().filter(|next| *next <= until.moment) {
            self.now = self.now.after(next.since(self.now.moment));
            self.server.handle_timeout(self.now);
            self.drain();
            turns += 1;
            assert!(turns < 10_000, "its timers do not come to rest");
        }
        self.now = until;
    }
}

fn remote(choice: u8) -> Remote {
    match choice % 4 {
        0 => Remote::udp(([192, 0, 2, 1], 5683).into()),
        1 => Remote::udp(([192, 0, 2, 2], 5683).into()),
        2 => Remote::Udp { peer: ([198, 51, 100, 1], 5683).into(), local: Some([198, 51, 100, 1].into()) },
        _ => Remote::Session(SessionId(7)),
    }
}

/// Whatever comes: the engine is spoken to in order, peers get only messages of a server and no flood, what is kept has a
/// bound, and nothing is left in the end.
pub fn run(data: &[u8]) -> u64 {
    let mut script = Script(data);
    let mut world = World {
        server: Server::new(Arc::new(config()), Arc::new(Sources::new(64, [1; 32])), 1),
        now: start(),
        asked: VecDeque::new(),
        lanes: BTreeMap::new(),
        ledgers: BTreeMap::new(),
        signature: Signature::new(),
    };
    let mut has_session = false;
    while let Some(act) = script.byte() {
        match act % ACTS {
            0..=5 => {
                let from = remote(act / ACTS);
                if matches!(from, Remote::Session(_)) && !has_session {
                    continue;
                }
                let Some(bytes) = script.bytes() else { break };
                world.receive(from, bytes);
                world.drain();
                // Most engines answer at once.
                while act % ACTS < 5 && !world.asked.is_empty() {
                    world.answer(0);
                }
            }
            6 => world.answer(script.byte().unwrap_or(0)),
            7 => world.deliver(script.byte().unwrap_or(0)),
            8 => world.wait(script.byte().unwrap_or(0).into()),
            9 => {
                has_session = !has_session;
                match has_session {
                    true => world.server.handle_session(world.now, SessionId(7), Claim::default()),
                    false => world.server.handle_session_end(world.now, SessionId(7)),
                }
                world.drain();
            }
            10 => {
                let choice = script.byte().unwrap_or(0);
                let lane = world.lanes.iter().find(|(_, engine)| engine.accepted && !engine.closed);
                if let Some(lane) = lane.map(|(lane, _)| Lane(*lane)) {
                    if choice < 128 {
                        world.server.handle_brake(world.now, lane, choice & 1 == 0);
                        world.drain();
                    } else if let Some(engine) = world.lanes.get_mut(&lane.0) {
                        engine.closed = true;
                        world.tell(lane, Directive::Close(CloseReason::NotPermitted));
                    }
                }
            }
            _ => {}
        }
        let [exchanges, asks, _] = world.server.held();
        assert!(exchanges <= 40, "{exchanges} exchanges");
        assert!(asks <= 40, "{asks} messages wait for an answer");
    }
    finish(&mut world, has_session);
    world.signature.finish()
}

/// The engine answers everything, the peers are silent, and time passes.
fn finish(world: &mut World, has_session: bool) {
    for _ in 0..8 {
        while !world.asked.is_empty() {
            world.answer(0);
        }
        world.wait(400);
    }
    if has_session {
        world.server.handle_session_end(world.now, SessionId(7));
        world.drain();
    }
    world.wait(4_000);
    let [exchanges, asks, peers] = world.server.held();
    assert_eq!((exchanges, asks), (0, 0), "nothing is left of exchanges");
    // Observers that are not sent anything stay.
    if world.lanes.values().all(|engine| engine.subscriptions.is_empty()) {
        assert_eq!(peers, 0, "nothing is left of endpoints");
        assert!(world.lanes.is_empty(), "no lane is left: {:?}", world.lanes);
        assert_eq!(world.server.next_timeout(), None, "nothing to wait for");
    }
}
