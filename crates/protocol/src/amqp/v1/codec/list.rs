//! Writing composite types: lists whose null fields at the end are left out (part 1 §1.4).

use super::Symbols;
use super::format::code;
use super::value::{Map, Value};
use super::write::{
    put_binary, put_boolean, put_described, put_map, put_null, put_string, put_symbol, put_symbols,
    put_timestamp, put_uint, put_ulong, put_value,
};

/// Writes a list, field by field, to the end of a buffer. Nothing is whole until [`ListWriter::finish`].
#[must_use = "a list is not whole until it is finished"]
pub struct ListWriter<'o> {
    out: &'o mut Vec<u8>,
    /// Where the list begins, its constructor.
    start: usize,
    count: u32,
    /// Fields, and where the last of them ends, up to the last that is not null.
    kept: (u32, usize),
}

/// Constructor, size and count, short.
const HEAD: usize = 3;

impl<'o> ListWriter<'o> {
    /// Begins a list.
    pub fn new(out: &'o mut Vec<u8>) -> Self {
        let start = out.len();
        out.extend_from_slice(&[code::LIST_8, 0, 0]);
        Self { out, start, count: 0, kept: (0, start + HEAD) }
    }

    /// Begins a described list.
    pub fn described(out: &'o mut Vec<u8>, descriptor: u8) -> Self {
        put_described(out, descriptor);
        Self::new(out)
    }

    /// A null field.
    pub fn null(&mut self) {
        put_null(self.out);
        self.count += 1;
    }

    /// A field that the function writes: one value.
    pub fn field(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(self.out);
        self.count += 1;
        self.kept = (self.count, self.out.len());
    }

    fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Vec<u8>, T)) {
        match value {
            Some(value) => self.field(|out| write(out, value)),
            None => self.null(),
        }
    }

    /// A boolean that is false if it is left out.
    pub fn flag(&mut self, value: bool) {
        self.boolean(value.then_some(true));
    }

    /// A boolean.
    pub fn boolean(&mut self, value: Option<bool>) {
        self.optional(value, put_boolean);
    }

    /// A ubyte.
    pub fn ubyte(&mut self, value: Option<u8>) {
        self.optional(value, |out, value| out.extend_from_slice(&[code::UBYTE, value]));
    }

    /// A ushort.
    pub fn ushort(&mut self, value: Option<u16>) {
        self.optional(value, |out, value| put_value(out, &Value::Ushort(value)));
    }

    /// A uint.
    pub fn uint(&mut self, value: Option<u32>) {
        self.optional(value, put_uint);
    }

    /// A ulong.
    pub fn ulong(&mut self, value: Option<u64>) {
        self.optional(value, put_ulong);
    }

    /// A timestamp.
    pub fn timestamp(&mut self, value: Option<i64>) {
        self.optional(value, put_timestamp);
    }

    /// A binary.
    pub fn binary(&mut self, value: Option<&[u8]>) {
        self.optional(value, put_binary);
    }

    /// A string.
    pub fn string(&mut self, value: Option<&str>) {
        self.optional(value, put_string);
    }

    /// A symbol.
    pub fn symbol(&mut self, value: Option<&str>) {
        self.optional(value, put_symbol);
    }

    /// Any number of symbols.
    pub fn symbols(&mut self, symbols: &Symbols<'_>) {
        if symbols.is_empty() {
            self.null();
        } else {
            self.field(|out| put_symbols(out, symbols));
        }
    }

    /// A map.
    pub fn map(&mut self, map: Option<&Map<'_>>) {
        self.optional(map, put_map);
    }

    /// A value of any type.
    pub fn value(&mut self, value: &Value<'_>) {
        match value {
            Value::Null => self.null(),
            value => self.field(|out| put_value(out, value)),
        }
    }

    /// Ends the list.
    pub fn finish(self) {
        let Self { out, start, kept: (count, end), .. } = self;
        out.truncate(end);
        let length = end - start - HEAD;
        if count == 0 {
            out.truncate(start);
            return out.push(code::LIST_0);
        }
        let head: &mut [u8] = out.get_mut(start..start + HEAD).unwrap_or_default();
        match (u8::try_from(length + 1), u8::try_from(count)) {
            (Ok(size), Ok(count)) => head.copy_from_slice(&[code::LIST_8, size, count]),
            _ => {
                let mut wide = [code::LIST_32, 0, 0, 0, 0, 0, 0, 0, 0];
                wide[1..5].copy_from_slice(&(length as u32 + 4).to_be_bytes());
                wide[5..9].copy_from_slice(&count.to_be_bytes());
                out.splice(start..start + HEAD, wide);
            }
        }
    }
}
