//! PUBLISH (MQTT 5 §3.3).

use super::properties::{
    self, Properties, put_subscription_identifier, put_user_property, subscription_identifier_length,
    user_property_length,
};
use super::read::{CodecError, Reader, is_plain};
use super::write::{put_binary, put_u16, put_u32, put_variable, variable_length};
use super::{Version, assurance, kind};
use crate::Transmit;
use bytes::Bytes;
use windrose_event::{Address, Assurance, Delivery, Event, Text, Timestamp};

/// PUBLISH. The topic may be empty only if a topic alias stands for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Whether it may have been sent before.
    pub dup: bool,
    /// Quality of service.
    pub qos: Assurance,
    /// Whether it is its topic's retained message.
    pub retain: bool,
    /// Topic name.
    pub topic: Text,
    /// Packet identifier; zero for QoS 0.
    pub packet_id: u16,
    /// Properties, in MQTT 5.
    pub properties: Option<Box<Properties>>,
    /// Application message.
    pub payload: Bytes,
}

/// A PUBLISH where it lies, its topic not looked at yet.
pub(crate) struct PublishView<'a> {
    pub(crate) dup: bool,
    pub(crate) qos: Assurance,
    pub(crate) retain: bool,
    pub(crate) topic: &'a [u8],
    pub(crate) packet_id: u16,
    pub(crate) properties: Option<Box<Properties>>,
    pub(crate) payload: &'a [u8],
}

impl<'a> PublishView<'a> {
    #[inline]
    pub(crate) fn read(flags: u8, body: &'a [u8], version: Version) -> Result<Self, CodecError> {
        let qos = assurance(flags >> 1 & 3).ok_or(CodecError::malformed("PUBLISH has QoS 3"))?;
        let dup = flags & 8 != 0;
        if dup && qos == Assurance::AtMostOnce {
            return Err(CodecError::malformed("PUBLISH has DUP with QoS 0"));
        }
        let mut reader = Reader::new(body);
        let topic = reader.field()?;
        let packet_id = if qos == Assurance::AtMostOnce { 0 } else { reader.packet_id()? };
        let properties = match version {
            Version::V3 => None,
            Version::V5 => Properties::read(&mut reader, properties::PUBLISH)?,
        };
        Ok(Self { dup, qos, retain: flags & 1 != 0, topic, packet_id, properties, payload: reader.rest() })
    }

    /// The topic as an address; `None` if it is empty.
    #[inline]
    pub(crate) fn address(&self) -> Result<Option<Address>, CodecError> {
        if self.topic.is_empty() {
            return Ok(None);
        }
        if let Some(address) = Address::from_plain_ascii(self.topic) {
            return Ok(Some(address));
        }
        // Not 0x90, which is for names that are well-formed and not accepted (MQTT 5 §3.3.2.1).
        let address = Address::new(Reader::text_of(self.topic)?);
        address.map(Some).map_err(|_| CodecError::malformed("a topic name contains a wildcard"))
    }
}

impl Publish {
    pub(super) fn read(flags: u8, body: &[u8], version: Version) -> Result<Self, CodecError> {
        let PublishView { dup, qos, retain, topic, packet_id, properties, payload } =
            PublishView::read(flags, body, version)?;
        let (topic, payload) = (Reader::text_of(topic)?, Bytes::copy_from_slice(payload));
        Ok(Self { dup, qos, retain, topic, packet_id, properties, payload })
    }

    pub(super) fn write(&self, version: Version, out: &mut Vec<u8>) {
        put_binary(out, self.topic.as_bytes());
        if self.qos != Assurance::AtMostOnce {
            put_u16(out, self.packet_id);
        }
        if version == Version::V5 {
            Properties::write(self.properties.as_deref(), out);
        }
        out.extend_from_slice(&self.payload);
    }

    pub(super) fn flags(&self) -> u8 {
        flags(self.dup, self.qos, self.retain)
    }
}

fn flags(dup: bool, qos: Assurance, retain: bool) -> u8 {
    u8::from(dup) << 3 | (qos as u8) << 1 | u8::from(retain)
}

/// A topic alias that a PUBLISH is written with (MQTT 5 §3.3.2.3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TopicAlias {
    /// The topic is written, and the alias stands for it from now on.
    New(u16),
    /// The alias is written in the topic's place.
    Known(u16),
}

/// Appends a delivery as a PUBLISH, straight from the event. `false`, and nothing appended, if the packet would be longer
/// than `maximum` (MQTT 5 §3.1.2.11.4, Maximum Packet Size), or if the event came by a protocol that says what MQTT cannot.
pub(crate) fn write_publish(
    transmit: &mut Transmit,
    version: Version,
    delivery: &Delivery,
    alias: Option<TopicAlias>,
    wall: Timestamp,
    maximum: usize,
) -> bool {
    let event = &*delivery.event;
    if !can_say(event, version) {
        return false;
    }
    let acknowledged = delivery.assurance != Assurance::AtMostOnce;
    let topic = match alias {
        Some(TopicAlias::Known(_)) => b"",
        _ => event.address.as_bytes(),
    };
    let expiry = event.expires.map(|expires| seconds_left(expires, wall));
    let properties = match version {
        Version::V3 => 0,
        Version::V5 => properties_length(delivery, expiry) + alias.map_or(0, |_| 3),
    };
    let properties_header = if version == Version::V5 { variable_length(properties) } else { 0 };
    let identifier = if acknowledged { 2 } else { 0 };
    let remaining = 2 + topic.len() + identifier + properties_header + properties + event.payload.len();
    if 1 + variable_length(remaining) + remaining > maximum || remaining > 268_435_455 {
        return false;
    }
    let out = transmit.frame(remaining - event.payload.len() + 5, event.payload.len());
    out.push(kind::PUBLISH << 4 | flags(delivery.again && acknowledged, delivery.assurance, delivery.retain));
    put_variable(out, remaining);
    put_binary(out, topic);
    if acknowledged {
        put_u16(out, delivery.tag.0);
    }
    if version == Version::V5 {
        put_variable(out, properties);
        if let Some(TopicAlias::New(alias) | TopicAlias::Known(alias)) = alias {
            out.push(0x23);
            put_u16(out, alias);
        }
        put_properties(out, delivery, expiry);
    }
    transmit.payload(&event.payload);
    true
}

/// Whether a PUBLISH of this version can say what an event says: every text is one that clients take and fits a string, and
/// all data its length (MQTT 5 §1.5.4, §1.5.6). A client hangs up on a text that it does not take, and would be sent the same
/// event again and again. What came by MQTT was looked at when it came.
pub(crate) fn can_say(event: &Event, version: Version) -> bool {
    if event.origin.protocol == "mqtt" {
        return true;
    }
    let fits = |bytes: &[u8]| bytes.len() <= usize::from(u16::MAX);
    let text = |text: &Text| fits(text.as_bytes()) && is_plain(text);
    let details = event.details.as_ref().filter(|_| version == Version::V5);
    is_plain(event.address.as_str())
        && details.is_none_or(|details| {
            details.content_type.as_ref().is_none_or(text)
                && details.reply_to.as_ref().is_none_or(|address| is_plain(address.as_str()))
                && details.correlation.as_ref().is_none_or(|data| fits(data))
                && details.headers.iter().all(|(name, value)| text(name) && text(value))
        })
}

/// Whole seconds until an event expires, at least one: those that expired are not delivered at all.
pub(crate) fn seconds_left(expires: Timestamp, wall: Timestamp) -> u32 {
    let left = expires.since(wall);
    u32::try_from(left.as_micros().div_ceil(1_000_000)).unwrap_or(u32::MAX).max(1)
}

fn properties_length(delivery: &Delivery, expiry: Option<u32>) -> usize {
    let mut length = if expiry.is_some() { 5 } else { 0 };
    for &identifier in &delivery.subscriptions {
        length += subscription_identifier_length(identifier);
    }
    if let Some(details) = &delivery.event.details {
        length += if details.is_text.is_some() { 2 } else { 0 };
        length += details.content_type.as_ref().map_or(0, |text| 3 + text.as_bytes().len());
        length += details.reply_to.as_ref().map_or(0, |address| 3 + address.as_bytes().len());
        length += details.correlation.as_ref().map_or(0, |data| 3 + data.len());
        length +=
            details.headers.iter().map(|(name, value)| user_property_length(name, value)).sum::<usize>();
    }
    length
}

fn put_properties(out: &mut Vec<u8>, delivery: &Delivery, expiry: Option<u32>) {
    if let Some(seconds) = expiry {
        out.push(0x02);
        put_u32(out, seconds);
    }
    for &identifier in &delivery.subscriptions {
        put_subscription_identifier(out, identifier);
    }
    let Some(details) = &delivery.event.details else { return };
    if let Some(is_text) = details.is_text {
        out.extend_from_slice(&[0x01, is_text.into()]);
    }
    if let Some(text) = &details.content_type {
        out.push(0x03);
        put_binary(out, text.as_bytes());
    }
    if let Some(address) = &details.reply_to {
        out.push(0x08);
        put_binary(out, address.as_bytes());
    }
    if let Some(data) = &details.correlation {
        out.push(0x09);
        put_binary(out, data);
    }
    for (name, value) in &details.headers {
        put_user_property(out, name, value);
    }
}
