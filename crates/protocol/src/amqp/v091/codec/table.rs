//! Field tables (AMQP 0-9-1 §4.2.5.5), with the types as RabbitMQ and its clients write them, which is not as the
//! specification has them (RabbitMQ's errata, §3).

use super::CodecError;
use super::read::{Reader, put_long, put_short};

/// How deep tables and arrays may lie in one another.
const DEEPEST: usize = 32;

/// A field table that was looked through: a view of its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Table<'a>(&'a [u8]);

/// A field array that was looked through: a view of its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Array<'a>(&'a [u8]);

/// A value in a table or array (AMQP 0-9-1 §4.2.5.5, RabbitMQ's errata §3).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// `t`
    Bool(bool),
    /// `b`
    I8(i8),
    /// `B`
    U8(u8),
    /// `s`, and `U` of the specification
    I16(i16),
    /// `u`
    U16(u16),
    /// `I`
    I32(i32),
    /// `i`
    U32(u32),
    /// `l`, and `L` of the specification
    I64(i64),
    /// `f`
    F32(f32),
    /// `d`
    F64(f64),
    /// `D`: decimal places and the digits
    Decimal(u8, i32),
    /// `S`: mostly text
    Text(&'a [u8]),
    /// `x`
    Bytes(&'a [u8]),
    /// `T`: seconds since 1970
    Timestamp(u64),
    /// `A`
    Array(Array<'a>),
    /// `F`
    Table(Table<'a>),
    /// `V`
    Void,
}

impl<'a> Value<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, CodecError> {
        let [kind] = reader.array()?;
        Ok(match kind {
            b't' => Self::Bool(reader.array::<1>()? != [0]),
            b'b' => Self::I8(i8::from_be_bytes(reader.array()?)),
            b'B' => Self::U8(u8::from_be_bytes(reader.array()?)),
            b's' | b'U' => Self::I16(i16::from_be_bytes(reader.array()?)),
            b'u' => Self::U16(u16::from_be_bytes(reader.array()?)),
            b'I' => Self::I32(i32::from_be_bytes(reader.array()?)),
            b'i' => Self::U32(u32::from_be_bytes(reader.array()?)),
            b'l' | b'L' => Self::I64(i64::from_be_bytes(reader.array()?)),
            b'f' => Self::F32(f32::from_be_bytes(reader.array()?)),
            b'd' => Self::F64(f64::from_be_bytes(reader.array()?)),
            b'D' => {
                let [places] = reader.array()?;
                Self::Decimal(places, i32::from_be_bytes(reader.array()?))
            }
            b'S' => Self::Text(reader.long_bytes()?),
            b'x' => Self::Bytes(reader.long_bytes()?),
            b'T' => Self::Timestamp(u64::from_be_bytes(reader.array()?)),
            b'A' => Self::Array(Array(reader.long_bytes()?)),
            b'F' => Self::Table(Table(reader.long_bytes()?)),
            b'V' => Self::Void,
            _ => return Err(CodecError::syntax("a table has a value of no known type")),
        })
    }

    /// Looks through what is in it.
    fn check(self, depth: usize) -> Result<(), CodecError> {
        match self {
            Self::Table(table) => table.check(depth),
            Self::Array(array) => array.check(depth),
            _ => Ok(()),
        }
    }

    /// Appends it as `put` has it in a table.
    fn write(self, out: &mut Vec<u8>) {
        macro_rules! number {
            ($kind:literal, $number:expr) => {{
                out.push($kind);
                out.extend_from_slice(&$number.to_be_bytes());
            }};
        }
        match self {
            Self::Bool(value) => out.extend_from_slice(&[b't', u8::from(value)]),
            Self::I8(value) => number!(b'b', value),
            Self::U8(value) => number!(b'B', value),
            Self::I16(value) => number!(b's', value),
            Self::U16(value) => number!(b'u', value),
            Self::I32(value) => number!(b'I', value),
            Self::U32(value) => number!(b'i', value),
            Self::I64(value) => number!(b'l', value),
            Self::F32(value) => number!(b'f', value),
            Self::F64(value) => number!(b'd', value),
            Self::Decimal(places, value) => {
                out.extend_from_slice(&[b'D', places]);
                out.extend_from_slice(&value.to_be_bytes());
            }
            Self::Timestamp(value) => number!(b'T', value),
            Self::Text(bytes) => put_string(out, b'S', bytes),
            Self::Bytes(bytes) => put_string(out, b'x', bytes),
            Self::Array(Array(bytes)) => put_string(out, b'A', bytes),
            Self::Table(Table(bytes)) => put_string(out, b'F', bytes),
            Self::Void => out.push(b'V'),
        }
    }

    /// The number, if it is a whole one of any size.
    pub fn as_integer(self) -> Option<i64> {
        match self {
            Self::I8(value) => Some(value.into()),
            Self::U8(value) => Some(value.into()),
            Self::I16(value) => Some(value.into()),
            Self::U16(value) => Some(value.into()),
            Self::I32(value) => Some(value.into()),
            Self::U32(value) => Some(value.into()),
            Self::I64(value) => Some(value),
            _ => None,
        }
    }

    /// The text, if it is some, and UTF-8.
    pub fn as_str(self) -> Option<&'a str> {
        match self {
            Self::Text(bytes) | Self::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }
}

fn put_string(out: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    out.push(kind);
    put_long(out, bytes);
}

const TOO_DEEP: CodecError = CodecError::syntax("tables lie in one another deeper than 32");

impl<'a> Table<'a> {
    /// Looks through a table's bytes, without the length before them.
    ///
    /// # Errors
    /// They are no table, or tables lie too deep in one another.
    pub fn read(bytes: &'a [u8]) -> Result<Self, CodecError> {
        let table = Self(bytes);
        table.check(DEEPEST)?;
        Ok(table)
    }

    fn check(self, depth: usize) -> Result<(), CodecError> {
        let depth = depth.checked_sub(1).ok_or(TOO_DEEP)?;
        let mut reader = Reader::new(self.0);
        while !reader.is_empty() {
            let name = reader.short_bytes()?;
            std::str::from_utf8(name).map_err(|_| CodecError::syntax("a field's name is not UTF-8"))?;
            Value::read(&mut reader)?.check(depth)?;
        }
        Ok(())
    }

    /// Names and values, in order.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, Value<'a>)> {
        let mut reader = Reader::new(self.0);
        std::iter::from_fn(move || {
            let name = reader.short_bytes().ok()?;
            Some((std::str::from_utf8(name).ok()?, Value::read(&mut reader).ok()?))
        })
    }

    /// The first value of that name.
    pub fn get(self, name: &str) -> Option<Value<'a>> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Whether nothing is in it.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Its bytes, without the length before them.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

impl<'a> Array<'a> {
    fn check(self, depth: usize) -> Result<(), CodecError> {
        let depth = depth.checked_sub(1).ok_or(TOO_DEEP)?;
        let mut reader = Reader::new(self.0);
        while !reader.is_empty() {
            Value::read(&mut reader)?.check(depth)?;
        }
        Ok(())
    }

    /// The values, in order.
    pub fn iter(self) -> impl Iterator<Item = Value<'a>> {
        let mut reader = Reader::new(self.0);
        std::iter::from_fn(move || Value::read(&mut reader).ok())
    }
}

/// A table that is written.
#[derive(Clone, Debug, Default)]
pub struct TableBuf(Vec<u8>);

impl TableBuf {
    /// One with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a field. A name of more than 255 bytes is cut off.
    pub fn put(&mut self, name: &str, value: Value<'_>) -> &mut Self {
        put_short(&mut self.0, name.as_bytes());
        value.write(&mut self.0);
        self
    }

    /// Appends a field that is text.
    pub fn put_text(&mut self, name: &str, text: &str) -> &mut Self {
        self.put(name, Value::Text(text.as_bytes()))
    }

    /// The table.
    pub fn table(&self) -> Table<'_> {
        Table(&self.0)
    }
}

/// An array that is written.
#[derive(Clone, Debug, Default)]
pub struct ArrayBuf(Vec<u8>);

impl ArrayBuf {
    /// One with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a value.
    pub fn push(&mut self, value: Value<'_>) -> &mut Self {
        value.write(&mut self.0);
        self
    }

    /// The array.
    pub fn array(&self) -> Array<'_> {
        Array(&self.0)
    }
}
