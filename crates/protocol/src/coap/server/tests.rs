#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::coap::codec::OptionsBuf;
use std::net::SocketAddr;
use std::time::Duration;
use windrose_event::{Accepted, Intent, Outcome, Tag};

/// A machine, an engine that accepts everything, and one endpoint.
struct Bench {
    server: Server,
    now: Now,
    remote: Remote,
    /// What was published, by lane.
    published: Vec<(Lane, Tag)>,
    mishaps: Vec<&'static str>,
}

impl Bench {
    fn new() -> Self {
        let sources = Arc::new(Sources::new(64, [1; 32]));
        let peer: SocketAddr = "192.0.2.1:5683".parse().unwrap();
        let now = Now::default().after(Duration::from_secs(1));
        sources.show(now.moment, peer.ip());
        let server = Server::new(Arc::new(ServerConfig::new("coap")), sources, 7);
        Self { server, now, remote: Remote::udp(peer), published: Vec::new(), mishaps: Vec::new() }
    }

    fn receive(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.server.handle_datagram(self.now, self.remote, bytes);
        self.drain()
    }

    /// What is sent.
    fn drain(&mut self) -> Vec<Vec<u8>> {
        while let Some(output) = self.server.poll_output() {
            match output {
                Output::Intent { lane, intent: Intent::Open(open) } => {
                    let accepted = Accepted {
                        resumed: false,
                        session: "lane".into(),
                        assigned: true,
                        keep: Duration::ZERO,
                        window: open.window,
                        data: None,
                    };
                    self.server.handle_directive(self.now, lane, Directive::Accept(Box::new(accepted)));
                }
                Output::Intent { lane, intent: Intent::Publish(publish) } => {
                    self.published.push((lane, publish.tag));
                }
                Output::Mishap { cause, .. } => self.mishaps.push(cause),
                _ => {}
            }
        }
        let sent = self.server.datagrams().iter().map(|(_, bytes)| bytes.to_vec()).collect();
        self.server.datagrams().clear(usize::MAX);
        sent
    }

    fn settle(&mut self) -> Vec<Vec<u8>> {
        for (lane, tag) in std::mem::take(&mut self.published) {
            let settle = Directive::Settle { tag, outcome: Outcome::Accepted, heard: true };
            self.server.handle_directive(self.now, lane, settle);
        }
        self.drain()
    }

    fn wait(&mut self, duration: Duration) -> Vec<Vec<u8>> {
        let until = self.now.after(duration);
        while let Some(next) = self.server.next_timeout().filter(|next| *next <= until.moment) {
            self.now = self.now.after(next.since(self.now.moment));
            self.server.handle_timeout(self.now);
        }
        self.now = until;
        self.drain()
    }
}

fn request(kind: Kind, code: Code, id: u16, options: &[(u16, &'static [u8])]) -> Vec<u8> {
    let options: OptionsBuf = options.iter().copied().collect();
    let mut bytes = Vec::new();
    let token = b"tk";
    Message { kind, code, id, token, options: options.as_options(), payload: b"1" }.encode(&mut bytes);
    bytes
}

const PATH: (u16, &[u8]) = (option::URI_PATH, b"a");

#[test]
fn an_event_is_published_once_and_acknowledged_when_it_is_settled() {
    let mut bench = Bench::new();
    let post = request(Kind::Con, Code::POST, 1, &[PATH]);
    assert!(bench.receive(&post).is_empty());
    assert!(bench.receive(&post).is_empty());
    assert_eq!(bench.published.len(), 1);
    assert_eq!(bench.settle(), [b"\x62\x44\x00\x01tk"]);
    assert_eq!(bench.receive(&post), [b"\x62\x44\x00\x01tk"]);
    assert!(bench.published.is_empty());
}

/// A route's `acknowledge: delivered` with a slow service (RFC 7252 §5.2.2).
#[test]
fn a_slow_outcome_is_told_in_a_response_of_its_own() {
    let mut bench = Bench::new();
    bench.receive(&request(Kind::Con, Code::POST, 1, &[PATH]));
    assert_eq!(bench.wait(Duration::from_secs(5)), [b"\x60\x00\x00\x01"]);
    let sent = bench.settle();
    let message = Message::parse(&sent[0], 8).unwrap();
    assert_eq!((message.kind, message.code, message.token), (Kind::Con, Code::CHANGED, &b"tk"[..]));
}

/// RFC 7252 §5.4.1.
#[test]
fn an_unknown_critical_option_is_refused_if_confirmable_and_ignored_otherwise() {
    let mut bench = Bench::new();
    let sent = bench.receive(&request(Kind::Con, Code::POST, 1, &[PATH, (2_051, b"")]));
    let message = Message::parse(&sent[0], 8).unwrap();
    assert_eq!((message.kind, message.code), (Kind::Ack, Code::BAD_OPTION));
    assert!(std::str::from_utf8(message.payload).unwrap().contains("2051"));
    assert!(bench.receive(&request(Kind::Non, Code::POST, 2, &[PATH, (2_051, b"")])).is_empty());
    assert_eq!(bench.mishaps, ["option", "option"]);
    assert!(bench.published.is_empty());
}

/// RFC 7252 §5.3.2, §4.2.
#[test]
fn a_response_that_nobody_waits_for_is_reset() {
    let mut bench = Bench::new();
    assert_eq!(bench.receive(&request(Kind::Con, Code::CONTENT, 9, &[])), [b"\x70\x00\x00\x09"]);
    assert!(bench.receive(&request(Kind::Non, Code::CONTENT, 10, &[])).is_empty());
    assert!(bench.receive(&request(Kind::Ack, Code::CONTENT, 11, &[])).is_empty());
    assert_eq!(bench.mishaps, ["token", "token", "unmatched"]);
}

#[test]
fn nothing_is_left_of_endpoints_that_are_silent() {
    let mut bench = Bench::new();
    for id in 0..100 {
        bench.receive(&request(Kind::Con, Code::POST, id, &[PATH]));
        bench.settle();
    }
    assert_eq!(bench.server.held(), [100, 0, 0]);
    bench.wait(Duration::from_secs(300));
    assert_eq!(bench.server.held(), [0, 0, 0]);
    assert_eq!(bench.server.next_timeout(), None);
}

/// RFC 9176 §5, and RFC 7252 §5.2.2 with the machine as the client.
#[test]
fn a_thing_is_asked_by_the_session_that_it_registered_by() {
    use windrose_event::{
        Address, Assurance, Delivery, Details, Event, EventId, Identity, Origin, Timestamp,
    };
    let mut bench = Bench::new();
    bench.remote = Remote::Session(SessionId(7));
    let claim = Claim { psk_identity: Some("meter-1".into()), ..Claim::default() };
    bench.server.handle_session(bench.now, SessionId(7), claim);
    let options: [(u16, &[u8]); 3] =
        [(option::URI_PATH, b"rd"), (option::CONTENT_FORMAT, &[40]), (option::URI_QUERY, b"ep=meter-1")];
    let options: OptionsBuf = options.into_iter().collect();
    let mut register = Vec::new();
    let message = Message { code: Code::POST, token: b"tk", ..Message::empty(Kind::Con, 1) };
    Message { options: options.as_options(), payload: b"</valve>", ..message }.encode(&mut register);
    bench.server.handle_datagram(bench.now, bench.remote, &register);
    let mut lane = None;
    while let Some(output) = bench.server.poll_output() {
        match output {
            Output::Connect { lane: its, remote } => {
                assert_eq!(remote, Some(bench.remote));
                lane = Some(its);
            }
            Output::Intent { lane, intent: Intent::Open(open) } => {
                assert_eq!(open.claim.psk_identity.as_deref(), Some("meter-1"));
                let accepted = Accepted {
                    resumed: false,
                    session: "s".into(),
                    assigned: true,
                    keep: Duration::ZERO,
                    window: 8,
                    data: None,
                };
                bench.server.handle_directive(bench.now, lane, Directive::Accept(Box::new(accepted)));
            }
            Output::Intent { lane, intent: Intent::Subscribe { tag, .. } } => {
                let results = vec![Ok(Assurance::AtLeastOnce)];
                bench.server.handle_directive(bench.now, lane, Directive::Subscribed { tag, results });
            }
            _ => {}
        }
    }
    let created = bench.drain().remove(0);
    assert_eq!(Message::parse(&created, 8).unwrap().code, Code::CREATED);
    let origin = Origin {
        identity: Identity::anonymous(),
        session: "asker".into(),
        protocol: "http",
        listener: "rest".into(),
    };
    let details = Details { reply_to: Some(Address::new("$reply/0-1").unwrap()), ..Details::default() };
    let event = Event {
        id: EventId::from_u128(1),
        time: Timestamp::default(),
        address: Address::new("devices/meter-1/valve").unwrap(),
        origin: Arc::new(origin),
        assurance: Assurance::AtLeastOnce,
        retain: false,
        expires: None,
        payload: "open".into(),
        details: Some(Box::new(details)),
    };
    let delivery = Delivery {
        tag: Tag(3),
        event: Arc::new(event),
        assurance: Assurance::AtLeastOnce,
        again: false,
        retain: false,
        subscriptions: [1].into_iter().collect(),
    };
    bench.server.handle_directive(bench.now, lane.unwrap(), Directive::Deliver(delivery));
    let asked = bench.drain().remove(0);
    let asked = Message::parse(&asked, 8).unwrap();
    assert_eq!((asked.kind, asked.code, asked.payload), (Kind::Con, Code::POST, &b"open"[..]));
    let answer = |message: Message<'_>| {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        bytes
    };
    assert_eq!(bench.wait(Duration::from_secs(4)).len(), 1, "it is asked again until it has the question");
    assert!(bench.receive(&answer(Message::empty(Kind::Ack, asked.id))).is_empty());
    assert!(bench.wait(Duration::from_secs(20)).is_empty(), "it has it");
    let response = answer(Message {
        code: Code::CONTENT,
        token: asked.token,
        payload: b"is open",
        ..Message::empty(Kind::Con, 9)
    });
    // As often as it comes it is acknowledged, and taken once.
    for _ in 0..2 {
        assert_eq!(bench.receive(&response), [b"\x60\x00\x00\x09"]);
    }
    assert_eq!(bench.published.len(), 1, "the reply");
    let unknown = answer(Message {
        code: Code::CONTENT,
        token: b"12345678",
        payload: b"x",
        ..Message::empty(Kind::Con, 10)
    });
    assert_eq!(bench.receive(&unknown), [b"\x70\x00\x00\x0a"], "what was not asked is reset");
}
