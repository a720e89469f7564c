//! §1.5.3, §2.2, §2.3, §4.8: strings, fixed headers, packet identifiers, and what is no packet.

use crate::support::{answer, assert_broken, client, name, next, node, packet, publish, subscriber};
use windrose_e2e::mqtt::{Client, End, Options, Packet, Version, string};
use windrose_e2e::wait::SOON;

/// No UTF-8, or not allowed in a string.
const WRONG: [&[u8]; 6] = [b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"\xc3", b"\xff", b"a\0b"];

#[test]
fn strings_are_utf_8_without_null() {
    let node = node();
    for wrong in WRONG {
        assert_broken(&node, &publish(0, wrong, None, b"x"));
        assert_broken(&node, &packet(0x82, &[vec![0, 1], string(wrong), vec![0]].concat()));
        assert_broken(&node, &packet(0xa2, &[vec![0, 1], string(wrong)].concat()));
    }
}

#[test]
fn a_byte_order_mark_is_a_character() {
    let node = node();
    let topic = format!("{}\u{feff}", name());
    let mut listener = subscriber(&node, &topic, 1);
    let mut publisher = client(&node);
    publisher.publish(topic.trim_end_matches('\u{feff}'), "without", 1);
    publisher.publish(&topic, "with", 1);
    let (got, payload, ..) = next(&mut listener);
    assert_eq!((got, payload.as_str()), (topic, "with"));
}

#[test]
fn reserved_flags_are_as_they_must_be() {
    let node = node();
    let subscribe = [vec![0, 1], string("a"), vec![0]].concat();
    let unsubscribe = [vec![0, 1], string("a")].concat();
    for (kind, right, body) in [
        (0x40, 0, vec![0, 1]),
        (0x50, 0, vec![0, 1]),
        (0x60, 2, vec![0, 1]),
        (0x70, 0, vec![0, 1]),
        (0x80, 2, subscribe),
        (0xa0, 2, unsubscribe),
        (0xc0, 0, vec![]),
        (0xe0, 0, vec![]),
    ] {
        for flags in [0, 1, 2, 4, 8, 15].into_iter().filter(|flags| *flags != right) {
            assert_broken(&node, &packet(kind | flags, &body));
        }
    }
}

#[test]
fn packet_identifiers_are_there_and_not_zero() {
    let node = node();
    assert_broken(&node, &publish(2, "a", Some(0), b"x"));
    assert_broken(&node, &publish(4, "a", Some(0), b"x"));
    assert_broken(&node, &packet(0x82, &[vec![0, 0], string("a"), vec![0]].concat()));
    assert_broken(&node, &packet(0xa2, &[vec![0, 0], string("a")].concat()));
    assert_broken(&node, &packet(0x82, &[0]));
    assert_broken(&node, &packet(0x40, &[1]));
}

#[test]
fn answers_have_the_identifier_of_what_they_answer() {
    let node = node();
    let mut client = client(&node);
    for id in [1, 256, 65_535] {
        client.send(&publish(2, name(), Some(id), b"x"));
        client.answer(4, id, SOON);
        client.send(&publish(4, name(), Some(id), b"x"));
        client.answer(5, id, SOON);
        client.send(&answer(6, id));
        client.answer(7, id, SOON);
        let body = [id.to_be_bytes().to_vec(), string(name())].concat();
        client.send(&packet(0x82, &[&body[..], &[1]].concat()));
        assert!(
            matches!(client.next(SOON), Ok(Packet::Suback { id: i, codes, .. }) if i == id && codes == [1])
        );
        client.send(&packet(0xa2, &body));
        assert!(
            matches!(client.next(SOON), Ok(Packet::Unsuback { id: i, codes, .. }) if i == id && codes.is_empty())
        );
    }
}

#[test]
fn what_is_no_packet_ends_the_connection() {
    let node = node();
    for bytes in [
        packet(0x00, &[]),
        packet(0xf0, &[]),
        packet(0x20, &[0, 0]),
        packet(0x90, &[0, 1, 0]),
        packet(0xb0, &[0, 1]),
        packet(0xd0, &[]),
        packet(0xc0, &[0]),
        packet(0xe0, &[0]),
        packet(0x40, &[0, 1, 0]),
        packet(0x30, &[0, 9, b'a']),
        vec![0xc0, 0x80, 0x80, 0x80, 0x80, 0x00],
    ] {
        assert_broken(&node, &bytes);
    }
}

#[test]
fn a_stream_may_be_cut_anywhere() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 0);
    let mut client = Client::open(node.mqtt(), Version::V3).expect("the listener listens");
    let bytes = [Options::v3(&name()).packet(), publish(0, &topic, None, b"x"), packet(0xe0, &[])].concat();
    for byte in bytes {
        client.send(&[byte]);
    }
    assert!(matches!(client.next(SOON), Ok(Packet::Connack { code: 0, .. })));
    assert_eq!(client.next(SOON), Err(End::Closed));
    assert_eq!(next(&mut listener).1, "x");
}
