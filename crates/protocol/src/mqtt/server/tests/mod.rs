//! How a server behaves, packet by packet, on a virtual clock; the codec plays the client.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod auth;
mod bounds;
mod closing;
mod connecting;
mod delivering;
mod fragments;
mod legacy;
mod options;
mod publishing;
mod subscribing;

use super::*;
use crate::mqtt::codec::{
    Connack, Connect, Disconnect, Packet, Properties, Publish, Suback, Subscribe, SubscribeFilter,
    Unsubscribe, decode, encode,
};
use bytes::Bytes;
use std::io::IoSlice;
use windrose_event::{Accepted, Assurance, Open, RetainedDelivery, Tag, Text, Timestamp};

fn config() -> ServerConfig {
    ServerConfig {
        packet_bytes: 4_096,
        payload_bytes: 1_024,
        receive_maximum: 4,
        keep_alive_max: None,
        connect_timeout: Duration::from_secs(5),
        topic_alias_maximum: 3,
        retain_available: true,
        address_levels: 8,
        quirks: Quirks::default(),
        server_reference: None,
        response_information: None,
        overlapping_each: true,
    }
}

/// A server and its client, joined without a network.
struct Link {
    server: Server,
    now: Now,
    version: Version,
    intents: Vec<Intent>,
    /// What the client has not read yet.
    unread: Vec<u8>,
    closed: bool,
}

impl Link {
    /// A transport that has just come up.
    fn new(version: Version, config: ServerConfig) -> Self {
        let wall = Timestamp::from_micros(1_700_000_000_000_000);
        let now = Now { moment: Moment::from_micros(1_000_000), wall };
        let claim = Claim { listener: "mqtt".into(), ..Claim::default() };
        let server = Server::new(Arc::new(config), claim, now);
        Self { server, now, version, intents: Vec::new(), unread: Vec::new(), closed: false }
    }

    /// A session that is open, with nothing left to read.
    fn open(version: Version) -> Self {
        Self::open_with(version, config(), |_| {})
    }

    fn open_with(version: Version, config: ServerConfig, change: impl FnOnce(&mut Connect)) -> Self {
        let mut link = Self::new(version, config);
        let mut connect = connect(version);
        change(&mut connect);
        link.send(Packet::Connect(Box::new(connect)));
        let open = link.opened();
        link.accept(Accepted { keep: open.keep, ..accepted() });
        assert!(matches!(link.read()[..], [Packet::Connack(_)]), "the session is open");
        link
    }

    fn send(&mut self, packet: Packet) {
        let mut bytes = Vec::new();
        encode(&packet, self.version, &mut bytes);
        self.send_bytes(&bytes);
    }

    fn send_bytes(&mut self, bytes: &[u8]) {
        self.server.handle_bytes(self.now, bytes);
        self.drain();
    }

    fn tell(&mut self, directive: Directive) {
        self.server.handle_directive(self.now, directive);
        self.drain();
    }

    fn accept(&mut self, accepted: Accepted) {
        self.tell(Directive::Accept(Box::new(accepted)));
    }

    /// Lets time pass; the timeout is acted on if it is due.
    fn wait(&mut self, by: Duration) {
        self.now = self.now.after(by);
        self.server.handle_timeout(self.now);
        self.drain();
    }

    fn lose(&mut self) {
        self.server.handle_eof(self.now);
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

    /// The packets that the client has got since the last time.
    fn read(&mut self) -> Vec<Packet> {
        let bytes = std::mem::take(&mut self.unread);
        let mut rest = &bytes[..];
        let mut packets = Vec::new();
        while !rest.is_empty() {
            let (packet, taken) = decode(rest, self.version).expect("well-formed").expect("complete");
            packets.push(packet);
            rest = &rest[taken..];
        }
        packets
    }

    /// The one packet that the client has got.
    fn read_one(&mut self) -> Packet {
        let mut packets = self.read();
        assert_eq!(packets.len(), 1, "{packets:?}");
        packets.remove(0)
    }

    fn connack(&mut self) -> Connack {
        match self.read_one() {
            Packet::Connack(connack) => connack,
            other => panic!("{other:?} is no CONNACK"),
        }
    }

    /// The intents since the last time.
    fn intents(&mut self) -> Vec<Intent> {
        std::mem::take(&mut self.intents)
    }

    fn intent(&mut self) -> Intent {
        let mut intents = self.intents();
        assert_eq!(intents.len(), 1, "{intents:?}");
        intents.remove(0)
    }

    fn opened(&mut self) -> Open {
        match self.intent() {
            Intent::Open(open) => *open,
            other => panic!("{other:?} is no Open"),
        }
    }

    fn published(&mut self) -> windrose_event::Publish {
        match self.intent() {
            Intent::Publish(publish) => publish,
            other => panic!("{other:?} is no Publish"),
        }
    }

    fn closed_with(&mut self) -> Close {
        assert!(self.closed);
        match self.intent() {
            Intent::Close(close) => close,
            other => panic!("{other:?} is no Close"),
        }
    }

    /// The client broke a rule so that there is nothing to say: the connection is closed; the engine hears of it.
    #[track_caller]
    fn assert_hung_up(&mut self) {
        assert!(self.read().is_empty() && self.closed);
        let close = self.closed_with();
        assert!(matches!(close.cause, CloseCause::Protocol(_)) && close.with_will, "{close:?}");
    }

    /// The client broke a rule of an open session: MQTT 5 says which by this code, 3.1.1 closes; both tell the engine.
    #[track_caller]
    fn assert_broken(&mut self, code: ReasonCode) {
        match (self.version, &self.read()[..]) {
            (Version::V5, [.., Packet::Disconnect(disconnect)]) => {
                assert_eq!(disconnect.code, code, "{disconnect:?}");
            }
            (Version::V3, packets) => {
                assert!(!packets.iter().any(|packet| matches!(packet, Packet::Disconnect(_))));
            }
            (_, packets) => panic!("{packets:?} ends without DISCONNECT"),
        }
        let intents = self.intents();
        let Some(Intent::Close(close)) = intents.last() else { panic!("{intents:?} ends without Close") };
        assert!(matches!(close.cause, CloseCause::Protocol(_)), "{close:?}");
        assert!(close.with_will);
        assert_eq!(self.server.close_cause(), Some(&close.cause));
        assert!(self.closed);
    }
}

fn connect(version: Version) -> Connect {
    Connect {
        version,
        legacy: false,
        bridge: false,
        clean_start: true,
        keep_alive: 60,
        client_id: "car-7".into(),
        will: None,
        username: None,
        password: None,
        // It wants to be told why, whatever happens.
        properties: match version {
            Version::V3 => None,
            Version::V5 => with(|properties| properties.request_problem_information = Some(1)),
        },
    }
}

fn accepted() -> Accepted {
    Accepted {
        resumed: false,
        session: "car-7".into(),
        assigned: false,
        keep: Duration::ZERO,
        window: 4,
        data: None,
    }
}

fn publish(qos: Assurance, packet_id: u16) -> Publish {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic: "devices/car-7/telemetry".into(),
        packet_id,
        properties: None,
        payload: Bytes::from_static(b"{}"),
    }
}

fn subscription(filter: &str) -> SubscribeFilter {
    SubscribeFilter {
        filter: filter.into(),
        qos: Assurance::AtLeastOnce,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainedDelivery::Always,
    }
}

/// Properties changed from none.
fn with(change: impl FnOnce(&mut Properties)) -> Option<Box<Properties>> {
    let mut properties = Box::<Properties>::default();
    change(&mut properties);
    Some(properties)
}

fn reason_string(properties: &Option<Box<Properties>>) -> Option<&Text> {
    properties.as_ref().and_then(|properties| properties.reason_string.as_ref())
}

const BOTH: [Version; 2] = [Version::V3, Version::V5];
