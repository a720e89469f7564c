//! What 0-9-1's properties mean to everybody, and how everybody's events look in 0-9-1.

use super::codec::{Array, ArrayBuf, Properties, Table, TableBuf, Value};
use crate::amqp::crossing;
use bytes::Bytes;
use windrose_event::{
    Address, Assurance, Death, Details, Event, Original, Text, Timestamp, address_of, key_of,
};

/// The header that asks for an event to be kept as its address's last value.
pub(crate) const RETAIN: &str = "x-retain";

/// The header that has the whole address, where it is longer than a routing key can be.
pub(crate) const ADDRESS: &str = "x-address";

/// Properties that others know as headers.
const NAMED: [&str; 4] = ["content-encoding", "message-id", "message-type", "app-id"];

/// A value as text, if it has one: tables and arrays have none.
pub(crate) fn text_of(value: Value<'_>) -> Option<Text> {
    Some(match value {
        Value::Text(bytes) | Value::Bytes(bytes) => Text::copy_from_utf8(bytes).ok()?,
        Value::Bool(value) => Text::from(if value { "true" } else { "false" }),
        Value::F32(value) => Text::from(value.to_string()),
        Value::F64(value) => Text::from(value.to_string()),
        Value::Timestamp(value) => Text::from(value.to_string()),
        Value::Decimal(places, digits) => {
            let scale = 10_f64.powi(places.into());
            Text::from((f64::from(digits) / scale).to_string())
        }
        Value::Table(_) | Value::Array(_) | Value::Void => return None,
        number => Text::from(number.as_integer()?.to_string()),
    })
}

/// The neutral part of what a message says of itself. `original` is not set.
pub(crate) fn details_of(properties: &Properties<'_>) -> Details {
    let text = |bytes: Option<&[u8]>| bytes.and_then(|bytes| Text::copy_from_utf8(bytes).ok());
    let mut details = Details {
        content_type: text(properties.content_type),
        reply_to: properties
            .reply_to
            .and_then(|key| std::str::from_utf8(key).ok())
            .and_then(|key| address_for("", key)),
        correlation: properties.correlation_id.map(Bytes::copy_from_slice),
        ..Details::default()
    };
    let named = [properties.content_encoding, properties.message_id, properties.kind, properties.app_id];
    for (name, value) in NAMED.into_iter().zip(named) {
        if let Some(value) = text(value) {
            details.headers.push((Text::from_static(name), value));
        }
    }
    for (name, value) in properties.headers.into_iter().flat_map(Table::iter) {
        if matches!(name, RETAIN | ADDRESS | "CC" | "BCC") {
            continue;
        }
        if let Some(value) = text_of(value) {
            // CloudEvents' attributes have this prefix in AMQP (its AMQP binding, §3.1.3.1).
            let attribute = name.strip_prefix("cloudEvents:").or_else(|| name.strip_prefix("cloudEvents_"));
            let name = match attribute {
                Some(attribute) => Text::from(format!("ce-{attribute}")),
                None => Text::from(name),
            };
            details.headers.push((name, value));
        }
    }
    details
}

/// Appends property flags and list for an event that came by another protocol. `cut`: its routing key is not all of its
/// address, which goes in a header.
pub(crate) fn write_properties(event: &Event, cut: bool, out: &mut Vec<u8>) {
    let mut headers = TableBuf::new();
    let mut named: [Option<&[u8]>; 4] = [None; 4];
    let typed = crossing::application_properties(event);
    for (name, value) in typed.iter().flat_map(|map| map.iter()).map_while(Result::ok) {
        if let (Some(name), Some(value)) =
            (name.text().filter(|name| name.len() <= 255), crossing::header(value))
        {
            headers.put(name, value);
        }
    }
    for (name, value) in event.headers() {
        match NAMED.iter().position(|known| *name == **known) {
            Some(index) if value.len() <= 255 => {
                if let Some(place) = named.get_mut(index) {
                    *place = Some(value.as_bytes());
                }
            }
            _ if name.len() <= 255 && typed.is_none() => {
                headers.put(name.as_str(), Value::Text(value.as_bytes()));
            }
            _ => {}
        }
    }
    if cut {
        headers.put(ADDRESS, Value::Text(event.address.as_bytes()));
    }
    if event.retain {
        headers.put(RETAIN, Value::Bool(true));
    }
    put_deaths(event, None, &mut headers);
    let reply_to = event.reply_to().map(reply_key);
    let expiration = event
        .expires
        .filter(|_| deaths_of(event).is_empty())
        .map(|expires| expires.since(event.time).as_millis().to_string());
    let [content_encoding, message_id, kind, app_id] = named;
    let properties = Properties {
        content_type: event.content_type().map(Text::as_bytes).filter(|text| text.len() <= 255),
        content_encoding,
        headers: (!headers.table().is_empty()).then(|| headers.table()),
        delivery_mode: Some(if event.assurance == Assurance::AtMostOnce { 1 } else { 2 }),
        correlation_id: event.correlation().map(|bytes| &bytes[..]).filter(|bytes| bytes.len() <= 255),
        reply_to: reply_to.as_ref().map(String::as_bytes).filter(|key| key.len() <= 255),
        expiration: expiration.as_ref().map(String::as_bytes),
        message_id,
        timestamp: Some(seconds(event.time)),
        kind,
        app_id,
        ..Properties::default()
    };
    properties.write(out);
}

/// An event's exchange and routing key as short strings, and its property flags and list, as its sender wrote them.
pub(crate) fn original_of(event: &Event) -> Option<(&[u8], &[u8])> {
    let bytes = event.original(Original::AMQP_0_9_1)?;
    let exchange = usize::from(*bytes.first()?);
    let key = usize::from(*bytes.get(1 + exchange)?);
    bytes.split_at_checked(2 + exchange + key)
}

/// The deaths of an event, if it died.
pub(crate) fn deaths_of(event: &Event) -> &[Death] {
    event.details.as_ref().map_or(&[], |details| &details.deaths)
}

/// Appends the property flags and list of an event that was dead-lettered: they say so, and it expires no more
/// (RabbitMQ: dead-lettered messages, effects on the message).
pub(crate) fn write_dead(event: &Event, properties: &Properties<'_>, out: &mut Vec<u8>) {
    let mut headers = TableBuf::new();
    for (name, value) in properties.headers.into_iter().flat_map(Table::iter) {
        if name != "x-death" && !name.starts_with("x-first-death-") {
            headers.put(name, value);
        }
    }
    put_deaths(event, properties.expiration, &mut headers);
    Properties { headers: Some(headers.table()), expiration: None, ..*properties }.write(out);
}

fn put_deaths(event: &Event, expiration: Option<&[u8]>, headers: &mut TableBuf) {
    let deaths = deaths_of(event);
    let Some(first) = deaths.last() else { return };
    let mut list = ArrayBuf::new();
    for (index, death) in deaths.iter().enumerate() {
        let mut keys = ArrayBuf::new();
        keys.push(Value::Text(death.key.as_bytes()));
        let mut entry = TableBuf::new();
        entry
            .put("count", Value::I64(death.count.into()))
            .put_text("reason", death.reason)
            .put("queue", Value::Text(death.queue.as_bytes()))
            .put("time", Value::Timestamp(seconds(death.time)))
            .put("exchange", Value::Text(death.exchange.as_bytes()))
            .put("routing-keys", Value::Array(keys.array()));
        if let Some(expiration) = expiration.filter(|_| index + 1 == deaths.len()) {
            entry.put("original-expiration", Value::Text(expiration));
        }
        list.push(Value::Table(entry.table()));
    }
    headers
        .put("x-death", Value::Array(list.array()))
        .put_text("x-first-death-reason", first.reason)
        .put("x-first-death-queue", Value::Text(first.queue.as_bytes()))
        .put("x-first-death-exchange", Value::Text(first.exchange.as_bytes()));
}

fn seconds(time: Timestamp) -> u64 {
    time.as_micros() / 1_000_000
}

/// The routing keys of a `CC` or `BCC` header (RabbitMQ: sender-selected distribution). `None`: it is no list of texts.
pub(crate) fn keys_of(list: Array<'_>) -> Option<Vec<Text>> {
    list.iter().map(|key| key.as_str().map(Text::from)).collect()
}

/// What the node's own reply addresses begin with, and the keys that stand for them here (RabbitMQ: direct reply-to).
const REPLIES: (&str, &str) = ("$reply/", "amq.rabbitmq.reply-to.");

/// The routing key on the default exchange by which replies get to an address.
pub(crate) fn reply_key(address: &Address) -> String {
    match address.as_str().strip_prefix(REPLIES.0) {
        Some(rest) => format!("{}{}", REPLIES.1, key_of(rest)),
        None => key_of(address.as_str()),
    }
}

/// Where an event happens that is published to an exchange with that key; `None`: nowhere.
pub(crate) fn address_for(exchange: &str, key: &str) -> Option<Address> {
    match key.strip_prefix(REPLIES.1).filter(|_| exchange.is_empty()) {
        Some(rest) => Address::new(format!("{}{}", REPLIES.0, address_of("", rest).ok()?)).ok(),
        None => address_of(exchange, key).ok(),
    }
}
