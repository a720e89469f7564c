//! Frames that go out.

use super::client::{BINARY, CLOSE, FIN, PING, PONG, frame, frames, receive};
use crate::Transmit;
use crate::websocket::{CloseCode, End, WebSocket};
use bytes::Bytes;
use proptest::prelude::*;
use std::io::IoSlice;

/// Writes at most `step` bytes; `false` if nothing waits.
fn write(socket: &mut WebSocket, transmit: &mut Transmit, step: usize, out: &mut Vec<u8>) -> bool {
    let mut slices = [IoSlice::new(&[]), IoSlice::new(&[]), IoSlice::new(&[])];
    let filled = socket.io_slices(transmit, &mut slices);
    let all: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
    let written = all.len().min(step);
    out.extend_from_slice(&all[..written]);
    socket.advance(transmit, written);
    filled > 0
}

fn drain(socket: &mut WebSocket, transmit: &mut Transmit, step: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while write(socket, transmit, step, &mut out) {}
    out
}

#[test]
fn messages_that_are_told_apart_have_a_frame_each() {
    for step in [1, 3, 100, usize::MAX] {
        let mut socket = WebSocket::new(0);
        let mut transmit = Transmit::default();
        let large = Bytes::from(vec![7; 5_000]);
        transmit.buffer().extend_from_slice(b"one");
        transmit.end_message(3);
        transmit.buffer().extend_from_slice(b"head");
        transmit.payload(&large);
        transmit.end_message(5_004);
        transmit.buffer().extend_from_slice(b"three");
        transmit.end_message(5);
        let out = drain(&mut socket, &mut transmit, step);
        let second = [b"head", &large[..]].concat();
        let expected = [b"one".to_vec(), second, b"three".to_vec()].map(|message| (FIN | BINARY, message));
        assert_eq!(frames(&out), expected, "by {step}");
        assert!(transmit.is_empty() && !socket.wants_write());
    }
}

#[test]
fn a_batch_is_one_frame_whatever_its_parts() {
    for (size, step) in [(1, 1), (100, 7), (3_000, 64), (70_000, 4_096), (70_000, usize::MAX)] {
        let mut socket = WebSocket::new(0);
        let mut transmit = Transmit::default();
        let payload = Bytes::from(vec![7; size]);
        transmit.buffer().extend_from_slice(b"head");
        transmit.payload(&payload);
        transmit.buffer().extend_from_slice(b"tail");
        let out = drain(&mut socket, &mut transmit, step);
        let expected = [b"head", &payload[..], b"tail"].concat();
        assert_eq!(frames(&out), [(FIN | BINARY, expected)], "{size} bytes by {step}");
        assert!(transmit.is_empty() && !socket.wants_write());
    }
}

#[test]
fn what_comes_while_a_frame_is_written_goes_into_the_next() {
    let mut socket = WebSocket::new(1_000);
    let mut transmit = Transmit::default();
    let mut out = Vec::new();
    transmit.buffer().extend_from_slice(b"first");
    assert!(write(&mut socket, &mut transmit, 3, &mut out));
    transmit.buffer().extend_from_slice(b"second");
    receive(&mut socket, &frame(FIN | PING, b"alive?"), 1);
    assert!(socket.wants_write());
    out.extend(drain(&mut socket, &mut transmit, 4));
    let expected: [(u8, &[u8]); 3] =
        [(FIN | BINARY, b"first"), (FIN | PONG, b"alive?"), (FIN | BINARY, b"second")];
    assert_eq!(frames(&out), expected.map(|(first, payload)| (first, payload.to_vec())));
}

#[test]
fn only_the_last_of_many_pings_is_answered() {
    let mut socket = WebSocket::new(1_000);
    for index in 0..1_000_u16 {
        receive(&mut socket, &frame(FIN | PING, &index.to_be_bytes()), usize::MAX);
    }
    let out = drain(&mut socket, &mut Transmit::default(), usize::MAX);
    assert_eq!(frames(&out), [(FIN | PONG, 999_u16.to_be_bytes().to_vec())]);
}

#[test]
fn a_close_is_answered_with_its_own_code_after_what_waits() {
    for (code, answer) in [(&[][..], &[][..]), (&[0x0f, 0xa0, b'b', b'y', b'e'], &[0x0f, 0xa0])] {
        let mut socket = WebSocket::new(1_000);
        let mut transmit = Transmit::default();
        transmit.buffer().extend_from_slice(b"last words");
        receive(&mut socket, &frame(FIN | CLOSE, code), usize::MAX);
        assert_eq!(socket.end(), Some(End::Closed));
        let out = drain(&mut socket, &mut transmit, usize::MAX);
        assert_eq!(frames(&out), [(FIN | BINARY, b"last words".to_vec()), (FIN | CLOSE, answer.to_vec())]);
        assert!(!socket.wants_write());
    }
}

#[test]
fn nothing_follows_a_close_frame() {
    let mut socket = WebSocket::new(1_000);
    let mut transmit = Transmit::default();
    socket.close(CloseCode::NORMAL);
    let out = drain(&mut socket, &mut transmit, usize::MAX);
    assert_eq!(frames(&out), [(FIN | CLOSE, vec![0x03, 0xe8])]);
    transmit.buffer().extend_from_slice(b"late");
    receive(&mut socket, &frame(FIN | CLOSE, &[0x03, 0xe8]), usize::MAX);
    assert_eq!(drain(&mut socket, &mut transmit, usize::MAX), b"");
    assert!(!socket.wants_write());
}

proptest! {
    #[test]
    fn however_it_is_written_the_stream_is_whole(
        parts in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..5_000), 1_usize..3_000), 1..12),
    ) {
        let mut socket = WebSocket::new(0);
        let mut transmit = Transmit::default();
        let (mut out, mut expected) = (Vec::new(), Vec::new());
        for (part, step) in parts {
            transmit.payload(&Bytes::from(part.clone()));
            expected.extend(part);
            write(&mut socket, &mut transmit, step, &mut out);
        }
        out.extend(drain(&mut socket, &mut transmit, 1_000));
        let got: Vec<u8> = frames(&out).into_iter().flat_map(|(_, payload)| payload).collect();
        prop_assert_eq!(got, expected);
    }
}
