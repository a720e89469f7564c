//! Fields of a composite type (part 1 §1.4): a list's values by position, those at its end left out if they are null.

use super::format::code;
use super::value::{List, Map, Value};
use super::{CodecError, Reader, Symbols};

/// Reads a list's values as fields, each by its type. A field that is null or left out is `None`.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    left: u32,
    reader: Reader<'a>,
}

const TYPE: CodecError = CodecError::decode("a field has another type than it should");

impl<'a> Fields<'a> {
    /// The fields that a list has.
    pub fn new(list: List<'a>) -> Self {
        Self { left: list.count, reader: Reader::new(list.items) }
    }

    /// The constructor of the next field; null if there is none.
    #[inline]
    fn next(&mut self) -> Result<u8, CodecError> {
        if self.left == 0 {
            return Ok(code::NULL);
        }
        self.left -= 1;
        self.reader.constructor()
    }

    /// A field of type boolean.
    #[inline]
    pub fn boolean(&mut self) -> Result<Option<bool>, CodecError> {
        match self.next()? {
            code::NULL => Ok(None),
            code::TRUE => Ok(Some(true)),
            code::FALSE => Ok(Some(false)),
            code::BOOLEAN => match self.reader.u8()? {
                0 => Ok(Some(false)),
                1 => Ok(Some(true)),
                _ => Err(TYPE),
            },
            _ => Err(TYPE),
        }
    }

    /// A field of type ubyte.
    #[inline]
    pub fn ubyte(&mut self) -> Result<Option<u8>, CodecError> {
        match self.next()? {
            code::NULL => Ok(None),
            code::UBYTE => self.reader.u8().map(Some),
            _ => Err(TYPE),
        }
    }

    /// A field of type ushort.
    pub fn ushort(&mut self) -> Result<Option<u16>, CodecError> {
        match self.next()? {
            code::NULL => Ok(None),
            code::USHORT => self.reader.array().map(|bytes| Some(u16::from_be_bytes(bytes))),
            _ => Err(TYPE),
        }
    }

    /// A field of type uint.
    #[inline]
    pub fn uint(&mut self) -> Result<Option<u32>, CodecError> {
        match self.next()? {
            code::NULL => Ok(None),
            code::UINT_0 => Ok(Some(0)),
            code::SMALL_UINT => self.reader.u8().map(|byte| Some(byte.into())),
            code::UINT => self.reader.array().map(|bytes| Some(u32::from_be_bytes(bytes))),
            _ => Err(TYPE),
        }
    }

    /// A field of type ulong.
    pub fn ulong(&mut self) -> Result<Option<u64>, CodecError> {
        match self.next()? {
            code::NULL => Ok(None),
            code::ULONG_0 => Ok(Some(0)),
            code::SMALL_ULONG => self.reader.u8().map(|byte| Some(byte.into())),
            code::ULONG => self.reader.array().map(|bytes| Some(u64::from_be_bytes(bytes))),
            _ => Err(TYPE),
        }
    }

    /// A field of type timestamp: milliseconds since the Unix epoch.
    pub fn timestamp(&mut self) -> Result<Option<i64>, CodecError> {
        match self.next()? {
            code::NULL => Ok(None),
            code::TIMESTAMP => self.reader.array().map(|bytes| Some(i64::from_be_bytes(bytes))),
            _ => Err(TYPE),
        }
    }

    #[inline]
    fn variable(&mut self, short: u8, long: u8) -> Result<Option<&'a [u8]>, CodecError> {
        let constructor = self.next()?;
        if constructor == code::NULL {
            return Ok(None);
        }
        if constructor != short && constructor != long {
            return Err(TYPE);
        }
        let length = self.reader.size(constructor == long)?;
        self.reader.take(length).map(Some)
    }

    /// A field of type binary.
    #[inline]
    pub fn binary(&mut self) -> Result<Option<&'a [u8]>, CodecError> {
        self.variable(code::BINARY_8, code::BINARY_32)
    }

    /// A field of type string.
    pub fn string(&mut self) -> Result<Option<&'a str>, CodecError> {
        let bytes = self.variable(code::STRING_8, code::STRING_32)?;
        bytes.map(std::str::from_utf8).transpose().map_err(|_| CodecError::decode("a string is not UTF-8"))
    }

    /// A field of type symbol.
    pub fn symbol(&mut self) -> Result<Option<&'a str>, CodecError> {
        let Some(bytes) = self.variable(code::SYMBOL_8, code::SYMBOL_32)? else { return Ok(None) };
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.is_ascii());
        text.map(Some).ok_or(CodecError::decode("a symbol is not ASCII"))
    }

    /// A field of type symbol that may have several values (part 1 §1.4).
    pub fn symbols(&mut self) -> Result<Symbols<'a>, CodecError> {
        match self.any()? {
            Value::Null => Ok(Symbols::None),
            Value::Symbol(one) => Ok(Symbols::One(one)),
            Value::Array(array) if array.iter().all(|one| matches!(one, Ok(Value::Symbol(_)))) => {
                Ok(Symbols::Array(array))
            }
            _ => Err(TYPE),
        }
    }

    /// A field of type map, checked whole.
    pub fn map(&mut self) -> Result<Option<Map<'a>>, CodecError> {
        match self.any()? {
            Value::Null => Ok(None),
            Value::Map(map) => Ok(Some(map)),
            _ => Err(TYPE),
        }
    }

    /// A field of any type, checked whole.
    pub fn any(&mut self) -> Result<Value<'a>, CodecError> {
        if self.is_null() {
            self.next()?;
            return Ok(Value::Null);
        }
        self.left -= 1;
        Reader::new(self.reader.raw()?).value()
    }

    /// A field of a described type, encoded; it is checked whole.
    #[inline]
    pub fn described(&mut self) -> Result<Option<Reader<'a>>, CodecError> {
        if self.is_null() {
            self.next()?;
            return Ok(None);
        }
        self.left -= 1;
        match self.reader.raw()? {
            raw @ [code::DESCRIBED, ..] => Ok(Some(Reader::new(raw))),
            _ => Err(TYPE),
        }
    }

    /// Whether the next field is null, or left out.
    #[inline]
    pub fn is_null(&self) -> bool {
        self.left == 0 || self.reader.rest().first() == Some(&code::NULL)
    }

    /// Passes fields by.
    pub fn skip(&mut self, count: usize) -> Result<(), CodecError> {
        for _ in 0..count {
            self.any()?;
        }
        Ok(())
    }
}
