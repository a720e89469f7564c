//! The header of a message: how it is to be transferred (part 3 §3.2.1).

use super::format::descriptor;
use super::{CodecError, Fields, ListWriter, Reader};

/// A message's header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Whether it must not be lost when whoever has it stops.
    pub durable: bool,
    /// How urgent it is; `None`: 4.
    pub priority: Option<u8>,
    /// For how many milliseconds it is worth delivering.
    pub ttl: Option<u32>,
    /// Whether nobody had it before.
    pub first_acquirer: bool,
    /// How many deliveries failed before.
    pub delivery_count: u32,
}

impl Header {
    pub(super) fn read(mut fields: Fields<'_>) -> Result<Self, CodecError> {
        Ok(Self {
            durable: fields.boolean()?.unwrap_or(false),
            priority: fields.ubyte()?,
            ttl: fields.uint()?,
            first_acquirer: fields.boolean()?.unwrap_or(false),
            delivery_count: fields.uint()?.unwrap_or(0),
        })
    }

    /// The header that a well-formed message begins with, and its length; `None`: it begins otherwise.
    pub fn first(message: &[u8]) -> Option<(Self, usize)> {
        let mut reader = Reader::new(message);
        if reader.descriptor().ok()?.code() != Some(descriptor::HEADER) {
            return None;
        }
        let header = Self::read(Fields::new(reader.list().ok()?)).ok()?;
        Some((header, message.len() - reader.rest().len()))
    }

    /// Appends it as a section.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut list = ListWriter::described(out, descriptor::HEADER);
        list.flag(self.durable);
        list.ubyte(self.priority);
        list.uint(self.ttl);
        list.flag(self.first_acquirer);
        list.uint(Some(self.delivery_count).filter(|count| *count > 0));
        list.finish();
    }
}
