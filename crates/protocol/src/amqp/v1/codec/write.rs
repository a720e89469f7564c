//! Writing the wire's types (part 1 §1.6), each in the shortest of its encodings.

use super::Symbols;
use super::format::code;
use super::value::{List, Map, Value};

/// Null.
pub(super) fn put_null(out: &mut Vec<u8>) {
    out.push(code::NULL);
}

/// A boolean.
pub fn put_boolean(out: &mut Vec<u8>, value: bool) {
    out.push(if value { code::TRUE } else { code::FALSE });
}

/// A uint.
#[inline]
pub fn put_uint(out: &mut Vec<u8>, value: u32) {
    match value {
        0 => out.push(code::UINT_0),
        1..=255 => out.extend_from_slice(&[code::SMALL_UINT, value as u8]),
        _ => {
            out.push(code::UINT);
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
}

/// A ulong.
pub fn put_ulong(out: &mut Vec<u8>, value: u64) {
    match value {
        0 => out.push(code::ULONG_0),
        1..=255 => out.extend_from_slice(&[code::SMALL_ULONG, value as u8]),
        _ => {
            out.push(code::ULONG);
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
}

/// A timestamp: milliseconds since the Unix epoch.
pub fn put_timestamp(out: &mut Vec<u8>, millis: i64) {
    out.push(code::TIMESTAMP);
    out.extend_from_slice(&millis.to_be_bytes());
}

#[inline]
fn put_variable(out: &mut Vec<u8>, short: u8, bytes: &[u8]) {
    match u8::try_from(bytes.len()) {
        Ok(length) => out.extend_from_slice(&[short, length]),
        Err(_) => {
            out.push(short | 0x10);
            out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
        }
    }
    out.extend_from_slice(bytes);
}

/// A binary.
#[inline]
pub fn put_binary(out: &mut Vec<u8>, bytes: &[u8]) {
    put_variable(out, code::BINARY_8, bytes);
}

/// A string.
pub fn put_string(out: &mut Vec<u8>, text: &str) {
    put_variable(out, code::STRING_8, text.as_bytes());
}

/// A symbol. It must be ASCII.
pub fn put_symbol(out: &mut Vec<u8>, text: &str) {
    put_variable(out, code::SYMBOL_8, text.as_bytes());
}

/// The head of a described value: the value follows.
#[inline]
pub fn put_described(out: &mut Vec<u8>, descriptor: u8) {
    out.extend_from_slice(&[code::DESCRIBED, code::SMALL_ULONG, descriptor]);
}

/// Size and count of a compound value that has `items` after its count.
pub(super) fn put_compound(out: &mut Vec<u8>, short: u8, count: u32, items: &[&[u8]]) {
    let length: usize = items.iter().map(|part| part.len()).sum();
    match (u8::try_from(length + 1), u8::try_from(count)) {
        (Ok(size), Ok(count)) => out.extend_from_slice(&[short, size, count]),
        _ => {
            out.push(short | 0x10);
            out.extend_from_slice(&(length as u32 + 4).to_be_bytes());
            out.extend_from_slice(&count.to_be_bytes());
        }
    }
    for part in items {
        out.extend_from_slice(part);
    }
}

pub(super) fn put_list(out: &mut Vec<u8>, list: &List<'_>) {
    if list.is_empty() {
        return out.push(code::LIST_0);
    }
    put_compound(out, code::LIST_8, list.count, &[list.items]);
}

pub(super) fn put_map(out: &mut Vec<u8>, map: &Map<'_>) {
    put_compound(out, code::MAP_8, map.count, &[map.items]);
}

/// Any number of symbols.
pub(super) fn put_symbols(out: &mut Vec<u8>, symbols: &Symbols<'_>) {
    match symbols {
        Symbols::None => put_null(out),
        Symbols::One(one) => put_symbol(out, one),
        Symbols::Array(array) => put_value(out, &Value::Array(*array)),
        Symbols::Slice([]) => put_null(out),
        Symbols::Slice(all) => {
            let mut items = Vec::with_capacity(all.iter().map(|one| one.len() + 4).sum());
            for one in *all {
                items.extend_from_slice(&(one.len() as u32).to_be_bytes());
                items.extend_from_slice(one.as_bytes());
            }
            put_compound(out, code::ARRAY_8, all.len() as u32, &[&[code::SYMBOL_32], &items]);
        }
    }
}

/// Any value.
pub fn put_value(out: &mut Vec<u8>, value: &Value<'_>) {
    fn put<const N: usize>(out: &mut Vec<u8>, constructor: u8, bytes: [u8; N]) {
        out.push(constructor);
        out.extend_from_slice(&bytes);
    }
    match *value {
        Value::Null => put_null(out),
        Value::Boolean(value) => put_boolean(out, value),
        Value::Ubyte(n) => put(out, code::UBYTE, [n]),
        Value::Ushort(n) => put(out, code::USHORT, n.to_be_bytes()),
        Value::Uint(n) => put_uint(out, n),
        Value::Ulong(n) => put_ulong(out, n),
        Value::Byte(n) => put(out, code::BYTE, n.to_be_bytes()),
        Value::Short(n) => put(out, code::SHORT, n.to_be_bytes()),
        Value::Int(n) => match i8::try_from(n) {
            Ok(n) => put(out, code::SMALL_INT, n.to_be_bytes()),
            Err(_) => put(out, code::INT, n.to_be_bytes()),
        },
        Value::Long(n) => match i8::try_from(n) {
            Ok(n) => put(out, code::SMALL_LONG, n.to_be_bytes()),
            Err(_) => put(out, code::LONG, n.to_be_bytes()),
        },
        Value::Float(n) => put(out, code::FLOAT, n.to_be_bytes()),
        Value::Double(n) => put(out, code::DOUBLE, n.to_be_bytes()),
        Value::Decimal32(bytes) => put(out, code::DECIMAL_32, bytes),
        Value::Decimal64(bytes) => put(out, code::DECIMAL_64, bytes),
        Value::Decimal128(bytes) => put(out, code::DECIMAL_128, bytes),
        Value::Char(c) => put(out, code::CHAR, u32::from(c).to_be_bytes()),
        Value::Timestamp(millis) => put_timestamp(out, millis),
        Value::Uuid(bytes) => put(out, code::UUID, bytes),
        Value::Binary(bytes) => put_binary(out, bytes),
        Value::String(text) => put_string(out, text),
        Value::Symbol(text) => put_symbol(out, text),
        Value::List(list) => put_list(out, &list),
        Value::Map(map) => put_map(out, &map),
        Value::Array(array) => {
            let (count, constructor, items) = array.parts();
            put_compound(out, code::ARRAY_8, count, &[constructor, items]);
        }
        Value::Described(described) => {
            out.push(code::DESCRIBED);
            out.extend_from_slice(described.descriptor);
            out.extend_from_slice(described.value);
        }
    }
}
