//! What a proxy, or somebody who plays one, could see break.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::{Header, Tls, crc32c, read};
use proptest::prelude::*;

const V4: &[u8] = &[192, 0, 2, 1, 198, 51, 100, 2, 0x30, 0x39, 0x01, 0xbb];

/// A header of version 2.
fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[0x20 | command, family][..], &length, block].concat()
}

fn value(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind][..], &u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
}

fn parsed(bytes: &[u8]) -> Header {
    for length in 0..bytes.len() {
        assert_eq!(read(&bytes[..length]), Ok(None), "the first {length} bytes");
    }
    let with_more = [bytes, b"\x10\x0c"].concat();
    let header = read(&with_more).unwrap().unwrap();
    assert_eq!(header.length, bytes.len());
    header
}

fn problem(bytes: &[u8]) -> &'static str {
    read(bytes).unwrap_err().0
}

#[test]
fn a_line_names_the_source() {
    for (line, source) in [
        ("PROXY TCP4 192.0.2.1 198.51.100.2 12345 443\r\n", Some("192.0.2.1:12345")),
        ("PROXY TCP6 2001:db8::1 2001:db8::2 65535 0\r\n", Some("[2001:db8::1]:65535")),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", None),
    ] {
        assert_eq!(parsed(line.as_bytes()).source, source.map(|source| source.parse().unwrap()), "{line}");
    }
}

#[test]
fn a_line_that_is_none_is_refused() {
    for line in [
        "PROXY TCP4 192.0.2.1 198.51.100.2 12345\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 12345 443 1\r\n",
        "PROXY TCP4 192.0.2.1  198.51.100.2 12345 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 012345 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 65536 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 +1 443\r\n",
        "PROXY TCP4 2001:db8::1 198.51.100.2 1 443\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.2 1 443\r\n",
        "PROXY UDP4 192.0.2.1 198.51.100.2 1 443\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY \r\n",
    ] {
        assert_eq!(problem(line.as_bytes()), "the PROXY line's addresses are not understood", "{line}");
    }
    assert!(problem(b"POST / HTTP/1.1\r\n").contains("does not begin"));
    let endless = format!("PROXY UNKNOWN {}", "x".repeat(107));
    assert!(problem(endless.as_bytes()).contains("107 bytes"));
    let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(107 - 16));
    assert_eq!(parsed(longest.as_bytes()).length, 107);
}

#[test]
fn a_binary_header_names_the_source() {
    assert_eq!(parsed(&v2(1, 0x11, V4)).source, Some("192.0.2.1:12345".parse().unwrap()));
    let mut v6 = [0; 36];
    (v6[0], v6[15], v6[33]) = (0x20, 1, 80);
    assert_eq!(parsed(&v2(1, 0x21, &v6)).source, Some("[2000::1]:80".parse().unwrap()));
    for (command, family, block) in
        [(0, 0, &[][..]), (0, 0xff, &[1, 2, 3]), (1, 0, &[9]), (1, 0x31, &[0; 216])]
    {
        let header = parsed(&v2(command, family, block));
        assert_eq!(header, Header { length: header.length, ..Header::default() });
    }
}

#[test]
fn additional_values_tell_of_the_clients_tls() {
    let certificate =
        [&[7, 0, 0, 0, 0][..], &value(0x21, b"TLSv1.3"), &value(0x22, b"car-7"), &value(0x28, b"DER")]
            .concat();
    let block = [
        V4,
        &value(0x01, b"mqtt"),
        &value(0x02, b"mqtt.example"),
        &value(0x04, &[0; 9]),
        &value(0x05, b"id"),
        &value(0x20, &certificate),
        &value(0xee, b"ours"),
    ]
    .concat();
    let header = parsed(&v2(1, 0x11, &block));
    assert_eq!(header.authority.as_deref(), Some("mqtt.example"));
    assert_eq!(header.alpn.as_deref(), Some(&b"mqtt"[..]));
    assert_eq!(header.unique_id.as_deref(), Some(&b"id"[..]));
    let expected = Tls {
        version: Some("TLSv1.3".into()),
        is_verified: true,
        common_name: Some("car-7".into()),
        certificate: Some(b"DER".to_vec()),
    };
    assert_eq!(header.tls, Some(expected));
}

#[test]
fn a_certificate_counts_only_if_it_was_brought_and_verified() {
    for (client, verify, expected) in [
        (0x03, 0, Some(true)),
        (0x05, 0, Some(true)),
        (0x01, 0, Some(false)),
        (0x03, 20, Some(false)),
        (0x02, 0, None),
    ] {
        let tls = [&[client, 0, 0, 0, verify][..], &value(0x22, b"car-7")].concat();
        let header = parsed(&v2(1, 0x11, &[V4, &value(0x20, &tls)].concat()));
        assert_eq!(header.tls.map(|tls| tls.is_verified), expected, "{client:#x} {verify}");
    }
}

#[test]
fn a_checksum_is_checked_wherever_it_stands() {
    for (before, after) in [(&b""[..], &b""[..]), (b"before", b""), (b"", b"after"), (b"x", b"y")] {
        let rest = |sum: u32| {
            let sum = value(0x03, &sum.to_be_bytes());
            v2(1, 0x11, &[V4, &value(0xe0, before), &sum, &value(0xe1, after)].concat())
        };
        let right = crc32c::of([&rest(0)]);
        assert_eq!(parsed(&rest(right)).source, Some("192.0.2.1:12345".parse().unwrap()));
        assert!(problem(&rest(right ^ 1)).contains("checksum is wrong"));
        assert!(problem(&rest(0)).contains("checksum is wrong"));
    }
}

#[test]
fn a_header_that_lies_is_refused() {
    let cases = [
        (v2(1, 0x11, &V4[..11]), "longer than what holds it"),
        (v2(1, 0x21, V4), "longer than what holds it"),
        (v2(1, 0x31, V4), "longer than what holds it"),
        (v2(1, 0x11, &[V4, &[1, 0]].concat()), "longer than what holds it"),
        (v2(1, 0x11, &[V4, &[1, 0xff, 0xff, 0]].concat()), "longer than what holds it"),
        (v2(1, 0x11, &[V4, &value(0x20, &[1, 0, 0])].concat()), "longer than what holds it"),
        (
            v2(1, 0x11, &[V4, &value(0x20, &[1, 0, 0, 0, 0, 0x22, 0, 9, b'x'])].concat()),
            "longer than what holds it",
        ),
        (v2(1, 0x11, &[V4, &value(0x02, &[0xff])].concat()), "not UTF-8"),
        (v2(1, 0x11, &[V4, &value(0x03, &[0; 3])].concat()), "not four bytes"),
        (v2(1, 0x11, &[V4, &value(0x05, &[0; 129])].concat()), "128 bytes"),
        (v2(1, 0x41, V4), "address family"),
        (v2(2, 0x11, V4), "command"),
        (v2(0x10, 0x11, V4), "version"),
        (v2(1, 0x11, &[0; 16 * 1024]), "16 KiB"),
        (b"\r\n\r\n\0\r\nQUIT\r".to_vec(), "does not begin"),
        (b"\x10\x0c".to_vec(), "does not begin"),
        (b"\x16\x03\x01".to_vec(), "does not begin"),
    ];
    for (bytes, expected) in cases {
        assert!(problem(&bytes).contains(expected), "{} is not {expected}: {bytes:?}", problem(&bytes));
    }
}

proptest! {
    #[test]
    fn nonsense_never_panics(
        bytes in prop::collection::vec(any::<u8>(), 0..300), command in 0_u8..3, family in any::<u8>(), kind in 0_u8..6,
    ) {
        let _ = read(&bytes);
        let _ = read(&v2(command, family, &bytes));
        let _ = read(&v2(1, 0x11, &[V4, &bytes].concat()));
        let _ = read(&v2(1, 0x11, &[V4, &value(0x20, &bytes)].concat()));
        let _ = read(&v2(1, 0x11, &[V4, &value(kind, &bytes)].concat()));
        let _ = read(&[b"PROXY ", &bytes[..]].concat());
    }
}
