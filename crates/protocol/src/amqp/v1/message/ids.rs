//! Message and correlation identifiers: a number, a UUID, bytes or text to AMQP, bytes to everybody else.
//!
//! Those that are neither text nor bytes are written as the AMQP bindings for JMS have it, so that they come back as what
//! they were, whoever answers.

use crate::amqp::v1::codec::Value;
use bytes::Bytes;

const ULONG: &str = "AMQP_ULONG:";
const UUID: &str = "AMQP_UUID:";

/// What others recognise the message by.
pub(super) fn bytes_of(id: &Value<'_>) -> Option<Bytes> {
    Some(match id {
        Value::String(text) => Bytes::copy_from_slice(text.as_bytes()),
        Value::Binary(bytes) => Bytes::copy_from_slice(bytes),
        Value::Ulong(number) => format!("{ULONG}{number}").into(),
        Value::Uuid(bytes) => format!("{UUID}{}", uuid(bytes)).into(),
        _ => return None,
    })
}

/// The identifier that bytes are; a UUID needs room of its own.
pub(super) fn value_of<'a>(bytes: &'a [u8]) -> Value<'a> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Value::Binary(bytes) };
    let number = text.strip_prefix(ULONG).and_then(|number| number.parse().ok()).map(Value::Ulong);
    let uuid = || text.strip_prefix(UUID).and_then(uuid_of).map(Value::Uuid);
    number.or_else(uuid).unwrap_or(Value::String(text))
}

/// RFC 9562's text.
pub(super) fn uuid(bytes: &[u8; 16]) -> String {
    let id = u128::from_be_bytes(*bytes);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        id >> 96,
        (id >> 80) & 0xffff,
        (id >> 64) & 0xffff,
        (id >> 48) & 0xffff,
        id & 0xffff_ffff_ffff
    )
}

fn uuid_of(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.split('-').collect();
    (digits.len() == 32).then(|| u128::from_str_radix(&digits, 16).ok().map(u128::to_be_bytes))?
}
