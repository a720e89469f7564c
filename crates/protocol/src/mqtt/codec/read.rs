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

/// Reads a packet's body. What it gives out is copied, each part into its own buffer: nothing keeps the packet alive, and
/// texts that are short need no buffer.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

const SHORT: CodecError = CodecError::malformed("the packet ends before its fields do");

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn u8(&mut self) -> Result<u8, CodecError> {
        let (&byte, rest) = self.bytes.split_first().ok_or(SHORT)?;
        self.bytes = rest;
        Ok(byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let (&array, rest) = self.bytes.split_first_chunk::<N>().ok_or(SHORT)?;
        self.bytes = rest;
        Ok(array)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, CodecError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, CodecError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn variable(&mut self) -> Result<u32, CodecError> {
        let (value, length) = variable_integer(self.bytes)?.ok_or(SHORT)?;
        self.take(length)?;
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
    fn take(&mut self, length: usize) -> Result<&'a [u8], CodecError> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or(SHORT)?;
        self.bytes = rest;
        Ok(taken)
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.bytes)
    }

    /// Binary data (MQTT 5 §1.5.6), where it lies.
    pub(super) fn field(&mut self) -> Result<&'a [u8], CodecError> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    /// Binary data (MQTT 5 §1.5.6).
    pub(crate) fn binary(&mut self) -> Result<Bytes, CodecError> {
        self.field().map(Bytes::copy_from_slice)
    }

    /// A UTF-8 encoded string (MQTT 5 §1.5.4): well-formed, without U+0000, and without the control characters and
    /// noncharacters that it advises against and lets a receiver refuse.
    pub(crate) fn text(&mut self) -> Result<Text, CodecError> {
        self.field().and_then(Self::text_of)
    }

    /// The text that is these bytes.
    pub(super) fn text_of(bytes: &[u8]) -> Result<Text, CodecError> {
        if let Some(text) = Text::from_plain_ascii(bytes) {
            return Ok(text);
        }
        let text = Text::copy_from_utf8(bytes).map_err(|_| CodecError::malformed("a string is not UTF-8"))?;
        if !is_plain(&text) {
            return Err(CodecError::malformed("a string contains a control character or a noncharacter"));
        }
        Ok(text)
    }

    /// A part of the body, of `length` bytes, to be read by itself.
    pub(crate) fn part(&mut self, length: usize) -> Result<Reader<'a>, CodecError> {
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
