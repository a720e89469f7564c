//! From bytes to packets, and each packet to who acts on it (MQTT 5 §2.1, §3.1.0).

use super::{Server, State};
use crate::mqtt::ReasonCode;
use crate::mqtt::codec::{
    Ack, CodecError, Dialect, FixedHeader, Packet, PublishView, decode_body, fixed_header, kind,
};
use windrose_event::Now;

/// Bytes that a client may send beyond one packet before its CONNECT is answered.
const AHEAD: usize = 64 * 1024;

impl Server {
    /// Keeps what came ahead of the answer to CONNECT.
    pub(super) fn hold(&mut self, bytes: &[u8]) {
        if self.partial.len() + bytes.len() > self.config.packet_bytes as usize + AHEAD {
            self.fail(CodecError {
                code: ReasonCode::QUOTA_EXCEEDED,
                problem: "too much came before CONNACK",
            });
            return;
        }
        self.partial.extend_from_slice(bytes);
    }

    pub(super) fn parse_partial(&mut self, now: Now) {
        let bytes = std::mem::take(&mut self.partial);
        let taken = self.parse(now, &bytes);
        if taken > 0 {
            self.keep_rest(bytes.get(taken..).unwrap_or_default());
        } else if self.state != State::Closed {
            self.partial = bytes;
        }
    }

    pub(super) fn keep_rest(&mut self, rest: &[u8]) {
        if self.state != State::Closed && !rest.is_empty() {
            self.partial.extend_from_slice(rest);
        }
    }

    /// Takes every complete packet, as long as the state lets it; returns how many bytes those were.
    pub(super) fn parse(&mut self, now: Now, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while matches!(self.state, State::Fresh | State::Challenged | State::Open) {
            let rest = bytes.get(taken..).unwrap_or_default();
            if self.state == State::Open && rest.first().is_some_and(|&first| first >> 4 == 0) {
                self.fail(CodecError::protocol("a packet is of no known kind"));
                break;
            }
            let header = match fixed_header(rest) {
                Ok(Some(header)) => header,
                Ok(None) => break,
                Err(error) => {
                    self.fail(error);
                    break;
                }
            };
            match self.admit(header, rest.get(header.length..).unwrap_or_default()) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    self.fail(error);
                    break;
                }
            }
            let end = header.length + header.remaining;
            let Some(body) = rest.get(header.length..end) else { break };
            taken += end;
            self.last_heard = now.moment;
            if let Err(error) = self.packet(header, body) {
                self.fail(error);
            }
        }
        taken
    }

    /// Looks at a packet before its body is there: what cannot be taken is not waited for. `false` needs more bytes.
    fn admit(&mut self, header: FixedHeader, body: &[u8]) -> Result<bool, CodecError> {
        if self.state == State::Fresh {
            // MQTT 3.1 leaves the flags of CONNECT free, but for QoS 3, which tells TLS from it at once.
            if header.kind() != kind::CONNECT || header.flags() & 6 == 6 {
                return Err(CodecError::protocol("the first packet is not CONNECT"));
            }
            match Dialect::of(body.get(..header.remaining).unwrap_or(body)) {
                Some(dialect) => {
                    (self.version, self.legacy, self.version_known) = (dialect.version, dialect.legacy, true);
                }
                None if body.len() < header.remaining => return Ok(false),
                None => {}
            }
        }
        if header.length + header.remaining > self.config.packet_bytes as usize {
            let problem = "a packet is longer than limits.packet_bytes";
            return Err(CodecError { code: ReasonCode::PACKET_TOO_LARGE, problem });
        }
        Ok(true)
    }

    fn packet(&mut self, header: FixedHeader, body: &[u8]) -> Result<(), CodecError> {
        self.packets.received += 1;
        self.refuse_kind(header)?;
        // The commonest acknowledgements have nothing but their identifier: no buffer is made for them.
        if let (4..=7, &[high, low]) = (header.kind(), body) {
            let id = u16::from_be_bytes([high, low]);
            let flags = if header.kind() == kind::PUBREL { 2 } else { 0 };
            if id != 0 && header.flags() == flags {
                return self.acknowledged(header.kind(), &Ack::success(id));
            }
        }
        let header = if self.legacy { without_legacy_flags(header) } else { header };
        // Read where it lies: there are more of these than of all others.
        if header.kind() == kind::PUBLISH {
            return self.publish(PublishView::read(header.flags(), body, self.version)?);
        }
        match decode_body(header, body, self.version)? {
            Packet::Connect(connect) if self.state == State::Fresh => self.connect(*connect),
            Packet::Connect(_) => Err(CodecError::protocol("CONNECT came twice")),
            Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) => {
                self.acknowledged(header.kind(), &ack)
            }
            Packet::Subscribe(subscribe) => self.subscribe(subscribe),
            Packet::Unsubscribe(unsubscribe) => self.unsubscribe(unsubscribe),
            Packet::Pingreq => {
                self.transmit.buffer().extend_from_slice(&[kind::PINGRESP << 4, 0]);
                self.packets.sent += 1;
                Ok(())
            }
            Packet::Disconnect(disconnect) => self.disconnect(disconnect),
            Packet::Publish(_)
            | Packet::Connack(_)
            | Packet::Suback(_)
            | Packet::Unsuback(_)
            | Packet::Pingresp => Err(UNEXPECTED),
            Packet::Auth(auth) => self.auth(auth),
        }
    }

    /// What only servers send is not looked into: whatever is in it, it has no business here.
    fn refuse_kind(&self, header: FixedHeader) -> Result<(), CodecError> {
        match header.kind() {
            kind if self.state == State::Challenged && kind != kind::AUTH && kind != kind::DISCONNECT => {
                Err(CodecError::protocol("another packet than AUTH came before CONNACK"))
            }
            kind::SUBACK | kind::UNSUBACK if header.flags() != 0 => {
                Err(CodecError::malformed("a packet's reserved flags are not as they must be"))
            }
            kind::CONNACK | kind::SUBACK | kind::UNSUBACK => Err(UNEXPECTED),
            kind::AUTH if self.authentication.is_none() => {
                Err(CodecError::protocol("AUTH came without an authentication method in CONNECT"))
            }
            _ => Ok(()),
        }
    }
}

const UNEXPECTED: CodecError = CodecError::protocol("a packet came that only servers send");

/// MQTT 3.1 §2.1 gives DUP and QoS to packets whose flags are reserved later, and says nothing of the rest. In PUBLISH with
/// QoS 0 it lets DUP stand, too.
fn without_legacy_flags(header: FixedHeader) -> FixedHeader {
    let flags = match header.kind() {
        kind::PUBLISH if header.flags() & 6 == 0 => header.flags() & 7,
        kind::PUBLISH => header.flags(),
        kind::PUBREL | kind::SUBSCRIBE | kind::UNSUBSCRIBE => 2,
        _ => 0,
    };
    FixedHeader { first: header.kind() << 4 | flags, ..header }
}
