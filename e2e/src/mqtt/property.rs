//! Properties of MQTT 5 (§2.2.2): what a test writes, and what it reads from a server.

use super::wire::{string, take, take_string, take_u16, take_varint, varint};

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
/// Subscription Identifier.
pub const SUBSCRIPTION_IDENTIFIER: u8 = 0x0b;
/// Session Expiry Interval.
pub const SESSION_EXPIRY: u8 = 0x11;
/// Assigned Client Identifier.
pub const ASSIGNED_CLIENT_IDENTIFIER: u8 = 0x12;
/// Server Keep Alive.
pub const SERVER_KEEP_ALIVE: u8 = 0x13;
/// Authentication Method.
pub const AUTHENTICATION_METHOD: u8 = 0x15;
/// Authentication Data.
pub const AUTHENTICATION_DATA: u8 = 0x16;
/// Request Problem Information.
pub const REQUEST_PROBLEM_INFORMATION: u8 = 0x17;
/// Will Delay Interval.
pub const WILL_DELAY: u8 = 0x18;
/// Request Response Information.
pub const REQUEST_RESPONSE_INFORMATION: u8 = 0x19;
/// Response Information.
pub const RESPONSE_INFORMATION: u8 = 0x1a;
/// Server Reference.
pub const SERVER_REFERENCE: u8 = 0x1c;
/// Reason String.
pub const REASON_STRING: u8 = 0x1f;
/// Receive Maximum.
pub const RECEIVE_MAXIMUM: u8 = 0x21;
/// Topic Alias Maximum.
pub const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
/// Topic Alias.
pub const TOPIC_ALIAS: u8 = 0x23;
/// Maximum QoS.
pub const MAXIMUM_QOS: u8 = 0x24;
/// Retain Available.
pub const RETAIN_AVAILABLE: u8 = 0x25;
/// User Property.
pub const USER_PROPERTY: u8 = 0x26;
/// Maximum Packet Size.
pub const MAXIMUM_PACKET_SIZE: u8 = 0x27;
/// Wildcard Subscription Available.
pub const WILDCARD_AVAILABLE: u8 = 0x28;
/// Subscription Identifiers Available.
pub const SUBSCRIPTION_IDENTIFIERS_AVAILABLE: u8 = 0x29;
/// Shared Subscription Available.
pub const SHARED_AVAILABLE: u8 = 0x2a;

/// A property of one byte, on the wire.
pub fn byte(identifier: u8, value: u8) -> Vec<u8> {
    vec![identifier, value]
}

/// A property of two bytes.
pub fn two(identifier: u8, value: u16) -> Vec<u8> {
    [&[identifier][..], &value.to_be_bytes()].concat()
}

/// A property of four bytes.
pub fn four(identifier: u8, value: u32) -> Vec<u8> {
    [&[identifier][..], &value.to_be_bytes()].concat()
}

/// A property that is text or data.
pub fn text(identifier: u8, value: impl AsRef<[u8]>) -> Vec<u8> {
    [vec![identifier], string(value)].concat()
}

/// A User Property.
pub fn user(name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Vec<u8> {
    [vec![USER_PROPERTY], string(name), string(value)].concat()
}

/// A Subscription Identifier.
pub fn subscription(identifier: usize) -> Vec<u8> {
    [vec![SUBSCRIPTION_IDENTIFIER], varint(identifier)].concat()
}

/// Properties behind their length.
pub fn block(properties: &[u8]) -> Vec<u8> {
    [varint(properties.len()), properties.to_vec()].concat()
}

/// Properties of MQTT 5, undecoded but taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties(Vec<(u8, Vec<u8>)>);

impl Properties {
    /// The first value of a property, as it stands on the wire without lengths.
    pub fn bytes(&self, identifier: u8) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| *known == identifier).map(|(_, value)| value.as_slice())
    }

    /// The first value of a property, as text; a User Property is `name=value`.
    pub fn text(&self, identifier: u8) -> Option<String> {
        self.texts(identifier).into_iter().next()
    }

    /// Every value of a property, as text, in order.
    pub fn texts(&self, identifier: u8) -> Vec<String> {
        let values = self.0.iter().filter(|(known, _)| *known == identifier);
        values.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    /// Every value of a property that is a number, in order.
    pub fn numbers(&self, identifier: u8) -> Vec<u32> {
        let values = self.0.iter().filter(|(known, _)| *known == identifier);
        values.map(|(_, value)| value.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte))).collect()
    }

    /// The first value of a property that is a number.
    pub fn number(&self, identifier: u8) -> Option<u32> {
        self.numbers(identifier).first().copied()
    }

    /// Whether it is there.
    pub fn has(&self, identifier: u8) -> bool {
        self.bytes(identifier).is_some()
    }

    pub(super) fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let length = take_varint(bytes)?;
        let (mut own, rest) = bytes.split_at_checked(length)?;
        *bytes = rest;
        let mut properties = Vec::new();
        while !own.is_empty() {
            let identifier = take(&mut own, 1)?[0];
            let value = match identifier {
                0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2a => take(&mut own, 1)?.to_vec(),
                0x13 | 0x21 | 0x22 | 0x23 => take_u16(&mut own)?.to_be_bytes().to_vec(),
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
