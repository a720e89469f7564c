//! The server's machine against a peer that is written out frame by frame, and an engine that says what the test says.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod connections;
mod hostile;
mod links;
mod receiving;
mod sending;
mod sessions;

use super::Server;
use crate::amqp::v1::codec::*;
use crate::amqp::{Output, ServerConfig};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use windrose_event as neutral;
use windrose_event::{
    Accepted, Address, Arranged, Arrangement, Assurance, Claim, Consume, ConsumerId, Consuming, Directive,
    Event, EventId, Filter, Identity, Intent, Moment, Now, Origin, Outcome, Supply, Tag, Timestamp,
};

fn config() -> ServerConfig {
    ServerConfig {
        node: "node".into(),
        frame_bytes: 8_192,
        payload_bytes: 50_000,
        receive_maximum: 10,
        channels: 4,
        links: 5,
        heartbeat: Some(Duration::from_secs(60)),
        connect_timeout: Duration::from_secs(5),
        retain_available: true,
        queues: Arc::from([Filter::new("+").unwrap()]),
        plain: true,
        scram: true,
        redirect: Some("other:5673".into()),
    }
}

/// A peer, its connection's machine, and what both said.
struct Peer {
    server: Server,
    now: Now,
    outputs: VecDeque<Output>,
    /// Whether every byte comes by itself.
    bytewise: bool,
    closed: bool,
    heard: Vec<u8>,
}

impl Peer {
    fn new(config: ServerConfig) -> Self {
        Self::with(config, Claim::default())
    }

    fn with(config: ServerConfig, claim: Claim) -> Self {
        let now = Now { moment: Moment::from_micros(1), wall: Timestamp::from_micros(1_000_000) };
        let server = Server::new(Arc::new(config), claim, now.moment);
        Self { server, now, outputs: VecDeque::new(), bytewise: false, closed: false, heard: Vec::new() }
    }

    /// A connection that is open, with a session on channel 0.
    fn open() -> Self {
        let mut peer = Self::new(config());
        peer.open_now(Open { container_id: "peer", ..Open::default() });
        peer.begin();
        peer
    }

    fn open_now(&mut self, open: Open<'_>) {
        self.bytes(AMQP_HEADER);
        self.say(Performative::Open(open));
        let Intent::Open(_) = self.intent() else { panic!("it asks whether the peer is let in") };
        self.accept(None);
        assert_eq!(self.take(8), AMQP_HEADER);
        assert!(self.frame("open(").contains("node"));
    }

    fn begin(&mut self) {
        self.say(Performative::Begin(Begin {
            incoming_window: 1_000,
            outgoing_window: 1_000,
            ..Begin::default()
        }));
        self.frame("begin(");
    }

    fn accept(&mut self, data: Option<Bytes>) {
        self.tell(Directive::Accept(Box::new(Accepted {
            resumed: false,
            session: "auto-1".into(),
            assigned: true,
            keep: Duration::ZERO,
            window: 10,
            data,
        })));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let chunk = if self.bytewise { 1 } else { bytes.len().max(1) };
        for part in bytes.chunks(chunk) {
            self.server.handle_bytes_into(self.now, part, &mut self.outputs);
        }
    }

    fn say(&mut self, performative: Performative<'_>) {
        self.say_on(0, performative);
    }

    fn say_on(&mut self, channel: u16, performative: Performative<'_>) {
        let mut out = Vec::new();
        performative.write(channel, &mut out);
        self.bytes(&out);
    }

    fn transfer(&mut self, transfer: Transfer<'_>, payload: &[u8]) {
        let mut out = Vec::new();
        let start = start_frame(&mut out, FrameKind::Amqp, 0);
        transfer.write(&mut out);
        out.extend_from_slice(payload);
        finish_frame(&mut out, start, 0);
        self.bytes(&out);
    }

    /// A message whose data is this, as one transfer.
    fn send(&mut self, id: u32, data: &[u8]) {
        let tag = id.to_be_bytes();
        let transfer =
            Transfer { handle: 0, delivery_id: Some(id), delivery_tag: Some(&tag), ..Transfer::default() };
        self.transfer(transfer, &message(data));
    }

    fn tell(&mut self, directive: Directive) {
        self.server.handle_directive(self.now, directive);
    }

    fn intents(&mut self) -> Vec<Intent> {
        let mut outputs = std::mem::take(&mut self.outputs);
        while let Some(output) = self.server.poll_output() {
            outputs.push_back(output);
        }
        let closed = &mut self.closed;
        outputs
            .into_iter()
            .filter_map(|output| match output {
                Output::Intent(intent) => Some(intent),
                Output::Close => {
                    *closed = true;
                    None
                }
            })
            .collect()
    }

    #[track_caller]
    fn intent(&mut self) -> Intent {
        let mut all = self.intents();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    fn drain(&mut self) {
        let transmit = self.server.transmit();
        let mut slices = [std::io::IoSlice::new(&[]); 64];
        while !transmit.is_empty() {
            let filled = transmit.io_slices(&mut slices);
            let all: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
            slices = [std::io::IoSlice::new(&[]); 64];
            self.heard.extend_from_slice(&all);
            let written = all.len();
            transmit.advance(written);
        }
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        self.drain();
        self.heard.drain(..length).collect()
    }

    /// The next frame, as it prints, with what it carries; none: nothing was said.
    fn next(&mut self) -> Option<(String, Vec<u8>)> {
        self.drain();
        let header = frame_header(&self.heard).unwrap()?;
        let frame = self.take(header.size as usize);
        let body = &frame[usize::from(header.body)..];
        Some(match header.kind {
            FrameKind::Sasl => (format!("{:?}", SaslFrame::read(body).unwrap()).to_lowercase(), Vec::new()),
            _ if body.is_empty() => ("empty".into(), Vec::new()),
            _ => {
                let (performative, rest) = Performative::read(body).unwrap();
                (format!("{performative:?}").to_lowercase(), rest.to_vec())
            }
        })
    }

    /// The next frame, which begins so; what it says in lower case.
    #[track_caller]
    fn frame(&mut self, begins: &str) -> String {
        let (frame, _) = self.next().unwrap_or_else(|| panic!("{begins} was to come, and nothing did"));
        assert!(frame.starts_with(begins), "{begins} was to come, and did not: {frame}");
        frame
    }

    #[track_caller]
    fn nothing(&mut self) {
        let next = self.next();
        assert!(next.is_none(), "{next:?}");
    }

    /// A link on which the peer sends to an address that is no queue.
    fn attach_sender(&mut self, attach: Attach<'_>) {
        let target = Target { address: Some("a/b"), ..Target::default() };
        let target = attach.target.or(Some(Terminus::Target(target)));
        let name = if attach.name.is_empty() { "sender" } else { attach.name };
        self.say(Performative::Attach(Attach { name, target, initial_delivery_count: Some(0), ..attach }));
    }

    /// A link on which the peer sends, with its credit.
    fn sender(&mut self) {
        self.attach_sender(Attach::default());
        self.frame("attach(");
        assert!(self.frame("flow(").contains("link_credit: some(10)"));
    }

    /// A link on which the peer receives from a queue, with that much credit.
    fn receiver(&mut self, credit: u32, attach: Attach<'_>) -> ConsumerId {
        let source = attach.source.or(Some(Source { address: Some("q"), ..Source::default() }));
        let target = Some(Terminus::Target(Target::default()));
        let name = if attach.name.is_empty() { "receiver" } else { attach.name };
        self.say(Performative::Attach(Attach { name, role: Role::Receiver, source, target, ..attach }));
        let consumer = self.consumed(Consuming::default());
        self.frame("attach(");
        if credit > 0 {
            self.grant(attach.handle, 0, credit);
            let Intent::Grant { limit, .. } = self.intent() else { panic!() };
            assert_eq!(limit, u64::from(credit));
        }
        consumer
    }

    fn grant(&mut self, handle: u32, count: u32, credit: u32) {
        self.flow(Flow {
            handle: Some(handle),
            delivery_count: Some(count),
            link_credit: Some(credit),
            ..Flow::default()
        });
    }

    fn flow(&mut self, flow: Flow<'_>) {
        let next_incoming_id = flow.next_incoming_id.or(Some(0));
        self.say(Performative::Flow(Flow {
            next_incoming_id,
            incoming_window: 1_000,
            outgoing_window: 1_000,
            ..flow
        }));
    }

    /// The engine lets a link consume.
    #[track_caller]
    fn consumed(&mut self, consuming: Consuming) -> ConsumerId {
        let Intent::Consume(consume) = self.intent() else { panic!() };
        let consumer = consume.consumer;
        self.tell(Directive::Consuming { consumer, result: Ok(consuming) });
        consumer
    }

    fn supply(&mut self, consumer: ConsumerId, tag: u16, event: &Arc<Event>) {
        self.tell(Directive::Supply(Supply { consumer, failures: 0, delivery: delivery(tag, event) }));
    }

    #[track_caller]
    fn arranged(&mut self, result: Result<Arranged, neutral::Declined>) -> Arrangement {
        let Intent::Arrange { tag, arrangement } = self.intent() else { panic!() };
        self.tell(Directive::Arranged { tag, result });
        *arrangement
    }

    #[track_caller]
    fn published(&mut self) -> (Tag, neutral::Publication) {
        let Intent::Publish(publish) = self.intent() else { panic!() };
        (publish.tag, publish.publication)
    }

    fn settle(&mut self, tag: Tag, outcome: Outcome) {
        self.tell(Directive::Settle { tag, outcome, heard: true });
    }

    fn after(&mut self, time: Duration) {
        self.now = self.now.after(time);
        self.server.handle_timeout(self.now);
    }
}

fn message(data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_data_head(data.len(), &mut bytes);
    bytes.extend_from_slice(data);
    bytes
}

fn event(payload: &[u8]) -> Arc<Event> {
    let origin = Origin {
        identity: Identity::anonymous(),
        session: "s".into(),
        protocol: "mqtt",
        listener: "mqtt".into(),
    };
    Arc::new(Event {
        id: EventId::from_u128(1),
        time: Timestamp::from_micros(0),
        address: Address::new("a/b").unwrap(),
        origin: Arc::new(origin),
        assurance: Assurance::AtLeastOnce,
        retain: false,
        expires: None,
        payload: Bytes::copy_from_slice(payload),
        details: None,
    })
}

fn delivery(tag: u16, event: &Arc<Event>) -> neutral::Delivery {
    neutral::Delivery {
        tag: Tag(tag),
        event: Arc::clone(event),
        assurance: Assurance::AtLeastOnce,
        again: false,
        retain: false,
        subscriptions: Default::default(),
    }
}

fn wish(consume: &Consume) -> &neutral::Source {
    &consume.from
}
