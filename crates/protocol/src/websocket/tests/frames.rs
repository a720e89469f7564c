//! Frames that come in.

use super::client::{BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, TEXT, frame, receive};
use crate::websocket::{CloseCode, End, WebSocket};
use proptest::prelude::*;

const LIMIT: u64 = 1 << 20;

fn violation(bytes: &[u8]) -> Option<u16> {
    let mut codes = [1, 3, usize::MAX].map(|step| {
        let mut socket = WebSocket::new(LIMIT);
        receive(&mut socket, bytes, step);
        match socket.end() {
            Some(End::Violated(violation)) => Some(violation.code.0),
            _ => None,
        }
    });
    codes.sort_unstable();
    assert_eq!(codes[0], codes[2], "it depends on how the bytes come");
    codes[0]
}

#[test]
fn a_message_in_three_frames_with_a_ping_between_is_one_stream() {
    let mut bytes = frame(BINARY, b"one ");
    bytes.extend(frame(FIN | PING, b"?"));
    bytes.extend(frame(CONTINUATION, b"two "));
    bytes.extend(frame(CONTINUATION, b""));
    bytes.extend(frame(FIN | PONG, b"unasked"));
    bytes.extend(frame(FIN | CONTINUATION, b"three"));
    bytes.extend(frame(FIN | BINARY, b" four"));
    for step in [1, 2, 5, 7, usize::MAX] {
        let mut socket = WebSocket::new(LIMIT);
        assert_eq!(receive(&mut socket, &bytes, step), b"one two three four");
        assert_eq!(socket.end(), None);
    }
}

#[test]
fn whoever_wants_to_know_is_told_where_messages_end() {
    let mut bytes = frame(BINARY, b"one ");
    bytes.extend(frame(FIN | PING, b"?"));
    bytes.extend(frame(FIN | CONTINUATION, b"two"));
    bytes.extend(frame(FIN | BINARY, b""));
    bytes.extend(frame(FIN | BINARY, b"three"));
    bytes.extend(frame(BINARY, b"fo"));
    for step in [1, 2, 5, 7, usize::MAX] {
        let mut socket = WebSocket::new(LIMIT).with_ends();
        let (mut messages, mut current) = (Vec::new(), Vec::new());
        for part in bytes.chunks(step.min(bytes.len())) {
            let mut part = part.to_vec();
            let range = socket.receive(&mut part);
            let mut start = range.start;
            for end in socket.take_ends().unwrap() {
                let end = end.max(start);
                current.extend_from_slice(&part[start..end]);
                messages.push(std::mem::take(&mut current));
                start = end;
            }
            current.extend_from_slice(&part[start..range.end.max(start)]);
        }
        assert_eq!(messages, [&b"one two"[..], b"", b"three"], "by {step}");
        assert_eq!(current, b"fo");
    }
    assert!(WebSocket::new(LIMIT).take_ends().is_none());
}

#[test]
fn lengths_of_every_size_are_read() {
    for length in [0, 1, 125, 126, 127, 0xffff, 0x1_0000, 300_000] {
        let payload: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
        let mut socket = WebSocket::new(LIMIT);
        let bytes = frame(FIN | BINARY, &payload);
        assert!(receive(&mut socket, &bytes, 4_093) == payload, "{length}");
        assert_eq!(socket.end(), None);
    }
}

#[test]
fn what_breaks_the_protocol_is_named() {
    let cases: &[(&str, u16, Vec<u8>)] = &[
        ("text", 1003, frame(FIN | TEXT, b"hello")),
        ("a reserved bit", 1002, frame(FIN | 0x40 | BINARY, b"x")),
        ("a reserved kind", 1002, frame(FIN | 3, b"x")),
        ("a reserved control kind", 1002, frame(FIN | 11, b"x")),
        ("not masked", 1002, vec![FIN | BINARY, 1, b'x']),
        ("more of nothing", 1002, frame(FIN | CONTINUATION, b"x")),
        ("a message amid another", 1002, [frame(BINARY, b"x"), frame(FIN | BINARY, b"y")].concat()),
        ("a fragmented ping", 1002, frame(PING, b"x")),
        ("a long ping", 1002, frame(FIN | PING, &[0; 126])),
        ("a long form of a short length", 1002, vec![FIN | BINARY, 0xfe, 0, 125, 0, 0, 0, 0]),
        ("a longer form", 1002, vec![FIN | BINARY, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0]),
        ("a negative length", 1002, vec![FIN | BINARY, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("a lie", 1009, vec![FIN | BINARY, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ("one too many", 1009, vec![FIN | BINARY, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 1]),
        ("half a status", 1002, frame(FIN | CLOSE, &[3])),
        ("a status that is none", 1002, frame(FIN | CLOSE, &1005_u16.to_be_bytes())),
        ("a status of nobody", 1002, frame(FIN | CLOSE, &999_u16.to_be_bytes())),
        ("a reason that is no text", 1007, frame(FIN | CLOSE, &[3, 0xe8, 0xff])),
    ];
    for (name, code, bytes) in cases {
        // A lie about a length is told with the head's last byte.
        let whole = [&bytes[..], &[0; 4]].concat();
        assert_eq!(violation(&whole), Some(*code), "{name}");
    }
}

#[test]
fn what_came_before_a_violation_is_not_lost_and_what_follows_is_not_read() {
    let mut bytes = frame(FIN | BINARY, b"good");
    bytes.extend(frame(FIN | TEXT, b"bad"));
    bytes.extend(frame(FIN | BINARY, b"late"));
    for step in [1, usize::MAX] {
        let mut socket = WebSocket::new(LIMIT);
        assert_eq!(receive(&mut socket, &bytes, step), b"good");
        assert!(
            matches!(socket.end(), Some(End::Violated(violation)) if violation.code == CloseCode::UNSUPPORTED)
        );
    }
}

/// Frames that make one valid stream, and what is in it.
fn stream() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let part = (prop::collection::vec(any::<u8>(), 0..300), any::<bool>(), any::<bool>());
    prop::collection::vec(part, 0..12).prop_map(|parts| {
        let (mut bytes, mut payload, mut amid) = (Vec::new(), Vec::new(), false);
        for (part, is_last, with_ping) in parts {
            let kind = if amid { CONTINUATION } else { BINARY };
            bytes.extend(frame(kind | if is_last { FIN } else { 0 }, &part));
            if with_ping {
                bytes.extend(frame(FIN | PING, &part[..part.len().min(125)]));
            }
            amid = !is_last;
            payload.extend(part);
        }
        (bytes, payload)
    })
}

proptest! {
    #[test]
    fn how_a_stream_is_cut_makes_no_difference((bytes, payload) in stream(), cuts in prop::collection::vec(1_usize..64, 1..40)) {
        let mut socket = WebSocket::new(LIMIT);
        let (mut got, mut rest) = (Vec::new(), &bytes[..]);
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, others) = rest.split_at((*cut).min(rest.len()));
            got.extend(receive(&mut socket, piece, usize::MAX));
            rest = others;
        }
        prop_assert_eq!(got, payload);
        prop_assert_eq!(socket.end(), None);
    }

    #[test]
    fn nonsense_never_panics_and_never_grows(bytes in prop::collection::vec(any::<u8>(), 0..2_000), step in 1_usize..200) {
        let mut socket = WebSocket::new(LIMIT);
        let payload = receive(&mut socket, &bytes, step);
        prop_assert!(payload.len() <= bytes.len());
        prop_assert!(socket.control.capacity() <= 256);
    }
}
