//! Packets on the wire: what a client writes, and what it reads from a server.

use super::property::Properties;

/// A version of the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// MQTT 3.1, which calls itself `MQIsdp`.
    V31,
    /// MQTT 3.1.1.
    V3,
    /// MQTT 5.0.
    #[default]
    V5,
}

/// A packet from the server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of the specification")]
pub enum Packet {
    /// §3.2
    Connack { present: bool, code: u8, properties: Properties },
    /// §3.3
    Publish {
        topic: String,
        payload: Vec<u8>,
        qos: u8,
        retain: bool,
        again: bool,
        id: u16,
        properties: Properties,
    },
    /// §3.4 to §3.7: PUBACK (4), PUBREC (5), PUBREL (6), PUBCOMP (7).
    Answer { kind: u8, id: u16, code: u8, properties: Properties },
    /// §3.9
    Suback { id: u16, codes: Vec<u8>, properties: Properties },
    /// §3.11
    Unsuback { id: u16, codes: Vec<u8>, properties: Properties },
    /// §3.13
    Pingresp,
    /// §3.14
    Disconnect { code: u8, properties: Properties },
    /// §3.15
    Auth { code: u8, properties: Properties },
}

impl Packet {
    /// Takes a packet from the front of what was read, if it is whole.
    ///
    /// # Panics
    /// If the server sent what no server may send.
    pub fn take(buffer: &mut Vec<u8>, version: Version) -> Option<Self> {
        let mut rest = buffer.get(1..)?;
        let length = take_varint(&mut rest)?;
        let body = rest.get(..length)?;
        let packet = Self::decode(buffer[0], body, version)
            .unwrap_or_else(|| panic!("the server sent a malformed packet: {:02x} {body:02x?}", buffer[0]));
        let used = buffer.len() - rest.len() + length;
        buffer.drain(..used);
        Some(packet)
    }

    fn decode(first: u8, body: &[u8], version: Version) -> Option<Self> {
        let mut body = body;
        let properties = |body: &mut &[u8]| match version {
            Version::V5 if !body.is_empty() => Properties::decode(body),
            _ => Some(Properties::default()),
        };
        Some(match first >> 4 {
            2 => {
                let flags = take(&mut body, 2)?;
                let (present, code) = (flags[0] & 1 == 1, flags[1]);
                Self::Connack { present, code, properties: properties(&mut body)? }
            }
            3 => {
                let topic = String::from_utf8(take_string(&mut body)?.to_vec()).ok()?;
                let qos = (first >> 1) & 3;
                let id = if qos > 0 { take_u16(&mut body)? } else { 0 };
                let properties = properties(&mut body)?;
                let (retain, again) = (first & 1 == 1, first & 8 != 0);
                Self::Publish { topic, payload: body.to_vec(), qos, retain, again, id, properties }
            }
            kind @ 4..=7 => {
                let id = take_u16(&mut body)?;
                let code = take(&mut body, 1).map_or(0, |code| code[0]);
                Self::Answer { kind, id, code, properties: properties(&mut body)? }
            }
            9 => {
                let id = take_u16(&mut body)?;
                let properties = properties(&mut body)?;
                Self::Suback { id, codes: body.to_vec(), properties }
            }
            11 => {
                let id = take_u16(&mut body)?;
                let properties = properties(&mut body)?;
                Self::Unsuback { id, codes: body.to_vec(), properties }
            }
            13 => Self::Pingresp,
            14 => {
                let code = take(&mut body, 1).map_or(0, |code| code[0]);
                Self::Disconnect { code, properties: properties(&mut body)? }
            }
            15 => {
                let code = take(&mut body, 1).map_or(0, |code| code[0]);
                Self::Auth { code, properties: properties(&mut body)? }
            }
            _ => return None,
        })
    }
}

/// A packet of a first byte and a body.
pub fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    bytes.extend(varint(body.len()));
    bytes.extend_from_slice(body);
    bytes
}

/// A length before its bytes (§1.5.4, §1.5.6).
pub fn string(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    let length = u16::try_from(text.len()).expect("a string of MQTT has at most 65,535 bytes");
    [&length.to_be_bytes(), text].concat()
}

/// A variable byte integer (§1.5.5).
pub fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value % 128) as u8;
        value /= 128;
        bytes.push(if value > 0 { low | 128 } else { low });
        if value == 0 {
            return bytes;
        }
    }
}

pub(super) fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

pub(super) fn take_u16(bytes: &mut &[u8]) -> Option<u16> {
    take(bytes, 2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
}

pub(super) fn take_string<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_u16(bytes)?;
    take(bytes, length.into())
}

pub(super) fn take_varint(bytes: &mut &[u8]) -> Option<usize> {
    let mut value = 0;
    for shift in [0, 7, 14, 21] {
        let byte = take(bytes, 1)?[0];
        value |= usize::from(byte & 127) << shift;
        if byte & 128 == 0 {
            return Some(value);
        }
    }
    None
}
