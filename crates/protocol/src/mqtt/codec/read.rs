//! Reading the wire's types (MQTT 5 §1.5), with nothing believed.

use crate::mqtt::ReasonCode;
use bytes::Bytes;
use std::fmt;
use windrose_event::Text;

/// Why bytes are no packet: the reason code to close with, and what is wrong in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodecError {
    /// The code for CONNACK or DISCONNECT; success: nothing is said.
    pub code: ReasonCode,
    /// What is wrong.
    pub problem: &'static str,
}

impl CodecError {
    pub(crate) const fn malformed(problem: &'static str) -> Self {
        Self { code: ReasonCode::MALFORMED_PACKET, problem }
    }

    pub(crate) const fn protocol(problem: &'static str) -> Self {
        Self { code: ReasonCode::PROTOCOL_ERROR, problem }
    }

    /// An error after which the connection is closed without a word, as MQTT 5 §4.13.1 permits: the peer does not speak
    /// the protocol well enough to make anything of a code.
    pub(crate) const fn silent(problem: &'static str) -> Self {
        Self { code: ReasonCode::SUCCESS, problem }
    }

    /// Whether the peer is told.
    pub(crate) const fn is_told(&self) -> bool {
        self.code.is_error()
    }

    /// The same, told by another code.
    pub(crate) const fn told_as(self, code: ReasonCode) -> Self {
        Self { code, ..self }
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.problem)
    }
}

impl std::error::Error for CodecError {}

/// A packet's first bytes (MQTT 5 §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedHeader {
    /// Kind and flags.
    pub first: u8,
    /// Bytes of this header.
    pub length: usize,
    /// Bytes that follow it: a claim, not yet received.
    pub remaining: usize,
}

impl FixedHeader {
    /// The packet's kind.
    pub const fn kind(self) -> u8 {
        self.first >> 4
    }

    /// The packet's flags.
    pub const fn flags(self) -> u8 {
        self.first & 0x0f
    }
}

/// Reads a fixed header; `None` needs more bytes.
pub fn fixed_header(bytes: &[u8]) -> Result<Option<FixedHeader>, CodecError> {
    let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
    // Without its length a packet has no end: nothing that follows could be understood.
    match variable_integer(rest).map_err(|error| error.told_as(ReasonCode::SUCCESS))? {
        None => Ok(None),
        Some((remaining, length)) => {
            Ok(Some(FixedHeader { first, length: 1 + length, remaining: remaining as usize }))
        }
    }
}

/// A variable byte integer and its length (MQTT 5 §1.5.5); `None` needs more bytes.
fn variable_integer(bytes: &[u8]) -> Result<Option<(u32, usize)>, CodecError> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            if byte == 0 && index > 0 {
                return Err(CodecError::malformed("a variable byte integer is longer than it need be"));
            }
            return Ok(Some((value, index + 1)));
        }
    }
    if bytes.len() >= 4 {
        return Err(CodecError::malformed("a variable byte integer has more than four bytes"));
    }
    Ok(None)
}

/// Whether a text has none of the characters that receivers may refuse: control characters, and the code points that
/// Unicode keeps from being characters (MQTT 5 §1.5.4).
pub(super) fn is_plain(text: &str) -> bool {
    let refused = |c: char| {
        c.is_control() || matches!(c as u32 & 0xfffe, 0xfffe) || matches!(c, '\u{fdd0}'..='\u{fdef}')
    };
    if text.is_ascii() {
        !text.bytes().any(|byte| byte.is_ascii_control())
    } else {
        !text.chars().any(refused)
    }
}

/// Reads a packet's body. Slices that it gives out share the body's buffer.
pub(crate) struct Reader {
    bytes: Bytes,
    at: usize,
}

const SHORT: CodecError = CodecError::malformed("the packet ends before its fields do");

impl Reader {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    pub(crate) fn u8(&mut self) -> Result<u8, CodecError> {
        let byte = self.bytes.get(self.at).copied().ok_or(SHORT)?;
        self.at += 1;
        Ok(byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let array =
            self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>()).copied().ok_or(SHORT)?;
        self.at += N;
        Ok(array)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, CodecError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, CodecError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn variable(&mut self) -> Result<u32, CodecError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let (value, length) = variable_integer(rest)?.ok_or(SHORT)?;
        self.at += length;
        Ok(value)
    }

    /// A packet identifier, which is never zero (MQTT 5 §2.2.1).
    pub(crate) fn packet_id(&mut self) -> Result<u16, CodecError> {
        match self.u16()? {
            0 => Err(CodecError::protocol("a packet identifier is zero")),
            id => Ok(id),
        }
    }

    /// The next `length` bytes.
    pub(crate) fn take(&mut self, length: usize) -> Result<Bytes, CodecError> {
        if length > self.remaining() {
            return Err(SHORT);
        }
        let taken = self.bytes.slice(self.at..self.at + length);
        self.at += length;
        Ok(taken)
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> Bytes {
        let rest = self.bytes.slice(self.at..);
        self.at = self.bytes.len();
        rest
    }

    /// Binary data (MQTT 5 §1.5.6).
    pub(crate) fn binary(&mut self) -> Result<Bytes, CodecError> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    /// A UTF-8 encoded string (MQTT 5 §1.5.4): well-formed, without U+0000, and without the control characters and
    /// noncharacters that it advises against and lets a receiver refuse.
    pub(crate) fn text(&mut self) -> Result<Text, CodecError> {
        self.binary().and_then(Self::text_of)
    }

    /// The text that is these bytes.
    pub(super) fn text_of(bytes: Bytes) -> Result<Text, CodecError> {
        let text = Text::from_utf8(bytes).map_err(|_| CodecError::malformed("a string is not UTF-8"))?;
        if !is_plain(&text) {
            return Err(CodecError::malformed("a string contains a control character or a noncharacter"));
        }
        Ok(text)
    }

    /// A part of the body, of `length` bytes, to be read by itself.
    pub(crate) fn part(&mut self, length: usize) -> Result<Reader, CodecError> {
        self.take(length).map(Reader::new)
    }

    /// Everything must have been read.
    pub(crate) fn end(&self) -> Result<(), CodecError> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(CodecError::malformed("the packet is longer than its fields"))
        }
    }
}
