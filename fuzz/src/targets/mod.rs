//! The targets, a module each. `run` takes any bytes, and panics if a promise is broken.

pub mod amqp091_codec;
pub mod amqp091_server;
pub mod amqp1_codec;
pub mod amqp1_server;
pub mod amqp_client;
pub mod client;
pub mod coap_codec;
pub mod coap_server;
pub mod coap_stream;
pub mod codec;
pub mod dtls;
pub mod handshake;
pub mod proxy;
pub mod response;
pub mod server;
pub mod websocket;

use std::sync::Arc;
use windrose_event::{Address, Assurance, Details, Event, EventId, Identity, Moment, Now, Origin, Timestamp};
use windrose_protocol::Transmit;
use windrose_protocol::mqtt::codec::{Packet, Version, decode};

/// When everything begins.
fn start() -> Now {
    Now { moment: Moment::from_micros(1_000_000), wall: Timestamp::from_micros(1_700_000_000_000_000) }
}

/// Takes everything that waits to be written.
fn written(transmit: &mut Transmit) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !transmit.is_empty() {
        let mut slices = [std::io::IoSlice::new(&[]); 4];
        let filled = transmit.io_slices(&mut slices);
        let before = bytes.len();
        slices[..filled].iter().for_each(|slice| bytes.extend_from_slice(slice));
        let step = bytes.len() - before;
        transmit.advance(step);
    }
    bytes
}

/// The packets that a machine has written, which are whole and well-formed.
fn packets(bytes: &[u8], version: Version) -> Vec<Packet> {
    let mut rest = bytes;
    let mut packets = Vec::new();
    while !rest.is_empty() {
        match decode(rest, version) {
            Ok(Some((packet, taken))) => {
                packets.push(packet);
                rest = &rest[taken..];
            }
            other => panic!("the machine wrote no packet: {other:?} of {rest:02x?}"),
        }
    }
    packets
}

/// The input of a target that is a script: a byte, or a few of them, at a time.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    /// As many bytes as the first one says, or those that are left.
    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(self.byte()?).min(self.0.len());
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        Some(taken)
    }
}

/// An event, of which `choice` says what is in it.
fn event(choice: u8) -> Arc<Event> {
    let topics = ["a", "a/b", "a/b/c", "devices/car-7/telemetry"];
    let details = (choice & 8 != 0).then(|| {
        Box::new(Details {
            content_type: Some("text/plain".into()),
            headers: vec![("name".into(), "value".into())],
            ..Details::default()
        })
    });
    Arc::new(Event {
        id: EventId::new(start().wall, 1, choice.into()),
        time: start().wall,
        address: Address::new(topics[usize::from(choice >> 6)])
            .unwrap_or_else(|_| panic!("these are addresses")),
        origin: Arc::new(Origin {
            identity: Identity::anonymous(),
            session: "thing".into(),
            protocol: "mqtt",
            listener: "mqtt".into(),
        }),
        assurance: [Assurance::AtMostOnce, Assurance::AtLeastOnce, Assurance::ExactlyOnce]
            [usize::from(choice % 3)],
        retain: choice & 32 != 0,
        expires: None,
        payload: vec![b'x'; usize::from(choice) * 4].into(),
        details,
    })
}
