//! Frames: a kind, a channel, a length, a payload and an end (AMQP 0-9-1 §4.2.3).

use super::CodecError;

/// What a client begins with (AMQP 0-9-1 §4.2.2).
pub const PROTOCOL_HEADER: &[u8; 8] = b"AMQP\x00\x00\x09\x01";

/// The octet that every frame ends with (AMQP 0-9-1 §4.2.3).
pub const FRAME_END: u8 = 0xce;

/// Bytes of a frame beside its payload.
pub const FRAME_OVERHEAD: usize = 8;

/// The smallest limit of frames that both sides must take (AMQP 0-9-1 §1.2, frame-min-size).
pub const FRAME_MIN: u32 = 4_096;

const HEAD: usize = 7;

/// What a frame carries (AMQP 0-9-1 §4.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// A method (AMQP 0-9-1 §4.2.4).
    Method = 1,
    /// A content header (AMQP 0-9-1 §4.2.6.1).
    Header = 2,
    /// A part of a content body (AMQP 0-9-1 §4.2.6.2).
    Body = 3,
    /// Nothing: the peer is there (AMQP 0-9-1 §4.2.7).
    Heartbeat = 8,
}

/// A whole frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it carries.
    pub kind: FrameKind,
    /// The channel; zero is the connection itself.
    pub channel: u16,
    /// What it carries.
    pub payload: &'a [u8],
}

/// The frame that `bytes` begin with, and its length; `None` needs more bytes. `largest` bounds the whole frame.
///
/// # Errors
/// It is of no kind, longer than the bound, or does not end as frames do. Neither is waited for longer than needed.
#[inline]
pub fn frame(bytes: &[u8], largest: u32) -> Result<Option<(Frame<'_>, usize)>, CodecError> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    let kind = match first {
        1 => FrameKind::Method,
        2 => FrameKind::Header,
        3 => FrameKind::Body,
        8 => FrameKind::Heartbeat,
        _ => return Err(CodecError::frame("a frame is of no known kind")),
    };
    let Some((&[_, high, low, a, b, c, d], rest)) = bytes.split_first_chunk::<HEAD>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes([a, b, c, d]);
    if length > largest.saturating_sub(FRAME_OVERHEAD as u32) {
        return Err(CodecError::frame("a frame is larger than the negotiated frame_max"));
    }
    let Some((payload, rest)) = rest.split_at_checked(length as usize) else { return Ok(None) };
    match rest.first() {
        Some(&FRAME_END) => {
            let channel = u16::from_be_bytes([high, low]);
            Ok(Some((Frame { kind, channel, payload }, FRAME_OVERHEAD + payload.len())))
        }
        Some(_) => Err(CodecError::frame("a frame does not end with the octet 206")),
        None => Ok(None),
    }
}
