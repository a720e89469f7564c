//! Fields, one after the other (AMQP 0-9-1 §4.2.5).

use super::{CodecError, Table};

/// Reads fields from a frame's payload.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    /// Bits that share an octet: what is left of it, and how many.
    bits: u8,
    left: u8,
}

const SHORT: CodecError = CodecError::syntax("a field goes beyond the end of its frame");

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, bits: 0, left: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let (array, rest) = self.rest.split_first_chunk::<N>().ok_or(SHORT)?;
        (self.rest, self.left) = (rest, 0);
        Ok(*array)
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], CodecError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(SHORT)?;
        (self.rest, self.left) = (rest, 0);
        Ok(taken)
    }

    /// A short string's bytes (AMQP 0-9-1 §4.2.5.3).
    pub(crate) fn short_bytes(&mut self) -> Result<&'a [u8], CodecError> {
        let [length] = self.array()?;
        self.take(length.into())
    }

    /// A long string's bytes (AMQP 0-9-1 §4.2.5.3).
    pub(crate) fn long_bytes(&mut self) -> Result<&'a [u8], CodecError> {
        let length = u32::from_be_bytes(self.array()?);
        self.take(length as usize)
    }

    fn bit(&mut self) -> Result<bool, CodecError> {
        if self.left == 0 {
            let [bits] = self.array()?;
            (self.bits, self.left) = (bits, 8);
        }
        let bit = self.bits & 1 == 1;
        self.bits >>= 1;
        self.left -= 1;
        Ok(bit)
    }
}

/// Writes fields.
pub(crate) struct Writer<'a> {
    pub(crate) out: &'a mut Vec<u8>,
    /// How many bits the last octet has, if it has bits.
    bits: u8,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, bits: 0 }
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bits = 0;
        self.out.extend_from_slice(bytes);
    }

    fn bit(&mut self, bit: bool) {
        if self.bits == 0 || self.bits == 8 {
            self.out.push(0);
            self.bits = 0;
        }
        if let Some(last) = self.out.last_mut() {
            *last |= u8::from(bit) << self.bits;
        }
        self.bits += 1;
    }
}

/// Appends a short string; what does not fit into 255 bytes is cut off at a character.
pub(crate) fn put_short(out: &mut Vec<u8>, text: &[u8]) {
    let mut length = text.len().min(255);
    while length < text.len() && length > 0 && text.get(length).is_some_and(|byte| byte & 0xc0 == 0x80) {
        length -= 1;
    }
    out.push(length as u8);
    out.extend_from_slice(text.get(..length).unwrap_or_default());
}

/// Appends a long string.
pub(crate) fn put_long(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// A method's field: how it is read and written.
pub(crate) trait Field<'a>: Sized {
    fn read(reader: &mut Reader<'a>) -> Result<Self, CodecError>;
    fn write(&self, writer: &mut Writer<'_>);
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl<'a> Field<'a> for $number {
            fn read(reader: &mut Reader<'a>) -> Result<Self, CodecError> {
                reader.array().map(<$number>::from_be_bytes)
            }
            fn write(&self, writer: &mut Writer<'_>) {
                writer.put(&self.to_be_bytes());
            }
        }
    )*};
}

numbers!(u8, u16, u32, u64);

impl<'a> Field<'a> for bool {
    fn read(reader: &mut Reader<'a>) -> Result<Self, CodecError> {
        reader.bit()
    }
    fn write(&self, writer: &mut Writer<'_>) {
        writer.bit(*self);
    }
}

/// A short string.
impl<'a> Field<'a> for &'a str {
    fn read(reader: &mut Reader<'a>) -> Result<Self, CodecError> {
        let bytes = reader.short_bytes()?;
        std::str::from_utf8(bytes).map_err(|_| CodecError::syntax("a short string is not UTF-8"))
    }
    fn write(&self, writer: &mut Writer<'_>) {
        writer.bits = 0;
        put_short(writer.out, self.as_bytes());
    }
}

/// A long string.
impl<'a> Field<'a> for &'a [u8] {
    fn read(reader: &mut Reader<'a>) -> Result<Self, CodecError> {
        reader.long_bytes()
    }
    fn write(&self, writer: &mut Writer<'_>) {
        writer.bits = 0;
        put_long(writer.out, self);
    }
}

impl<'a> Field<'a> for Table<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, CodecError> {
        Table::read(reader.long_bytes()?)
    }
    fn write(&self, writer: &mut Writer<'_>) {
        writer.bits = 0;
        put_long(writer.out, self.as_bytes());
    }
}
