//! A frame's head, read and written (RFC 6455 §5.2).

use super::close::{CloseCode, Violation};

/// The longest head that a client sends: two bytes, eight of length, four of mask.
const LONGEST: usize = 14;
/// The largest payload of a control frame (§5.5).
const CONTROL_BYTES: u64 = 125;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;

/// The kinds of frames (§5.2, opcodes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// More of a message (0).
    Continuation,
    /// A message, or its first part (2).
    Binary,
    /// Good-bye (8).
    Close,
    /// A question for a sign of life (9).
    Ping,
    /// Its answer (10).
    Pong,
}

impl Kind {
    const fn opcode(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    fn of(opcode: u8) -> Result<Self, Violation> {
        match opcode {
            0 => Ok(Self::Continuation),
            // MQTT 5 §6 [MQTT-6.0.0-1].
            1 => Err(Violation::new(
                CloseCode::UNSUPPORTED,
                "WebSocket: MQTT comes in binary frames, not in text",
            )),
            2 => Ok(Self::Binary),
            8 => Ok(Self::Close),
            9 => Ok(Self::Ping),
            10 => Ok(Self::Pong),
            _ => Err(Violation::protocol("WebSocket: a frame of a reserved kind")),
        }
    }

    /// Whether it is about the connection rather than part of a message.
    pub(super) const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// What a client's head says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) kind: Kind,
    /// Whether the frame is its message's last.
    pub(super) is_last: bool,
    pub(super) length: u64,
    pub(super) mask: [u8; 4],
}

/// A head that comes in pieces.
#[derive(Debug, Default)]
pub(super) struct PartialHead {
    bytes: [u8; LONGEST],
    length: u8,
}

impl PartialHead {
    /// Takes bytes from the front of `bytes`; the head, once it is whole. What is wrong is told as soon as it is seen.
    pub(super) fn take(&mut self, bytes: &mut &[u8], frame_limit: u64) -> Result<Option<Head>, Violation> {
        while let Some((byte, rest)) = bytes.split_first() {
            if let Some(place) = self.bytes.get_mut(usize::from(self.length)) {
                *place = *byte;
            }
            self.length += 1;
            *bytes = rest;
            if let Some(head) = self.read(frame_limit)? {
                self.length = 0;
                return Ok(Some(head));
            }
        }
        Ok(None)
    }

    fn read(&self, frame_limit: u64) -> Result<Option<Head>, Violation> {
        let have = usize::from(self.length);
        let [first, second, ..] = self.bytes;
        if have == 1 {
            if first & RESERVED != 0 {
                return Err(Violation::protocol("WebSocket: a reserved bit is set without an extension"));
            }
            Kind::of(first & OPCODE)?;
            return Ok(None);
        }
        let (extended, short) = match second & !MASKED {
            127 => (8, 0xffff),
            126 => (2, 125),
            _ => (0, 0),
        };
        if have == 2 && second & MASKED == 0 {
            return Err(Violation::protocol("WebSocket: a client's frame is not masked"));
        }
        if have < 2 + extended {
            return Ok(None);
        }
        let mut length = u64::from(second & !MASKED);
        if extended > 0 {
            length = self.bytes[2..2 + extended].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
            if length <= short || length >> 63 != 0 {
                return Err(Violation::protocol("WebSocket: a frame's length is not in its shortest form"));
            }
        }
        let (kind, is_last) = (Kind::of(first & OPCODE)?, first & FIN != 0);
        if kind.is_control() && (length > CONTROL_BYTES || !is_last) {
            return Err(Violation::protocol(
                "WebSocket: a control frame is fragmented or longer than 125 bytes",
            ));
        }
        if length > frame_limit {
            return Err(Violation::new(
                CloseCode::TOO_LARGE,
                "WebSocket: a frame says that it is larger than any may be",
            ));
        }
        let Some(mask) = self.bytes[2 + extended..have].first_chunk() else { return Ok(None) };
        Ok(Some(Head { kind, is_last, length, mask: *mask }))
    }
}

/// Appends the head of a server's frame: whole, not masked (§5.1).
pub(super) fn write_head(kind: Kind, length: usize, out: &mut Vec<u8>) {
    out.push(FIN | kind.opcode());
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ ..=125), _) => out.push(length),
        (_, Ok(length)) => {
            out.push(126);
            out.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

/// Takes the mask off (§5.3), and leaves it turned to where the next bytes go on.
pub(super) fn unmask(bytes: &mut [u8], mask: &mut [u8; 4]) {
    let word = u32::from_ne_bytes(*mask);
    let wide = u64::from(word) << 32 | u64::from(word);
    let (chunks, rest) = bytes.as_chunks_mut::<8>();
    // Words rather than bytes: compilers make the widest steps of them that there are, ten times as fast.
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    rest.iter_mut().zip(wide.to_ne_bytes()).for_each(|(byte, mask)| *byte ^= mask);
    mask.rotate_left(bytes.len() % 4);
}
