//! The server's side of a connection: a script of bytes from a peer, answers of an engine, deliveries and time.

use super::{Script, event, packets, start, written};
use crate::signature::Signature;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{
    Accepted, Assurance, Cause, Claim, CloseReason, Delivery, Directive, Intent, Now, Outcome, Refusal,
    RefusalCause, Rejection, Tag,
};
use windrose_protocol::mqtt::codec::{Packet, Version};
use windrose_protocol::mqtt::{Output, Quirks, Server, ServerConfig};

/// What a script may do besides sending bytes, as its first byte modulo this.
const ACTS: u8 = 10;

fn config(choice: u8) -> ServerConfig {
    ServerConfig {
        packet_bytes: 600,
        payload_bytes: 200,
        receive_maximum: 3,
        keep_alive_max: (choice & 1 != 0).then_some(Duration::from_secs(10)),
        connect_timeout: Duration::from_secs(5),
        topic_alias_maximum: 2,
        retain_available: true,
        address_levels: 6,
        quirks: Quirks {
            empty_client_id: choice & 8 != 0,
            maximum_qos: (choice & 16 != 0).then_some(Assurance::AtLeastOnce),
            ..Quirks::default()
        },
        server_reference: (choice & 32 != 0).then(|| "other".into()),
        response_information: (choice & 2 != 0).then(|| "replies/{session}".into()),
        overlapping_each: choice & 4 != 0,
    }
}

struct Link {
    server: Server,
    now: Now,
    /// What the engine has not answered yet.
    asked: VecDeque<Intent>,
    opened: usize,
    /// What an open session will be told, while its client is asked who it is.
    opening: Option<Box<Accepted>>,
    ended: bool,
    closed: bool,
    out: Vec<u8>,
    signature: Signature,
}

impl Link {
    fn drain(&mut self) {
        while let Some(output) = self.server.poll_output() {
            assert!(!self.closed, "nothing comes after Close: {output:?}");
            match output {
                Output::Close => self.closed = true,
                Output::Intent(intent) => {
                    assert!(!self.ended, "nothing is intended after the end: {intent:?}");
                    match &intent {
                        Intent::Open(_) => {
                            self.opened += 1;
                            assert_eq!(self.opened, 1, "a session is opened once");
                        }
                        Intent::Close(_) => self.ended = true,
                        _ => assert_eq!(self.opened, 1, "nothing is intended without a session: {intent:?}"),
                    }
                    self.signature.add(std::mem::discriminant(&intent));
                    self.asked.push_back(intent);
                }
            }
        }
        self.out.extend(written(self.server.transmit()));
    }

    fn tell(&mut self, directive: Directive) {
        self.server.handle_directive(self.now, directive);
        self.drain();
    }

    /// The engine answers the oldest question as `choice` says.
    fn answer(&mut self, choice: u8) {
        let rejection = || Rejection { cause: Cause::NotPermitted, detail: Some("no".into()) };
        let outcome = || match choice % 5 {
            0 | 1 => Outcome::Accepted,
            2 => Outcome::Rejected(rejection()),
            3 => Outcome::Busy { retry_after: None },
            _ => Outcome::TimedOut,
        };
        let Some(intent) = self.asked.pop_front() else { return };
        let directive = match intent {
            Intent::Open(_) if choice == 0xff => {
                Directive::Refuse(Refusal { cause: RefusalCause::BadCredentials, detail: "no".into() })
            }
            Intent::Open(open) => {
                let accepted = Box::new(Accepted {
                    resumed: choice & 1 != 0 && open.resume,
                    session: open.session.clone().unwrap_or_else(|| "assigned".into()),
                    assigned: open.session.is_none(),
                    keep: open.keep,
                    window: open.window,
                    data: open.claim.method.is_some().then(|| Bytes::from_static(b"proof")),
                });
                if open.claim.method.is_some() && choice & 4 == 0 {
                    self.opening = Some(accepted);
                    Directive::Challenge { data: None }
                } else {
                    Directive::Accept(accepted)
                }
            }
            Intent::Respond { .. } | Intent::Reidentify(_) => match (choice % 4, self.opening.take()) {
                (1, opening) => {
                    self.opening = opening;
                    Directive::Challenge { data: Some(Bytes::from_static(b"who?")) }
                }
                (2, Some(_)) => {
                    Directive::Refuse(Refusal { cause: RefusalCause::BadCredentials, detail: "no".into() })
                }
                (2, None) => Directive::Close(CloseReason::NotPermitted),
                (_, Some(opening)) => Directive::Accept(opening),
                (_, None) => Directive::Reidentified { data: None },
            },
            Intent::Publish(publish) if publish.tag != Tag::NONE => {
                Directive::Settle { tag: publish.tag, outcome: outcome(), heard: choice & 8 != 0 }
            }
            Intent::Release { tag } => Directive::Released { tag, known: choice & 1 != 0 },
            Intent::Receive { tag } => Directive::Release { tag },
            Intent::Subscribe { tag, requests } => Directive::Subscribed {
                tag,
                results: requests
                    .iter()
                    .map(|request| if choice & 1 == 0 { Ok(request.assurance) } else { Err(rejection()) })
                    .collect(),
            },
            Intent::Unsubscribe { tag, filters } => {
                Directive::Unsubscribed { tag, results: filters.iter().map(|_| choice & 1 == 0).collect() }
            }
            _ => return,
        };
        self.tell(directive);
    }
}

/// One session is opened at most, nothing follows the end, and what is written is what a server may say, in order.
pub fn run(data: &[u8]) -> u64 {
    let mut script = Script(data);
    let Some(choice) = script.byte() else { return 0 };
    let mut link = Link {
        server: Server::new(
            Arc::new(config(choice)),
            Claim { listener: "mqtt".into(), ..Claim::default() },
            start(),
        ),
        now: start(),
        asked: VecDeque::new(),
        opened: 0,
        opening: None,
        ended: false,
        closed: false,
        out: Vec::new(),
        signature: Signature::new(),
    };
    let mut tag = 0;
    while let Some(act) = script.byte() {
        match act % ACTS {
            0..=4 => {
                let Some(bytes) = script.bytes() else { break };
                link.server.handle_bytes(link.now, bytes);
                link.drain();
                // Most engines answer at once.
                while act % ACTS < 4 && !link.asked.is_empty() {
                    link.answer(0);
                }
            }
            5 => link.answer(script.byte().unwrap_or(0)),
            6 if link.server.is_open() => {
                let choice = script.byte().unwrap_or(0);
                let assurance = [Assurance::AtMostOnce, Assurance::AtLeastOnce, Assurance::ExactlyOnce]
                    [usize::from(choice % 3)];
                tag += 1;
                link.tell(Directive::Deliver(Delivery {
                    tag: if assurance == Assurance::AtMostOnce { Tag::NONE } else { Tag(tag) },
                    event: event(choice),
                    assurance,
                    again: choice & 16 != 0,
                    retain: choice & 32 != 0,
                    subscriptions: (choice & 64 != 0).then_some(7).into_iter().collect(),
                }));
            }
            7 => {
                link.now = link.now.after(Duration::from_secs(script.byte().unwrap_or(0).into()));
                link.server.handle_timeout(link.now);
                link.drain();
            }
            8 => {
                link.server.handle_eof(link.now);
                link.drain();
            }
            9 if act > 200 => link.tell(Directive::Close(CloseReason::TakenOver)),
            _ => {}
        }
    }
    let version = if link.server.version() == "5.0" { Version::V5 } else { Version::V3 };
    let packets = packets(&link.out, version);
    check(&packets);
    link.signature.add((link.closed, link.server.close_cause().map(std::mem::discriminant)));
    for packet in packets {
        link.signature.add(std::mem::discriminant(&packet));
    }
    link.signature.finish()
}

/// What a server may say, and in which order.
fn check(packets: &[Packet]) {
    for (index, packet) in packets.iter().enumerate() {
        match packet {
            Packet::Connack(connack) => {
                let before = &packets[..index];
                assert!(before.iter().all(|packet| matches!(packet, Packet::Auth(_))), "CONNACK comes once");
                let last = index + 1 == packets.len();
                assert!(connack.code.0 == 0 || last, "nothing follows a refusal: {packets:?}");
                assert!(connack.code.0 == 0 || !connack.session_present);
            }
            Packet::Disconnect(_) => {
                assert_eq!(index + 1, packets.len(), "nothing follows DISCONNECT: {packets:?}")
            }
            Packet::Connect(_) | Packet::Subscribe(_) | Packet::Unsubscribe(_) | Packet::Pingreq => {
                panic!("a server says no {packet:?}")
            }
            _ => {}
        }
        assert!(
            index > 0 || matches!(packet, Packet::Connack(_) | Packet::Auth(_)),
            "CONNACK is first: {packets:?}"
        );
    }
}
