//! The machine of one stream: a script of bytes, or of parts of messages, from its peer, answers of an engine, deliveries and
//! time.

use super::{Script, event, start, written};
use crate::signature::Signature;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{
    Accepted, Assurance, Cause, Claim, CloseReason, Delivery, Directive, Intent, Now, Outcome, Refusal,
    RefusalCause, Rejection, Tag,
};
use windrose_protocol::coap::codec::{Code, Options, parse_token};
use windrose_protocol::coap::{Framing, ServerConfig, Stream, StreamConfig, StreamOutput};

/// What a script may do, as its first byte modulo this.
const ACTS: u8 = 8;

/// The largest message that is taken.
const MOST: u32 = 600;

fn config() -> StreamConfig {
    let server = ServerConfig {
        payload_bytes: 400,
        token_bytes: 16,
        window: 4,
        observations_per_endpoint: 2,
        blocks_bytes: 1_000,
        ..ServerConfig::new("coap")
    };
    StreamConfig {
        server: Arc::new(server),
        message_bytes: MOST,
        connect_timeout: Duration::from_secs(10),
        idle: Some(Duration::from_secs(60)),
    }
}

struct World {
    stream: Stream,
    framing: Framing,
    now: Now,
    asked: VecDeque<Intent>,
    opened: bool,
    accepted: bool,
    /// The session's end was said, by either side.
    ended: bool,
    closed: bool,
    subscriptions: Vec<u32>,
    unsettled: BTreeSet<u16>,
    tag: u16,
    /// What the machine has written, first to last.
    said: usize,
    received: usize,
    signature: Signature,
}

impl World {
    fn drain(&mut self) {
        while let Some(output) = self.stream.poll_output() {
            assert!(!self.closed, "nothing follows Close: {output:?}");
            match output {
                StreamOutput::Close => self.closed = true,
                StreamOutput::Intent(intent) => self.intended(intent),
            }
        }
        self.read();
        assert_eq!(self.closed, self.stream.close_cause().is_some());
        assert!(!self.closed || self.stream.next_timeout().is_none());
    }

    fn intended(&mut self, intent: Intent) {
        assert!(!self.ended, "nothing follows the session's end: {intent:?}");
        self.signature.add(std::mem::discriminant(&intent));
        match &intent {
            Intent::Open(_) => {
                assert!(!self.opened, "it is opened once");
                self.opened = true;
            }
            Intent::Close(_) => self.ended = true,
            _ => assert!(self.accepted, "nothing comes before Accept: {intent:?}"),
        }
        match intent {
            // An event at most once that was not told.
            Intent::Settle { tag: Tag::NONE, .. } => {}
            Intent::Settle { tag, .. } => {
                assert!(self.unsettled.remove(&tag.0), "delivery {} is settled that is not open", tag.0);
            }
            Intent::Close(_) => {}
            intent => self.asked.push_back(intent),
        }
    }

    /// What was written is messages of a server, CSM first, and no more than it was asked for.
    fn read(&mut self) {
        let bytes = written(self.stream.transmit());
        let mut rest = &bytes[..];
        while let Some(first) = rest.first() {
            let (head, length) = match (self.framing, first >> 4) {
                // Without frames, what was written at once cannot be told apart: the first message is looked at.
                (Framing::WebSocket, length) => {
                    assert_eq!(length, 0);
                    (2, None)
                }
                (_, length @ 0..=12) => (2, Some(usize::from(length))),
                (_, 13) => (3, Some(usize::from(rest[1]) + 13)),
                (_, 14) => (4, Some(usize::from(u16::from_be_bytes([rest[1], rest[2]])) + 269)),
                _ => panic!("a message of more than 65,804 bytes"),
            };
            let code = Code(rest[head - 1]);
            assert!(!code.is_request(), "a server asks nothing: {code}");
            assert!(self.said > 0 || code == Code::CSM, "{code} comes before CSM");
            self.said += 1;
            self.signature.add(code.0);
            let Some(length) = length else { return };
            let (_, body) = parse_token(first & 0xf, &rest[head..], 16)
                .unwrap_or_else(|error| panic!("no token: {error} of {rest:02x?}"));
            let (body, next) = body.split_at(length);
            let (_, payload) =
                Options::parse(body).unwrap_or_else(|error| panic!("no options: {error} of {body:02x?}"));
            assert!(payload.len() <= 8_000);
            rest = next;
        }
    }

    fn tell(&mut self, directive: Directive) {
        self.stream.handle_directive(self.now, directive);
        self.drain();
    }

    /// The engine answers the oldest question as `choice` says.
    fn answer(&mut self, choice: u8) {
        let rejection = || Rejection { cause: Cause::NotPermitted, detail: Some("no".into()) };
        let outcome = || if choice & 1 == 0 { Outcome::Accepted } else { Outcome::Rejected(rejection()) };
        let Some(intent) = self.asked.pop_front().filter(|_| !self.ended) else { return };
        let directive = match intent {
            Intent::Open(_) if choice == 0xff => {
                self.ended = true;
                Directive::Refuse(Refusal { cause: RefusalCause::AnonymousDenied, detail: "no".into() })
            }
            Intent::Open(open) => {
                self.accepted = true;
                Directive::Accept(Box::new(Accepted {
                    resumed: false,
                    session: "stream".into(),
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
            Intent::List { tag, .. } => {
                let events = (0..choice % 4).map(|count| event(count << 6)).collect();
                Directive::Listed {
                    tag,
                    events,
                    after: (choice & 4 != 0).then(|| event(choice).address.clone()),
                }
            }
            Intent::Subscribe { tag, requests } => {
                let granted = choice & 1 == 0;
                let numbers = requests.iter().filter_map(|request| request.identifier);
                self.subscriptions.extend(numbers.filter(|_| granted));
                let result = if granted { Ok(Assurance::AtLeastOnce) } else { Err(rejection()) };
                Directive::Subscribed { tag, results: vec![result] }
            }
            Intent::Unsubscribe { tag, .. } => Directive::Unsubscribed { tag, results: vec![true] },
            _ => return,
        };
        self.tell(directive);
    }

    /// An event for one of the subscriptions.
    fn deliver(&mut self, choice: u8) {
        let index = usize::from(choice >> 4) % self.subscriptions.len().max(1);
        let Some(number) = self.subscriptions.get(index).copied().filter(|_| !self.ended) else { return };
        let mut tag = Tag::NONE;
        if choice & 1 == 0 && self.unsettled.len() < 4 {
            self.tag += 1;
            self.unsettled.insert(self.tag);
            tag = Tag(self.tag);
        }
        self.tell(Directive::Deliver(Delivery {
            tag,
            event: event(choice),
            assurance: if tag == Tag::NONE { Assurance::AtMostOnce } else { Assurance::AtLeastOnce },
            again: false,
            retain: choice & 4 != 0,
            subscriptions: [number].into_iter().collect(),
        }));
        assert!(self.unsettled.is_empty() || self.ended, "what is written is settled");
    }

    fn wait(&mut self, seconds: u64) {
        let until = self.now.after(Duration::from_secs(seconds));
        let mut turns = 0;
        while let Some(next) = self.stream.next_timeout().filter(|next| *next <= until.moment) {
            self.now = self.now.after(next.since(self.now.moment));
            self.stream.handle_timeout(self.now);
            self.drain();
            turns += 1;
            assert!(turns < 10_000, "its timers do not come to rest");
        }
        self.now = until;
    }
}

/// Whatever comes: the engine is spoken to in order, the peer gets only messages of a server, CSM first, nothing follows the
/// end, and a peer that is silent is left in the end.
pub fn run(data: &[u8]) -> u64 {
    let mut script = Script(data);
    let framing = match script.byte() {
        Some(byte) if byte & 1 == 1 => Framing::WebSocket,
        _ => Framing::Length,
    };
    let mut world = World {
        stream: Stream::new(Arc::new(config()), Claim::default(), framing, start()),
        framing,
        now: start(),
        asked: VecDeque::new(),
        opened: false,
        accepted: false,
        ended: false,
        closed: false,
        subscriptions: Vec::new(),
        unsettled: BTreeSet::new(),
        tag: 0,
        said: 0,
        received: 0,
        signature: Signature::new(),
    };
    world.drain();
    while let Some(act) = script.byte() {
        match act % ACTS {
            0..=3 => {
                let Some(bytes) = script.bytes() else { break };
                world.received += bytes.len();
                match framing {
                    Framing::Length => world.stream.handle_bytes(world.now, bytes),
                    Framing::WebSocket => {
                        world.stream.handle_message(world.now, bytes, act % ACTS < 3);
                    }
                }
                world.drain();
                // Most engines answer at once.
                while act % ACTS < 2 && !world.asked.is_empty() {
                    world.answer(0);
                }
            }
            4 => world.answer(script.byte().unwrap_or(0)),
            5 => world.deliver(script.byte().unwrap_or(0)),
            6 => world.wait(script.byte().unwrap_or(0).into()),
            _ if world.opened && !world.ended && world.accepted => {
                world.ended = true;
                world.tell(Directive::Close(CloseReason::ShuttingDown));
            }
            _ => {}
        }
    }
    world.wait(400);
    assert!(world.closed, "a silent peer is left");
    world.signature.finish()
}
