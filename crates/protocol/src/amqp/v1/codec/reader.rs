//! Reading the wire's types (part 1 §1.6), with nothing believed.

use super::format::{Width, code, width};
use super::value::{Array, Described, List, Map, Value};
use super::{CodecError, Descriptor, measure};

/// Reads values one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

const SHORT: CodecError = CodecError::decode("a value is longer than what contains it");

impl<'a> Reader<'a> {
    /// Of these bytes.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Whether all is read.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What is left.
    pub const fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Result<u8, CodecError> {
        let (&byte, rest) = self.bytes.split_first().ok_or(SHORT)?;
        self.bytes = rest;
        Ok(byte)
    }

    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let (&array, rest) = self.bytes.split_first_chunk::<N>().ok_or(SHORT)?;
        self.bytes = rest;
        Ok(array)
    }

    #[inline]
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], CodecError> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or(SHORT)?;
        self.bytes = rest;
        Ok(taken)
    }

    /// A size or a count, of one byte or of four.
    #[inline]
    pub(super) fn size(&mut self, wide: bool) -> Result<usize, CodecError> {
        if wide {
            self.array().map(|bytes| u32::from_be_bytes(bytes) as usize)
        } else {
            self.u8().map(usize::from)
        }
    }

    /// A value's constructor.
    #[inline]
    pub(super) fn constructor(&mut self) -> Result<u8, CodecError> {
        self.u8()
    }

    /// The next value's bytes, its constructor with them. They are checked whole.
    pub fn raw(&mut self) -> Result<&'a [u8], CodecError> {
        let length = measure(self.bytes)?;
        self.take(length)
    }

    /// The next value. What is nested in it is not looked at yet, but its size is right.
    pub fn value(&mut self) -> Result<Value<'a>, CodecError> {
        let constructor = self.constructor()?;
        if constructor == code::DESCRIBED {
            let descriptor = self.raw()?;
            let value = self.raw()?;
            return Ok(Value::Described(Described { descriptor, value }));
        }
        self.body(constructor)
    }

    /// A value whose constructor is known. Described values have none of their own.
    pub(super) fn body(&mut self, constructor: u8) -> Result<Value<'a>, CodecError> {
        match width(constructor) {
            Some(Width::Fixed(length)) => Value::fixed(constructor, self.take(length)?),
            Some(Width::Variable { wide }) => {
                let length = self.size(wide)?;
                Value::variable(constructor, self.take(length)?)
            }
            Some(Width::Compound { wide }) => {
                let size = self.size(wide)?;
                let mut inner = Reader::new(self.take(size)?);
                let count = inner.size(wide)?;
                if count > inner.bytes.len() {
                    return Err(SHORT);
                }
                let count = count as u32;
                Ok(match constructor {
                    code::LIST_8 | code::LIST_32 => Value::List(List { count, items: inner.bytes }),
                    _ => Value::Map(Map { count, items: inner.bytes }),
                })
            }
            Some(Width::Array { wide }) => {
                // Elements have no constructors of their own: they are checked here, as a whole, with all in them.
                let size = self.size(wide)?;
                let body = self.take(size)?;
                Array::new(body, wide).map(Value::Array)
            }
            None => Err(CodecError::decode("there is no type with this constructor")),
        }
    }

    /// The descriptor of a described value, whose constructor comes first.
    #[inline]
    pub fn descriptor(&mut self) -> Result<Descriptor<'a>, CodecError> {
        // Nearly all are written this way.
        if let [code::DESCRIBED, code::SMALL_ULONG, code, rest @ ..] = self.bytes {
            self.bytes = rest;
            return Ok(Descriptor::Code((*code).into()));
        }
        if self.u8()? != code::DESCRIBED {
            return Err(CodecError::decode("a described value was to come, and another did"));
        }
        Ok(match Reader::new(self.raw()?).value()? {
            Value::Ulong(code) => Descriptor::Code(code),
            Value::Symbol(name) => Descriptor::named(name),
            _ => Descriptor::Other,
        })
    }

    /// The descriptor of the next value, if it is a described one, without reading it.
    pub fn peek_descriptor(&self) -> Result<Option<Descriptor<'a>>, CodecError> {
        if self.bytes.first() != Some(&code::DESCRIBED) {
            return Ok(None);
        }
        Reader { ..*self }.descriptor().map(Some)
    }

    /// A list's fields.
    #[inline]
    pub fn list(&mut self) -> Result<List<'a>, CodecError> {
        match self.constructor()? {
            code::LIST_0 => Ok(List::default()),
            constructor @ (code::LIST_8 | code::LIST_32) => match self.body(constructor)? {
                Value::List(list) => Ok(list),
                _ => Err(CodecError::decode("a list was to come, and another value did")),
            },
            _ => Err(CodecError::decode("a list was to come, and another value did")),
        }
    }
}
