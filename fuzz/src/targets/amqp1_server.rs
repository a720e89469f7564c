//! The server's side of an AMQP 1.0 connection: a script of bytes from a peer, answers of an engine, deliveries and time.

use super::{Script, event, start, written};
use crate::signature::Signature;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{
    Accepted, Address, Arranged, Assurance, Cause, Claim, CloseReason, ConsumerId, Consuming, DeclineCause,
    Declined, Delivery, Directive, Filter, Intent, Now, Outcome, Refusal, RefusalCause, Supply, Tag,
};
use windrose_protocol::amqp::v1::Server;
use windrose_protocol::amqp::v1::codec::{FrameKind, Performative, SaslFrame, frame_header};
use windrose_protocol::amqp::{Output, ServerConfig};

/// What a script may do besides sending bytes, as its first byte modulo this.
const ACTS: u8 = 8;

fn config() -> ServerConfig {
    ServerConfig {
        node: "node".into(),
        frame_bytes: 4_096,
        payload_bytes: 300,
        receive_maximum: 4,
        channels: 3,
        links: 4,
        heartbeat: Some(Duration::from_secs(10)),
        connect_timeout: Duration::from_secs(5),
        retain_available: true,
        queues: Filter::new("+").into_iter().collect(),
        plain: true,
        scram: true,
        redirect: None,
    }
}

struct Link {
    server: Server,
    now: Now,
    asked: VecDeque<Intent>,
    opened: usize,
    ended: bool,
    closed: bool,
    /// Publications that the engine owes an answer for.
    owed: Vec<Tag>,
    /// Consumers that the engine supplies, with what each may still have.
    consumers: Vec<(ConsumerId, u64, u64)>,
    /// Deliveries that were not disposed of.
    supplied: Vec<(ConsumerId, Tag)>,
    next: u16,
    signature: Signature,
}

impl Link {
    fn drain(&mut self) {
        while let Some(output) = self.server.poll_output() {
            self.hear(output);
        }
        self.frames();
    }

    fn hear(&mut self, output: Output) {
        assert!(!self.closed, "nothing comes after Close: {output:?}");
        let Output::Intent(intent) = output else {
            self.closed = true;
            return;
        };
        assert!(!self.ended, "nothing is intended after the end: {intent:?}");
        self.signature.add(std::mem::discriminant(&intent));
        match &intent {
            Intent::Open(_) => {
                self.opened += 1;
                assert_eq!(self.opened, 1, "a session is opened once");
            }
            Intent::Close(_) => self.ended = true,
            _ => assert_eq!(self.opened, 1, "nothing is intended without a session: {intent:?}"),
        }
        match intent {
            Intent::Publish(publish) if publish.tag != Tag::NONE => self.owe(publish.tag),
            Intent::PublishThrough { publish, .. } if publish.tag != Tag::NONE => self.owe(publish.tag),
            Intent::Dispose { consumer, tags, .. } => {
                for tag in tags {
                    let known = self.supplied.iter().position(|one| *one == (consumer, tag));
                    let index = known.expect("a delivery is disposed of that was supplied, and once");
                    self.supplied.swap_remove(index);
                }
            }
            Intent::Grant { consumer, limit, drain } => {
                let entry = self.consumers.iter_mut().find(|one| one.0 == consumer);
                entry.expect("a consumer is granted that consumes").1 = limit;
                if drain {
                    self.asked.push_back(Intent::Grant { consumer, limit, drain });
                }
            }
            Intent::Cancel { consumer, release } => {
                if release {
                    self.supplied.retain(|one| one.0 != consumer);
                }
                self.consumers.retain(|one| one.0 != consumer);
                self.asked.push_back(Intent::Cancel { consumer, release });
            }
            intent => self.asked.push_back(intent),
        }
    }

    fn owe(&mut self, tag: Tag) {
        assert!(!self.owed.contains(&tag), "a tag is used once at a time");
        self.owed.push(tag);
    }

    /// What is written is protocol headers, and whole frames that can be read.
    fn frames(&mut self) {
        let bytes = written(self.server.transmit());
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            if rest.starts_with(b"AMQP") {
                rest = &rest[8..];
                continue;
            }
            let header = frame_header(rest).expect("a frame").expect("a whole one");
            let frame = &rest[usize::from(header.body)..header.size as usize];
            match header.kind {
                FrameKind::Sasl => drop(SaslFrame::read(frame).expect("a SASL frame")),
                _ if frame.is_empty() => {}
                _ => {
                    let (performative, _) = Performative::read(frame).expect("a performative");
                    self.signature.add(std::mem::discriminant(&performative));
                }
            }
            rest = &rest[header.size as usize..];
        }
    }

    fn tell(&mut self, directive: Directive) {
        self.server.handle_directive(self.now, directive);
        self.drain();
    }

    /// The engine answers the oldest question as `choice` says.
    fn answer(&mut self, choice: u8) {
        let declined = || Declined { cause: DeclineCause::NotFound, detail: "no".into() };
        let Some(intent) = self.asked.pop_front() else { return };
        match intent {
            Intent::Open(_) | Intent::Respond { .. } if choice == 0xff => {
                self.ended = true;
                let refusal = Refusal { cause: RefusalCause::BadCredentials, detail: "no".into() };
                self.tell(Directive::Refuse(refusal));
            }
            Intent::Open(open) if open.claim.method.is_some() && choice & 1 == 0 => {
                self.tell(Directive::Challenge { data: None });
            }
            Intent::Open(_) | Intent::Respond { .. } => self.tell(Directive::Accept(Box::new(Accepted {
                resumed: false,
                session: "assigned".into(),
                assigned: true,
                keep: Duration::ZERO,
                window: 4,
                data: None,
            }))),
            Intent::Arrange { tag, .. } => {
                let arranged = Arranged { queue: "gen".into(), ..Arranged::default() };
                let result = if choice & 3 == 0 { Err(declined()) } else { Ok(arranged) };
                self.tell(Directive::Arranged { tag, result });
            }
            Intent::Consume(consume) => {
                let consumer = consume.consumer;
                if choice & 3 == 0 {
                    return self.tell(Directive::Consuming { consumer, result: Err(declined()) });
                }
                // Canceled before it began, it is not supplied.
                let gone = self
                    .asked
                    .iter()
                    .any(|one| matches!(one, Intent::Cancel { consumer: other, .. } if *other == consumer));
                if !gone {
                    self.consumers.push((consumer, 0, 0));
                }
                let address = Address::new("$reply/1").ok();
                self.tell(Directive::Consuming {
                    consumer,
                    result: Ok(Consuming { address, resumed: false }),
                });
            }
            Intent::Grant { consumer, .. } => {
                let Some(entry) = self.consumers.iter_mut().find(|one| one.0 == consumer) else { return };
                entry.1 = entry.2;
                let limit = entry.2;
                self.tell(Directive::Drained { consumer, limit });
            }
            Intent::Cancel { consumer, .. } => self.tell(Directive::Canceled { consumer, because: None }),
            _ => {}
        }
    }

    fn supply(&mut self, choice: u8) {
        let count = self.consumers.len();
        let Some(entry) = self.consumers.get_mut(usize::from(choice) % count.max(1)) else { return };
        if entry.2 >= entry.1 {
            return;
        }
        entry.2 += 1;
        let consumer = entry.0;
        self.next = self.next % 60_000 + 1;
        let tag = Tag(self.next);
        self.supplied.push((consumer, tag));
        let delivery = Delivery {
            tag,
            event: event(choice),
            assurance: Assurance::AtLeastOnce,
            again: choice & 1 != 0,
            retain: choice & 2 != 0,
            subscriptions: Default::default(),
        };
        self.tell(Directive::Supply(Supply { consumer, failures: u32::from(choice & 4), delivery }));
    }
}

/// One session at most and nothing after the end; tags and deliveries are used once at a time; only well-formed frames.
pub fn run(data: &[u8]) -> u64 {
    let mut script = Script(data);
    let now = start();
    let mut link = Link {
        server: Server::new(Arc::new(config()), Claim::default(), now.moment),
        now,
        asked: VecDeque::new(),
        opened: 0,
        ended: false,
        closed: false,
        owed: Vec::new(),
        consumers: Vec::new(),
        supplied: Vec::new(),
        next: 0,
        signature: Signature::new(),
    };
    while let Some(act) = script.byte() {
        match act % ACTS {
            0 | 1 => {
                let Some(bytes) = script.bytes() else { break };
                let mut outputs = VecDeque::new();
                link.server.handle_bytes_into(link.now, bytes, &mut outputs);
                for output in outputs {
                    link.hear(output);
                }
                link.drain();
            }
            2 | 3 => link.answer(script.byte().unwrap_or(1)),
            4 => link.supply(script.byte().unwrap_or(0)),
            5 => {
                let choice = script.byte().unwrap_or(0);
                if let Some(tag) = link.owed.pop() {
                    let outcome = match choice % 4 {
                        0 | 1 => Outcome::Accepted,
                        2 => Outcome::rejected(Cause::NotPermitted),
                        _ => Outcome::TimedOut,
                    };
                    link.tell(Directive::Settle { tag, outcome, heard: true });
                }
            }
            6 => {
                link.now = link.now.after(Duration::from_millis(u64::from(script.byte().unwrap_or(0)) * 50));
                link.server.handle_timeout(link.now);
                link.drain();
            }
            _ => match script.byte().unwrap_or(0) % 8 {
                0 => {
                    link.server.handle_eof(link.now);
                    link.drain();
                }
                1 => {
                    link.tell(Directive::Close(CloseReason::Quota));
                    link.ended = true;
                }
                2 | 3 => drop(link.server.handle_pause(link.now)),
                _ => {
                    link.server.handle_resume(link.now);
                    link.drain();
                }
            },
        }
    }
    link.signature.add((link.opened, link.ended, link.closed));
    link.signature.finish()
}
