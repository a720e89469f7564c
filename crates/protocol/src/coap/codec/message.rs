//! A message of a datagram (RFC 7252 §3).

use super::{Code, Options};
use std::fmt;

/// The longest token that can be written (RFC 8974 §2.1).
const LONGEST_TOKEN: usize = 65_804;

/// A message's type (RFC 7252 §3, §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Confirmable: sent again until it is acknowledged.
    Con = 0,
    /// Non-confirmable.
    Non = 1,
    /// Acknowledgement.
    Ack = 2,
    /// Reset: the message could not be processed.
    Rst = 3,
}

/// The part of a message that is there whatever follows: enough to reject it (RFC 7252 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its type.
    pub kind: Kind,
    /// Its code.
    pub code: Code,
    /// Its message identifier.
    pub id: u16,
}

/// A message, as it stands in the datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its type.
    pub kind: Kind,
    /// Its code.
    pub code: Code,
    /// What pairs it with an acknowledgement or a reset (RFC 7252 §4.4).
    pub id: u16,
    /// What pairs a response with its request (RFC 7252 §5.3.1).
    pub token: &'a [u8],
    /// Its options.
    pub options: Options<'a>,
    /// Its payload; empty if there is none.
    pub payload: &'a [u8],
}

/// What is wrong with a message's format (RFC 7252 §3, §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// It ends amid a token or an option.
    Truncated,
    /// A token length that is reserved (RFC 8974 §2.1).
    ReservedTokenLength,
    /// A token that is longer than is taken here.
    TokenTooLong,
    /// An option delta of 15 that is no payload marker.
    ReservedDelta,
    /// An option length of 15.
    ReservedLength,
    /// The option numbers add up to more than 65,535.
    NumberTooLarge,
    /// A payload marker with nothing behind it.
    EmptyPayload,
    /// An empty message that has more than its header.
    NotEmpty,
}

impl Malformed {
    /// What is wrong, for the log.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Truncated => "it ends amid a token or an option",
            Self::ReservedTokenLength => "its token length is reserved",
            Self::TokenTooLong => "its token is longer than this listener takes",
            Self::ReservedDelta => "an option delta is 15, which is reserved",
            Self::ReservedLength => "an option length is 15, which is reserved",
            Self::NumberTooLarge => "an option number is larger than 65,535",
            Self::EmptyPayload => "nothing follows its payload marker",
            Self::NotEmpty => "an empty message has more than its header",
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.describe())
    }
}

/// Why a datagram is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageError {
    /// It has not even a header: nothing can be said to its sender.
    TooShort,
    /// Another version than 1: it is ignored in silence (RFC 7252 §3).
    Version,
    /// It is rejected as its header's type has it (RFC 7252 §4.2, §4.3).
    Malformed(Header, Malformed),
}

impl<'a> Message<'a> {
    /// Reads a datagram; tokens of up to `token_bytes` are taken (RFC 8974).
    ///
    /// # Errors
    /// It is no message of version 1, or malformed.
    #[inline]
    pub fn parse(bytes: &'a [u8], token_bytes: u16) -> Result<Self, MessageError> {
        let [first, code, high, low, rest @ ..] = bytes else { return Err(MessageError::TooShort) };
        if first >> 6 != 1 {
            return Err(MessageError::Version);
        }
        let kind = match first >> 4 & 3 {
            0 => Kind::Con,
            1 => Kind::Non,
            2 => Kind::Ack,
            _ => Kind::Rst,
        };
        let header = Header { kind, code: Code(*code), id: u16::from_be_bytes([*high, *low]) };
        let malformed = |problem| MessageError::Malformed(header, problem);
        if header.code == Code::EMPTY && (first & 0xf != 0 || !rest.is_empty()) {
            return Err(malformed(Malformed::NotEmpty));
        }
        let (token, rest) = parse_token(first & 0xf, rest, token_bytes).map_err(malformed)?;
        let (options, payload) = Options::parse(rest).map_err(malformed)?;
        Ok(Self { kind, code: header.code, id: header.id, token, options, payload })
    }

    /// An empty message: an acknowledgement, a reset or a ping (RFC 7252 §4.1).
    pub fn empty(kind: Kind, id: u16) -> Self {
        Self { kind, code: Code::EMPTY, id, token: &[], options: Options::default(), payload: &[] }
    }

    /// Appends the message's encoding. A token longer than any that is possible is cut.
    #[inline]
    pub fn encode(&self, out: &mut Vec<u8>) {
        let [high, low] = self.id.to_be_bytes();
        let token = self.token.get(..LONGEST_TOKEN).unwrap_or(self.token);
        let (nibble, extension) = encode_token_length(token.len());
        out.extend_from_slice(&[0x40 | (self.kind as u8) << 4 | nibble, self.code.0, high, low]);
        match nibble {
            13 => out.extend_from_slice(&extension[1..]),
            14 => out.extend_from_slice(&extension),
            _ => {}
        }
        out.extend_from_slice(token);
        out.extend_from_slice(self.options.as_bytes());
        if !self.payload.is_empty() {
            out.push(0xff);
            out.extend_from_slice(self.payload);
        }
    }
}

/// Reads a token whose length begins with these four bits (RFC 8974 §2.1); the same in datagrams and frames.
///
/// # Errors
/// The length is reserved or larger than `token_bytes`, or the token is truncated.
#[inline]
pub fn parse_token(nibble: u8, rest: &[u8], token_bytes: u16) -> Result<(&[u8], &[u8]), Malformed> {
    let (length, rest) = match (nibble, rest) {
        (0..=12, _) => (usize::from(nibble), rest),
        (13, [byte, rest @ ..]) => (usize::from(*byte) + 13, rest),
        (14, [high, low, rest @ ..]) => (usize::from(u16::from_be_bytes([*high, *low])) + 269, rest),
        (13 | 14, _) => return Err(Malformed::Truncated),
        _ => return Err(Malformed::ReservedTokenLength),
    };
    if length > usize::from(token_bytes) {
        return Err(Malformed::TokenTooLong);
    }
    rest.split_at_checked(length).ok_or(Malformed::Truncated)
}

/// The four bits of a token's length, and the two bytes of which 13 adds the second and 14 both (RFC 8974 §2.1).
pub const fn encode_token_length(length: usize) -> (u8, [u8; 2]) {
    match length {
        0..=12 => (length as u8, [0, 0]),
        13..=268 => (13, [0, (length - 13) as u8]),
        _ => (14, ((length - 269) as u16).to_be_bytes()),
    }
}
