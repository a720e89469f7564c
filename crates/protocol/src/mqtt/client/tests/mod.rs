//! How a client behaves: joined with our own server machine in memory, and with servers that say anything at all.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod broker;
mod connecting;
mod cuts;
mod hostile;
mod messages;
mod publishing;

use super::*;
use crate::mqtt::codec::{Connack, Connect, Publish, decode, encode};
use std::io::IoSlice;
use windrose_event::{Address, Assurance, Event, EventId, Identity, Origin, Timestamp};

fn config(version: Version) -> ClientConfig {
    ClientConfig {
        version,
        client_id: "node".into(),
        username: None,
        password: None,
        session_expiry: Duration::from_secs(3600),
        keep_alive: 30,
        answer_timeout: Duration::from_secs(5),
        receive_maximum: 8,
        packet_bytes: 4_096,
        address_levels: 8,
        topic_aliases: 4,
        via: Some("here".into()),
        others: false,
    }
}

fn start() -> Now {
    let wall = Timestamp::from_micros(1_700_000_000_000_000);
    Now { moment: Moment::from_micros(1_000_000), wall }
}

fn event(topic: &str, payload: &str, assurance: Assurance) -> Arc<Event> {
    Arc::new(Event {
        id: EventId::new(start().wall, 1, 1),
        time: start().wall,
        address: Address::new(topic).unwrap(),
        origin: Arc::new(Origin {
            identity: Identity::anonymous(),
            session: "thing".into(),
            protocol: "mqtt",
            listener: "mqtt".into(),
        }),
        assurance,
        retain: false,
        expires: None,
        payload: payload.to_owned().into(),
        details: None,
    })
}

/// What waits to be written.
fn written(transmit: &mut Transmit) -> Vec<u8> {
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

/// A client whose server is the test, packet by packet.
struct Link {
    client: Client,
    now: Now,
    version: Version,
    outputs: Vec<ClientOutput>,
}

impl Link {
    /// A transport that has just come up.
    fn new(config: ClientConfig) -> Self {
        let version = config.version;
        let mut link =
            Self { client: Client::new(Arc::new(config)), now: start(), version, outputs: Vec::new() };
        link.connect();
        link
    }

    /// A session that is open, with nothing left to read.
    fn open_with(config: ClientConfig, properties: Properties) -> Self {
        let mut link = Self::new(config);
        link.connected();
        link.accept(false, properties);
        assert!(matches!(link.outputs()[..], [ClientOutput::Opened { resumed: false }]));
        link
    }

    fn open() -> Self {
        Self::open_with(config(Version::V5), Properties::default())
    }

    fn connect(&mut self) {
        self.client.handle_connected(self.now);
        self.drain();
    }

    fn lose(&mut self) {
        self.client.handle_eof(self.now);
        self.drain();
    }

    /// Takes up the session again.
    fn resume(&mut self) {
        self.lose();
        self.connect();
        assert!(!self.connected().clean_start, "the session is taken up again");
        self.accept(true, Properties::default());
    }

    fn accept(&mut self, session_present: bool, properties: Properties) {
        let properties = (self.version == Version::V5).then(|| Box::new(properties));
        self.send(Packet::Connack(Connack { session_present, code: ReasonCode::SUCCESS, properties }));
    }

    fn publish(&mut self, token: u64, event: Arc<Event>) {
        self.client.publish(self.now, token, event);
        self.drain();
    }

    fn send(&mut self, packet: Packet) {
        let mut bytes = Vec::new();
        encode(&packet, self.version, &mut bytes);
        self.send_bytes(&bytes);
    }

    fn send_bytes(&mut self, bytes: &[u8]) {
        self.client.handle_bytes(self.now, bytes);
        self.drain();
    }

    fn settle(&mut self, tag: Tag, outcome: &Outcome) {
        self.client.settle(self.now, tag, outcome);
        self.drain();
    }

    fn wait(&mut self, by: Duration) {
        self.now = self.now.after(by);
        self.client.handle_timeout(self.now);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.client.poll_output() {
            self.outputs.push(output);
        }
    }

    fn outputs(&mut self) -> Vec<ClientOutput> {
        std::mem::take(&mut self.outputs)
    }

    /// The publications that were settled since the last time.
    fn settled(&mut self) -> Vec<(u64, Outcome)> {
        let settled = |output| match output {
            ClientOutput::Settled { token, outcome } => (token, outcome),
            other => panic!("{other:?}"),
        };
        self.outputs().into_iter().map(settled).collect()
    }

    /// The packets that the server has got since the last time.
    fn read(&mut self) -> Vec<Packet> {
        let bytes = written(self.client.transmit());
        let mut rest = &bytes[..];
        let mut packets = Vec::new();
        while !rest.is_empty() {
            let (packet, taken) = decode(rest, self.version).expect("well-formed").expect("complete");
            packets.push(packet);
            rest = &rest[taken..];
        }
        packets
    }

    fn read_one(&mut self) -> Packet {
        let mut packets = self.read();
        assert_eq!(packets.len(), 1, "{packets:?}");
        packets.remove(0)
    }

    fn connected(&mut self) -> Connect {
        match self.read_one() {
            Packet::Connect(connect) => *connect,
            other => panic!("{other:?} is no CONNECT"),
        }
    }

    fn published(&mut self) -> Publish {
        match self.read_one() {
            Packet::Publish(publish) => publish,
            other => panic!("{other:?} is no PUBLISH"),
        }
    }

    /// Why the connection is to be closed.
    fn closed(&mut self) -> String {
        match self.outputs().pop() {
            Some(ClientOutput::Close { problem: Some(problem) }) => problem,
            other => panic!("not closed: {other:?}"),
        }
    }
}
