//! SUBSCRIBE, SUBACK, UNSUBSCRIBE and UNSUBACK (MQTT 5 §3.8 to §3.11).

use super::properties::{self, Properties};
use super::read::{CodecError, Reader};
use super::write::{put_binary, put_u16};
use super::{Version, assurance};
use crate::mqtt::ReasonCode;
use windrose_event::{Assurance, RetainedDelivery, Text};

/// SUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// Packet identifier.
    pub packet_id: u16,
    /// Properties, in MQTT 5.
    pub properties: Option<Box<Properties>>,
    /// Topic filters with their options; at least one.
    pub filters: Vec<SubscribeFilter>,
}

/// A topic filter of a SUBSCRIBE (MQTT 5 §3.8.3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscribeFilter {
    /// Topic filter, not looked at yet.
    pub filter: Text,
    /// Maximum QoS.
    pub qos: Assurance,
    /// No Local.
    pub no_local: bool,
    /// Retain As Published.
    pub retain_as_published: bool,
    /// Retain Handling.
    pub retain_handling: RetainedDelivery,
}

/// A topic filter has at least one character (MQTT 5 §4.7.3).
fn topic_filter(reader: &mut Reader<'_>) -> Result<Text, CodecError> {
    let filter = reader.text()?;
    if filter.is_empty() {
        return Err(CodecError::malformed("a topic filter is empty"));
    }
    Ok(filter)
}

/// SUBSCRIBE and UNSUBSCRIBE with a packet identifier of zero are malformed (MQTT 5 §2.2.1).
fn request_id(reader: &mut Reader<'_>) -> Result<u16, CodecError> {
    reader.packet_id().map_err(|error| error.told_as(ReasonCode::MALFORMED_PACKET))
}

/// A property that SUBSCRIBE or UNSUBSCRIBE cannot have makes it malformed (MQTT 5 §2.2.2.2).
fn request_properties(
    reader: &mut Reader<'_>,
    allowed: properties::Allowed,
) -> Result<Option<Box<Properties>>, CodecError> {
    Properties::read(reader, allowed).map_err(|error| match error {
        properties::NOT_ALLOWED => error.told_as(ReasonCode::MALFORMED_PACKET),
        _ => error,
    })
}

impl SubscribeFilter {
    fn read(reader: &mut Reader<'_>, version: Version) -> Result<Self, CodecError> {
        let filter = topic_filter(reader)?;
        let options = reader.u8()?;
        let reserved = if version == Version::V5 { 0xc0 } else { 0xfc };
        if options & reserved != 0 {
            return Err(CodecError::malformed("SUBSCRIBE has reserved options set"));
        }
        let qos = assurance(options & 3).ok_or(CodecError::malformed("SUBSCRIBE asks for QoS 3"))?;
        let retain_handling = match options >> 4 & 3 {
            0 => RetainedDelivery::Always,
            1 => RetainedDelivery::IfNew,
            2 => RetainedDelivery::Never,
            _ => return Err(CodecError::malformed("SUBSCRIBE has Retain Handling 3")),
        };
        let (no_local, retain_as_published) = (options & 4 != 0, options & 8 != 0);
        Ok(Self { filter, qos, no_local, retain_as_published, retain_handling })
    }

    fn options(&self, version: Version) -> u8 {
        let handling = match self.retain_handling {
            RetainedDelivery::Always => 0,
            RetainedDelivery::IfNew => 1,
            RetainedDelivery::Never => 2,
        };
        match version {
            Version::V3 => self.qos as u8,
            Version::V5 => {
                self.qos as u8
                    | u8::from(self.no_local) << 2
                    | u8::from(self.retain_as_published) << 3
                    | handling << 4
            }
        }
    }
}

impl Subscribe {
    pub(super) fn read(body: &[u8], version: Version) -> Result<Self, CodecError> {
        let mut reader = Reader::new(body);
        let packet_id = request_id(&mut reader)?;
        let properties = match version {
            Version::V3 => None,
            Version::V5 => request_properties(&mut reader, properties::SUBSCRIBE)?,
        };
        if properties.as_ref().is_some_and(|properties| properties.subscription_identifiers.len() > 1) {
            return Err(CodecError::protocol("SUBSCRIBE has two subscription identifiers"));
        }
        let mut filters = Vec::new();
        while !reader.is_empty() {
            filters.push(SubscribeFilter::read(&mut reader, version)?);
        }
        if filters.is_empty() {
            return Err(CodecError::malformed("SUBSCRIBE has no topic filter"));
        }
        Ok(Self { packet_id, properties, filters })
    }

    pub(super) fn write(&self, version: Version, out: &mut Vec<u8>) {
        put_u16(out, self.packet_id);
        if version == Version::V5 {
            Properties::write(self.properties.as_deref(), out);
        }
        for filter in &self.filters {
            put_binary(out, filter.filter.as_bytes());
            out.push(filter.options(version));
        }
    }
}

/// UNSUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe {
    /// Packet identifier.
    pub packet_id: u16,
    /// Properties, in MQTT 5.
    pub properties: Option<Box<Properties>>,
    /// Topic filters; at least one.
    pub filters: Vec<Text>,
}

impl Unsubscribe {
    pub(super) fn read(body: &[u8], version: Version) -> Result<Self, CodecError> {
        let mut reader = Reader::new(body);
        let packet_id = request_id(&mut reader)?;
        let properties = match version {
            Version::V3 => None,
            Version::V5 => request_properties(&mut reader, properties::UNSUBSCRIBE)?,
        };
        let mut filters = Vec::new();
        while !reader.is_empty() {
            filters.push(topic_filter(&mut reader)?);
        }
        if filters.is_empty() {
            return Err(CodecError::malformed("UNSUBSCRIBE has no topic filter"));
        }
        Ok(Self { packet_id, properties, filters })
    }

    pub(super) fn write(&self, version: Version, out: &mut Vec<u8>) {
        put_u16(out, self.packet_id);
        if version == Version::V5 {
            Properties::write(self.properties.as_deref(), out);
        }
        for filter in &self.filters {
            put_binary(out, filter.as_bytes());
        }
    }
}

/// SUBACK, and UNSUBACK, which has no codes in 3.1.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suback {
    /// Packet identifier.
    pub packet_id: u16,
    /// Properties, in MQTT 5.
    pub properties: Option<Box<Properties>>,
    /// A code for each filter, in order.
    pub codes: Vec<ReasonCode>,
}

impl Suback {
    /// `has_codes` is false for UNSUBACK in 3.1.1 alone.
    pub(super) fn read(body: &[u8], version: Version, has_codes: bool) -> Result<Self, CodecError> {
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id()?;
        let properties = match version {
            Version::V3 => None,
            Version::V5 => Properties::read(&mut reader, properties::ACK)?,
        };
        let codes: Vec<_> = reader.rest().iter().map(|&code| ReasonCode(code)).collect();
        if codes.is_empty() == has_codes {
            return Err(CodecError::malformed("an acknowledgement has a wrong number of codes"));
        }
        Ok(Self { packet_id, properties, codes })
    }

    pub(super) fn write(&self, version: Version, out: &mut Vec<u8>) {
        put_u16(out, self.packet_id);
        if version == Version::V5 {
            Properties::write(self.properties.as_deref(), out);
        }
        out.extend(self.codes.iter().map(|code| code.0));
    }
}
