//! How long a value is, and whether it is well-formed all through.

use super::CodecError;
use super::format::{Width, code, width};
use smallvec::SmallVec;

/// How deep values may be nested. What is nested deeper is refused: no recursion reads it, but receivers may recurse.
pub const MOST_LEVELS: usize = 32;

/// Elements of an array that take no bytes, at most: nothing but a number stands behind them.
const MOST_EMPTY: u32 = 65_536;

const SHORT: CodecError = CodecError::decode("a value is longer than what contains it");
const DEEP: CodecError = CodecError::decode("values are nested deeper than 32 levels");
const UNKNOWN: CodecError = CodecError::decode("there is no type with this constructor");

/// Values of one compound value that are still to come.
struct Level {
    /// Where it ends; what was described ends where its two parts do.
    end: usize,
    exact: bool,
    left: u32,
    /// The constructor of an array's elements.
    element: Option<u8>,
}

/// The length of the value that `bytes` begin with, which is checked whole: constructors, sizes, text, depth.
pub fn measure(bytes: &[u8]) -> Result<usize, CodecError> {
    let mut cursor = Cursor { bytes, position: 0 };
    let mut levels: SmallVec<[Level; 4]> = SmallVec::new();
    let mut current = Level { end: bytes.len(), exact: false, left: 1, element: None };
    loop {
        if current.left == 0 {
            if current.exact && cursor.position != current.end {
                return Err(CodecError::decode("a list, map or array is longer than its values"));
            }
            match levels.pop() {
                Some(outer) => current = outer,
                None => return Ok(cursor.position),
            }
            continue;
        }
        current.left -= 1;
        let constructor = match current.element {
            Some(element) => element,
            None => cursor.u8(current.end)?,
        };
        let inner = if constructor == code::DESCRIBED {
            Level { end: current.end, exact: false, left: 2, element: None }
        } else {
            match width(constructor).ok_or(UNKNOWN)? {
                Width::Fixed(length) => {
                    check(constructor, cursor.take(length, current.end)?)?;
                    continue;
                }
                Width::Variable { wide } => {
                    let length = cursor.size(wide, current.end)?;
                    check(constructor, cursor.take(length, current.end)?)?;
                    continue;
                }
                Width::Compound { wide } => {
                    let end = cursor.end(wide, current.end)?;
                    let left = cursor.size(wide, end)?;
                    if left > end - cursor.position {
                        return Err(SHORT);
                    }
                    if constructor & 1 == 1 && left % 2 == 1 {
                        return Err(CodecError::decode("a map has a key without a value"));
                    }
                    Level { end, exact: true, left: left as u32, element: None }
                }
                Width::Array { wide } => {
                    let end = cursor.end(wide, current.end)?;
                    let count = cursor.size(wide, end)?;
                    let element = cursor.element(end)?;
                    let left = cursor.elements(element, count, end)?;
                    Level { end, exact: true, left, element: Some(element) }
                }
            }
        };
        if levels.len() + 1 >= MOST_LEVELS {
            return Err(DEEP);
        }
        levels.push(std::mem::replace(&mut current, inner));
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize, end: usize) -> Result<&'a [u8], CodecError> {
        if length > end - self.position {
            return Err(SHORT);
        }
        let taken = self.bytes.get(self.position..self.position + length).ok_or(SHORT)?;
        self.position += length;
        Ok(taken)
    }

    fn u8(&mut self, end: usize) -> Result<u8, CodecError> {
        self.take(1, end)?.first().copied().ok_or(SHORT)
    }

    fn size(&mut self, wide: bool, end: usize) -> Result<usize, CodecError> {
        if !wide {
            return self.u8(end).map(usize::from);
        }
        let bytes = self.take(4, end)?.first_chunk().ok_or(SHORT)?;
        Ok(u32::from_be_bytes(*bytes) as usize)
    }

    /// Where a value ends that begins with its size.
    fn end(&mut self, wide: bool, outer: usize) -> Result<usize, CodecError> {
        let size = self.size(wide, outer)?;
        if size > outer - self.position {
            return Err(SHORT);
        }
        Ok(self.position + size)
    }

    /// The constructor of an array's elements. Descriptors of described elements stand here, once for all.
    fn element(&mut self, end: usize) -> Result<u8, CodecError> {
        loop {
            let constructor = self.u8(end)?;
            if constructor != code::DESCRIBED {
                return Ok(constructor);
            }
            let descriptor = self.u8(end)?;
            let length = match width(descriptor).ok_or(UNKNOWN)? {
                Width::Fixed(length) => length,
                Width::Variable { wide } => self.size(wide, end)?,
                _ => {
                    return Err(CodecError::decode(
                        "the descriptor of an array's elements is no simple value",
                    ));
                }
            };
            check(descriptor, self.take(length, end)?)?;
        }
    }

    /// How many elements have to be looked at one by one: none, if all are as wide and any bytes are right.
    fn elements(&mut self, element: u8, count: usize, end: usize) -> Result<u32, CodecError> {
        let room = end - self.position;
        match width(element).ok_or(UNKNOWN)? {
            Width::Fixed(0) if count <= MOST_EMPTY as usize => Ok(0),
            Width::Fixed(0) => Err(CodecError::decode("an array has more elements than are taken")),
            Width::Fixed(length) if !matches!(element, code::BOOLEAN | code::CHAR) => {
                if count.checked_mul(length) != Some(room) {
                    return Err(SHORT);
                }
                self.position = end;
                Ok(0)
            }
            _ if count > room => Err(SHORT),
            _ => Ok(count as u32),
        }
    }
}

/// Whether the bytes of a primitive value are one.
fn check(constructor: u8, bytes: &[u8]) -> Result<(), CodecError> {
    let right = match constructor {
        code::STRING_8 | code::STRING_32 => std::str::from_utf8(bytes).is_ok(),
        code::SYMBOL_8 | code::SYMBOL_32 => bytes.is_ascii(),
        code::BOOLEAN => matches!(bytes, [0 | 1]),
        code::CHAR => {
            bytes.first_chunk().is_some_and(|bytes| char::from_u32(u32::from_be_bytes(*bytes)).is_some())
        }
        _ => true,
    };
    if right { Ok(()) } else { Err(CodecError::decode("a string, symbol, char or boolean is none")) }
}
