//! A client joined in memory with our own server, whose engine is pretended.

use crate::Transmit;
use crate::amqp::client::{Client, ClientConfig, ClientOutput, ClientVersion};
use crate::amqp::{Output, Server, ServerConfig};
use bytes::Bytes;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{
    Accepted, Address, Arranged, Assurance, Claim, Consume, ConsumerId, Consuming, Delivery, Details,
    Directive, Disposition, Event, EventId, Identity, Intent, Moment, Now, Origin, Outcome, Publication,
    Source, Supply, Tag, Template, Timestamp,
};

pub(super) fn config(version: ClientVersion) -> ClientConfig {
    ClientConfig {
        version,
        name: "node-pool-0".into(),
        host: "broker".into(),
        virtual_host: "/".into(),
        username: Some("name".into()),
        password: Some("secret".into()),
        heartbeat: Duration::from_secs(30),
        answer_timeout: Duration::from_secs(5),
        frame_bytes: 4_096,
        payload_bytes: 10_000,
        address_levels: 8,
        prefetch: 4,
        via: "here".into(),
        address: Template::address(),
        exchange: "amq.topic".into(),
        routing_key: Template::key(),
        consume: Vec::new(),
    }
}

pub(super) fn start() -> Now {
    let wall = Timestamp::from_micros(1_700_000_000_000_000);
    Now { moment: Moment::from_micros(1_000_000), wall }
}

pub(super) fn event(address: &str, payload: &str, details: Details) -> Arc<Event> {
    Arc::new(Event {
        id: EventId::new(start().wall, 1, 1),
        time: start().wall,
        address: Address::new(address).unwrap(),
        origin: Arc::new(Origin {
            identity: Identity::anonymous(),
            session: "thing".into(),
            protocol: "mqtt",
            listener: "mqtt".into(),
        }),
        assurance: Assurance::AtLeastOnce,
        retain: false,
        expires: None,
        payload: payload.to_owned().into(),
        details: (details != Details::default()).then(|| Box::new(details)),
    })
}

pub(super) fn written(transmit: &mut Transmit) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !transmit.is_empty() {
        let mut slices = [IoSlice::new(&[]); 4];
        let filled = transmit.io_slices(&mut slices);
        let before = bytes.len();
        slices[..filled].iter().for_each(|slice| bytes.extend_from_slice(slice));
        let step = bytes.len() - before;
        transmit.advance(step);
    }
    bytes
}

/// Both ends and what lies between them.
pub(super) struct Pair {
    pub(super) client: Client,
    pub(super) server: Server,
    pub(super) now: Now,
    /// What the client said.
    pub(super) said: Vec<ClientOutput>,
    /// What the server's peer published, not settled.
    pub(super) published: VecDeque<(Tag, Publication)>,
    /// Who consumes, from what.
    pub(super) consumers: Vec<Consume>,
    pub(super) disposed: Vec<(ConsumerId, Tag, Disposition)>,
    pub(super) canceled: Vec<ConsumerId>,
    /// Bytes that go over at once.
    pub(super) step: usize,
    /// Which byte of the server's is changed, and by what.
    pub(super) spoil: Option<(usize, u8)>,
    came: usize,
}

impl Pair {
    /// A connection that is open.
    pub(super) fn open(config: ClientConfig) -> Self {
        let mut pair = Self::new(config);
        pair.connect();
        assert!(pair.client.is_open(), "{:?}", pair.said);
        assert!(matches!(pair.said.remove(0), ClientOutput::Opened));
        pair
    }

    pub(super) fn new(config: ClientConfig) -> Self {
        Self {
            client: Client::new(Arc::new(config)),
            server: server(),
            now: start(),
            said: Vec::new(),
            published: VecDeque::new(),
            consumers: Vec::new(),
            disposed: Vec::new(),
            canceled: Vec::new(),
            step: usize::MAX,
            spoil: None,
            came: 0,
        }
    }

    /// A new transport.
    pub(super) fn connect(&mut self) {
        self.server = server();
        self.consumers.clear();
        self.client.handle_connected(self.now);
        self.run();
    }

    /// The transport is gone.
    pub(super) fn lose(&mut self) {
        self.client.handle_eof(self.now);
        while let Some(output) = self.client.poll_output() {
            self.said.push(output);
        }
    }

    /// Carries bytes both ways until both are quiet.
    pub(super) fn run(&mut self) {
        loop {
            let there = written(self.client.transmit());
            let mut outputs = VecDeque::new();
            for part in there.chunks(self.step.min(there.len().max(1))) {
                self.server.handle_bytes_into(self.now, part, &mut outputs);
                self.answer(&mut outputs);
            }
            while let Some(output) = self.server.poll_output() {
                outputs.push_back(output);
            }
            self.answer(&mut outputs);
            let mut back = written(self.server.transmit());
            if let Some((place, change)) = self.spoil
                && let Some(byte) = place.checked_sub(self.came).and_then(|place| back.get_mut(place))
            {
                *byte ^= change;
            }
            self.came += back.len();
            for part in back.chunks(self.step.min(back.len().max(1))) {
                self.client.handle_bytes(self.now, part);
                while let Some(output) = self.client.poll_output() {
                    self.said.push(output);
                }
            }
            while let Some(output) = self.client.poll_output() {
                self.said.push(output);
            }
            if there.is_empty() && back.is_empty() {
                return;
            }
        }
    }

    /// The engine, as far as these tests need one.
    fn answer(&mut self, outputs: &mut VecDeque<Output>) {
        while let Some(output) = outputs.pop_front() {
            let Output::Intent(intent) = output else { continue };
            match intent {
                Intent::Open(open) => self.direct(Directive::Accept(Box::new(Accepted {
                    resumed: false,
                    session: open.session.unwrap_or_else(|| "peer".into()),
                    assigned: false,
                    keep: Duration::ZERO,
                    window: 256,
                    data: None,
                }))),
                Intent::Publish(publish) => self.published.push_back((publish.tag, publish.publication)),
                Intent::PublishThrough { publish, .. } => {
                    self.published.push_back((publish.tag, publish.publication));
                }
                Intent::Arrange { tag, .. } => {
                    self.direct(Directive::Arranged { tag, result: Ok(Arranged::default()) });
                }
                Intent::Consume(consume) => {
                    let consumer = consume.consumer;
                    let address = matches!(consume.from, Source::Replies)
                        .then(|| Address::new("$reply/0-00000000000000000000000000000abc").unwrap());
                    self.consumers.push(*consume);
                    let result = Ok(Consuming { address, resumed: false });
                    self.direct(Directive::Consuming { consumer, result });
                }
                Intent::Dispose { consumer, tags, disposition } => {
                    self.disposed.extend(tags.into_iter().map(|tag| (consumer, tag, disposition)));
                }
                Intent::Cancel { consumer, .. } => {
                    self.canceled.push(consumer);
                    self.direct(Directive::Canceled { consumer, because: None });
                }
                _ => {}
            }
            while let Some(output) = self.server.poll_output() {
                outputs.push_back(output);
            }
        }
    }

    pub(super) fn direct(&mut self, directive: Directive) {
        self.server.handle_directive(self.now, directive);
    }

    /// The engine settles the first publication.
    pub(super) fn settle(&mut self, outcome: Outcome, heard: bool) -> Publication {
        let (tag, publication) = self.published.pop_front().expect("something was published");
        self.direct(Directive::Settle { tag, outcome, heard });
        self.run();
        publication
    }

    /// The engine supplies a consumer.
    pub(super) fn supply(&mut self, consumer: ConsumerId, tag: u16, event: Arc<Event>) {
        let delivery = Delivery {
            tag: Tag(tag),
            event,
            assurance: Assurance::AtLeastOnce,
            again: false,
            retain: false,
            subscriptions: Default::default(),
        };
        self.direct(Directive::Supply(Supply { consumer, failures: 0, delivery }));
        self.run();
    }

    pub(super) fn publish(&mut self, token: u64, event: &Arc<Event>) {
        self.client.publish(self.now, token, Arc::clone(event));
        self.run();
    }

    /// What became of publications, in order.
    pub(super) fn settled(&mut self) -> Vec<(u64, &'static str)> {
        let settled = |output: &ClientOutput| match output {
            ClientOutput::Settled { token, outcome } => Some((*token, outcome.name())),
            _ => None,
        };
        let all = self.said.iter().filter_map(settled).collect();
        self.said.retain(|output| !matches!(output, ClientOutput::Settled { .. }));
        all
    }

    /// Messages that came.
    pub(super) fn messages(&mut self) -> Vec<(Tag, Publication)> {
        let mut messages = Vec::new();
        for output in std::mem::take(&mut self.said) {
            match output {
                ClientOutput::Message { tag, publication, .. } => messages.push((tag, *publication)),
                other => self.said.push(other),
            }
        }
        messages
    }
}

fn server() -> Server {
    let config = ServerConfig {
        node: "broker".into(),
        frame_bytes: 8_192,
        payload_bytes: 10_000,
        receive_maximum: 256,
        channels: 16,
        links: 64,
        heartbeat: Some(Duration::from_secs(30)),
        connect_timeout: Duration::from_secs(5),
        retain_available: true,
        queues: Arc::from([]),
        plain: true,
        scram: false,
        redirect: None,
    };
    Server::new(Arc::new(config), Claim::default(), start())
}

/// A payload that takes several frames.
pub(super) fn large() -> String {
    "x".repeat(9_000)
}

/// The details of an event that is asked with.
pub(super) fn asking() -> Details {
    Details {
        reply_to: Some(Address::new("answers/thing").unwrap()),
        correlation: Some(Bytes::from_static(b"c")),
        ..Details::default()
    }
}
