//! §1.5.5, §2.1, §2.2, §3.12: fixed headers, lengths, packet identifiers, PING.

use crate::support::{answer, assert_wrong, broken, client, name, node, publish, subscriber};
use windrose_e2e::mqtt::{Client, Options, Packet, Version, packet, string};
use windrose_e2e::wait::SOON;

#[test]
fn a_length_has_four_bytes_at_most() {
    let node = node();
    for bytes in [&[0xc0, 0x80, 0x80, 0x80, 0x80, 0x00][..], &[0x30, 0xff, 0xff, 0xff, 0xff, 0x7f]] {
        assert_wrong(&node, bytes, &format!("{bytes:02x?}"));
    }
}

#[test]
fn a_length_is_as_short_as_it_can_be() {
    let node = node();
    // The length of PINGREQ, and that of a PUBLISH's properties.
    assert_wrong(&node, &[0xc0, 0x80, 0x00], "");
    assert_wrong(&node, &packet(0x30, &[0, 1, b'a', 0x80, 0x00]), "");
}

#[test]
fn reserved_flags_are_as_they_must_be() {
    let node = node();
    let topic = [string("a"), vec![0]].concat();
    let subscribe = [vec![0, 1, 0], topic.clone()].concat();
    let unsubscribe = [vec![0, 1, 0], string("a")].concat();
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
        for flags in (0..16).filter(|flags| *flags != right && flags % 3 != 1) {
            assert_wrong(&node, &packet(kind | flags, &body), &format!("{:#x}", kind | flags));
        }
    }
}

#[test]
fn packet_type_0_is_forbidden() {
    assert_wrong(&node(), &packet(0x00, &[]), "");
}

#[test]
fn packets_of_servers_come_from_servers() {
    let node = node();
    for bytes in [
        packet(0x20, &[0, 0, 0]),
        packet(0x90, &[0, 1, 0, 0]),
        packet(0xb0, &[0, 1, 0, 0]),
        packet(0xd0, &[]),
    ] {
        assert_eq!(broken(&node, &bytes), Some(0x82), "{bytes:02x?}");
    }
}

#[test]
fn a_packet_identifier_is_not_zero() {
    let node = node();
    let subscribe = [vec![0, 0, 0], string("a"), vec![0]].concat();
    let unsubscribe = [vec![0, 0, 0], string("a")].concat();
    for bytes in [
        publish(2, "a", Some(0), &[], b"x"),
        publish(4, "a", Some(0), &[], b"x"),
        packet(0x82, &subscribe),
        packet(0xa2, &unsubscribe),
        answer(4, 0),
        answer(6, 0),
    ] {
        assert_wrong(&node, &bytes, "");
    }
}

#[test]
fn packets_end_with_their_fields() {
    let node = node();
    for bytes in [
        packet(0xc0, &[0]),
        packet(0x40, &[0]),
        packet(0x40, &[0, 1, 0, 0, 0]),
        packet(0x40, &[0, 1, 0, 5, 0x1f]),
        packet(0x30, &[0, 5, b'a']),
        packet(0x30, &[0]),
        packet(0x82, &[0, 1]),
        packet(0x82, &[0, 1, 0, 0, 1, b'a']),
        packet(0xa2, &[0, 1, 0, 0, 9, b'a']),
    ] {
        assert_wrong(&node, &bytes, &format!("{bytes:02x?}"));
    }
}

#[test]
fn a_ping_is_answered() {
    let node = node();
    let mut client = client(&node);
    for _ in 0..3 {
        assert!(client.ping().is_ok());
    }
    client.send(&[0xc0, 0, 0xc0, 0]);
    assert_eq!(client.next(SOON), Ok(Packet::Pingresp));
    assert_eq!(client.next(SOON), Ok(Packet::Pingresp), "each of them");
}

#[test]
fn answers_have_the_identifier_of_what_they_answer() {
    let node = node();
    let mut client = client(&node);
    for id in [1, 2, 255, 256, 65_535] {
        client.send(&publish(2, &name(), Some(id), &[], b"x"));
        client.answer(4, id, SOON);
        client.send(&publish(4, &name(), Some(id), &[], b"x"));
        client.answer(5, id, SOON);
        client.send(&answer(6, id));
        client.answer(7, id, SOON);
        let [high, low] = id.to_be_bytes();
        client.send(&packet(0x82, &[vec![high, low, 0], string(name()), vec![0]].concat()));
        client
            .wait(SOON, |packet| matches!(packet, Packet::Suback { id: i, .. } if *i == id))
            .expect("SUBACK");
        client.send(&packet(0xa2, &[vec![high, low, 0], string(name())].concat()));
        client
            .wait(SOON, |packet| matches!(packet, Packet::Unsuback { id: i, .. } if *i == id))
            .expect("UNSUBACK");
    }
}

#[test]
fn a_stream_may_be_cut_anywhere() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 0);
    let bytes =
        [Options::v5(&name()).packet(), publish(0, &topic, None, &[], b"x"), packet(0xe0, &[])].concat();
    let mut client = Client::open(node.mqtt(), Version::V5).expect("the listener listens");
    for byte in bytes {
        client.send(&[byte]);
    }
    assert_eq!(client.closed(), None);
    assert_eq!(listener.message().1, "x");
}

#[test]
fn an_identifier_in_use_by_a_subscribe_is_answered() {
    let node = node();
    let mut client = client(&node);
    let topic = name();
    // The identifier of a QoS 2 publication that is not released yet.
    client.send(&publish(4, &topic, Some(9), &[], b"x"));
    client.answer(5, 9, SOON);
    client.send(&packet(0x82, &[vec![0, 9, 0], string(&topic), vec![0]].concat()));
    match client
        .wait(SOON, |packet| matches!(packet, Packet::Suback { id: 9, .. } | Packet::Disconnect { .. }))
    {
        Ok(Packet::Suback { codes, .. }) => assert!(codes == [0] || codes == [0x91], "{codes:02x?}"),
        other => panic!("no answer: {other:?}"),
    }
}
