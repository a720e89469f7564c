//! What peers must not send (RFC 7252 §4.2, §4.3).

use super::*;

/// RFC 7252 §4.3: a ping.
#[test]
fn an_empty_confirmable_message_is_answered_by_a_reset() {
    let mut bench = Bench::new();
    assert_eq!(bench.receive(b"\x40\x00\x00\x05"), Came::Nothing);
    assert_eq!(bench.sent(), [b"\x70\x00\x00\x05"]);
}

#[test]
fn malformed_messages_are_reset_if_confirmable_and_ignored_otherwise() {
    let mut bench = Bench::new();
    for (bytes, mishap, is_reset) in [
        (&b"\x80\x01\x00\x01"[..], Mishap::Version, false),
        (b"\x40\x01\x00", Mishap::Malformed, false),
        (b"", Mishap::Malformed, false),
        (b"\x40\x01\x00\x01\xff", Mishap::Malformed, true),
        (b"\x4f\x01\x00\x01", Mishap::Malformed, true),
        (b"\x41\x00\x00\x01t", Mishap::Malformed, true),
        (b"\x50\x01\x00\x01\xff", Mishap::Malformed, false),
        (b"\x60\x45\x00\x01\xff", Mishap::Malformed, false),
        (b"\x70\x00\x00\x01\xff", Mishap::Malformed, false),
        (b"\x40\x21\x00\x01", Mishap::Code, true),
        (b"\x40\x61\x00\x01", Mishap::Code, true),
        (b"\x40\xc1\x00\x01", Mishap::Code, true),
        (b"\x40\xe1\x00\x01", Mishap::Code, true),
        (b"\x50\xe1\x00\x01", Mishap::Code, false),
        (b"\x50\x00\x00\x01", Mishap::Code, false),
        (b"\x60\x01\x00\x01", Mishap::Code, false),
        (b"\x70\x45\x00\x01", Mishap::Code, false),
        (b"\x60\x00\x00\x01", Mishap::Unmatched, false),
        (b"\x70\x00\x00\x01", Mishap::Unmatched, false),
    ] {
        let before = bench.messaging.counts().mishaps[mishap as usize];
        assert_eq!(bench.receive(bytes), Came::Mishap(mishap), "{bytes:x?}");
        assert_eq!(bench.messaging.counts().mishaps[mishap as usize], before + 1);
        let expected: &[&[u8]] = if is_reset { &[b"\x70\x00\x00\x01"] } else { &[] };
        assert_eq!(bench.sent(), expected, "{bytes:x?}");
    }
    assert_eq!(bench.messaging.held(), [0, 0, 0], "nothing is kept of them");
}
