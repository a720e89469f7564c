//! All packets together: one decoder, one encoder.

use super::properties::{self, Allowed, Properties};
use super::read::{CodecError, FixedHeader, Reader, fixed_header};
use super::write::{finish, put_u16, start};
use super::{Connack, Connect, Publish, Suback, Subscribe, Unsubscribe, Version, kind};
use crate::mqtt::ReasonCode;

/// A packet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the specification's own, in its table of §2.1.2")]
pub enum Packet {
    Connect(Box<Connect>),
    Connack(Connack),
    Publish(Publish),
    Puback(Ack),
    Pubrec(Ack),
    Pubrel(Ack),
    Pubcomp(Ack),
    Subscribe(Subscribe),
    Suback(Suback),
    Unsubscribe(Unsubscribe),
    Unsuback(Suback),
    Pingreq,
    Pingresp,
    Disconnect(Disconnect),
    Auth(Auth),
}

impl Packet {
    /// Takes out its reason string, or else its server reference, which its receiver can do without; `false` if it has
    /// neither.
    pub(crate) fn drop_reason(&mut self) -> bool {
        let properties = match self {
            Self::Connack(connack) => &mut connack.properties,
            Self::Puback(ack) | Self::Pubrec(ack) | Self::Pubrel(ack) | Self::Pubcomp(ack) => {
                &mut ack.properties
            }
            Self::Disconnect(disconnect) => &mut disconnect.properties,
            _ => return false,
        };
        let had = properties.as_mut().is_some_and(|properties| {
            properties.reason_string.take().or_else(|| properties.server_reference.take()).is_some()
        });
        if properties.as_deref() == Some(&Properties::default()) {
            *properties = None;
        }
        had
    }
}

/// PUBACK, PUBREC, PUBREL and PUBCOMP (MQTT 5 §3.4 to §3.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Packet identifier.
    pub packet_id: u16,
    /// Reason code; always success in 3.1.1.
    pub code: ReasonCode,
    /// Properties, in MQTT 5.
    pub properties: Option<Box<Properties>>,
}

impl Ack {
    /// A success without properties.
    pub const fn success(packet_id: u16) -> Self {
        Self { packet_id, code: ReasonCode::SUCCESS, properties: None }
    }

    fn read(body: &[u8], version: Version) -> Result<Self, CodecError> {
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id()?;
        let (code, properties) = match version {
            Version::V3 => (ReasonCode::SUCCESS, None),
            Version::V5 => read_reason(&mut reader, properties::ACK)?,
        };
        reader.end()?;
        Ok(Self { packet_id, code, properties })
    }

    fn write(&self, version: Version, out: &mut Vec<u8>) {
        put_u16(out, self.packet_id);
        if version == Version::V5 {
            write_reason(self.code, self.properties.as_deref(), out);
        }
    }
}

/// A reason code and properties, both of which may be left out (MQTT 5 §3.4.2.1, §3.14.2.1).
fn read_reason(
    reader: &mut Reader<'_>,
    allowed: Allowed,
) -> Result<(ReasonCode, Option<Box<Properties>>), CodecError> {
    if reader.is_empty() {
        return Ok((ReasonCode::SUCCESS, None));
    }
    let code = ReasonCode(reader.u8()?);
    let properties = if reader.is_empty() { None } else { Properties::read(reader, allowed)? };
    Ok((code, properties))
}

fn write_reason(code: ReasonCode, properties: Option<&Properties>, out: &mut Vec<u8>) {
    if code == ReasonCode::SUCCESS && properties.is_none() {
        return;
    }
    out.push(code.0);
    if properties.is_some() {
        Properties::write(properties, out);
    }
}

/// DISCONNECT (MQTT 5 §3.14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnect {
    /// Reason code; always success in 3.1.1.
    pub code: ReasonCode,
    /// Properties, in MQTT 5.
    pub properties: Option<Box<Properties>>,
}

/// AUTH (MQTT 5 §3.15).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// Reason code.
    pub code: ReasonCode,
    /// Properties.
    pub properties: Option<Box<Properties>>,
}

/// Decodes the first packet of `bytes`: the packet and how many bytes it took; `None` needs more bytes. `version` is
/// what CONNECT agreed on; CONNECT itself says it.
pub fn decode(bytes: &[u8], version: Version) -> Result<Option<(Packet, usize)>, CodecError> {
    let Some(header) = fixed_header(bytes)? else { return Ok(None) };
    let end = header.length + header.remaining;
    let Some(body) = bytes.get(header.length..end) else { return Ok(None) };
    Ok(Some((decode_body(header, body, version)?, end)))
}

/// Decodes a packet whose body is complete.
pub(crate) fn decode_body(header: FixedHeader, body: &[u8], version: Version) -> Result<Packet, CodecError> {
    let reserved = match header.kind() {
        kind::PUBLISH => header.flags(),
        kind::PUBREL | kind::SUBSCRIBE | kind::UNSUBSCRIBE => 2,
        _ => 0,
    };
    if header.flags() != reserved {
        let error = CodecError::malformed("a packet's reserved flags are not as they must be");
        // MQTT 5 §2.1.3 says malformed. These three are what clients in the field are used to.
        return Err(match header.kind() {
            kind::CONNECT => error.told_as(ReasonCode::SUCCESS),
            kind::PUBREL | kind::DISCONNECT => error.told_as(ReasonCode::PROTOCOL_ERROR),
            _ => error,
        });
    }
    let empty =
        |packet| if body.is_empty() { Ok(packet) } else { Err(CodecError::silent("PING with a body")) };
    match header.kind() {
        kind::CONNECT => Connect::read(body).map(|connect| Packet::Connect(Box::new(connect))),
        kind::CONNACK => Connack::read(body, version).map(Packet::Connack),
        kind::PUBLISH => Publish::read(header.flags(), body, version).map(Packet::Publish),
        kind::PUBACK => Ack::read(body, version).map(Packet::Puback),
        kind::PUBREC => Ack::read(body, version).map(Packet::Pubrec),
        kind::PUBREL => Ack::read(body, version).map(Packet::Pubrel),
        kind::PUBCOMP => Ack::read(body, version).map(Packet::Pubcomp),
        kind::SUBSCRIBE => Subscribe::read(body, version).map(Packet::Subscribe),
        kind::SUBACK => Suback::read(body, version, true).map(Packet::Suback),
        kind::UNSUBSCRIBE => Unsubscribe::read(body, version).map(Packet::Unsubscribe),
        kind::UNSUBACK => Suback::read(body, version, version == Version::V5).map(Packet::Unsuback),
        kind::PINGREQ => empty(Packet::Pingreq),
        kind::PINGRESP => empty(Packet::Pingresp),
        kind::DISCONNECT => {
            let mut reader = Reader::new(body);
            let (code, properties) = match version {
                Version::V3 => (ReasonCode::SUCCESS, None),
                Version::V5 => read_reason(&mut reader, properties::DISCONNECT)?,
            };
            reader.end()?;
            Ok(Packet::Disconnect(Disconnect { code, properties }))
        }
        kind::AUTH if version == Version::V5 => {
            let mut reader = Reader::new(body);
            let (code, properties) = read_reason(&mut reader, properties::AUTH)?;
            reader.end()?;
            Ok(Packet::Auth(Auth { code, properties }))
        }
        _ => Err(CodecError::malformed("a packet is of no known kind")),
    }
}

/// Appends a packet.
pub fn encode(packet: &Packet, version: Version, out: &mut Vec<u8>) {
    let (kind, flags) = match packet {
        Packet::Connect(_) => (kind::CONNECT, 0),
        Packet::Connack(_) => (kind::CONNACK, 0),
        Packet::Publish(publish) => (kind::PUBLISH, publish.flags()),
        Packet::Puback(_) => (kind::PUBACK, 0),
        Packet::Pubrec(_) => (kind::PUBREC, 0),
        Packet::Pubrel(_) => (kind::PUBREL, 2),
        Packet::Pubcomp(_) => (kind::PUBCOMP, 0),
        Packet::Subscribe(_) => (kind::SUBSCRIBE, 2),
        Packet::Suback(_) => (kind::SUBACK, 0),
        Packet::Unsubscribe(_) => (kind::UNSUBSCRIBE, 2),
        Packet::Unsuback(_) => (kind::UNSUBACK, 0),
        Packet::Pingreq => (kind::PINGREQ, 0),
        Packet::Pingresp => (kind::PINGRESP, 0),
        Packet::Disconnect(_) => (kind::DISCONNECT, 0),
        Packet::Auth(_) => (kind::AUTH, 0),
    };
    let body = start(out, kind << 4 | flags);
    match packet {
        Packet::Connect(connect) => connect.write(out),
        Packet::Connack(connack) => connack.write(version, out),
        Packet::Publish(publish) => publish.write(version, out),
        Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) => {
            ack.write(version, out);
        }
        Packet::Subscribe(subscribe) => subscribe.write(version, out),
        Packet::Unsubscribe(unsubscribe) => unsubscribe.write(version, out),
        Packet::Suback(suback) => suback.write(version, out),
        Packet::Unsuback(unsuback) => {
            let codes = if version == Version::V5 { unsuback.codes.clone() } else { Vec::new() };
            Suback { codes, ..unsuback.clone() }.write(version, out);
        }
        Packet::Pingreq | Packet::Pingresp => {}
        Packet::Disconnect(Disconnect { code, properties }) | Packet::Auth(Auth { code, properties }) => {
            if version == Version::V5 {
                write_reason(*code, properties.as_deref(), out);
            }
        }
    }
    finish(out, body);
}
