//! Options of a message: a view of those that were received, and a list of those to send.

use super::message::Malformed;
use super::{Uint, option, read_uint};
use smallvec::SmallVec;

/// One option as it stands in the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionView<'a> {
    /// Its number (RFC 7252 §5.10).
    pub number: u16,
    /// Its value.
    pub value: &'a [u8],
}

/// The options of a message, in their encoding (RFC 7252 §3.1). That they are well-formed was found when they were parsed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options<'a> {
    bytes: &'a [u8],
}

impl<'a> Options<'a> {
    /// Reads what follows the token: the options, then the payload (RFC 7252 §3).
    ///
    /// # Errors
    /// An option is truncated or has a reserved length, a number is too large, or nothing follows the payload marker.
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Malformed> {
        let mut rest = bytes;
        let mut number = 0;
        loop {
            match rest.split_first() {
                None => return Ok((Self { bytes }, &[])),
                Some((0xff, [])) => return Err(Malformed::EmptyPayload),
                Some((0xff, payload)) => {
                    let (options, _) =
                        bytes.split_at_checked(bytes.len() - payload.len() - 1).unwrap_or_default();
                    return Ok((Self { bytes: options }, payload));
                }
                Some(_) => (_, rest) = step(&mut number, rest)?,
            }
        }
    }

    /// Their encoding.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// All of them, by number and in order.
    pub const fn iter(&self) -> OptionsIter<'a> {
        OptionsIter { rest: self.bytes, number: 0 }
    }

    /// The values of the options of a number, without those whose length is out of the option's bounds, which count as
    /// unknown (RFC 7252 §5.4.3).
    pub fn values(&self, number: u16) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let form = option::form(number);
        self.iter()
            .skip_while(move |option| option.number < number)
            .take_while(move |option| option.number == number)
            .map(|option| option.value)
            .filter(move |value| form.is_none_or(|form| form.allows(value.len())))
    }

    /// The value of the first option of a number.
    #[inline]
    pub fn get(&self, number: u16) -> Option<&'a [u8]> {
        for option in self.iter() {
            if option.number > number {
                return None;
            }
            if option.number == number
                && option::form(number).is_none_or(|form| form.allows(option.value.len()))
            {
                return Some(option.value);
            }
        }
        None
    }

    /// The value of the first option of a number, as a number.
    pub fn uint(&self, number: u16) -> Option<u32> {
        self.get(number).and_then(read_uint)
    }

    /// Whether there is an option of a number.
    pub fn has(&self, number: u16) -> bool {
        self.get(number).is_some()
    }

    /// The first critical option that is not known: by its number, by its length, or because it is one too many
    /// (RFC 7252 §5.4.1, §5.4.3, §5.4.5).
    pub fn unknown_critical(&self) -> Option<u16> {
        let mut last = None;
        for OptionView { number, value } in self.iter() {
            let repeated = last.replace(number) == Some(number);
            let is_known = option::form(number)
                .is_some_and(|form| form.allows(value.len()) && (form.repeatable || !repeated));
            if !is_known && option::is_critical(number) {
                return Some(number);
            }
        }
        None
    }
}

impl<'a> IntoIterator for Options<'a> {
    type Item = OptionView<'a>;
    type IntoIter = OptionsIter<'a>;

    fn into_iter(self) -> OptionsIter<'a> {
        self.iter()
    }
}

impl option::Form {
    const fn allows(self, length: usize) -> bool {
        self.min as usize <= length && length <= self.max as usize
    }
}

/// Goes through options.
#[derive(Clone, Debug)]
pub struct OptionsIter<'a> {
    rest: &'a [u8],
    number: u16,
}

impl<'a> Iterator for OptionsIter<'a> {
    type Item = OptionView<'a>;

    #[inline]
    fn next(&mut self) -> Option<OptionView<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        // They were parsed before: it cannot fail here.
        let (value, rest) = step(&mut self.number, self.rest).ok()?;
        self.rest = rest;
        Some(OptionView { number: self.number, value })
    }
}

/// Reads one option: `number` moves on by its delta (RFC 7252 §3.1).
#[inline]
fn step<'a>(number: &mut u16, bytes: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), Malformed> {
    let (first, rest) = bytes.split_first().ok_or(Malformed::Truncated)?;
    let (delta, rest) = extended(first >> 4, rest, Malformed::ReservedDelta)?;
    let (length, rest) = extended(first & 0xf, rest, Malformed::ReservedLength)?;
    let next = u32::from(*number) + delta;
    *number = u16::try_from(next).map_err(|_| Malformed::NumberTooLarge)?;
    rest.split_at_checked(length as usize).ok_or(Malformed::Truncated)
}

#[inline]
fn extended(nibble: u8, rest: &[u8], reserved: Malformed) -> Result<(u32, &[u8]), Malformed> {
    match (nibble, rest) {
        (0..=12, _) => Ok((u32::from(nibble), rest)),
        (13, [byte, rest @ ..]) => Ok((u32::from(*byte) + 13, rest)),
        (14, [high, low, rest @ ..]) => Ok((u32::from(u16::from_be_bytes([*high, *low])) + 269, rest)),
        (15, _) => Err(reserved),
        _ => Err(Malformed::Truncated),
    }
}

/// Options to send, kept in their encoding: what is sent is copied, not made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OptionsBuf {
    bytes: SmallVec<[u8; 32]>,
    last: u16,
}

impl OptionsBuf {
    /// The longest value that an option can have here: more than any that is registered.
    const LONGEST: usize = 65_000;

    /// Adds an option after those of the same number. In ascending order this is cheap; otherwise those behind it are
    /// written once more. A value too long for any option is left out.
    pub fn insert(&mut self, number: u16, value: &[u8]) {
        if value.len() > Self::LONGEST {
            return;
        }
        if number >= self.last {
            write(&mut self.bytes, self.last, number, value);
            self.last = number;
            return;
        }
        let old = std::mem::take(self);
        let mut new = Some(OptionView { number, value });
        for option in old.as_options() {
            if let Some(new) = new.take_if(|new| new.number < option.number) {
                self.insert(new.number, new.value);
            }
            self.insert(option.number, option.value);
        }
    }

    /// Adds an option that is a number.
    pub fn insert_uint(&mut self, number: u16, value: u32) {
        self.insert(number, Uint::new(value).as_bytes());
    }

    /// Takes out all options of a number.
    pub fn remove(&mut self, number: u16) {
        if !self.as_options().iter().any(|option| option.number == number) {
            return;
        }
        let old = std::mem::take(self);
        for option in old.as_options().iter().filter(|option| option.number != number) {
            self.insert(option.number, option.value);
        }
    }

    /// Puts one option in the place of all of its number.
    pub fn replace(&mut self, number: u16, value: &[u8]) {
        self.remove(number);
        self.insert(number, value);
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// A view of them.
    pub fn as_options(&self) -> Options<'_> {
        Options { bytes: &self.bytes }
    }
}

impl<'a> FromIterator<(u16, &'a [u8])> for OptionsBuf {
    fn from_iter<T: IntoIterator<Item = (u16, &'a [u8])>>(options: T) -> Self {
        let mut buffer = Self::default();
        for (number, value) in options {
            buffer.insert(number, value);
        }
        buffer
    }
}

fn write(out: &mut SmallVec<[u8; 32]>, last: u16, number: u16, value: &[u8]) {
    let delta = number.saturating_sub(last);
    let length = value.len() as u16;
    out.push(nibble(delta) << 4 | nibble(length));
    for part in [delta, length] {
        match nibble(part) {
            13 => out.push((part - 13) as u8),
            14 => out.extend_from_slice(&(part - 269).to_be_bytes()),
            _ => {}
        }
    }
    out.extend_from_slice(value);
}

/// The four bits that stand for a delta or a length (RFC 7252 §3.1).
const fn nibble(value: u16) -> u8 {
    match value {
        0..=12 => value as u8,
        13..=268 => 13,
        _ => 14,
    }
}
