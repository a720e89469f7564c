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

/// The version to answer a CONNECT in, from the first bytes of its body: 3.1.1 for it and what was before it, 5.0 for all
/// else. `None` needs more bytes, at most nine.
pub(crate) fn answer_in(body: &[u8]) -> Option<Version> {
    let (length, rest) = body.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    if length != 4 && length != 6 {
        return Some(Version::V5);
    }
    match (rest.get(..length)?, *rest.get(length)?) {
        (b"MQTT", 0..=4) | (b"MQIsdp", _) => Some(Version::V3),
        _ => Some(Version::V5),
    }
}

impl Connect {
    pub(super) fn read(body: Bytes) -> Result<Self, CodecError> {
        let mut reader = Reader::new(body);
        let name = reader.binary()?;
        if &name[..] != b"MQTT" {
            return Err(CodecError {
                code: ReasonCode::UNSUPPORTED_PROTOCOL_VERSION,
                problem: "CONNECT names another protocol than MQTT",
            });
        }
        let version = match reader.u8()? {
            4 => Version::V3,
            5 => Version::V5,
            _ => {
                return Err(CodecError {
                    code: ReasonCode::UNSUPPORTED_PROTOCOL_VERSION,
                    problem: "CONNECT names a version other than 3.1.1 and 5.0",
                });
            }
        };
        let flags = reader.u8()?;
        if flags & 1 != 0 {
            return Err(CodecError::malformed("CONNECT has its reserved flag set"));
        }
        let (has_username, has_password, has_will) =
            (flags & 0x80 != 0, flags & 0x40 != 0, flags & 0x04 != 0);
        if version == Version::V3 && has_password && !has_username {
            return Err(CodecError::malformed("CONNECT has a password without a user name"));
        }
        let qos = assurance(flags >> 3 & 3).ok_or(CodecError::malformed("CONNECT has will QoS 3"))?;
        let retain = flags & 0x20 != 0;
        if !has_will && (retain || qos != Assurance::AtMostOnce) {
            return Err(CodecError::malformed("CONNECT has will flags without a will"));
        }
        let keep_alive = reader.u16()?;
        let read_properties = |reader: &mut Reader, allowed| match version {
            Version::V3 => Ok(None),
            Version::V5 => Properties::read(reader, allowed),
        };
        let properties = read_properties(&mut reader, properties::CONNECT)?;
        let client_id = reader.text()?;
        let will = if has_will {
            let properties = read_properties(&mut reader, properties::WILL)?;
            let topic = reader.text()?;
            let payload = reader.binary()?;
            Some(LastWill { qos, retain, topic, payload, properties })
        } else {
            None
        };
        let username = has_username.then(|| reader.text()).transpose()?;
        let password = has_password.then(|| reader.binary()).transpose()?;
        reader.end()?;
        if let Some(properties) = &properties
            && properties.authentication_data.is_some()
            && properties.authentication_method.is_none()
        {
            return Err(CodecError::protocol("CONNECT has authentication data without a method"));
        }
        let clean_start = flags & 2 != 0;
        Ok(Self { version, clean_start, keep_alive, client_id, will, username, password, properties })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        put_binary(out, b"MQTT");
        out.push(if self.version == Version::V5 { 5 } else { 4 });
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
    pub(super) fn read(body: Bytes, version: Version) -> Result<Self, CodecError> {
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
