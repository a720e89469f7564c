//! CBOR written as JSON, item by item (RFC 8949 §6.1): no tree is built, and nothing is allocated by a length that the
//! payload merely claims.

use super::{Form, Key, MOST_DEPTH, bad, labels};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use minicbor::Decoder;
use minicbor::data::Type;
use std::collections::BTreeSet;
use std::io::Write;
use windrose_event::{Cause, Rejection};

/// A payload as JSON of at most `most` bytes.
pub(super) fn write(form: Form, payload: &[u8], most: usize) -> Result<Vec<u8>, Rejection> {
    let text = Vec::with_capacity(payload.len().saturating_mul(2).min(most));
    let mut writer = Writer { decoder: Decoder::new(payload), text, most };
    writer.item(if form.is_pack() { Place::Pack } else { Place::Anywhere }, Hint::Url, 0)?;
    if writer.decoder.position() < payload.len() {
        return Err(bad("more follows after the first item"));
    }
    Ok(writer.text)
}

/// What an item is there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Anywhere,
    /// An array of records.
    Pack,
    /// A map with labels.
    Record,
    /// What a label names.
    Field,
}

/// How byte strings are to be written (RFC 8949 §3.4.5.2).
#[derive(Clone, Copy)]
enum Hint {
    /// Base64url without padding.
    Url,
    /// Base64 with padding.
    Classic,
    /// Hexadecimal digits in upper case.
    Hex,
}

struct Writer<'a> {
    decoder: Decoder<'a>,
    text: Vec<u8>,
    most: usize,
}

impl<'a> Writer<'a> {
    fn item(&mut self, place: Place, hint: Hint, depth: usize) -> Result<(), Rejection> {
        if depth > MOST_DEPTH {
            return Err(bad(format_args!("it is more than {MOST_DEPTH} levels deep")));
        }
        let kind = self.decoder.datatype().map_err(bad)?;
        let is_due = match place {
            Place::Pack => matches!(kind, Type::Array | Type::ArrayIndef),
            Place::Record => matches!(kind, Type::Map | Type::MapIndef),
            Place::Anywhere | Place::Field => true,
        };
        if !is_due {
            return Err(bad("SenML is an array of maps"));
        }
        match kind {
            Type::Bool => {
                let value: &[u8] = if self.decoder.bool().map_err(bad)? { b"true" } else { b"false" };
                self.text.extend_from_slice(value);
            }
            Type::Null | Type::Undefined => {
                self.decoder.skip().map_err(bad)?;
                self.text.extend_from_slice(b"null");
            }
            Type::Simple => {
                let is_long = self.decoder.input().get(self.decoder.position()) == Some(&0xf8);
                if self.decoder.simple().map_err(bad)? < 32 && is_long {
                    return Err(bad("a simple value takes more bytes than it may (RFC 8949 §3.3)"));
                }
                self.text.extend_from_slice(b"null");
            }
            Type::F16 => {
                let value = self.decoder.f16().map_err(bad)?;
                self.float(value.into())?;
            }
            Type::F32 => {
                let value = self.decoder.f32().map_err(bad)?;
                self.float(value.into())?;
            }
            Type::F64 => {
                let value = self.decoder.f64().map_err(bad)?;
                self.float(value)?;
            }
            Type::Bytes | Type::BytesIndef => self.bytes(hint, "")?,
            Type::String => {
                let text = self.decoder.str().map_err(bad)?;
                self.string(text)?;
            }
            Type::StringIndef => {
                let text = self.chunked_text()?;
                self.string(&text)?;
            }
            Type::Array | Type::ArrayIndef => self.array(place, hint, depth)?,
            Type::Map | Type::MapIndef => self.map(place, hint, depth)?,
            Type::Tag => self.tagged(place, hint, depth)?,
            Type::Break | Type::Unknown(_) => return Err(bad(format_args!("{kind} cannot come here"))),
            kind if is_integer(kind) => {
                let value = i128::from(self.decoder.int().map_err(bad)?);
                self.write(format_args!("{value}"))?;
            }
            kind => return Err(bad(format_args!("{kind} cannot come here"))),
        }
        if self.text.len() > self.most {
            let detail = format!("as JSON it has more than {} bytes", self.most);
            return Err(Rejection { cause: Cause::TooLarge, detail: Some(detail.into()) });
        }
        Ok(())
    }

    fn array(&mut self, place: Place, hint: Hint, depth: usize) -> Result<(), Rejection> {
        let length = self.decoder.array().map_err(bad)?;
        let inner = if place == Place::Pack { Place::Record } else { Place::Anywhere };
        self.text.push(b'[');
        let mut count = 0;
        while self.has_more(length, count)? {
            if count > 0 {
                self.text.push(b',');
            }
            self.item(inner, hint, depth + 1)?;
            count += 1;
        }
        self.text.push(b']');
        Ok(())
    }

    fn map(&mut self, place: Place, hint: Hint, depth: usize) -> Result<(), Rejection> {
        let length = self.decoder.map().map_err(bad)?;
        let is_record = place == Place::Record;
        let inner = if is_record { Place::Field } else { Place::Anywhere };
        let mut keys = BTreeSet::new();
        self.text.push(b'{');
        let mut count = 0;
        while self.has_more(length, count)? {
            if count > 0 {
                self.text.push(b',');
            }
            let key = self.key(is_record)?;
            self.string(&key)?;
            if let Some(key) = keys.replace(key) {
                return Err(bad(format_args!("a map has the key '{key}' twice")));
            }
            self.text.push(b':');
            self.item(inner, hint, depth + 1)?;
            count += 1;
        }
        self.text.push(b'}');
        Ok(())
    }

    /// Whether another element or pair comes.
    fn has_more(&mut self, length: Option<u64>, count: u64) -> Result<bool, Rejection> {
        let Some(length) = length else {
            let ends = self.decoder.datatype().map_err(bad)? == Type::Break;
            if ends {
                self.decoder.set_position(self.decoder.position() + 1);
            }
            return Ok(!ends);
        };
        Ok(count < length)
    }

    fn key(&mut self, is_record: bool) -> Result<Key<'a>, Rejection> {
        match self.decoder.datatype().map_err(bad)? {
            Type::String => Ok(self.decoder.str().map_err(bad)?.into()),
            Type::StringIndef => Ok(self.chunked_text()?.into()),
            kind if is_record && is_integer(kind) => {
                let label = i128::from(self.decoder.int().map_err(bad)?);
                let name = labels::name(label);
                name.map(Key::from).ok_or_else(|| bad(format_args!("SenML knows no label {label}")))
            }
            kind => Err(bad(format_args!("a map has a key that is no text ({kind})"))),
        }
    }

    fn tagged(&mut self, place: Place, hint: Hint, depth: usize) -> Result<(), Rejection> {
        match self.decoder.tag().map_err(bad)?.as_u64() {
            // A bignum stays text, as its digits could be too many for anybody's numbers.
            2 => self.bytes(Hint::Url, ""),
            3 => self.bytes(Hint::Url, "~"),
            4 if place == Place::Field => self.decimal(),
            21 => self.item(place, Hint::Url, depth + 1),
            22 => self.item(place, Hint::Classic, depth + 1),
            23 => self.item(place, Hint::Hex, depth + 1),
            _ => self.item(place, hint, depth + 1),
        }
    }

    /// A decimal fraction, which SenML takes for a number (RFC 8428 §6; RFC 8949 §3.4.4).
    fn decimal(&mut self) -> Result<(), Rejection> {
        if self.decoder.array().map_err(bad)? != Some(2) {
            return Err(bad("a decimal fraction is an exponent and a mantissa"));
        }
        let exponent = i128::from(self.decoder.int().map_err(bad)?);
        let mantissa = i128::from(self.decoder.int().map_err(bad)?);
        let number = format!("{mantissa}e{exponent}");
        if !number.parse().is_ok_and(f64::is_finite) {
            return Err(bad("a decimal fraction is too large for a number"));
        }
        self.text.extend_from_slice(number.as_bytes());
        Ok(())
    }

    fn bytes(&mut self, hint: Hint, before: &str) -> Result<(), Rejection> {
        let whole;
        let bytes = match self.decoder.datatype().map_err(bad)? {
            Type::Bytes => self.decoder.bytes().map_err(bad)?,
            Type::BytesIndef => {
                let chunks = self.decoder.bytes_iter().map_err(bad)?;
                whole = chunks.collect::<Result<Vec<_>, _>>().map_err(bad)?.concat();
                &whole
            }
            kind => return Err(bad(format_args!("{kind} stands where bytes must"))),
        };
        match hint {
            Hint::Url => self.write(format_args!("\"{before}{}\"", URL_SAFE_NO_PAD.encode(bytes))),
            Hint::Classic => self.write(format_args!("\"{}\"", STANDARD.encode(bytes))),
            Hint::Hex => {
                self.text.push(b'"');
                bytes.iter().try_for_each(|byte| self.write(format_args!("{byte:02X}")))?;
                self.text.push(b'"');
                Ok(())
            }
        }
    }

    fn chunked_text(&mut self) -> Result<String, Rejection> {
        self.decoder.str_iter().map_err(bad)?.collect::<Result<String, _>>().map_err(bad)
    }

    fn string(&mut self, text: &str) -> Result<(), Rejection> {
        serde_json::to_writer(&mut self.text, text).map_err(bad)
    }

    /// A number, or null if it is none that JSON could write.
    fn float(&mut self, value: f64) -> Result<(), Rejection> {
        serde_json::to_writer(&mut self.text, &value).map_err(bad)
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) -> Result<(), Rejection> {
        self.text.write_fmt(text).map_err(bad)
    }
}

const fn is_integer(kind: Type) -> bool {
    use Type::{I8, I16, I32, I64, Int, U8, U16, U32, U64};
    matches!(kind, U8 | U16 | U32 | U64 | I8 | I16 | I32 | I64 | Int)
}
