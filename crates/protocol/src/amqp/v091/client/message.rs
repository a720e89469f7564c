//! Events as contents of class basic, and back (AMQP 0-9-1 §1.8.1).

use crate::amqp::v091::codec::{Properties, Table, TableBuf, Value};
use crate::amqp::v091::message::{RETAIN, details_of, original_of, write_properties};
use bytes::Bytes;
use std::time::Duration;
use windrose_event::{Address, Assurance, Details, Event, Now, Original, Publication, Text, VIA};

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
    Text::copy_from_utf8(bytes).ok()
}

/// Appends the property flags and list that say what is to be said of an event. Returns the message identifier in them.
pub(super) fn write(event: &Event, now: Now, ask: Option<Ask>, via: &str, out: &mut Vec<u8>) -> Vec<u8> {
    let mut written = Vec::new();
    let original = original_of(event).and_then(|(_, raw)| Properties::read(raw).ok());
    let is_original = original.is_some();
    let mut properties = original.unwrap_or_else(|| {
        write_properties(event, false, &mut written);
        Properties::read(&written).unwrap_or_default()
    });
    let mut headers = TableBuf::new();
    for (name, value) in properties.headers.into_iter().flat_map(Table::iter) {
        headers.put(name, value);
    }
    if event.retain && is_original && properties.headers.is_none_or(|table| table.get(RETAIN).is_none()) {
        headers.put(RETAIN, Value::Bool(true));
    }
    headers.put_text(VIA, via);
    properties.headers = Some(headers.table());
    properties.delivery_mode = Some(if event.assurance > Assurance::AtMostOnce { 2 } else { 1 });
    // Who is logged in there is the node, not the event's sender.
    properties.user_id = None;
    let correlation = ask.map(|ask| format!("{:016x}", ask.correlation));
    properties.reply_to = ask.map(|ask| ask.reply_to.as_bytes());
    if let Some(correlation) = &correlation {
        properties.correlation_id = Some(correlation.as_bytes());
    }
    let left = event.expires.map(|expires| {
        let micros = expires.as_micros().saturating_sub(now.wall.as_micros());
        micros.div_ceil(1_000).to_string()
    });
    properties.expiration = left.as_ref().map(String::as_bytes);
    let id = event.id.to_string();
    let message_id = properties.message_id.unwrap_or(id.as_bytes()).to_vec();
    properties.message_id = Some(&message_id);
    properties.write(out);
    message_id
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
    let mut original = Vec::with_capacity(2 + exchange.len() + key.len() + raw.len());
    for name in [exchange, key] {
        original.push(name.len() as u8);
        original.extend_from_slice(name.as_bytes());
    }
    original.extend_from_slice(raw);
    let original = Some(Original { form: Original::AMQP_0_9_1, bytes: original.into() });
    let details = Details { original, ..details_of(&properties) };
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
