//! As much WebSocket (RFC 6455) as the load generator needs. Every packet is a frame of its own, as clients' libraries do it.

use crate::Result;
use std::io::{Read, Write};

/// A frame of binary data that is whole.
const BINARY: u8 = 0x82;

/// A mask of zeros: the server has the same work with it, and the load generator none.
const MASK: [u8; 4] = [0; 4];

/// Shakes hands.
pub(super) fn handshake(stream: &mut (impl Read + Write)) -> Result<()> {
    stream.write_all(
        b"GET /mqtt HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
          Sec-WebSocket-Protocol: mqtt\r\n\r\n",
    )?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).map_err(|error| format!("the server does not shake hands: {error}"))?;
        answer.extend(byte);
    }
    if answer.starts_with(b"HTTP/1.1 101") {
        return Ok(());
    }
    Err(format!("the server refuses a WebSocket: {}", String::from_utf8_lossy(&answer)).into())
}

/// A packet in a frame, and how many bytes stand before it.
pub(super) fn frame(packet: &[u8]) -> (Vec<u8>, usize) {
    let mut bytes = vec![BINARY];
    match (u8::try_from(packet.len()), u16::try_from(packet.len())) {
        (Ok(length @ ..=125), _) => bytes.push(0x80 | length),
        (_, Ok(length)) => {
            bytes.push(0x80 | 126);
            bytes.extend(length.to_be_bytes());
        }
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend((packet.len() as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    let head = bytes.len();
    bytes.extend(packet);
    (bytes, head)
}

/// Takes a server's frames apart, however they come.
#[derive(Default)]
pub(super) struct Frames {
    head: Vec<u8>,
    /// Bytes of the frame that are still to come.
    left: u64,
}

impl Frames {
    /// Moves what is in the frames to the front of `bytes`; how much it is.
    pub(super) fn unwrap(&mut self, bytes: &mut [u8]) -> Result<usize> {
        let (mut at, mut filled) = (0, 0);
        while at < bytes.len() {
            if self.left > 0 {
                let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len() - at);
                bytes.copy_within(at..at + length, filled);
                (at, filled) = (at + length, filled + length);
                self.left -= length as u64;
                continue;
            }
            self.head.extend(bytes.get(at));
            at += 1;
            let length = match self.head.as_slice() {
                [BINARY, 126, a, b] => Some(u64::from(u16::from_be_bytes([*a, *b]))),
                [BINARY, 127, rest @ ..] => rest.try_into().ok().map(u64::from_be_bytes),
                [BINARY] | [BINARY, 126, ..] => None,
                [BINARY, length @ ..126] => Some(u64::from(*length)),
                other => return Err(format!("the server sent a frame that begins with {other:?}").into()),
            };
            if let Some(length) = length {
                self.left = length;
                self.head.clear();
            }
        }
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn frames_are_taken_apart_however_they_come() {
        let mut stream = vec![BINARY, 3, 1, 2, 3, BINARY, 0, BINARY, 126, 1, 0];
        stream.extend([7; 256]);
        stream.extend([BINARY, 127, 0, 0, 0, 0, 0, 0, 0, 1, 9]);
        for step in [1, 2, 5, stream.len()] {
            let mut frames = Frames::default();
            let mut got: Vec<u8> = Vec::new();
            for chunk in stream.chunks(step) {
                let mut chunk = chunk.to_vec();
                let length = frames.unwrap(&mut chunk).unwrap();
                got.extend(chunk.get(..length).unwrap());
            }
            assert_eq!(got, [&[1, 2, 3][..], &[7; 256], &[9]].concat(), "by {step}");
        }
        assert!(Frames::default().unwrap(&mut [0x88, 0]).is_err(), "a Close frame is none of data");
    }
}
