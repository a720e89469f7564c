//! CONNECT and CONNACK (MQTT 5 §3.1 and §3.2).

use super::properties::{self, Properties};
use super::read::{CodecError, Reader};
use super::write::{put_binary, put_u16};
use super::{Version, assurance};
use crate::mqtt::ReasonCode;
use bytes::Bytes;
use windrose_event::{Assurance, Text};

/// CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// The protocol's version.
    pub version: Version,
    /// MQTT 3.1 (`MQIsdp`, protocol level 3), with `version` [`Version::V3`].
    pub legacy: bool,
    /// Whether a broker speaks that forwards for others (level with its upper bit set, before MQTT 5): it wants
    /// nothing back that came from itself, and RETAIN as it was published.
    pub bridge: bool,
    /// Clean Start (3.1.1: Clean Session).
    pub clean_start: bool,
    /// Seconds between packets at most; zero: no bound.
    pub keep_alive: u16,
    /// Client identifier; empty asks the server for one.
    pub client_id: Text,
    /// Will message.
    pub will: Option<LastWill>,
    /// User name.
    pub username: Option<Text>,
    /// Password.
    pub password: Option<Bytes>,
    /// Properties, in MQTT 5.
    pub properties: Option<Box<Properties>>,
}

/// The will of a CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastWill {
    /// Will QoS.
    pub qos: Assurance,
    /// Will Retain.
    pub retain: bool,
    /// Will Topic.
    pub topic: Text,
    /// Will Payload.
    pub payload: Bytes,
    /// Will Properties, in MQTT 5.
    pub properties: Option<Box<Properties>>,
}

/// What a CONNECT says of its protocol, as far as its first bytes tell (MQTT 5 §3.1.2.1, §3.1.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// What it is answered in.
    pub(crate) version: Version,
    /// MQTT 3.1, `MQIsdp`, which leaves flags free that later versions reserve.
    pub(crate) legacy: bool,
}

impl Dialect {
    /// From the first bytes of a CONNECT's body. `None` needs more bytes, at most nine.
    ///
    /// A level that does not exist is answered as the newest version says (§3.1.2.2); one that belongs to the other name
    /// as those versions say that had it (MQTT 3.1.1 §3.1.2.2).
    pub(crate) fn of(body: &[u8]) -> Option<Self> {
        let (length, rest) = body.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        let newest = Self { version: Version::V5, legacy: false };
        if length != 4 && length != 6 {
            return Some(newest);
        }
        let (name, level) = (rest.get(..length)?, *rest.get(length)?);
        Some(match Protocol::of(name, level) {
            Some((version, protocol)) => Self { version, legacy: protocol.legacy },
            None if level == 3 || level == 4 => Self { version: Version::V3, legacy: false },
            None => newest,
        })
    }
}

/// What a protocol name and level stand for.
#[derive(Clone, Copy)]
struct Protocol {
    legacy: bool,
    bridge: bool,
}

impl Protocol {
    /// The upper bit of a level before 5 is how bridges make themselves known, by a convention that most brokers share.
    fn of(name: &[u8], level: u8) -> Option<(Version, Self)> {
        let bridge = level & 0x80 != 0;
        match (name, level) {
            (b"MQIsdp", 0x03 | 0x83) => Some((Version::V3, Self { legacy: true, bridge })),
            (b"MQTT", 0x04 | 0x84) => Some((Version::V3, Self { legacy: false, bridge })),
            (b"MQTT", 0x05) => Some((Version::V5, Self { legacy: false, bridge })),
            _ => None,
        }
    }
}

/// What comes before the properties and beside the client identifier can hardly be wrong by mistake: whoever sends it
/// so is no client of MQTT.
fn unsaid(error: CodecError) -> CodecError {
    error.told_as(ReasonCode::SUCCESS)
}

impl Connect {
    pub(super) fn read(body: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(body);
        let name = reader.binary().map_err(unsaid)?;
        if &name[..] != b"MQTT" && &name[..] != b"MQIsdp" {
            // Whoever means another protocol does not understand CONNACK (MQTT 5 §3.1.2.1).
            return Err(CodecError::silent("CONNECT names another protocol than MQTT"));
        }
        let level = reader.u8().map_err(unsaid)?;
        let Some((version, Protocol { legacy, bridge })) = Protocol::of(&name, level) else {
            return Err(CodecError {
                code: ReasonCode::UNSUPPORTED_PROTOCOL_VERSION,
                problem: "CONNECT names a version other than 3.1, 3.1.1 and 5.0",
            });
        };
        let flags = reader.u8().map_err(unsaid)?;
        if flags & 1 != 0 && !legacy {
            return Err(CodecError::malformed("CONNECT has its reserved flag set"));
        }
        let (has_username, has_password, has_will) =
            (flags & 0x80 != 0, flags & 0x40 != 0, flags & 0x04 != 0);
        if version == Version::V3 && has_password && !has_username {
            return Err(CodecError::malformed("CONNECT has a password without a user name"));
        }
        let qos = assurance(flags >> 3 & 3).ok_or(CodecError::silent("CONNECT has will QoS 3"))?;
        let retain = flags & 0x20 != 0;
        if !has_will && !legacy && (retain || qos != Assurance::AtMostOnce) {
            return Err(CodecError::malformed("CONNECT has will flags without a will"));
        }
        let keep_alive = reader.u16().map_err(unsaid)?;
        let read_properties = |reader: &mut Reader<'_>, allowed| match version {
            Version::V3 => Ok(None),
            Version::V5 => Properties::read(reader, allowed),
        };
        let properties = read_properties(&mut reader, properties::CONNECT)?;
        let client_id = Reader::text_of(reader.field().map_err(unsaid)?)
            .map_err(|error| error.told_as(ReasonCode::CLIENT_IDENTIFIER_NOT_VALID))?;
        let will = if has_will {
            let properties = read_properties(&mut reader, properties::WILL)?;
            let topic = reader.text()?;
            let payload = reader.binary()?;
            Some(LastWill { qos, retain, topic, payload, properties })
        } else {
            None
        };
        // MQTT 3.1 §3.1: the length of the packet has precedence over these two flags.
        let there = |reader: &Reader<'_>| !(legacy && reader.is_empty());
        let username = (has_username && there(&reader)).then(|| reader.text()).transpose().map_err(unsaid)?;
        let password =
            (has_password && there(&reader)).then(|| reader.binary()).transpose().map_err(unsaid)?;
        reader.end()?;
        if let Some(properties) = &properties
            && properties.authentication_data.is_some()
            && properties.authentication_method.is_none()
        {
            return Err(CodecError::protocol("CONNECT has authentication data without a method"));
        }
        let clean_start = flags & 2 != 0;
        let connect = Self {
            version,
            legacy,
            bridge,
            clean_start,
            keep_alive,
            client_id,
            will,
            username,
            password,
            properties,
        };
        Ok(connect)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let (name, level): (&[u8], u8) = match self.version {
            Version::V5 => (b"MQTT", 5),
            Version::V3 if self.legacy => (b"MQIsdp", 3),
            Version::V3 => (b"MQTT", 4),
        };
        put_binary(out, name);
        out.push(if self.bridge { level | 0x80 } else { level });
        let mut flags = u8::from(self.clean_start) << 1;
        if let Some(will) = &self.will {
            flags |= 0x04 | (will.qos as u8) << 3 | u8::from(will.retain) << 5;
        }
        flags |= u8::from(self.username.is_some()) << 7 | u8::from(self.password.is_some()) << 6;
        out.push(flags);
        put_u16(out, self.keep_alive);
        let write_properties = |out: &mut Vec<u8>, properties: &Option<Box<Properties>>| {
            if self.version == Version::V5 {
                Properties::write(properties.as_deref(), out);
            }
        };
        write_properties(out, &self.properties);
        put_binary(out, self.client_id.as_bytes());
        if let Some(will) = &self.will {
            write_properties(out, &will.properties);
            put_binary(out, will.topic.as_bytes());
            put_binary(out, &will.payload);
        }
        if let Some(username) = &self.username {
            put_binary(out, username.as_bytes());
        }
        if let Some(password) = &self.password {
            put_binary(out, password);
        }
    }
}

/// CONNACK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connack {
    /// Whether the server has the session.
    pub session_present: bool,
    /// Reason code (3.1.1: return code).
    pub code: ReasonCode,
    /// Properties, in MQTT 5.
    pub properties: Option<Box<Properties>>,
}

impl Connack {
    pub(super) fn read(body: &[u8], version: Version) -> Result<Self, CodecError> {
        let mut reader = Reader::new(body);
        let flags = reader.u8()?;
        if flags > 1 {
            return Err(CodecError::malformed("CONNACK has reserved flags set"));
        }
        let code = ReasonCode(reader.u8()?);
        let properties = match version {
            Version::V3 => None,
            Version::V5 => Properties::read(&mut reader, properties::CONNACK)?,
        };
        reader.end()?;
        Ok(Self { session_present: flags == 1, code, properties })
    }

    pub(super) fn write(&self, version: Version, out: &mut Vec<u8>) {
        out.extend_from_slice(&[u8::from(self.session_present), self.code.0]);
        if version == Version::V5 {
            Properties::write(self.properties.as_deref(), out);
        }
    }
}
