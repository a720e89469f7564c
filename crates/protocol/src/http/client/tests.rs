#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use proptest::prelude::*;

/// What becomes of an answer that comes in such pieces, with the connection's end after them.
fn read(pieces: &[&[u8]]) -> Result<Response, String> {
    let mut reader = ResponseReader::default();
    reader.begin(true);
    for piece in pieces {
        match reader.handle_bytes(piece) {
            Ok(Some(response)) => return Ok(response),
            Ok(None) => {}
            Err(violation) => return Err(format!("{violation:?}")),
        }
    }
    reader.handle_eof().map_err(|ended| format!("{ended:?}"))
}

/// The same in one piece; then status, body, and whether the connection can be used again.
fn answer(text: &str) -> (u16, String, bool) {
    let response = read(&[text.as_bytes()]).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    let body = String::from_utf8(response.body.unwrap().to_vec()).unwrap();
    (response.status.as_u16(), body, response.reusable)
}

fn failure(text: &str) -> String {
    read(&[text.as_bytes()]).expect_err(text)
}

#[test]
fn bodies_end_where_their_heads_say() {
    let cases = [
        ("HTTP/1.1 204 No Content\r\n\r\n", (204, "", true)),
        ("HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", (304, "", true)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", (200, "", true)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\ncontent-length: 5\r\n\r\nhello", (200, "hello", true)),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nt: u\r\n\r\n",
            (200, "abcde", true),
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            (200, "abc", true),
        ),
        ("HTTP/1.1 200 OK\r\n\r\nuntil the end", (200, "until the end", false)),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, gzip\r\n\r\nzzz", (200, "zzz", false)),
        ("HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok", (200, "ok", true)),
        ("HTTP/1.1 200 OK\ncontent-length: 2\n\nok", (200, "ok", true)),
        (
            "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 \r\n\r\n",
            (204, "", true),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(answer(text), (expected.0, expected.1.to_owned(), expected.2), "{text:?}");
    }
}

#[test]
fn a_connection_is_used_again_only_if_nothing_speaks_against_it() {
    for (text, reusable) in [
        ("HTTP/1.1 204 No Content\r\nconnection: Close\r\n\r\n", false),
        ("HTTP/1.1 204 No Content\r\nconnection: x, close\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\ncontent-length: 1\r\nconnection: keep-alive\r\n\r\nx", true),
        ("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\nconnection: keep-alive\r\n\r\n0\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", false),
        ("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nxy", false),
        ("HTTP/1.1 413 Too Large\r\ncontent-length: 1\r\n\r\nx", true),
    ] {
        assert_eq!(answer(text).2, reusable, "{text:?}");
    }
}

#[test]
fn what_is_no_response_is_told_from_one_that_is_not_whole() {
    for (text, expected) in [
        ("SSH-2.0-OpenSSH_9.9\r\n", "Head(Version)"),
        ("HTTP/1.1 2000 OK\r\n\r\n", "Head(Status)"),
        ("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n", "Switched"),
        ("HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", "Length"),
        ("HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\nx", "Length"),
        ("HTTP/1.1 200 OK\r\ncontent-length:\r\n\r\n", "Length"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxy", "Length"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n", "Chunk"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\r\n", "Chunk"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc", "Chunk"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\nabc", "Chunk"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n00000000000000001\r\nx", "Chunk"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", "Amid"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort", "Amid"),
        ("HTTP/1.1 100 Continue\r\n\r\n", "Amid"),
        ("\r\n\r\n\r\n", "Amid"),
        ("HTTP/1.1 2", "Amid"),
        ("", "Before"),
    ] {
        assert_eq!(failure(text), expected, "{text:?}");
    }
    assert_eq!(ResponseReader::default().handle_bytes(b"HTTP").unwrap_err(), Violation::Unasked);
}

#[test]
fn nothing_grows_without_a_bound() {
    let long = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(MAX_HEAD));
    assert_eq!(failure(&long), "HeadTooLong");
    let pieces: Vec<_> = long.as_bytes().chunks(1_000).collect();
    assert_eq!(read(&pieces).unwrap_err(), "HeadTooLong");
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(101));
    assert_eq!(failure(&many), "Head(TooManyHeaders)");
    for framing in ["content-length: 9999999", "x: y"] {
        let endless = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n{}", "z".repeat(MAX_BODY + 1));
        let response = read(&[endless.as_bytes()]).unwrap();
        assert_eq!((response.body, response.reusable), (None, false), "{framing}");
    }
    let extra = "e".repeat(20_000);
    for chunks in [format!("1;{extra}\r\n"), format!("0\r\n{extra}: x\r\n\r\n")] {
        assert_eq!(
            failure(&format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}")),
            "Chunk"
        );
    }
}

#[test]
fn of_a_success_that_nobody_wants_to_know_more_of_nothing_is_kept() {
    let said =
        |status: &str| format!("HTTP/1.1 {status}\r\ncontent-type: a/b\r\ncontent-length: 2\r\n\r\nhi");
    let mut reader = ResponseReader::default();
    for (status, kept) in [("200 OK", false), ("422 No", true), ("503 Later", true)] {
        reader.begin(false);
        let response = reader.handle_bytes(said(status).as_bytes()).unwrap().unwrap();
        assert_eq!(response.headers.contains_key("content-type"), kept, "{status}");
        assert_eq!(response.body.unwrap(), if kept { "hi" } else { "" }, "{status}");
        assert!(response.reusable, "{status}");
    }
}

/// A response that is written one way or another, and what is to be read of it.
fn response() -> impl Strategy<Value = (Vec<u8>, u16, Vec<u8>)> {
    let body = proptest::collection::vec(any::<u8>(), 0..200);
    let sizes = proptest::collection::vec(1..40usize, 1..8);
    (200..600u16, body, sizes, 0..3u8, 0..3usize).prop_map(|(status, body, sizes, framing, interim)| {
        let mut bytes = b"HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\n".repeat(interim);
        bytes.extend(format!("HTTP/1.1 {status} Why\r\nserver: s\r\n").bytes());
        let empty = matches!(status, 204 | 304);
        match framing {
            0 => bytes.extend(format!("content-length: {}\r\n\r\n", body.len()).bytes()),
            1 => bytes.extend(b"transfer-encoding: chunked\r\n\r\n"),
            _ => bytes.extend(b"\r\n"),
        }
        if empty {
            return (bytes, status, Vec::new());
        }
        if framing == 1 {
            let mut rest = &body[..];
            for size in sizes.iter().cycle() {
                let (chunk, after) = rest.split_at((*size).min(rest.len()));
                bytes.extend(format!("{:X}\r\n", chunk.len()).bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
                rest = after;
                if chunk.is_empty() {
                    break;
                }
            }
        } else {
            bytes.extend(&body);
        }
        (bytes, status, body)
    })
}

proptest! {
    #[test]
    fn a_response_is_the_same_however_it_is_cut(
        (bytes, status, body) in response(),
        cuts in proptest::collection::vec(1..60usize, 1..10),
    ) {
        let mut pieces = Vec::new();
        let mut rest = &bytes[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        let response = read(&pieces).unwrap();
        prop_assert_eq!((response.status.as_u16(), response.body.unwrap().to_vec()), (status, body));
    }
}
