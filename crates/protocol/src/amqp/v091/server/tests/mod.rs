//! How a server behaves, method by method, on a virtual clock; the codec plays the client, the tests play the engine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod channels;
mod confirming;
mod consuming;
mod hostile;
mod opening;
mod publishing;
mod rendering;
mod timing;
mod transactions;

use super::*;
use crate::amqp::v091::codec::*;
use bytes::Bytes;
use std::io::IoSlice;
use windrose_event::{
    Accepted, Address, Arranged, Arrangement, Assurance, Consume, ConsumerId, Consuming, DeclineCause,
    Declined, Delivery, Disposition, Event, EventId, Identity, Origin, Outcome, Publication, Source, Supply,
    Tag, Timestamp,
};

fn config() -> ServerConfig {
    ServerConfig {
        node: "node".into(),
        frame_bytes: 8_192,
        payload_bytes: 100_000,
        receive_maximum: 100,
        channels: 10,
        links: 5,
        heartbeat: Some(Duration::from_secs(60)),
        connect_timeout: Duration::from_secs(5),
        retain_available: true,
        queues: Arc::from([]),
        plain: true,
        scram: true,
        redirect: None,
    }
}

/// What a client reads.
#[derive(Clone, Debug, PartialEq)]
enum Heard {
    /// The channel, and the method as it prints.
    Method(u16, String),
    /// Property flags and list, and the body.
    Content(Vec<u8>, Vec<u8>),
    Heartbeat,
}

/// A server and its client, joined without a network.
struct Link {
    server: Server,
    now: Now,
    intents: Vec<Intent>,
    unread: Vec<u8>,
    closed: bool,
    /// How many bytes a read has at most.
    cut: usize,
}

impl Link {
    /// A transport that has just come up.
    fn new(config: ServerConfig) -> Self {
        let wall = Timestamp::from_micros(1_700_000_000_000_000);
        let now = Now { moment: Moment::from_micros(1_000_000), wall };
        let claim = Claim { listener: "amqp".into(), ..Claim::default() };
        let server = Server::new(Arc::new(config), claim, now.moment);
        Self { server, now, intents: Vec::new(), unread: Vec::new(), closed: false, cut: usize::MAX }
    }

    /// A connection that is open, with nothing left to read.
    fn open() -> Self {
        Self::open_with(config(), 60)
    }

    fn open_with(config: ServerConfig, heartbeat: u16) -> Self {
        let (channel_max, frame_max) = (config.channels, config.frame_bytes);
        let mut link = Self::new(config);
        link.send_bytes(PROTOCOL_HEADER);
        let mut capabilities = TableBuf::new();
        for name in ["authentication_failure_close", "connection.blocked", "consumer_cancel_notify"] {
            capabilities.put(name, Value::Bool(true));
        }
        let mut properties = TableBuf::new();
        properties.put("capabilities", Value::Table(capabilities.table()));
        link.send(
            0,
            ConnectionStartOk {
                client_properties: properties.table(),
                mechanism: "PLAIN",
                response: b"\0guest\0guest",
                locale: "en_US",
            },
        );
        link.accept(None);
        link.send(0, ConnectionTuneOk { channel_max, frame_max, heartbeat });
        link.send(0, ConnectionOpen { virtual_host: "/" });
        assert!(
            link.read().last().is_some_and(|heard| is(heard, "ConnectionOpenOk")),
            "the connection is open"
        );
        link.intents.clear();
        link
    }

    /// The same with channel 1.
    fn channel() -> Self {
        let mut link = Self::open();
        link.open_channel(1);
        link
    }

    fn open_channel(&mut self, number: u16) {
        self.send(number, ChannelOpen {});
        assert_eq!(self.read_one(), format!("{number} ChannelOpenOk(ChannelOpenOk)"));
    }

    /// A channel with a consumer of queue `q`, which may have so much unacknowledged.
    fn consumer(prefetch: u16, no_ack: bool) -> (Self, ConsumerId) {
        let mut link = Self::channel();
        if prefetch > 0 {
            link.send(1, BasicQos { prefetch_count: prefetch, ..BasicQos::default() });
        }
        link.send(1, BasicConsume { queue: "q", consumer_tag: "c", no_ack, ..BasicConsume::default() });
        let consume = link.consume();
        link.tell(Directive::Consuming { consumer: consume.consumer, result: Ok(Consuming::default()) });
        link.read();
        (link, consume.consumer)
    }

    fn send<'a>(&mut self, channel: u16, method: impl Into<Method<'a>>) {
        let mut bytes = Vec::new();
        method_frame(&method.into(), channel, &mut bytes);
        self.send_bytes(&bytes);
    }

    fn publish(&mut self, publish: BasicPublish<'_>, properties: &Properties<'_>, body: &[u8]) {
        let bytes = publication(publish, properties, body);
        self.send_bytes(&bytes);
    }

    fn send_bytes(&mut self, bytes: &[u8]) {
        for read in bytes.chunks(self.cut.min(bytes.len().max(1))) {
            self.server.handle_bytes(self.now, read);
            self.drain();
        }
    }

    fn tell(&mut self, directive: Directive) {
        self.server.handle_directive(self.now, directive);
        self.drain();
    }

    fn accept(&mut self, data: Option<Bytes>) {
        self.tell(Directive::Accept(Box::new(Accepted {
            resumed: false,
            session: "s".into(),
            assigned: true,
            keep: Duration::ZERO,
            window: 100,
            data,
        })));
    }

    fn settle(&mut self, tag: u16, outcome: Outcome, heard: bool) {
        self.tell(Directive::Settle { tag: Tag(tag), outcome, heard });
    }

    fn arranged(&mut self, result: Result<Arranged, Declined>) {
        self.tell(Directive::Arranged { tag: Tag(1), result });
    }

    fn supply(&mut self, consumer: ConsumerId, tag: u16, event: Event, again: bool) {
        self.tell(Directive::Supply(supplied(consumer, tag, event, again)));
    }

    /// Lets time pass; the timeout is acted on if it is due.
    fn wait(&mut self, by: Duration) {
        self.now = self.now.after(by);
        self.server.handle_timeout(self.now);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.server.poll_output() {
            assert!(!self.closed, "nothing comes after Close: {output:?}");
            match output {
                Output::Intent(intent) => self.intents.push(intent),
                Output::Close => self.closed = true,
            }
        }
    }

    /// Takes what waits to be written.
    fn flush(&mut self) {
        let transmit = self.server.transmit();
        while !transmit.is_empty() {
            let mut slices = [IoSlice::new(&[]); 4];
            let filled = transmit.io_slices(&mut slices);
            let before = self.unread.len();
            slices[..filled].iter().for_each(|slice| self.unread.extend_from_slice(slice));
            let step = self.unread.len() - before;
            transmit.advance(step);
        }
    }

    /// What the client has got since the last time.
    fn read(&mut self) -> Vec<Heard> {
        self.flush();
        let bytes = std::mem::take(&mut self.unread);
        let (mut rest, mut heard) = (&bytes[..], Vec::new());
        let mut missing = 0;
        while !rest.is_empty() {
            let (frame, length) = frame(rest, self.server.frame_max).expect("well-formed").expect("whole");
            rest = &rest[length..];
            match frame.kind {
                FrameKind::Method => {
                    assert_eq!(missing, 0, "a body is not whole");
                    let method = Method::read(frame.payload).expect("a method");
                    heard.push(Heard::Method(frame.channel, format!("{method:?}")));
                }
                FrameKind::Header => {
                    let header = ContentHeader::read(frame.payload).expect("a header");
                    missing = header.body_size as usize;
                    Properties::read(header.properties).expect("properties");
                    heard.push(Heard::Content(header.properties.to_vec(), Vec::new()));
                }
                FrameKind::Body => {
                    let Some(Heard::Content(_, body)) = heard.last_mut() else { panic!("a body alone") };
                    body.extend_from_slice(frame.payload);
                    missing -= frame.payload.len();
                }
                FrameKind::Heartbeat => heard.push(Heard::Heartbeat),
            }
        }
        assert_eq!(missing, 0, "a body is not whole");
        heard
    }

    /// The one method that the client has got.
    fn read_one(&mut self) -> String {
        let mut heard = self.read();
        assert_eq!(heard.len(), 1, "{heard:?}");
        match heard.remove(0) {
            Heard::Method(channel, method) => format!("{channel} {method}"),
            other => panic!("{other:?}"),
        }
    }

    /// The one intent since the last time.
    fn intent(&mut self) -> Intent {
        assert_eq!(self.intents.len(), 1, "{:?}", self.intents);
        self.intents.remove(0)
    }

    fn consume(&mut self) -> Consume {
        match self.intent() {
            Intent::Consume(consume) => *consume,
            other => panic!("{other:?}"),
        }
    }

    fn arrangement(&mut self) -> Arrangement {
        match self.intent() {
            Intent::Arrange { arrangement, .. } => *arrangement,
            other => panic!("{other:?}"),
        }
    }

    /// The publications since the last time: tag, exchange, and what is published.
    fn publications(&mut self) -> Vec<(u16, Option<String>, Publication)> {
        let publication = |intent| match intent {
            Intent::Publish(publish) => (publish.tag.0, None, publish.publication),
            Intent::PublishThrough { exchange, publish } => {
                (publish.tag.0, Some(exchange.to_string()), publish.publication)
            }
            other => panic!("{other:?}"),
        };
        self.intents.drain(..).map(publication).collect()
    }

    /// The exception that ends the channel or connection.
    fn exception(&mut self) -> String {
        let heard = self.read();
        let close = heard.iter().rev().find_map(|heard| match heard {
            Heard::Method(channel, method) if method.contains("Close(") => {
                Some(format!("{channel} {method}"))
            }
            _ => None,
        });
        close.unwrap_or_else(|| panic!("no exception: {heard:?}"))
    }
}

fn is(heard: &Heard, name: &str) -> bool {
    matches!(heard, Heard::Method(_, method) if method.starts_with(name))
}

/// The frames of a publication on channel 1.
fn publication(publish: BasicPublish<'_>, properties: &Properties<'_>, body: &[u8]) -> Vec<u8> {
    let mut transmit = Transmit::default();
    method_frame(&publish.into(), 1, transmit.buffer());
    let mut list = Vec::new();
    properties.write(&mut list);
    content_header(1, body.len() as u64, &list, transmit.buffer());
    body_frames(1, &Bytes::copy_from_slice(body), 4_096, &mut transmit);
    let mut slices = [IoSlice::new(&[]); 64];
    let filled = transmit.io_slices(&mut slices);
    slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect()
}

fn to(key: &str) -> BasicPublish<'_> {
    BasicPublish { routing_key: key, ..BasicPublish::default() }
}

fn supplied(consumer: ConsumerId, tag: u16, event: Event, again: bool) -> Supply {
    let assurance = event.assurance;
    let delivery = Delivery {
        tag: Tag(tag),
        event: Arc::new(event),
        assurance,
        again,
        retain: false,
        subscriptions: smallvec::SmallVec::new(),
    };
    Supply { consumer, failures: 0, delivery }
}

/// An event that came by another protocol.
fn event(address: &str, payload: &'static [u8]) -> Event {
    let time = Timestamp::from_micros(1_700_000_000_000_000);
    Event {
        id: EventId::new(time, 1, 1),
        time,
        address: Address::new(address).unwrap(),
        origin: Arc::new(Origin {
            identity: Identity::anonymous(),
            session: "other".into(),
            protocol: "mqtt",
            listener: "mqtt".into(),
        }),
        assurance: Assurance::AtLeastOnce,
        retain: false,
        expires: None,
        payload: Bytes::from_static(payload),
        details: None,
    }
}

/// The event that a publication becomes.
fn event_of(publication: Publication) -> Event {
    let mut event = event(publication.address.as_str(), b"");
    event.payload = publication.payload;
    event.details = publication.details;
    event
}

fn declined(cause: DeclineCause, detail: &str) -> Declined {
    Declined { cause, detail: detail.into() }
}
