//! Packets on the wire: what a client writes, and what it reads from a server.

/// A version of the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// MQTT 3.1.1.
    V3,
    /// MQTT 5.0.
    #[default]
    V5,
}

/// Properties of MQTT 5, undecoded but taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties(Vec<(u8, Vec<u8>)>);

/// Identifiers of properties (MQTT 5 §2.2.2.2).
pub mod property {
    /// Payload Format Indicator.
    pub const PAYLOAD_FORMAT: u8 = 0x01;
    /// Message Expiry Interval.
    pub const MESSAGE_EXPIRY: u8 = 0x02;
    /// Content Type.
    pub const CONTENT_TYPE: u8 = 0x03;
    /// Response Topic.
    pub const RESPONSE_TOPIC: u8 = 0x08;
    /// Correlation Data.
    pub const CORRELATION_DATA: u8 = 0x09;
    /// Session Expiry Interval.
    pub const SESSION_EXPIRY: u8 = 0x11;
    /// Reason String.
    pub const REASON_STRING: u8 = 0x1f;
    /// Will Delay Interval.
    pub const WILL_DELAY: u8 = 0x18;
    /// Maximum Packet Size.
    pub const MAXIMUM_PACKET_SIZE: u8 = 0x27;
    /// Receive Maximum.
    pub const RECEIVE_MAXIMUM: u8 = 0x21;
    /// User Property.
    pub const USER_PROPERTY: u8 = 0x26;
}

impl Properties {
    /// The first value of a property, as it stands on the wire without lengths.
    pub fn bytes(&self, identifier: u8) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| *known == identifier).map(|(_, value)| value.as_slice())
    }

    /// The first value of a property, as text.
    pub fn text(&self, identifier: u8) -> Option<String> {
        self.bytes(identifier).map(|value| String::from_utf8_lossy(value).into_owned())
    }

    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let length = take_varint(bytes)?;
        let (mut own, rest) = bytes.split_at_checked(length)?;
        *bytes = rest;
        let mut properties = Vec::new();
        while !own.is_empty() {
            let identifier = take(&mut own, 1)?[0];
            let value = match identifier {
                0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2a => take(&mut own, 1)?.to_vec(),
                0x13 | 0x21 | 0x22 | 0x23 => take(&mut own, 2)?.to_vec(),
                0x02 | 0x11 | 0x18 | 0x27 => take(&mut own, 4)?.to_vec(),
                0x0b => u32::try_from(take_varint(&mut own)?).ok()?.to_be_bytes().to_vec(),
                0x26 => [take_string(&mut own)?, b"=", take_string(&mut own)?].concat(),
                _ => take_string(&mut own)?.to_vec(),
            };
            properties.push((identifier, value));
        }
        Some(Self(properties))
    }
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
    Suback { id: u16, codes: Vec<u8> },
    /// §3.11
    Unsuback { id: u16, codes: Vec<u8> },
    /// §3.13
    Pingresp,
    /// §3.14
    Disconnect { code: u8, properties: Properties },
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
                properties(&mut body)?;
                Self::Suback { id, codes: body.to_vec() }
            }
            11 => {
                let id = take_u16(&mut body)?;
                properties(&mut body)?;
                Self::Unsuback { id, codes: body.to_vec() }
            }
            13 => Self::Pingresp,
            14 => {
                let code = take(&mut body, 1).map_or(0, |code| code[0]);
                Self::Disconnect { code, properties: properties(&mut body)? }
            }
            _ => return None,
        })
    }
}

/// A packet of a first byte and a body.
pub(super) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
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

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

fn take_u16(bytes: &mut &[u8]) -> Option<u16> {
    take(bytes, 2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
}

fn take_string<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_u16(bytes)?;
    take(bytes, length.into())
}

fn take_varint(bytes: &mut &[u8]) -> Option<usize> {
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
