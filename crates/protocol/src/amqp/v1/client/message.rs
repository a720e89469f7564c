//! Events as messages, and back (part 3 §3.2).

use crate::amqp::v1::codec::{
    Body, Header, MapSection, MapWriter, Message, Value, put_described, put_value, write_data_head,
    write_section_map,
};
use bytes::Bytes;
use std::time::Duration;
use windrose_event::{
    Address, Assurance, Details, Event, Filter, Now, Original, Publication, TOPIC_EXCHANGE, Template, Text,
    VIA, address_of,
};

const RETAIN: &str = "x-opt-retain";
const ADDRESS: &str = "x-opt-address";

/// What CloudEvents' attributes begin with: their headers', and their application properties' (CloudEvents AMQP binding
/// §3.1.3.1).
const ATTRIBUTE: (&str, &str) = ("ce-", "cloudEvents_");

/// An event for an address of the server's. `ask`: where its answer is wanted, and what it is to name.
pub(super) fn write(event: &Event, now: Now, to: &str, ask: Option<(&str, u64)>, via: &str) -> Vec<u8> {
    let original = event.original(Original::AMQP_1_0).and_then(|bytes| Message::read(bytes).ok());
    let mut out = Vec::with_capacity(256 + event.payload.len());
    let left = event.expires.map(|expires| expires.as_micros().saturating_sub(now.wall.as_micros()));
    let header = Header {
        durable: event.assurance > Assurance::AtMostOnce,
        ttl: left.map(|micros| u32::try_from(micros.div_ceil(1_000)).unwrap_or(u32::MAX)),
        priority: original.as_ref().and_then(|message| message.header?.priority),
        ..Header::default()
    };
    header.write(&mut out);
    let mut annotations = MapWriter::new();
    let known = original.as_ref().and_then(|message| message.message_annotations);
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
    let mut properties = original.as_ref().and_then(|message| message.properties).unwrap_or_default();
    properties.to = Some(to);
    // Who is logged in there is the node, not the event's sender.
    properties.user_id = None;
    properties.reply_to = ask.map(|(address, _)| address);
    if let Some(correlation) = &correlation {
        // Some services answer to the one, some to the other.
        properties.message_id = Value::String(correlation);
        properties.correlation_id = Value::String(correlation);
    } else {
        if properties.message_id == Value::Null {
            properties.message_id = Value::String(&id);
        }
        if properties.correlation_id == Value::Null
            && let Some(bytes) = event.correlation()
        {
            properties.correlation_id =
                std::str::from_utf8(bytes).map_or(Value::Binary(bytes), Value::String);
        }
    }
    let content_type = event.content_type().map(|text| &**text).filter(|text| text.is_ascii());
    properties.content_type = properties.content_type.or(content_type);
    properties.creation_time = properties.creation_time.or(i64::try_from(event.time.as_millis()).ok());
    properties.write(&mut out);
    let mut application = MapWriter::new();
    match original.as_ref().map(|message| message.application_properties) {
        Some(map) => {
            for (key, value) in map.iter().flat_map(|map| map.raw()).flatten() {
                application.raw(key, value);
            }
        }
        None => {
            for (name, value) in event.headers() {
                let attribute = name.strip_prefix(ATTRIBUTE.0).map(|rest| format!("{}{rest}", ATTRIBUTE.1));
                application.string(attribute.as_deref().unwrap_or(name), &Value::String(value));
            }
        }
    }
    application.string(VIA, &Value::String(via));
    write_section_map(MapSection::ApplicationProperties, &application.map(), &mut out);
    match original.map(|message| message.body) {
        None | Some(Body::None | Body::Data(_) | Body::Pieces(_)) => {
            write_data_head(event.payload.len(), &mut out);
            out.extend_from_slice(&event.payload);
        }
        Some(Body::Value(value)) => {
            put_described(&mut out, 0x77);
            put_value(&mut out, &value);
        }
        Some(Body::Sequences(lists)) => {
            for list in lists.iter() {
                put_described(&mut out, 0x76);
                put_value(&mut out, &list);
            }
        }
    }
    out
}

/// What a message carries.
pub(super) struct Content {
    to: Option<Text>,
    /// Where it happened, as a Windrose says it of a subscription with wildcards.
    address: Option<Text>,
    subject: Option<Text>,
    pub(super) payload: Bytes,
    /// The request that it answers, if it is an answer.
    pub(super) token: Option<u64>,
    details: Details,
    retain: bool,
    expiry: Option<Duration>,
    again: bool,
}

/// Reads a message.
pub(super) fn read(bytes: Bytes, now: Now) -> Option<Content> {
    let message = Message::read(&bytes).ok()?;
    let properties = message.properties.unwrap_or_default();
    let annotation = |name| message.message_annotations.and_then(|map| map.get(name));
    let payload = match &message.body {
        Body::None => Bytes::new(),
        Body::Data(data) | Body::Value(Value::Binary(data)) => bytes.slice_ref(data),
        Body::Value(Value::String(text)) => bytes.slice_ref(text.as_bytes()),
        Body::Pieces(pieces) => {
            let mut whole = Vec::new();
            for piece in pieces.iter() {
                if let Value::Binary(data) = piece {
                    whole.extend_from_slice(data);
                }
            }
            whole.into()
        }
        // They stay what they are for those who speak AMQP 1.0; others see how they are encoded.
        Body::Value(value) => {
            let mut encoded = Vec::new();
            put_value(&mut encoded, value);
            encoded.into()
        }
        Body::Sequences(lists) => {
            let mut encoded = Vec::new();
            lists.iter().for_each(|list| put_value(&mut encoded, &list));
            encoded.into()
        }
    };
    let mut headers = Vec::new();
    let pairs = message.application_properties.iter().flat_map(|map| map.iter());
    for (key, value) in pairs.filter_map(Result::ok) {
        let (Some(name), Some(value)) = (key.text(), text_of(&value)) else { continue };
        let attribute = [ATTRIBUTE.1, "cloudEvents:"].iter().find_map(|prefix| name.strip_prefix(prefix));
        let name = attribute.map_or_else(|| name.to_owned(), |rest| format!("{}{rest}", ATTRIBUTE.0));
        headers.push((Text::from(&*name), value));
    }
    let details = Details {
        content_type: properties.content_type.map(Text::from),
        is_text: matches!(message.body, Body::Value(Value::String(_))).then_some(true),
        reply_to: properties.reply_to.and_then(|address| Address::new(address).ok()),
        correlation: bytes_of(&properties.correlation_id),
        headers,
        ..Details::default()
    };
    let ttl = message.header.and_then(|header| header.ttl).map(|millis| Duration::from_millis(millis.into()));
    let until = properties.absolute_expiry_time.and_then(|millis| u64::try_from(millis).ok());
    let left = until.map(|until| Duration::from_millis(until.saturating_sub(now.wall.as_millis())));
    let content = Content {
        to: properties.to.map(Text::from),
        address: annotation(ADDRESS).and_then(|value| value.text()).map(Text::from),
        subject: properties.subject.map(Text::from),
        payload,
        token: match properties.correlation_id {
            Value::String(text) if text.len() == 16 => u64::from_str_radix(text, 16).ok(),
            _ => None,
        },
        details,
        retain: annotation(RETAIN) == Some(Value::Boolean(true)),
        expiry: ttl.into_iter().chain(left).min(),
        again: message.header.is_some_and(|header| header.delivery_count > 0),
    };
    let original = Some(Original { form: Original::AMQP_1_0, bytes });
    Some(Content { details: Details { original, ..content.details }, ..content })
}

impl Content {
    /// What an answer is.
    pub(super) fn content_type(&self) -> Option<Text> {
        self.details.content_type.clone()
    }

    /// The message as an event at an address, and whether it may have come before.
    pub(super) fn into_publication(self, address: Address) -> (Box<Publication>, bool) {
        let publication = Publication {
            address,
            payload: self.payload,
            // It is settled, however it was sent.
            assurance: Assurance::AtLeastOnce,
            retain: self.retain,
            expiry: self.expiry,
            details: Some(Box::new(self.details)),
        };
        (Box::new(publication), self.again)
    }
}

/// Where an event of a subscription happened: where its filter says, or the message itself.
pub(super) fn of_filter(content: &Content, filter: &Filter, template: &Template) -> Option<Address> {
    if !filter.is_wild() {
        return Address::new(filter.as_str()).ok();
    }
    let fits = |address: &Address| filter.matches(address.as_str());
    let plain = |text: &Option<Text>| text.as_ref().and_then(|text| Address::new(&**text).ok()).filter(fits);
    let to = content.to.as_ref().and_then(|to| template.read(to)).filter(fits);
    // What servers of 0-9-1 say in 1.0: the routing key.
    let key = content.subject.as_ref().and_then(|key| address_of(TOPIC_EXCHANGE, key).ok()).filter(fits);
    plain(&content.address).or(to).or_else(|| plain(&content.to)).or(key).or_else(|| plain(&content.subject))
}

/// Where an event from a queue happened: where the message says, or at the address that is the queue's name.
pub(super) fn of_queue(content: &Content, queue: &str, template: &Template) -> Option<Address> {
    let said = content.address.as_ref().and_then(|address| Address::new(&**address).ok());
    let to = content.to.as_ref().and_then(|to| template.read(to));
    let named = || {
        let prefixes = ["/amq/queue/", "/queues/", "/queue/", "/"];
        let name = prefixes.iter().find_map(|prefix| queue.strip_prefix(prefix)).unwrap_or(queue);
        Address::new(name).ok()
    };
    said.or(to).filter(|address| !address.is_system()).or_else(named)
}

fn bytes_of(value: &Value<'_>) -> Option<Bytes> {
    match value {
        Value::Null => None,
        Value::Binary(bytes) => Some(Bytes::copy_from_slice(bytes)),
        Value::Uuid(bytes) => Some(Bytes::copy_from_slice(bytes)),
        value => text_of(value).map(|text| Bytes::copy_from_slice(text.as_bytes())),
    }
}

fn text_of(value: &Value<'_>) -> Option<Text> {
    match value {
        Value::Boolean(value) => Some(Text::from(&*value.to_string())),
        Value::Float(value) => Some(Text::from(&*value.to_string())),
        Value::Double(value) => Some(Text::from(&*value.to_string())),
        Value::Timestamp(value) => Some(Text::from(&*value.to_string())),
        value => match value.integer() {
            Some(number) => Some(Text::from(&*number.to_string())),
            None => value.text().map(Text::from),
        },
    }
}
