//! Events as messages, and back (part 3 §3.2).

use crate::amqp::v1::codec::{
    Body, Header, MapSection, MapWriter, Message, Value, put_described, put_value, write_data_head,
    write_section_map,
};
use crate::amqp::v1::message::{self, write_event};
use bytes::Bytes;
use windrose_event::{
    Address, Assurance, Event, Filter, Now, Original, Publication, TOPIC_EXCHANGE, Template, Text, VIA,
    address_of,
};

const RETAIN: &str = "x-opt-retain";
const ADDRESS: &str = "x-opt-address";

/// An event for an address of the server's. `ask`: where its answer is wanted, and what it is to name.
pub(super) fn write(event: &Event, now: Now, to: &str, ask: Option<(&str, u64)>, via: &str) -> Vec<u8> {
    let bytes = event.original(Original::AMQP_1_0).cloned().unwrap_or_else(|| {
        let (mut head, payload) = write_event(event, event.retain, 0, now.wall);
        head.extend_from_slice(&payload);
        head.into()
    });
    let message = Message::read(&bytes).unwrap_or_default();
    let mut out = Vec::with_capacity(256 + event.payload.len());
    let left = event.expires.map(|expires| expires.as_micros().saturating_sub(now.wall.as_micros()));
    let header = Header {
        durable: event.assurance > Assurance::AtMostOnce,
        ttl: left.map(|micros| u32::try_from(micros.div_ceil(1_000)).unwrap_or(u32::MAX)),
        priority: message.header.and_then(|header| header.priority),
        ..Header::default()
    };
    header.write(&mut out);
    let mut annotations = MapWriter::new();
    let known = message.message_annotations;
    for (key, value) in known.iter().flat_map(|map| map.raw()).flatten() {
        annotations.raw(key, value);
    }
    if event.retain && known.is_none_or(|map| map.get(RETAIN).is_none()) {
        annotations.symbol(RETAIN, &Value::Boolean(true));
    }
    if !annotations.is_empty() {
        write_section_map(MapSection::MessageAnnotations, &annotations.map(), &mut out);
    }
    let correlation = ask.map(|(_, token)| format!("{token:016x}"));
    let id = event.id.to_string();
    let mut properties = message.properties.unwrap_or_default();
    properties.to = Some(to);
    // Who is logged in there is the node, not the event's sender.
    properties.user_id = None;
    properties.reply_to = ask.map(|(address, _)| address);
    if let Some(correlation) = &correlation {
        // Some services answer to the one, some to the other.
        properties.message_id = Value::String(correlation);
        properties.correlation_id = Value::String(correlation);
    } else if properties.message_id == Value::Null {
        properties.message_id = Value::String(&id);
    }
    properties.write(&mut out);
    let mut application = MapWriter::new();
    for (key, value) in message.application_properties.iter().flat_map(|map| map.raw()).flatten() {
        application.raw(key, value);
    }
    application.string(VIA, &Value::String(via));
    write_section_map(MapSection::ApplicationProperties, &application.map(), &mut out);
    match message.body {
        Body::None | Body::Data(_) | Body::Pieces(_) => {
            write_data_head(event.payload.len(), &mut out);
            out.extend_from_slice(&event.payload);
        }
        Body::Value(value) => {
            put_described(&mut out, 0x77);
            put_value(&mut out, &value);
        }
        Body::Sequences(lists) => {
            for list in lists.iter() {
                put_described(&mut out, 0x76);
                put_value(&mut out, &list);
            }
        }
    }
    out
}

/// A message that came.
pub(super) struct Content {
    message: message::Content,
    /// Where it happened, as a Windrose says it of a subscription with wildcards.
    address: Option<Text>,
    again: bool,
}

/// Reads a message.
pub(super) fn read(bytes: Bytes, now: Now) -> Option<Content> {
    let message = Message::read(&bytes).ok()?;
    let address = message.message_annotations.and_then(|map| map.get(ADDRESS)?.text()).map(Text::from);
    let again = message.header.is_some_and(|header| header.delivery_count > 0);
    Some(Content { message: message::read(bytes.clone(), now.wall, &[]).ok()?, address, again })
}

impl Content {
    /// The request that it answers, if it is an answer.
    pub(super) fn token(&self) -> Option<u64> {
        let correlation = self.message.details.correlation.as_deref().filter(|bytes| bytes.len() == 16)?;
        u64::from_str_radix(std::str::from_utf8(correlation).ok()?, 16).ok()
    }

    /// Its media type and its body.
    pub(super) fn answer(&self) -> (Option<Text>, Bytes) {
        (self.message.details.content_type.clone(), self.message.payload.clone())
    }

    pub(super) fn payload_bytes(&self) -> usize {
        self.message.payload.len()
    }

    /// The message as an event at an address, and whether it may have come before.
    pub(super) fn into_publication(self, address: Address) -> (Box<Publication>, bool) {
        let Self { message, again, .. } = self;
        let publication = Publication {
            address,
            payload: message.payload,
            // It is settled, however it was sent.
            assurance: Assurance::AtLeastOnce,
            retain: message.retain,
            expiry: message.expiry,
            details: Some(message.details),
        };
        (Box::new(publication), again)
    }
}

/// Where an event of a subscription happened: where its filter says, or the message itself.
pub(super) fn of_filter(content: &Content, filter: &Filter, template: &Template) -> Option<Address> {
    if !filter.is_wild() {
        return Address::new(filter.as_str()).ok();
    }
    let fits = |address: &Address| filter.matches(address.as_str());
    let plain = |text: &Option<Text>| text.as_ref().and_then(|text| Address::new(&**text).ok()).filter(fits);
    let to = content.message.to.as_ref().and_then(|to| template.read(to)).filter(fits);
    // What servers of 0-9-1 say in 1.0: the routing key.
    let key =
        content.message.subject.as_ref().and_then(|key| address_of(TOPIC_EXCHANGE, key).ok()).filter(fits);
    plain(&content.address)
        .or(to)
        .or_else(|| plain(&content.message.to))
        .or(key)
        .or_else(|| plain(&content.message.subject))
}

/// Where an event from a queue happened: where the message says, or at the address that is the queue's name.
pub(super) fn of_queue(content: &Content, queue: &str, template: &Template) -> Option<Address> {
    let said = content.address.as_ref().and_then(|address| Address::new(&**address).ok());
    let to = content.message.to.as_ref().and_then(|to| template.read(to));
    let named = || {
        let prefixes = ["/amq/queue/", "/queues/", "/queue/", "/"];
        let name = prefixes.iter().find_map(|prefix| queue.strip_prefix(prefix)).unwrap_or(queue);
        Address::new(name).ok()
    };
    said.or(to).filter(|address| !address.is_system()).or_else(named)
}
