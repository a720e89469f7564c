//! Protocol headers (part 2 §2.2, part 5 §5.1) and frames (part 2 §2.3).

use super::CodecError;

/// What a connection begins with, before its version.
pub const PROTOCOL_HEADER: &[u8; 4] = b"AMQP";
/// The header of AMQP without a security layer.
pub const AMQP_HEADER: &[u8; 8] = b"AMQP\x00\x01\x00\x00";
/// The header of TLS within the connection, which we do not do.
pub const TLS_HEADER: &[u8; 8] = b"AMQP\x02\x01\x00\x00";
/// The header of SASL.
pub const SASL_HEADER: &[u8; 8] = b"AMQP\x03\x01\x00\x00";

/// Bytes of a frame's header.
pub const FRAME_HEADER: usize = 8;
/// The smallest max-frame-size that a peer may have, and the largest frame before it is known (part 2 §2.3.1).
pub const MIN_MAX_FRAME_SIZE: u32 = 512;

/// What a frame carries (part 2 §2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// A performative, or nothing.
    Amqp,
    /// A step of SASL.
    Sasl,
    /// What nobody has said the meaning of.
    Other(u8),
}

/// The first eight bytes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Bytes of the whole frame: a claim, not yet received.
    pub size: u32,
    /// Where its body begins.
    pub body: u16,
    /// What it carries.
    pub kind: FrameKind,
    /// The channel, in AMQP frames.
    pub channel: u16,
}

/// Reads a frame's header; `None` needs more bytes.
#[inline]
pub fn frame_header(bytes: &[u8]) -> Result<Option<FrameHeader>, CodecError> {
    let Some(&[a, b, c, d, offset, kind, high, low]) = bytes.first_chunk::<FRAME_HEADER>() else {
        return Ok(None);
    };
    let size = u32::from_be_bytes([a, b, c, d]);
    let body = u16::from(offset) * 4;
    if size < FRAME_HEADER as u32 || offset < 2 || u32::from(body) > size {
        return Err(CodecError::framing("a frame's size or data offset cannot be"));
    }
    let kind = match kind {
        0 => FrameKind::Amqp,
        1 => FrameKind::Sasl,
        other => FrameKind::Other(other),
    };
    Ok(Some(FrameHeader { size, body, kind, channel: u16::from_be_bytes([high, low]) }))
}

/// Begins a frame; [`finish_frame`] takes what this returns.
#[inline]
pub fn start_frame(out: &mut Vec<u8>, kind: FrameKind, channel: u16) -> usize {
    let start = out.len();
    let kind = match kind {
        FrameKind::Amqp => 0,
        FrameKind::Sasl => 1,
        FrameKind::Other(other) => other,
    };
    let [high, low] = channel.to_be_bytes();
    out.extend_from_slice(&[0, 0, 0, 0, 2, kind, high, low]);
    start
}

/// Ends a frame, of which `beyond` bytes come that are not in the buffer.
#[inline]
pub fn finish_frame(out: &mut [u8], start: usize, beyond: usize) {
    let size = ((out.len() - start + beyond) as u32).to_be_bytes();
    if let Some(head) = out.get_mut(start..start + 4) {
        head.copy_from_slice(&size);
    }
}
