//! The frames of a WebSocket: the first byte says in how many bytes the rest is read.

use super::written;
use crate::signature::Signature;
use std::io::IoSlice;
use windrose_protocol::Transmit;
use windrose_protocol::websocket::{End, WebSocket};

/// Payload is within what was read, nothing is read after the end, and what is written are whole frames of a server.
pub fn run(data: &[u8]) -> u64 {
    let mut signature = Signature::new();
    let Some((&step, rest)) = data.split_first() else { return 0 };
    let mut socket = WebSocket::new(1_024);
    let mut transmit = Transmit::default();
    let mut payload = 0;
    let mut out = Vec::new();
    for chunk in rest.chunks(usize::from(step).max(1)) {
        let mut chunk = chunk.to_vec();
        let range = socket.receive(&mut chunk);
        assert!(range.start <= range.end && range.end <= chunk.len(), "{range:?} of {}", chunk.len());
        payload += range.len();
        // What is read is said back.
        transmit.buffer().extend_from_slice(&chunk[range]);
        write(&mut socket, &mut transmit, &mut out);
        if socket.end().is_some() {
            break;
        }
    }
    let ended = socket.end();
    write(&mut socket, &mut transmit, &mut out);
    assert!(written(&mut transmit).is_empty() || ended.is_some(), "everything is written while it is open");
    let frames = frames(&out);
    let said: usize = frames.iter().filter(|(kind, _)| matches!(kind, 0 | 2)).map(|(_, length)| length).sum();
    assert!(said <= payload, "no more is written than was read");
    signature.add((payload.min(4), frames.len().min(4)));
    match ended {
        None => signature.add(0),
        Some(End::Closed) => signature.add(1),
        Some(End::Violated(violation)) => signature.add((violation.code.0, violation.problem)),
    }
    signature.finish()
}

fn write(socket: &mut WebSocket, transmit: &mut Transmit, out: &mut Vec<u8>) {
    loop {
        let before = out.len();
        let mut slices = [IoSlice::new(&[]); 4];
        let filled = socket.io_slices(transmit, &mut slices);
        slices[..filled].iter().for_each(|slice| out.extend_from_slice(slice));
        let length = out.len() - before;
        if length == 0 {
            return;
        }
        socket.advance(transmit, length);
    }
}

/// The kinds and lengths of the frames that a server wrote.
fn frames(mut bytes: &[u8]) -> Vec<(u8, usize)> {
    let mut frames = Vec::new();
    while let [first, second, rest @ ..] = bytes {
        assert_eq!(first & 0x70, 0, "no extension was agreed on");
        assert_eq!(second & 0x80, 0, "a server does not mask");
        let (length, rest) = match (second & 0x7f, rest) {
            (126, [a, b, rest @ ..]) => (usize::from(u16::from_be_bytes([*a, *b])), rest),
            (127, _) => panic!("no frame here is that long"),
            (length, rest) => (usize::from(length), rest),
        };
        assert!(length <= rest.len(), "frames are whole");
        assert!(frames.last().is_none_or(|(kind, _)| *kind != 8), "nothing follows a Close frame");
        frames.push((first & 0x0f, length));
        bytes = &rest[length..];
    }
    assert!(bytes.is_empty(), "frames are whole");
    frames
}
