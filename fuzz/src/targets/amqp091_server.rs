//! The server's side of an AMQP 0-9-1 connection: a script of bytes from a client, answers of an engine, deliveries and time.

use super::{Script, event, start, written};
use crate::signature::Signature;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{
    Accepted, Address, Arranged, Cause, Claim, CloseReason, ConsumerId, Consuming, DeclineCause, Declined,
    Delivery, Directive, Intent, Now, Outcome, Publish, Pulled, Refusal, RefusalCause, Supply, Tag,
};
use windrose_protocol::amqp::v091::Server;
use windrose_protocol::amqp::v091::codec::{ContentHeader, FrameKind, Method, Properties, frame};
use windrose_protocol::amqp::{Output, ServerConfig};

/// What a script may do besides sending bytes, as its first byte modulo this.
const ACTS: u8 = 12;

fn config(choice: u8) -> ServerConfig {
    ServerConfig {
        node: "node".into(),
        frame_bytes: 4_096,
        payload_bytes: 300,
        receive_maximum: 10,
        channels: 3,
        links: 4,
        heartbeat: (choice & 1 != 0).then_some(Duration::from_secs(10)),
        connect_timeout: Duration::from_secs(5),
        retain_available: choice & 2 == 0,
        queues: Arc::from([]),
        plain: choice & 4 == 0,
        scram: choice & 8 == 0,
        redirect: None,
    }
}

/// A consumer, as the engine knows it.
#[derive(Default)]
struct Consumer {
    presettled: bool,
    limit: u64,
    supplied: u64,
    unsettled: BTreeSet<u16>,
    next: u16,
}

struct Link {
    server: Server,
    now: Now,
    /// What the engine has not answered yet.
    asked: VecDeque<Intent>,
    consumers: BTreeMap<ConsumerId, Consumer>,
    opened: usize,
    published: u64,
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
                Output::Intent(intent) => self.hear(intent),
            }
        }
        self.out.extend(written(self.server.transmit()));
    }

    fn hear(&mut self, intent: Intent) {
        assert!(!self.ended, "nothing is intended after the end: {intent:?}");
        self.signature.add(std::mem::discriminant(&intent));
        match &intent {
            Intent::Open(_) => {
                self.opened += 1;
                assert_eq!(self.opened, 1, "a session is opened once");
            }
            _ => assert_eq!(self.opened, 1, "nothing is intended without a session: {intent:?}"),
        }
        match &intent {
            Intent::Close(_) => self.ended = true,
            Intent::Publish(Publish { tag, .. }) => {
                assert!(*tag != Tag::NONE);
                self.published += 1;
            }
            Intent::PublishThrough { publish, .. } => {
                assert!(publish.tag != Tag::NONE);
                self.published += 1;
            }
            Intent::Consume(consume) => {
                let limit = consume.limit;
                let consumer = Consumer { presettled: consume.presettled, limit, ..Consumer::default() };
                assert!(self.consumers.insert(consume.consumer, consumer).is_none(), "its number is its own");
            }
            Intent::Pull { consumer, .. } => {
                self.consumers.entry(*consumer).or_default();
            }
            Intent::Grant { consumer, limit, .. } => {
                let known = self.consumers.get_mut(consumer).expect("who is granted something consumes");
                assert!(*limit > known.limit, "a grant that grants nothing");
                known.limit = *limit;
            }
            Intent::Dispose { consumer, tags, .. } => {
                let known = self.consumers.get_mut(consumer).expect("who disposes of something consumes");
                for tag in tags {
                    assert!(
                        known.unsettled.remove(&tag.0),
                        "{tag:?} is disposed of once, after it was supplied"
                    );
                }
            }
            Intent::Cancel { consumer, release } => {
                let known = self.consumers.get_mut(consumer).expect("who is canceled consumes");
                if *release {
                    known.unsettled.clear();
                }
            }
            _ => {}
        }
        self.asked.push_back(intent);
    }

    fn tell(&mut self, directive: Directive) {
        self.server.handle_directive(self.now, directive);
        self.drain();
    }

    /// The engine answers the oldest question as `choice` says.
    fn answer(&mut self, choice: u8) {
        let Some(intent) = self.asked.pop_front() else { return };
        let causes = [DeclineCause::NotFound, DeclineCause::Precondition, DeclineCause::Unsupported];
        let declined = || Declined { cause: causes[usize::from(choice) % 3], detail: "no".into() };
        let well = choice & 3 != 0;
        let directive = match intent {
            Intent::Open(_) if choice == 0xff => {
                Directive::Refuse(Refusal { cause: RefusalCause::BadCredentials, detail: "no".into() })
            }
            Intent::Open(open) if open.claim.method.is_some() && choice & 4 == 0 => {
                self.asked.push_front(Intent::Open(open));
                self.asked.rotate_left(1);
                Directive::Challenge { data: Some(Bytes::from_static(b"who?")) }
            }
            Intent::Open(open) => Directive::Accept(Box::new(Accepted {
                resumed: false,
                session: "assigned".into(),
                assigned: true,
                keep: open.keep,
                window: 10,
                data: open.claim.method.is_some().then(|| Bytes::from_static(b"proof")),
            })),
            Intent::Publish(Publish { tag, .. }) => settled(tag, choice),
            Intent::PublishThrough { publish, .. } => settled(publish.tag, choice),
            Intent::Arrange { tag, .. } => Directive::Arranged {
                tag,
                result: if well {
                    Ok(Arranged { queue: "q".into(), messages: 1, consumers: 2 })
                } else {
                    Err(declined())
                },
            },
            Intent::Consume(consume) => {
                let address = Address::new("$reply/0-a").ok().filter(|_| choice & 16 != 0);
                let result = if well { Ok(Consuming { address, resumed: false }) } else { Err(declined()) };
                if !well {
                    self.consumers.remove(&consume.consumer);
                }
                Directive::Consuming { consumer: consume.consumer, result }
            }
            Intent::Cancel { consumer, .. } => Directive::Canceled { consumer, because: None },
            Intent::Pull { tag, consumer, presettled, .. } => {
                let result = match choice % 3 {
                    0 => Err(declined()),
                    1 => Ok(None),
                    _ => {
                        let supply = self.supply(consumer, choice, presettled);
                        Ok(Some(Box::new(Pulled { supply, remaining: 3 })))
                    }
                };
                Directive::Pulled { tag, result }
            }
            _ => return,
        };
        self.tell(directive);
    }

    fn supply(&mut self, consumer: ConsumerId, choice: u8, presettled: bool) -> Supply {
        let known = self.consumers.entry(consumer).or_default();
        let mut tag = Tag::NONE;
        if !presettled {
            known.next = known.next % 60_000 + 1;
            tag = Tag(known.next);
            known.unsettled.insert(tag.0);
        }
        let event = event(choice);
        let assurance = event.assurance;
        let delivery = Delivery {
            tag,
            event,
            assurance,
            again: choice & 1 != 0,
            retain: false,
            subscriptions: Default::default(),
        };
        Supply { consumer, failures: 0, delivery }
    }

    /// A consumer that has credit gets an event.
    fn deliver(&mut self, choice: u8) {
        let answered: Vec<ConsumerId> = self
            .consumers
            .iter()
            .filter(|(_, known)| known.supplied < known.limit)
            .map(|(id, _)| *id)
            .filter(|id| !self.asked.iter().any(|asked| is_about(asked, *id)))
            .collect();
        let Some(id) = answered.get(usize::from(choice) % answered.len().max(1)).copied() else { return };
        let Some(known) = self.consumers.get_mut(&id) else { return };
        known.supplied += 1;
        let presettled = known.presettled;
        let supply = self.supply(id, choice, presettled);
        self.tell(Directive::Supply(supply));
    }
}

fn settled(tag: Tag, choice: u8) -> Directive {
    let outcome = match choice % 7 {
        0 => Outcome::Busy { retry_after: None },
        1 => Outcome::rejected(Cause::NotFound),
        2 => Outcome::rejected(Cause::ByService),
        _ => Outcome::Accepted,
    };
    Directive::Settle { tag, outcome, heard: choice & 8 != 0 }
}

/// Whether a consumer has not begun, or ends.
fn is_about(intent: &Intent, id: ConsumerId) -> bool {
    match intent {
        Intent::Consume(consume) => consume.consumer == id,
        Intent::Cancel { consumer, .. } => *consumer == id,
        _ => false,
    }
}

/// What is written is whole, and what a server may say; no delivery tag comes twice, nothing is confirmed that was not
/// published.
fn check(out: &[u8], published: u64) {
    // A client that speaks another version is told which this is.
    let mut rest = out.strip_suffix(b"AMQP\x00\x00\x09\x01").unwrap_or(out);
    let mut missing = 0;
    while !rest.is_empty() {
        let (found, length) = frame(rest, 4_096).expect("frames").expect("whole frames");
        rest = &rest[length..];
        match found.kind {
            FrameKind::Method => {
                assert_eq!(missing, 0, "a body is whole before anything else comes");
                let method = Method::read(found.payload).expect("a method");
                assert!(
                    !matches!(
                        method,
                        Method::BasicPublish(_)
                            | Method::QueueDeclare(_)
                            | Method::ConnectionStartOk(_)
                            | Method::ChannelOpen(_)
                    ),
                    "only clients say {method:?}"
                );
                if let Method::BasicAck(ack) = method {
                    assert!(ack.delivery_tag <= published, "{ack:?} of {published}");
                }
            }
            FrameKind::Header => {
                let header = ContentHeader::read(found.payload).expect("a header");
                Properties::read(header.properties).expect("properties");
                missing = header.body_size;
            }
            FrameKind::Body => {
                missing = missing.checked_sub(found.payload.len() as u64).expect("no more than was said");
            }
            FrameKind::Heartbeat => assert_eq!(missing, 0),
        }
    }
    assert_eq!(missing, 0);
}

/// One session is opened at most, nothing follows the end, deliveries are disposed of once, and what is written is what a
/// server may say.
pub fn run(data: &[u8]) -> u64 {
    let mut script = Script(data);
    let Some(choice) = script.byte() else { return 0 };
    let claim = Claim { listener: "amqp".into(), ..Claim::default() };
    let mut link = Link {
        server: Server::new(Arc::new(config(choice)), claim, start().moment),
        now: start(),
        asked: VecDeque::new(),
        consumers: BTreeMap::new(),
        opened: 0,
        published: 0,
        ended: false,
        closed: false,
        out: Vec::new(),
        signature: Signature::new(),
    };
    while let Some(act) = script.byte() {
        if link.closed {
            break;
        }
        match act % ACTS {
            0..=3 => {
                let Some(bytes) = script.bytes() else { break };
                link.server.handle_bytes(link.now, bytes);
                link.drain();
            }
            4..=6 => link.answer(script.byte().unwrap_or_default()),
            7 | 8 => link.deliver(script.byte().unwrap_or_default()),
            9 => {
                link.now =
                    link.now.after(Duration::from_millis(u64::from(script.byte().unwrap_or(255)) * 100));
                link.server.handle_timeout(link.now);
                link.drain();
            }
            10 => {
                let gone = link.consumers.keys().next().copied();
                if let Some(consumer) = gone.filter(|id| !link.asked.iter().any(|asked| is_about(asked, *id)))
                {
                    let because = Declined { cause: DeclineCause::NotFound, detail: "gone".into() };
                    link.tell(Directive::Canceled { consumer, because: Some(because) });
                    if let Some(known) = link.consumers.get_mut(&consumer) {
                        known.limit = 0;
                        known.supplied = 0;
                    }
                }
            }
            _ => match script.byte().unwrap_or_default() % 4 {
                0 => {
                    link.server.handle_pause(link.now);
                    link.drain();
                }
                1 => {
                    link.server.handle_resume(link.now);
                    link.drain();
                }
                2 => {
                    link.ended = true;
                    link.tell(Directive::Close(CloseReason::ShuttingDown));
                }
                _ => {
                    link.server.handle_eof(link.now);
                    link.drain();
                    assert!(link.closed, "the transport is gone");
                }
            },
        }
    }
    check(&link.out, link.published + unheard(data));
    link.signature.finish()
}

/// Publications that get nowhere by their key are confirmed without the engine: no more than there are bytes.
fn unheard(data: &[u8]) -> u64 {
    data.len() as u64
}
