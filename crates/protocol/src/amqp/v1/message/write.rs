//! An event as a message: as its sender wrote it, if that was AMQP 1.0, or else with what of it AMQP has a place for.

use super::attributes::property_of;
use super::ids::value_of;
use super::{ADDRESS, CONTENT_ENCODING, GROUP_ID, MESSAGE_ID, RETAIN, SUBJECT};
use crate::amqp::crossing;
use crate::amqp::v1::codec::{
    Header, MapSection, MapWriter, Message, Properties, Value, write_data_head, write_section_map,
};
use crate::amqp::v1::node;
use crate::amqp::v091::codec::Table;
use bytes::Bytes;
use windrose_event::{Assurance, Delivery, Event, Original, Timestamp};

/// What of a message comes before what is shared with others.
pub(crate) type Head = Vec<u8>;

/// A delivery as a message: its first sections, and the rest of it. `failures`: how often its delivery failed before; `wild`:
/// its receiver has events of many addresses.
#[inline]
pub(crate) fn write(delivery: &Delivery, failures: u32, wild: bool, wall: Timestamp) -> (Head, Bytes) {
    let event = &*delivery.event;
    let Some(original) = event.original(Original::AMQP_1_0) else {
        return write_event(event, delivery.retain, failures, wall);
    };
    let mut head = Vec::with_capacity(64);
    let (old, rest) = match Header::first(original) {
        Some((old, length)) => (old, length),
        None => (Header::default(), 0),
    };
    Header { first_acquirer: !delivery.again && failures == 0, delivery_count: failures, ..old }
        .write(&mut head);
    if wild { annotated(original, event.address.as_str(), head) } else { (head, original.slice(rest..)) }
}

/// A message whose receiver would not know where it is from: its annotations say so (part 3 §3.2.3). The bare message stays
/// as it is.
fn annotated(original: &Bytes, address: &str, mut head: Vec<u8>) -> (Head, Bytes) {
    let Ok(message) = Message::read(original) else { return (Vec::new(), original.clone()) };
    let mut annotations = MapWriter::new();
    for (key, value) in message.message_annotations.iter().flat_map(|map| map.raw()).map_while(Result::ok) {
        annotations.raw(key, value);
    }
    annotations.symbol(ADDRESS, &Value::String(address));
    write_section_map(MapSection::MessageAnnotations, &annotations.map(), &mut head);
    (head, original.slice(message.bare..))
}

/// Whether a header of 0-9-1 is not for the receiver.
fn is_for_node(name: &str) -> bool {
    matches!(name, "CC" | "BCC" | "x-retain" | "x-address")
}

/// An event of whichever protocol as a message.
pub(crate) fn write_event(event: &Event, retain: bool, failures: u32, wall: Timestamp) -> (Head, Bytes) {
    let mut head = Vec::with_capacity(192);
    let classic = crossing::classic(event);
    let header = Header {
        priority: classic.as_ref().and_then(|classic| classic.priority),
        durable: event.assurance >= Assurance::AtLeastOnce,
        ttl: event.expires.map(|expires| u32::try_from(expires.since(wall).as_millis()).unwrap_or(u32::MAX)),
        first_acquirer: failures == 0,
        delivery_count: failures,
    };
    header.write(&mut head);
    if retain {
        let mut annotations = MapWriter::new();
        annotations.symbol(RETAIN, &Value::Boolean(true));
        write_section_map(MapSection::MessageAnnotations, &annotations.map(), &mut head);
    }
    let reply_to = event.reply_to().map(node::written);
    let mut properties = Properties {
        to: Some(event.address.as_str()),
        reply_to: reply_to.as_deref(),
        correlation_id: event.correlation().map_or(Value::Null, |bytes| value_of(bytes)),
        content_type: event.content_type().map(|text| text.as_str()).filter(|text| text.is_ascii()),
        creation_time: i64::try_from(event.time.as_millis()).ok(),
        ..Properties::default()
    };
    let mut application = MapWriter::new();
    if let Some(classic) = &classic {
        properties.user_id = classic.user_id;
        if let Some(seconds) = classic.timestamp {
            properties.creation_time =
                i64::try_from(seconds).ok().map(|seconds| seconds.saturating_mul(1_000));
        }
        for (name, value) in
            classic.headers.into_iter().flat_map(Table::iter).filter(|(name, _)| !is_for_node(name))
        {
            if let Some(value) = crossing::property(value) {
                application.string(name, &value);
            }
        }
    }
    for (name, value) in event.headers() {
        match name.as_str() {
            MESSAGE_ID => properties.message_id = value_of(value.as_bytes()),
            SUBJECT => properties.subject = Some(value),
            CONTENT_ENCODING if value.is_ascii() => properties.content_encoding = Some(value),
            GROUP_ID => properties.group_id = Some(value),
            // Those of 0-9-1's headers are there with their types.
            name if classic.is_some() && !matches!(name, "message-type" | "app-id") => {}
            name => {
                application.string(&property_of(name), &Value::String(value));
            }
        }
    }
    properties.write(&mut head);
    if !application.is_empty() {
        write_section_map(MapSection::ApplicationProperties, &application.map(), &mut head);
    }
    write_data_head(event.payload.len(), &mut head);
    (head, event.payload.clone())
}
