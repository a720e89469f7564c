//! One end of a stream, byte by byte.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used)]

mod messages;
mod signals;

use super::*;
use crate::coap::codec::{Block, OptionsBuf, option};
use smallvec::smallvec;
use windrose_event::{
    Accepted, Address, Assurance, Delivery, Event, EventId, Identity, Origin, Outcome, Publish, Refusal,
    RefusalCause, Tag,
};

/// A message that the machine wrote.
#[derive(Clone, Debug, PartialEq)]
struct Said {
    code: Code,
    token: Vec<u8>,
    options: OptionsBuf,
    payload: Vec<u8>,
}

impl Said {
    fn uint(&self, number: u16) -> Option<u32> {
        let value = self.options.as_options().iter().find(|option| option.number == number)?.value;
        crate::coap::codec::read_uint(value)
    }

    fn has(&self, number: u16) -> bool {
        self.options.as_options().iter().any(|option| option.number == number)
    }
}

struct Peer {
    stream: Stream,
    now: Now,
    intents: Vec<Intent>,
    closed: bool,
}

const CSM: [u8; 2] = [0x00, 0xe1];

impl Peer {
    fn new() -> Self {
        Self::with(Framing::Length, |_| {})
    }

    fn with(framing: Framing, change: impl FnOnce(&mut StreamConfig)) -> Self {
        let mut config = StreamConfig {
            server: Arc::new(ServerConfig::new("coap")),
            message_bytes: 10_000,
            connect_timeout: Duration::from_secs(10),
            idle: Some(Duration::from_secs(60)),
        };
        change(&mut config);
        let now = Now::default();
        let stream = Stream::new(Arc::new(config), Claim::default(), framing, now);
        Self { stream, now, intents: Vec::new(), closed: false }
    }

    /// After both have said what they take, and the session is open.
    fn open() -> Self {
        let mut peer = Self::new();
        peer.bytes(&CSM);
        peer.accept();
        peer.said();
        peer.intents.clear();
        peer
    }

    fn accept(&mut self) {
        self.direct(Directive::Accept(Box::new(Accepted {
            resumed: false,
            session: "s".into(),
            assigned: true,
            keep: Duration::ZERO,
            window: 10,
            data: None,
        })));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.stream.handle_bytes(self.now, bytes);
        self.drain();
    }

    fn direct(&mut self, directive: Directive) {
        self.stream.handle_directive(self.now, directive);
        self.drain();
    }

    fn advance(&mut self, by: Duration) {
        self.now = self.now.after(by);
        if self.stream.next_timeout().is_some_and(|due| due <= self.now.moment) {
            self.stream.handle_timeout(self.now);
        }
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.stream.poll_output() {
            match output {
                StreamOutput::Intent(intent) => {
                    assert!(!self.closed);
                    self.intents.push(intent);
                }
                StreamOutput::Close => self.closed = true,
            }
        }
    }

    /// What was written since.
    fn written(&mut self) -> Vec<u8> {
        let bytes: Vec<u8> = self.stream.transmit.parts().flatten().copied().collect();
        self.stream.transmit.advance(bytes.len());
        bytes
    }

    /// The messages that were written since.
    fn said(&mut self) -> Vec<Said> {
        let bytes = self.written();
        let mut rest = &bytes[..];
        let mut all = Vec::new();
        while !rest.is_empty() {
            let length = frame::length(rest, u32::MAX).unwrap().unwrap();
            all.push(read(&rest[..length], Framing::Length));
            rest = &rest[length..];
        }
        all
    }

    fn one_said(&mut self) -> Said {
        let mut said = self.said();
        assert_eq!(said.len(), 1, "{said:?}");
        said.remove(0)
    }

    /// The event that was published since.
    fn published(&mut self) -> Publish {
        match self.intents.pop() {
            Some(Intent::Publish(publish)) => publish,
            other => panic!("{other:?}"),
        }
    }

    fn settle(&mut self, tag: Tag) {
        self.direct(Directive::Settle { tag, outcome: Outcome::Accepted, heard: true });
    }
}

fn read(bytes: &[u8], framing: Framing) -> Said {
    let frame = frame::parse(bytes, framing, 300).unwrap();
    Said {
        code: frame.code,
        token: frame.token.to_vec(),
        options: frame.options.iter().map(|option| (option.number, option.value)).collect(),
        payload: frame.payload.to_vec(),
    }
}

/// A message's bytes.
fn message(framing: Framing, code: Code, token: &[u8], options: &[(u16, &[u8])], payload: &[u8]) -> Vec<u8> {
    let options: OptionsBuf = options.iter().copied().collect();
    let mut transmit = Transmit::default();
    let payload = Bytes::copy_from_slice(payload);
    frame::write(&mut transmit, framing, code, token, options.as_options(), &payload);
    transmit.parts().flatten().copied().collect()
}

fn framed(code: Code, token: &[u8], options: &[(u16, &[u8])], payload: &[u8]) -> Vec<u8> {
    message(Framing::Length, code, token, options, payload)
}

fn post(token: &[u8], payload: &[u8]) -> Vec<u8> {
    framed(Code::POST, token, &[(option::URI_PATH, b"a")], payload)
}

fn event(payload: &[u8]) -> Arc<Event> {
    Arc::new(Event {
        id: EventId::new(windrose_event::Timestamp::default(), 0, 1),
        time: windrose_event::Timestamp::default(),
        address: Address::new("a").unwrap(),
        origin: Arc::new(Origin {
            identity: Identity::anonymous(),
            session: "s".into(),
            protocol: "test",
            listener: "l".into(),
        }),
        assurance: Assurance::AtLeastOnce,
        retain: false,
        expires: None,
        payload: Bytes::copy_from_slice(payload),
        details: None,
    })
}
