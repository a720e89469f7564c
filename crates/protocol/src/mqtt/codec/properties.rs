//! Properties (MQTT 5 §2.2.2): one table for all packets; which packet may have which is a mask.

use super::read::{CodecError, Reader};
use super::write::{put_binary, put_u16, put_u32, put_variable, variable_length};
use bytes::Bytes;
use smallvec::SmallVec;
use windrose_event::Text;

/// The properties of a packet, all of them optional.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the specification's own, in its table of §2.2.2.2")]
pub struct Properties {
    pub payload_format_indicator: Option<u8>,
    pub message_expiry_interval: Option<u32>,
    pub content_type: Option<Text>,
    pub response_topic: Option<Text>,
    pub correlation_data: Option<Bytes>,
    pub subscription_identifiers: SmallVec<[u32; 2]>,
    pub session_expiry_interval: Option<u32>,
    pub assigned_client_identifier: Option<Text>,
    pub server_keep_alive: Option<u16>,
    pub authentication_method: Option<Text>,
    pub authentication_data: Option<Bytes>,
    pub request_problem_information: Option<u8>,
    pub will_delay_interval: Option<u32>,
    pub request_response_information: Option<u8>,
    pub response_information: Option<Text>,
    pub server_reference: Option<Text>,
    pub reason_string: Option<Text>,
    pub receive_maximum: Option<u16>,
    pub topic_alias_maximum: Option<u16>,
    pub topic_alias: Option<u16>,
    pub maximum_qos: Option<u8>,
    pub retain_available: Option<u8>,
    pub user_properties: Vec<(Text, Text)>,
    pub maximum_packet_size: Option<u32>,
    pub wildcard_subscription_available: Option<u8>,
    pub subscription_identifiers_available: Option<u8>,
    pub shared_subscription_available: Option<u8>,
}

/// Which properties a packet may have: bit `i` is the property with identifier `i`.
pub(crate) type Allowed = u64;

const fn mask(identifiers: &[u8]) -> Allowed {
    let mut mask = 0;
    let mut index = 0;
    while index < identifiers.len() {
        mask |= 1 << identifiers[index];
        index += 1;
    }
    mask
}

pub(crate) const CONNECT: Allowed = mask(&[0x11, 0x21, 0x27, 0x22, 0x19, 0x17, 0x26, 0x15, 0x16]);
pub(crate) const WILL: Allowed = mask(&[0x18, 0x01, 0x02, 0x03, 0x08, 0x09, 0x26]);
pub(crate) const CONNACK: Allowed = mask(&[
    0x11, 0x21, 0x24, 0x25, 0x27, 0x12, 0x22, 0x1f, 0x26, 0x28, 0x29, 0x2a, 0x13, 0x1a, 0x1c, 0x15, 0x16,
]);
pub(crate) const PUBLISH: Allowed = mask(&[0x01, 0x02, 0x23, 0x08, 0x09, 0x26, 0x0b, 0x03]);
pub(crate) const ACK: Allowed = mask(&[0x1f, 0x26]);
pub(crate) const SUBSCRIBE: Allowed = mask(&[0x0b, 0x26]);
pub(crate) const UNSUBSCRIBE: Allowed = mask(&[0x26]);
pub(crate) const DISCONNECT: Allowed = mask(&[0x11, 0x1f, 0x26, 0x1c]);
pub(crate) const AUTH: Allowed = mask(&[0x15, 0x16, 0x1f, 0x26]);

const USER_PROPERTY: u8 = 0x26;
const SUBSCRIPTION_IDENTIFIER: u8 = 0x0b;

pub(crate) const NOT_ALLOWED: CodecError = CodecError::protocol("a property is not one of its packet's");
const UNKNOWN: CodecError = CodecError::malformed("a property has an unknown identifier");

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), CodecError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(CodecError::protocol("a property is given twice")),
    }
}

fn flag(reader: &mut Reader<'_>) -> Result<u8, CodecError> {
    match reader.u8()? {
        value @ 0..=1 => Ok(value),
        _ => Err(CodecError::protocol("a property that is 0 or 1 has another value")),
    }
}

fn nonzero<T: PartialEq + Default>(value: T) -> Result<T, CodecError> {
    if value == T::default() {
        return Err(CodecError::protocol("a property that must not be zero is"));
    }
    Ok(value)
}

impl Properties {
    /// Reads a packet's properties; `None` if there are none. `allowed` says which the packet may have.
    pub(crate) fn read(reader: &mut Reader<'_>, allowed: Allowed) -> Result<Option<Box<Self>>, CodecError> {
        let length = reader.variable()? as usize;
        if length == 0 {
            return Ok(None);
        }
        let mut reader = reader.part(length)?;
        let mut properties = Box::<Self>::default();
        while !reader.is_empty() {
            properties.read_one(&mut reader, allowed)?;
        }
        Ok(Some(properties))
    }

    fn read_one(&mut self, reader: &mut Reader<'_>, allowed: Allowed) -> Result<(), CodecError> {
        let identifier = reader.variable()?;
        if identifier > 0x2a {
            return Err(UNKNOWN);
        }
        self.read_value(identifier as u8, reader)?;
        if allowed & (1 << identifier) == 0 {
            return Err(NOT_ALLOWED);
        }
        Ok(())
    }

    fn read_value(&mut self, identifier: u8, reader: &mut Reader<'_>) -> Result<(), CodecError> {
        match identifier {
            0x01 => once(&mut self.payload_format_indicator, flag(reader)?),
            0x02 => once(&mut self.message_expiry_interval, reader.u32()?),
            0x03 => once(&mut self.content_type, reader.text()?),
            0x08 => once(&mut self.response_topic, reader.text()?),
            0x09 => once(&mut self.correlation_data, reader.binary()?),
            SUBSCRIPTION_IDENTIFIER => {
                self.subscription_identifiers.push(nonzero(reader.variable()?)?);
                Ok(())
            }
            0x11 => once(&mut self.session_expiry_interval, reader.u32()?),
            0x12 => once(&mut self.assigned_client_identifier, reader.text()?),
            0x13 => once(&mut self.server_keep_alive, reader.u16()?),
            0x15 => once(&mut self.authentication_method, reader.text()?),
            0x16 => once(&mut self.authentication_data, reader.binary()?),
            0x17 => once(&mut self.request_problem_information, flag(reader)?),
            0x18 => once(&mut self.will_delay_interval, reader.u32()?),
            0x19 => once(&mut self.request_response_information, flag(reader)?),
            0x1a => once(&mut self.response_information, reader.text()?),
            0x1c => once(&mut self.server_reference, reader.text()?),
            0x1f => once(&mut self.reason_string, reader.text()?),
            0x21 => once(&mut self.receive_maximum, nonzero(reader.u16()?)?),
            0x22 => once(&mut self.topic_alias_maximum, reader.u16()?),
            0x23 => once(&mut self.topic_alias, reader.u16()?),
            0x24 => once(&mut self.maximum_qos, flag(reader)?),
            0x25 => once(&mut self.retain_available, flag(reader)?),
            USER_PROPERTY => {
                self.user_properties.push((reader.text()?, reader.text()?));
                Ok(())
            }
            0x27 => once(&mut self.maximum_packet_size, nonzero(reader.u32()?)?),
            0x28 => once(&mut self.wildcard_subscription_available, flag(reader)?),
            0x29 => once(&mut self.subscription_identifiers_available, flag(reader)?),
            0x2a => once(&mut self.shared_subscription_available, flag(reader)?),
            _ => Err(UNKNOWN),
        }
    }

    /// Appends the properties with their length before them.
    pub(crate) fn write(properties: Option<&Self>, out: &mut Vec<u8>) {
        let Some(properties) = properties else {
            out.push(0);
            return;
        };
        let mut body = Vec::new();
        properties.write_all(&mut body);
        put_variable(out, body.len());
        out.extend_from_slice(&body);
    }

    /// In any order (MQTT 5 §2.2.2.2). Server Keep Alive and what belongs to CONNACK's limits stand at the ends, as the most widespread
    /// server does: there are clients, and tests, that compare whole packets with its.
    fn write_all(&self, out: &mut Vec<u8>) {
        put_two(out, 0x13, self.server_keep_alive);
        put_two(out, 0x22, self.topic_alias_maximum);
        put_byte(out, 0x25, self.retain_available);
        put_byte(out, 0x01, self.payload_format_indicator);
        put_four(out, 0x02, self.message_expiry_interval);
        put_text(out, 0x03, self.content_type.as_ref());
        put_text(out, 0x08, self.response_topic.as_ref());
        put_data(out, 0x09, self.correlation_data.as_deref());
        for &identifier in &self.subscription_identifiers {
            out.push(SUBSCRIPTION_IDENTIFIER);
            put_variable(out, identifier as usize);
        }
        put_four(out, 0x11, self.session_expiry_interval);
        put_text(out, 0x12, self.assigned_client_identifier.as_ref());
        put_text(out, 0x15, self.authentication_method.as_ref());
        put_data(out, 0x16, self.authentication_data.as_deref());
        put_byte(out, 0x17, self.request_problem_information);
        put_four(out, 0x18, self.will_delay_interval);
        put_byte(out, 0x19, self.request_response_information);
        put_text(out, 0x1a, self.response_information.as_ref());
        put_text(out, 0x1c, self.server_reference.as_ref());
        put_text(out, 0x1f, self.reason_string.as_ref());
        put_two(out, 0x23, self.topic_alias);
        for (name, value) in &self.user_properties {
            put_user_property(out, name, value);
        }
        put_byte(out, 0x28, self.wildcard_subscription_available);
        put_byte(out, 0x29, self.subscription_identifiers_available);
        put_byte(out, 0x2a, self.shared_subscription_available);
        put_four(out, 0x27, self.maximum_packet_size);
        put_two(out, 0x21, self.receive_maximum);
        put_byte(out, 0x24, self.maximum_qos);
    }
}

pub(super) fn put_user_property(out: &mut Vec<u8>, name: &Text, value: &Text) {
    out.push(USER_PROPERTY);
    put_binary(out, name.as_bytes());
    put_binary(out, value.as_bytes());
}

pub(super) fn user_property_length(name: &Text, value: &Text) -> usize {
    5 + name.as_bytes().len() + value.as_bytes().len()
}

pub(super) fn put_subscription_identifier(out: &mut Vec<u8>, identifier: u32) {
    out.push(SUBSCRIPTION_IDENTIFIER);
    put_variable(out, identifier as usize);
}

pub(super) fn subscription_identifier_length(identifier: u32) -> usize {
    1 + variable_length(identifier as usize)
}

fn put_byte(out: &mut Vec<u8>, identifier: u8, value: Option<u8>) {
    if let Some(value) = value {
        out.extend_from_slice(&[identifier, value]);
    }
}

fn put_two(out: &mut Vec<u8>, identifier: u8, value: Option<u16>) {
    if let Some(value) = value {
        out.push(identifier);
        put_u16(out, value);
    }
}

fn put_four(out: &mut Vec<u8>, identifier: u8, value: Option<u32>) {
    if let Some(value) = value {
        out.push(identifier);
        put_u32(out, value);
    }
}

fn put_text(out: &mut Vec<u8>, identifier: u8, value: Option<&Text>) {
    put_data(out, identifier, value.map(Text::as_bytes));
}

fn put_data(out: &mut Vec<u8>, identifier: u8, value: Option<&[u8]>) {
    if let Some(value) = value {
        out.push(identifier);
        put_binary(out, value);
    }
}
