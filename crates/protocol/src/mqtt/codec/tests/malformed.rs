//! Packets that break one rule each, and the reason code that says which kind of rule.

use super::*;
use crate::mqtt::ReasonCode;

const MALFORMED: ReasonCode = ReasonCode::MALFORMED_PACKET;
const PROTOCOL: ReasonCode = ReasonCode::PROTOCOL_ERROR;
/// The connection is closed without a word.
const SILENT: ReasonCode = ReasonCode::SUCCESS;

fn code(bytes: &[u8], version: Version) -> ReasonCode {
    match decode(bytes, version) {
        Err(error) => error.code,
        Ok(decoded) => panic!("{bytes:02x?} was taken as {decoded:?}"),
    }
}

/// A CONNECT for MQTT 5 with these properties.
fn connect(properties: &[u8]) -> Vec<u8> {
    let mut body = b"\0\x04MQTT\x05\x02\0\0".to_vec();
    body.push(properties.len() as u8);
    body.extend_from_slice(properties);
    body.extend_from_slice(b"\0\x01c");
    frame(0x10, &body)
}

/// A PUBLISH of QoS 0 to `t` with these properties.
fn publish(properties: &[u8]) -> Vec<u8> {
    let mut body = b"\0\x01t".to_vec();
    body.push(properties.len() as u8);
    body.extend_from_slice(properties);
    frame(0x30, &body)
}

fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first, body.len() as u8];
    bytes.extend_from_slice(body);
    bytes
}

#[test]
fn lengths_take_four_bytes_at_most_and_no_more_than_they_need() {
    assert_eq!(code(&[0xc0, 0x80, 0x80, 0x80, 0x80], Version::V5), SILENT);
    assert_eq!(code(&[0xc0, 0x80, 0x80, 0x80, 0x80, 0x01], Version::V3), SILENT);
    assert_eq!(code(&[0xc0, 0x80, 0x00], Version::V5), SILENT);
    assert_eq!(code(&publish(&[0x0b, 0x80, 0x00]), Version::V5), MALFORMED, "of a property");
    for (length, written) in
        [(127usize, 1), (128, 2), (16_383, 2), (16_384, 3), (2_097_151, 3), (2_097_152, 4)]
    {
        let publish = Packet::Publish(Publish {
            dup: false,
            qos: Assurance::AtMostOnce,
            retain: false,
            topic: "t".into(),
            packet_id: 0,
            properties: None,
            payload: Bytes::from(vec![0; length - 3]),
        });
        let bytes = bytes_of(&publish, Version::V3);
        let header = fixed_header(&bytes).unwrap().unwrap();
        assert_eq!((header.remaining, header.length), (length, 1 + written));
    }
}

#[test]
fn reserved_flags_of_the_fixed_header_are_as_they_must_be() {
    for first in [0x21, 0x41, 0x51, 0x71, 0x80, 0x91, 0xa0, 0xb1, 0xc1, 0xd1, 0xf1, 0x00] {
        assert_eq!(code(&frame(first, &[0, 1, 0]), Version::V5), MALFORMED, "{first:02x}");
    }
    for first in [0x60, 0x63, 0xe1] {
        assert_eq!(code(&frame(first, &[0, 1, 0]), Version::V5), PROTOCOL, "{first:02x}");
    }
    assert_eq!(code(&frame(0x11, &[0, 1, 0]), Version::V5), SILENT);
    assert_eq!(code(&frame(0xf0, &[]), Version::V3), MALFORMED, "3.1.1 has no AUTH");
}

#[test]
fn a_publish_keeps_to_its_rules() {
    assert_eq!(code(&frame(0x36, b"\0\x01t\0\x01"), Version::V3), MALFORMED, "QoS 3");
    assert_eq!(code(&frame(0x38, b"\0\x01t"), Version::V3), MALFORMED, "DUP with QoS 0");
    assert_eq!(code(&frame(0x32, b"\0\x01t\0\0"), Version::V3), PROTOCOL, "packet identifier zero");
    assert_eq!(code(&frame(0x30, b"\0\x01\0"), Version::V3), MALFORMED, "U+0000");
    assert_eq!(code(&frame(0x30, b"\0\x03\xed\xa0\x80"), Version::V3), MALFORMED, "a surrogate");
    assert_eq!(code(&frame(0x30, b"\0\x02\xc0\xaf"), Version::V3), MALFORMED, "an overlong form");
    assert_eq!(code(&frame(0x30, b"\0\x05t"), Version::V3), MALFORMED, "a topic that ends early");
}

#[test]
fn properties_keep_to_their_rules() {
    assert_eq!(code(&publish(&[0x01, 1, 0x01, 1]), Version::V5), PROTOCOL, "given twice");
    assert_eq!(code(&publish(&[0x01, 2]), Version::V5), PROTOCOL, "neither 0 nor 1");
    assert_eq!(code(&publish(&[0x11, 0, 0, 0, 1]), Version::V5), PROTOCOL, "another packet's");
    assert_eq!(code(&publish(&[0x11, 0, 0]), Version::V5), MALFORMED, "another packet's, cut short");
    assert_eq!(code(&publish(&[0x04, 0]), Version::V5), MALFORMED, "unknown");
    assert_eq!(code(&publish(&[0x7f]), Version::V5), MALFORMED, "unknown");
    assert_eq!(code(&publish(&[0x02, 0, 0]), Version::V5), MALFORMED, "cut short");
    assert_eq!(code(&publish(&[0x0b, 0]), Version::V5), PROTOCOL, "subscription identifier zero");
    assert_eq!(code(&frame(0x30, b"\0\x01t\x05"), Version::V5), MALFORMED, "longer than the packet");
    assert_eq!(code(&connect(&[0x21, 0, 0]), Version::V5), PROTOCOL, "Receive Maximum zero");
    assert_eq!(code(&connect(&[0x27, 0, 0, 0, 0]), Version::V5), PROTOCOL, "Maximum Packet Size zero");
    assert_eq!(code(&connect(&[0x17, 2]), Version::V5), PROTOCOL, "Request Problem Information 2");
    assert_eq!(code(&connect(&[0x16, 0, 1, 7]), Version::V5), PROTOCOL, "data without a method");
    assert_eq!(code(&connect(&[0x11, 0, 0, 0, 1, 0x11, 0, 0, 0, 1]), Version::V5), PROTOCOL, "given twice");
    assert!(decode(&connect(&[0x26, 0, 1, b'a', 0, 0, 0x26, 0, 1, b'a', 0, 0]), Version::V5).is_ok());
}

#[test]
fn a_connect_keeps_to_its_rules() {
    let v3 = |flags: u8, rest: &[u8]| {
        let mut body = b"\0\x04MQTT\x04".to_vec();
        body.extend_from_slice(&[flags, 0, 0]);
        body.extend_from_slice(rest);
        frame(0x10, &body)
    };
    assert_eq!(code(&v3(0x03, b"\0\0"), Version::V5), MALFORMED, "the reserved flag");
    assert_eq!(code(&v3(0x42, b"\0\0\0\x01p"), Version::V5), MALFORMED, "a password without a user name");
    assert_eq!(code(&v3(0x1e, b"\0\0\0\x01t\0\0"), Version::V5), SILENT, "will QoS 3");
    assert_eq!(code(&v3(0x0a, b"\0\0"), Version::V5), MALFORMED, "will QoS without a will");
    assert_eq!(code(&v3(0x22, b"\0\0"), Version::V5), MALFORMED, "will retain without a will");
    assert_eq!(code(&v3(0x02, b"\0\0more"), Version::V5), MALFORMED, "more than its fields");
    assert_eq!(code(&v3(0x82, b"\0\0"), Version::V5), SILENT, "a user name that is not there");
    assert_eq!(
        code(&v3(0x02, b"\0\x03\xed\xa0\x80"), Version::V5),
        ReasonCode::CLIENT_IDENTIFIER_NOT_VALID,
        "a client identifier that is not UTF-8"
    );
    assert_eq!(code(&v3(0x02, b"\0\x04tes"), Version::V5), SILENT, "a client identifier that ends early");
    let unsupported = ReasonCode::UNSUPPORTED_PROTOCOL_VERSION;
    assert_eq!(code(&frame(0x10, b"\0\x04MQTT\x06\x02\0\0\0\0\0"), Version::V5), unsupported);
    assert_eq!(code(&frame(0x10, b"\0\x06MQIsdp\x04\x02\0\0\0\0"), Version::V5), unsupported);
    assert_eq!(code(&frame(0x10, b"\0\x04MQTT\x85\x02\0\0\0\0\0"), Version::V5), unsupported);
    assert_eq!(code(&frame(0x10, b"\0\x04MQTx\x04\x02\0\0\0\0"), Version::V5), SILENT, "another protocol");
}

#[test]
fn a_connect_of_3_1_may_do_what_later_versions_reserve() {
    let connect = |level: u8, flags: u8, rest: &[u8]| {
        let bytes = frame(0x10, &[b"\0\x06MQIsdp", &[level, flags, 0, 9][..], rest].concat());
        match decode(&bytes, Version::V3) {
            Ok(Some((Packet::Connect(connect), _))) => *connect,
            other => panic!("{other:?} is no CONNECT"),
        }
    };
    let plain = connect(3, 0x03, b"\0\x01c");
    assert!(plain.legacy && !plain.bridge && plain.clean_start && plain.version == Version::V3);
    assert!(connect(0x83, 0x02, b"\0\x01c").bridge);
    assert_eq!(connect(3, 0x32, b"\0\x01c").will, None, "will flags without a will");
    let nameless = connect(3, 0xc2, b"\0\x01c");
    assert_eq!((nameless.username, nameless.password), (None, None), "the packet's length has precedence");
}

#[test]
fn control_characters_and_noncharacters_are_refused() {
    for text in ["a\u{1}", "\u{1f}b", "a\u{7f}", "\u{80}", "\u{9f}", "\u{fdd0}", "\u{ffff}", "\u{1fffe}"] {
        let body = [&[0, text.len() as u8], text.as_bytes()].concat();
        assert_eq!(code(&frame(0x30, &body), Version::V3), MALFORMED, "{text:?}");
    }
    for text in ["a b~", "\u{a0}", "\u{feff}", "\u{2a6d4}"] {
        let body = [&[0, text.len() as u8], text.as_bytes()].concat();
        assert!(decode(&frame(0x30, &body), Version::V3).is_ok(), "{text:?}");
    }
}

#[test]
fn a_subscribe_keeps_to_its_rules() {
    let v5 = |rest: &[u8]| frame(0x82, &[&[0, 1, 0], rest].concat());
    assert_eq!(code(&v5(b""), Version::V5), MALFORMED, "no filter");
    assert_eq!(code(&v5(b"\0\0\0"), Version::V5), MALFORMED, "an empty filter");
    assert_eq!(code(&v5(b"\0\x01a\x03"), Version::V5), MALFORMED, "QoS 3");
    assert_eq!(code(&v5(b"\0\x01a\x30"), Version::V5), MALFORMED, "Retain Handling 3");
    assert_eq!(code(&v5(b"\0\x01a\x40"), Version::V5), MALFORMED, "a reserved option");
    assert_eq!(code(&v5(b"\0\x01a"), Version::V5), MALFORMED, "no options");
    assert_eq!(code(&frame(0x82, b"\0\0\0\0\x01a\0"), Version::V5), MALFORMED, "packet identifier zero");
    assert_eq!(code(&frame(0x82, b"\0\x01\x02\x0b\0\0\x01a\0"), Version::V5), PROTOCOL, "identifier zero");
    assert_eq!(
        code(&frame(0x82, b"\0\x01\x04\x0b\x01\x0b\x02\0\x01a\0"), Version::V5),
        PROTOCOL,
        "two of them"
    );
    assert_eq!(code(&frame(0x82, b"\0\x01\0\x01a\x04"), Version::V3), MALFORMED, "an option of MQTT 5");
    assert_eq!(code(&frame(0xa2, b"\0\x01\0"), Version::V5), MALFORMED, "UNSUBSCRIBE without a filter");
    assert_eq!(code(&frame(0xa2, b"\0\x01"), Version::V3), MALFORMED, "UNSUBSCRIBE without a filter");
}

#[test]
fn what_is_empty_is_empty_and_what_is_short_may_be() {
    assert_eq!(code(&frame(0xc0, &[1]), Version::V5), SILENT, "PINGREQ with a body");
    assert_eq!(code(&frame(0xe0, &[0]), Version::V3), MALFORMED, "DISCONNECT of 3.1.1 with a body");
    assert_eq!(code(&frame(0x40, &[0, 1, 0]), Version::V3), MALFORMED, "PUBACK of 3.1.1 with a code");
    assert_eq!(code(&frame(0xb0, &[0, 1, 0]), Version::V3), MALFORMED, "UNSUBACK of 3.1.1 with a code");
    let ack = |packet: &[u8]| decode(packet, Version::V5).unwrap().unwrap().0;
    let success = Packet::Puback(Ack::success(1));
    assert_eq!(ack(&frame(0x40, &[0, 1])), success);
    assert_eq!(ack(&frame(0x40, &[0, 1, 0])), success);
    assert_eq!(ack(&frame(0x40, &[0, 1, 0, 0])), success);
    let farewell = Packet::Disconnect(Disconnect { code: ReasonCode::SUCCESS, properties: None });
    assert_eq!(ack(&frame(0xe0, &[])), farewell);
}
