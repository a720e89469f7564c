//! Named values between the two versions: both give them types, which nobody else does, and what one sends the other gets.

use super::v1::codec as v1;
use super::v091::codec as v091;
use windrose_event::{Event, Original};

/// What an event says of itself that came by 0-9-1.
pub(super) fn classic(event: &Event) -> Option<v091::Properties<'_>> {
    let (_, properties) = super::v091::message::original_of(event)?;
    v091::Properties::read(properties).ok()
}

/// The application properties of an event that came by 1.0.
pub(super) fn application_properties(event: &Event) -> Option<v1::Map<'_>> {
    v1::Message::read(event.original(Original::AMQP_1_0)?).ok()?.application_properties
}

/// A value of a header as one of an application property; those have simple values only (1.0 part 3 §3.2.5).
pub(super) fn property(value: v091::Value<'_>) -> Option<v1::Value<'_>> {
    Some(match value {
        v091::Value::Bool(value) => v1::Value::Boolean(value),
        v091::Value::I8(number) => v1::Value::Byte(number),
        v091::Value::U8(number) => v1::Value::Ubyte(number),
        v091::Value::I16(number) => v1::Value::Short(number),
        v091::Value::U16(number) => v1::Value::Ushort(number),
        v091::Value::I32(number) => v1::Value::Int(number),
        v091::Value::U32(number) => v1::Value::Uint(number),
        v091::Value::I64(number) => v1::Value::Long(number),
        v091::Value::F32(number) => v1::Value::Float(number),
        v091::Value::F64(number) => v1::Value::Double(number),
        v091::Value::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => v1::Value::String(text),
            Err(_) => v1::Value::Binary(bytes),
        },
        v091::Value::Bytes(bytes) => v1::Value::Binary(bytes),
        v091::Value::Timestamp(seconds) => {
            v1::Value::Timestamp(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000))
        }
        v091::Value::Void => v1::Value::Null,
        v091::Value::Decimal(..) | v091::Value::Array(_) | v091::Value::Table(_) => return None,
    })
}

/// A value of an application property as one of a header. What 0-9-1 has no type for is text to it.
pub(super) fn header(value: v1::Value<'_>) -> Option<v091::Value<'_>> {
    Some(match value {
        v1::Value::Null => v091::Value::Void,
        v1::Value::Boolean(value) => v091::Value::Bool(value),
        v1::Value::Byte(number) => v091::Value::I8(number),
        v1::Value::Ubyte(number) => v091::Value::U8(number),
        v1::Value::Short(number) => v091::Value::I16(number),
        v1::Value::Ushort(number) => v091::Value::U16(number),
        v1::Value::Int(number) => v091::Value::I32(number),
        v1::Value::Uint(number) => v091::Value::U32(number),
        v1::Value::Long(number) => v091::Value::I64(number),
        v1::Value::Ulong(number) => v091::Value::I64(i64::try_from(number).ok()?),
        v1::Value::Float(number) => v091::Value::F32(number),
        v1::Value::Double(number) => v091::Value::F64(number),
        v1::Value::Timestamp(millis) => v091::Value::Timestamp(u64::try_from(millis).ok()? / 1_000),
        v1::Value::String(text) | v1::Value::Symbol(text) => v091::Value::Text(text.as_bytes()),
        v1::Value::Binary(bytes) => v091::Value::Bytes(bytes),
        _ => return None,
    })
}
