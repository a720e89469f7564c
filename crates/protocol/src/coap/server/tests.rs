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
