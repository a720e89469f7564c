//! Messages: sections in their order (part 3 §3.2).

use super::format::{code, descriptor};
use super::value::{List, Map, Value, check_all};
use super::write::{put_described, put_map};
use super::{CodecError, Fields, Header, Properties, Reader, measure};
use std::ops::Range;

/// A message, borrowed from its bytes. Every section of it is well-formed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message<'a> {
    /// How it is to be transferred.
    pub header: Option<Header>,
    /// What the sender tells the receiver of this hop.
    pub delivery_annotations: Option<Map<'a>>,
    /// What is known of it besides.
    pub message_annotations: Option<Map<'a>>,
    /// What never changes.
    pub properties: Option<Properties<'a>>,
    /// Named values.
    pub application_properties: Option<Map<'a>>,
    /// What it carries.
    pub body: Body<'a>,
    /// What is known of it only at its end.
    pub footer: Option<Map<'a>>,
    /// Where its delivery annotations are.
    pub delivery_annotations_at: Range<usize>,
    /// Where the part begins that is the same at every hop: after header and annotations (part 3 §3.2, bare message).
    pub bare: usize,
}

/// What a message carries (part 3 §3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Body<'a> {
    /// Nothing.
    #[default]
    None,
    /// One piece of data, as nearly all have.
    Data(&'a [u8]),
    /// Several, encoded.
    Pieces(Pieces<'a>),
    /// Several lists, encoded.
    Sequences(Pieces<'a>),
    /// A value.
    Value(Value<'a>),
}

/// Sections of one kind, one after the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pieces<'a> {
    bytes: &'a [u8],
}

impl<'a> Pieces<'a> {
    /// The value of each section.
    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let mut reader = Reader::new(self.bytes);
        std::iter::from_fn(move || {
            if reader.is_empty() {
                return None;
            }
            reader.descriptor().ok()?;
            reader.value().ok()
        })
    }
}

const ORDER: CodecError =
    CodecError::decode("a message's sections are out of order, or there is one too many");
const KIND: CodecError = CodecError::decode("a message's section has another type than it should");

impl<'a> Message<'a> {
    /// Reads a whole message.
    pub fn read(bytes: &'a [u8]) -> Result<Self, CodecError> {
        let mut message = Self::default();
        let mut reader = Reader::new(bytes);
        let mut last = 0;
        let mut body = None;
        while !reader.is_empty() {
            let start = bytes.len() - reader.rest().len();
            let section = reader.descriptor()?.code().unwrap_or(0);
            let again = section == last && matches!(section, descriptor::DATA | descriptor::AMQP_SEQUENCE);
            if section <= last && !again {
                return Err(ORDER);
            }
            if body.is_some() && !again && section < descriptor::FOOTER {
                return Err(CodecError::decode("a message has bodies of two kinds"));
            }
            last = section;
            match section {
                descriptor::HEADER => message.header = Some(Header::read(fields(&mut reader)?)?),
                descriptor::DELIVERY_ANNOTATIONS => {
                    message.delivery_annotations = Some(map(&mut reader)?);
                    message.delivery_annotations_at = start..bytes.len() - reader.rest().len();
                }
                descriptor::MESSAGE_ANNOTATIONS => message.message_annotations = Some(map(&mut reader)?),
                descriptor::PROPERTIES => message.properties = Some(Properties::read(fields(&mut reader)?)?),
                descriptor::APPLICATION_PROPERTIES => {
                    message.application_properties = Some(map(&mut reader)?)
                }
                descriptor::DATA => {
                    let Value::Binary(data) = reader.value()? else { return Err(KIND) };
                    message.body = Body::Data(data);
                }
                descriptor::AMQP_SEQUENCE => {
                    checked(&mut reader)?;
                }
                descriptor::AMQP_VALUE => {
                    let value = checked(&mut reader)?;
                    message.body = Body::Value(value);
                }
                descriptor::FOOTER => message.footer = Some(map(&mut reader)?),
                _ => return Err(CodecError::decode("a message has a section that there is not")),
            }
            if matches!(section, descriptor::DATA | descriptor::AMQP_SEQUENCE) {
                let end = bytes.len() - reader.rest().len();
                let first = body.get_or_insert(start);
                let pieces = Pieces { bytes: bytes.get(*first..end).unwrap_or_default() };
                if section == descriptor::AMQP_SEQUENCE {
                    message.body = Body::Sequences(pieces);
                } else if *first != start {
                    message.body = Body::Pieces(pieces);
                }
            } else if section == descriptor::AMQP_VALUE {
                body = Some(start);
            }
            if section <= descriptor::MESSAGE_ANNOTATIONS {
                message.bare = bytes.len() - reader.rest().len();
            }
        }
        Ok(message)
    }
}

/// The list that a section is; its fields are checked when they are read, those that nobody reads are not.
fn fields<'a>(reader: &mut Reader<'a>) -> Result<Fields<'a>, CodecError> {
    let list: List<'a> = reader.list().map_err(|_| KIND)?;
    check_all(list.items, list.count)?;
    Ok(Fields::new(list))
}

/// The map that a section is, checked whole. Null stands for an empty one.
fn map<'a>(reader: &mut Reader<'a>) -> Result<Map<'a>, CodecError> {
    match checked(reader)? {
        Value::Map(map) => Ok(map),
        Value::Null => Ok(Map::default()),
        _ => Err(KIND),
    }
}

fn checked<'a>(reader: &mut Reader<'a>) -> Result<Value<'a>, CodecError> {
    measure(reader.rest())?;
    reader.value()
}

/// Appends the head of a data section, whose `length` bytes follow (part 3 §3.2.6).
#[inline]
pub fn write_data_head(length: usize, out: &mut Vec<u8>) {
    put_described(out, descriptor::DATA);
    match u8::try_from(length) {
        Ok(length) => out.extend_from_slice(&[code::BINARY_8, length]),
        Err(_) => {
            out.push(code::BINARY_32);
            out.extend_from_slice(&(length as u32).to_be_bytes());
        }
    }
}

/// The sections that are maps (part 3 §3.2.2, §3.2.3, §3.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapSection {
    /// Delivery annotations.
    DeliveryAnnotations,
    /// Message annotations.
    MessageAnnotations,
    /// Application properties.
    ApplicationProperties,
}

/// Appends a section that is a map.
pub fn write_section_map(section: MapSection, map: &Map<'_>, out: &mut Vec<u8>) {
    put_described(
        out,
        match section {
            MapSection::DeliveryAnnotations => descriptor::DELIVERY_ANNOTATIONS,
            MapSection::MessageAnnotations => descriptor::MESSAGE_ANNOTATIONS,
            MapSection::ApplicationProperties => descriptor::APPLICATION_PROPERTIES,
        },
    );
    put_map(out, map);
}
