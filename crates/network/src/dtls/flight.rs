//! Flights: what one side sends in one go, and sends again, under new record numbers, until it is answered (RFC 6347 §4.2.4).

use super::message::{HEADER as MESSAGE_HEADER, put_fragment};
use super::outbox::{Outbox, Route};
use super::record::{self, HEADER, Position, VERSION, put_header};
use super::suite::Key;

/// The largest datagram of a handshake: less than IPv6 carries everywhere, with some room for tunnels.
const DATAGRAM: usize = 1200;
/// The least room that is worth a fragment.
const LEAST: usize = 64;

/// A part of a flight.
enum Item {
    /// A handshake message in plain, with its header.
    Message(Vec<u8>),
    /// From here on records are protected.
    ChangeCipherSpec,
    /// A handshake message under the new keys.
    Sealed(Vec<u8>),
}

/// The numbers of the next records in epochs 0 and 1; one is never used twice.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbers {
    pub(super) plain: u64,
    pub(super) sealed: u64,
}

impl Numbers {
    fn next_plain(&mut self) -> Position {
        let position = Position::new(0, self.plain);
        self.plain += 1;
        position
    }

    /// The next place under the keys; `None`: there are no more, the session has to end (RFC 6347 §4.1.0).
    pub(super) fn next_sealed(&mut self) -> Option<Position> {
        let position = (self.sealed <= record::MAX_SEQUENCE).then(|| Position::new(1, self.sealed))?;
        self.sealed += 1;
        Some(position)
    }
}

/// What one side sends in one go.
#[derive(Default)]
pub(super) struct Flight(Vec<Item>);

impl Flight {
    pub(super) fn push(&mut self, message: Vec<u8>) {
        self.0.push(Item::Message(message));
    }

    /// Adds the change of keys, and a message under the new ones.
    pub(super) fn change_and_push(&mut self, message: Vec<u8>) {
        self.0.push(Item::ChangeCipherSpec);
        self.0.push(Item::Sealed(message));
    }

    /// Writes the flight in as few datagrams as it fits into.
    pub(super) fn write(&self, numbers: &mut Numbers, key: Option<&Key>, route: Route, outbox: &mut Outbox) {
        let mut datagram = outbox.datagram(route);
        for item in &self.0 {
            match item {
                Item::Message(message) => {
                    let Some((header, body)) = message.split_first_chunk::<MESSAGE_HEADER>() else {
                        continue;
                    };
                    let [message_kind, _, _, _, high, low, ..] = *header;
                    let sequence = u16::from_be_bytes([high, low]);
                    let mut offset = 0;
                    loop {
                        let overhead = HEADER + MESSAGE_HEADER;
                        let left = body.get(offset..).unwrap_or_default();
                        if datagram.len() + overhead + left.len().min(LEAST) > DATAGRAM {
                            datagram.cut();
                        }
                        let room = DATAGRAM.saturating_sub(datagram.len() + overhead);
                        let part = left.get(..room).unwrap_or(left);
                        let out = datagram.bytes();
                        let length = MESSAGE_HEADER + part.len();
                        put_header(out, record::kind::HANDSHAKE, VERSION, numbers.next_plain(), length);
                        put_fragment(out, message_kind, body.len(), sequence, offset, part);
                        offset += part.len();
                        if offset >= body.len() {
                            break;
                        }
                    }
                }
                Item::ChangeCipherSpec => {
                    put_header(
                        datagram.bytes(),
                        record::kind::CHANGE_CIPHER_SPEC,
                        VERSION,
                        numbers.next_plain(),
                        1,
                    );
                    datagram.bytes().push(1);
                }
                Item::Sealed(message) => {
                    let Some((key, position)) = key.zip(numbers.next_sealed()) else { continue };
                    if datagram.len() + key.overhead() + message.len() > DATAGRAM {
                        datagram.cut();
                    }
                    // Nothing is sent if it cannot be sealed; the other side asks again.
                    let _ = key.seal(record::kind::HANDSHAKE, position, message, datagram.bytes());
                }
            }
        }
        datagram.cut();
    }
}
