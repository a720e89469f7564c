//! Values of any type (part 1 §1.6), borrowed from what they were read from.

use super::format::{Width, code, width};
use super::{CodecError, Descriptor, Reader, measure};

/// A value.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names are the specification's own")]
pub enum Value<'a> {
    Null,
    Boolean(bool),
    Ubyte(u8),
    Ushort(u16),
    Uint(u32),
    Ulong(u64),
    Byte(i8),
    Short(i16),
    Int(i32),
    Long(i64),
    Float(f32),
    Double(f64),
    /// IEEE 754 decimal, in the encoding that it came in.
    Decimal32([u8; 4]),
    Decimal64([u8; 8]),
    Decimal128([u8; 16]),
    Char(char),
    /// Milliseconds since the Unix epoch.
    Timestamp(i64),
    Uuid([u8; 16]),
    Binary(&'a [u8]),
    String(&'a str),
    Symbol(&'a str),
    List(List<'a>),
    Map(Map<'a>),
    Array(Array<'a>),
    Described(Described<'a>),
}

impl<'a> Value<'a> {
    pub(super) fn fixed(constructor: u8, bytes: &'a [u8]) -> Result<Self, CodecError> {
        fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], CodecError> {
            bytes.try_into().map_err(|_| CodecError::decode("a value has another width than its type"))
        }
        let small = bytes.first().copied().unwrap_or_default();
        Ok(match constructor {
            code::NULL => Self::Null,
            code::TRUE => Self::Boolean(true),
            code::FALSE => Self::Boolean(false),
            code::BOOLEAN if small <= 1 => Self::Boolean(small == 1),
            code::UINT_0 => Self::Uint(0),
            code::ULONG_0 => Self::Ulong(0),
            code::LIST_0 => Self::List(List::default()),
            code::UBYTE => Self::Ubyte(small),
            code::BYTE => Self::Byte(small as i8),
            code::SMALL_UINT => Self::Uint(small.into()),
            code::SMALL_ULONG => Self::Ulong(small.into()),
            code::SMALL_INT => Self::Int((small as i8).into()),
            code::SMALL_LONG => Self::Long((small as i8).into()),
            code::USHORT => Self::Ushort(u16::from_be_bytes(array(bytes)?)),
            code::SHORT => Self::Short(i16::from_be_bytes(array(bytes)?)),
            code::UINT => Self::Uint(u32::from_be_bytes(array(bytes)?)),
            code::INT => Self::Int(i32::from_be_bytes(array(bytes)?)),
            code::FLOAT => Self::Float(f32::from_be_bytes(array(bytes)?)),
            code::CHAR => Self::Char(
                char::from_u32(u32::from_be_bytes(array(bytes)?))
                    .ok_or(CodecError::decode("a char is no Unicode character"))?,
            ),
            code::DECIMAL_32 => Self::Decimal32(array(bytes)?),
            code::ULONG => Self::Ulong(u64::from_be_bytes(array(bytes)?)),
            code::LONG => Self::Long(i64::from_be_bytes(array(bytes)?)),
            code::DOUBLE => Self::Double(f64::from_be_bytes(array(bytes)?)),
            code::TIMESTAMP => Self::Timestamp(i64::from_be_bytes(array(bytes)?)),
            code::DECIMAL_64 => Self::Decimal64(array(bytes)?),
            code::DECIMAL_128 => Self::Decimal128(array(bytes)?),
            code::UUID => Self::Uuid(array(bytes)?),
            _ => return Err(CodecError::decode("a boolean is neither true nor false")),
        })
    }

    pub(super) fn variable(constructor: u8, bytes: &'a [u8]) -> Result<Self, CodecError> {
        let text = || std::str::from_utf8(bytes).map_err(|_| CodecError::decode("a string is not UTF-8"));
        match constructor {
            code::STRING_8 | code::STRING_32 => text().map(Self::String),
            code::SYMBOL_8 | code::SYMBOL_32 if bytes.is_ascii() => text().map(Self::Symbol),
            code::SYMBOL_8 | code::SYMBOL_32 => Err(CodecError::decode("a symbol is not ASCII")),
            _ => Ok(Self::Binary(bytes)),
        }
    }

    /// The text of a string or a symbol.
    pub fn text(&self) -> Option<&'a str> {
        match self {
            Self::String(text) | Self::Symbol(text) => Some(text),
            _ => None,
        }
    }

    /// A whole number, whatever its type.
    pub fn integer(&self) -> Option<i128> {
        Some(match *self {
            Self::Ubyte(n) => n.into(),
            Self::Ushort(n) => n.into(),
            Self::Uint(n) => n.into(),
            Self::Ulong(n) => n.into(),
            Self::Byte(n) => n.into(),
            Self::Short(n) => n.into(),
            Self::Int(n) => n.into(),
            Self::Long(n) => n.into(),
            _ => return None,
        })
    }
}

/// A list (part 1 §1.6.22).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct List<'a> {
    pub(super) count: u32,
    pub(super) items: &'a [u8],
}

impl<'a> List<'a> {
    /// How many values it says that it has.
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether it has none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Its values.
    pub fn iter(&self) -> impl Iterator<Item = Result<Value<'a>, CodecError>> + use<'a> {
        let mut reader = Reader::new(self.items);
        (0..self.count).map(move |_| reader.value())
    }
}

/// A map (part 1 §1.6.23), its keys in the order in which they came.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Map<'a> {
    pub(super) count: u32,
    pub(super) items: &'a [u8],
}

impl<'a> Map<'a> {
    /// How many pairs it says that it has.
    pub const fn len(&self) -> usize {
        self.count as usize / 2
    }

    /// Whether it has none.
    pub const fn is_empty(&self) -> bool {
        self.count < 2
    }

    /// Its keys and values.
    pub fn iter(&self) -> impl Iterator<Item = Result<(Value<'a>, Value<'a>), CodecError>> + use<'a> {
        let mut reader = Reader::new(self.items);
        (0..self.count / 2).map(move |_| Ok((reader.value()?, reader.value()?)))
    }

    /// Its keys and values as they came, encoded.
    pub fn raw(&self) -> impl Iterator<Item = Result<(&'a [u8], &'a [u8]), CodecError>> + use<'a> {
        let mut reader = Reader::new(self.items);
        (0..self.count / 2).map(move |_| Ok((reader.raw()?, reader.raw()?)))
    }

    /// The value of a key that is a symbol or a string.
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        self.iter().map_while(Result::ok).find(|(known, _)| known.text() == Some(key)).map(|(_, value)| value)
    }
}

/// An array (part 1 §1.6.24): values of one type. Described elements are told as what they are without the description.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Array<'a> {
    count: u32,
    /// The constructor of all elements, its descriptor before it if they are described.
    constructor: &'a [u8],
    items: &'a [u8],
}

impl<'a> Array<'a> {
    /// `body` is what follows the array's size.
    pub(super) fn new(body: &'a [u8], wide: bool) -> Result<Self, CodecError> {
        let mut reader = Reader::new(body);
        let count = reader.size(wide)? as u32;
        let start = reader.rest();
        while reader.rest().first() == Some(&code::DESCRIBED) {
            reader.u8()?;
            reader.raw()?;
        }
        let element = reader.u8()?;
        let items = reader.rest();
        let is_empty = matches!(width(element), Some(Width::Fixed(0)));
        if count as usize > items.len() && !(is_empty && count <= 65_536) {
            return Err(CodecError::decode("an array has more elements than are taken"));
        }
        let length = start.len() - items.len();
        Ok(Self { count, constructor: start.get(..length).unwrap_or_default(), items })
    }

    /// How many values it has.
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether it has none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Its values.
    pub fn iter(&self) -> impl Iterator<Item = Result<Value<'a>, CodecError>> + use<'a> {
        let element = self.constructor.last().copied().unwrap_or(code::NULL);
        let mut reader = Reader::new(self.items);
        (0..self.count).map(move |_| reader.body(element))
    }

    /// Its body, from the elements' constructor on, to be written again.
    pub(super) fn parts(&self) -> (u32, &'a [u8], &'a [u8]) {
        (self.count, self.constructor, self.items)
    }
}

/// A described value (part 1 §1.3), both parts encoded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Described<'a> {
    /// What it is.
    pub descriptor: &'a [u8],
    /// The value.
    pub value: &'a [u8],
}

impl<'a> Described<'a> {
    /// What it is.
    pub fn descriptor(&self) -> Descriptor<'a> {
        match Reader::new(self.descriptor).value() {
            Ok(Value::Ulong(code)) => Descriptor::Code(code),
            Ok(Value::Symbol(name)) => Descriptor::named(name),
            _ => Descriptor::Other,
        }
    }

    /// The value.
    pub fn value(&self) -> Result<Value<'a>, CodecError> {
        Reader::new(self.value).value()
    }
}

/// Checks a whole sequence of values.
pub(super) fn check_all(bytes: &[u8], count: u32) -> Result<(), CodecError> {
    let mut rest = bytes;
    for _ in 0..count {
        let length = measure(rest)?;
        rest = rest.get(length..).unwrap_or_default();
    }
    if rest.is_empty() { Ok(()) } else { Err(CodecError::decode("a list or map is longer than its values")) }
}
