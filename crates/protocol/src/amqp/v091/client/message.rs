//! Events as contents of class basic, and back (AMQP 0-9-1 §1.8.1).

use crate::amqp::client::RETAIN;
use crate::amqp::v091::codec::{Properties, Table, TableBuf, Value};
use bytes::Bytes;
use std::time::Duration;
use windrose_event::{Address, Assurance, Details, Event, Now, Original, Publication, Text, VIA, address_of};

/// An answer that is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) reply_to: &'static str,
    pub(super) correlation: u64,
}

/// The token that a correlation identifier is, if it is one of ours.
pub(super) fn token(correlation: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(correlation).ok().filter(|text| text.len() == 16)?;
    u64::from_str_radix(text, 16).ok()
}

/// Text, if it is some.
pub(super) fn text(bytes: &[u8]) -> Option<Text> {
    std::str::from_utf8(bytes).ok().map(Text::from)
}

/// Appends the property flags and list that say what is to be said of an event. Returns the message identifier in them.
pub(super) fn write(event: &Event, now: Now, ask: Option<Ask>, via: &str, out: &mut Vec<u8>) -> Vec<u8> {
    let details = event.details.as_deref();
    let original = event.original(Original::AMQP_0_9_1).and_then(|bytes| original(bytes));
    let mut properties = original.unwrap_or_default();
    let mut headers = TableBuf::new();
    match properties.headers {
        Some(table) => {
            for (name, value) in table.iter() {
                headers.put(name, value);
            }
        }
        None => {
            for (name, value) in event.headers() {
                headers.put_text(name, value);
            }
        }
    }
    if event.retain {
        headers.put(RETAIN, Value::Bool(true));
    }
    headers.put_text(VIA, via);
    properties.headers = Some(headers.table());
    properties.delivery_mode = Some(if event.assurance > Assurance::AtMostOnce { 2 } else { 1 });
    // Who is logged in there is the node, not the event's sender.
    properties.user_id = None;
    let correlation = ask.map(|ask| format!("{:016x}", ask.correlation));
    properties.reply_to = ask.map(|ask| ask.reply_to.as_bytes());
    properties.correlation_id = match (&correlation, details.and_then(|details| details.correlation.as_ref()))
    {
        (Some(ours), _) => Some(ours.as_bytes()),
        (None, theirs) => theirs.map(|bytes| &bytes[..]).filter(|bytes| bytes.len() <= 255),
    };
    let content_type = details.and_then(|details| details.content_type.as_ref());
    properties.content_type = properties.content_type.or(content_type.map(|text| text.as_bytes()));
    let left = event.expires.map(|expires| {
        let micros = expires.as_micros().saturating_sub(now.wall.as_micros());
        micros.div_ceil(1_000).to_string()
    });
    properties.expiration = left.as_ref().map(String::as_bytes);
    let id = event.id.to_string();
    let message_id = properties.message_id.unwrap_or(id.as_bytes()).to_vec();
    properties.message_id = Some(&message_id);
    properties.timestamp = properties.timestamp.or(Some(event.time.as_millis() / 1_000));
    properties.write(out);
    message_id
}

/// What an event's sender said of it in this protocol.
fn original(bytes: &[u8]) -> Option<Properties<'_>> {
    let mut rest = bytes;
    for _name in ["exchange", "routing key"] {
        let (length, after) = rest.split_first()?;
        rest = after.get(usize::from(*length)..)?;
    }
    Properties::read(rest).ok()
}

/// A content as a publication at `address`. `raw` are the flags and list that the properties were read from.
pub(super) fn read(
    address: Address,
    exchange: &str,
    key: &str,
    raw: &[u8],
    properties: Properties<'_>,
    payload: Bytes,
) -> Publication {
    let table = properties.headers.unwrap_or_default();
    let expiry = properties.expiration.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
    let reply_to = properties.reply_to.and_then(|name| std::str::from_utf8(name).ok());
    let mut original = Vec::with_capacity(2 + exchange.len() + key.len() + raw.len());
    for name in [exchange, key] {
        original.push(name.len() as u8);
        original.extend_from_slice(name.as_bytes());
    }
    original.extend_from_slice(raw);
    let details = Details {
        content_type: properties.content_type.and_then(text),
        reply_to: reply_to.and_then(|name| address_of("", name).ok()),
        correlation: properties.correlation_id.map(Bytes::copy_from_slice),
        headers: headers(table),
        original: Some(Original { form: Original::AMQP_0_9_1, bytes: original.into() }),
        ..Details::default()
    };
    Publication {
        address,
        payload,
        // It is acknowledged, however it was sent.
        assurance: Assurance::AtLeastOnce,
        retain: matches!(table.get(RETAIN), Some(Value::Bool(true))),
        expiry: expiry.map(Duration::from_millis),
        details: Some(Box::new(details)),
    }
}

/// Headers that are text, or can be read as such.
fn headers(table: Table<'_>) -> Vec<(Text, Text)> {
    let text = |value: Value<'_>| match value {
        Value::Bool(value) => Some(Text::from(&*value.to_string())),
        Value::F32(value) => Some(Text::from(&*value.to_string())),
        Value::F64(value) => Some(Text::from(&*value.to_string())),
        Value::Timestamp(value) => Some(Text::from(&*value.to_string())),
        value => match value.as_integer() {
            Some(number) => Some(Text::from(&*number.to_string())),
            None => value.as_str().map(Text::from),
        },
    };
    let known = table.iter().filter(|(name, _)| *name != RETAIN);
    known.filter_map(|(name, value)| Some((Text::from(name), text(value)?))).collect()
}
