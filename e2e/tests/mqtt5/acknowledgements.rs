//! §3.4 to §3.7: PUBACK, PUBREC, PUBREL, PUBCOMP.

use crate::support::{answer, assert_wrong, broken, client, name, node, publish, subscriber, unanswered};
use windrose_e2e::mqtt::{packet, property};
use windrose_e2e::wait::SOON;

/// An acknowledgement with a code and properties.
fn long(kind: u8, id: u16, code: u8, properties: &[u8]) -> Vec<u8> {
    let flags = if kind == 6 { 2 } else { 0 };
    packet(kind << 4 | flags, &[&id.to_be_bytes()[..], &[code], &property::block(properties)].concat())
}

#[test]
fn codes_of_the_server_are_those_of_the_packet() {
    let node = node();
    let topic = name();
    let mut client = client(&node);
    let acknowledgement = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
    for target in [topic.as_str(), "$SYS/x", "$x"] {
        let code = client.publish(target, "x", 1);
        assert!(acknowledgement.contains(&code), "PUBACK {code:#x}");
        let code = client.publish(target, "x", 2);
        assert!(acknowledgement.contains(&code), "PUBREC {code:#x}");
    }
}

#[test]
fn nobody_listening_is_said() {
    let node = node();
    let topic = name();
    let mut publisher = client(&node);
    assert_eq!(publisher.publish(&topic, "x", 1), 0x10);
    let code = publisher.publish(&topic, "x", 2);
    assert!(matches!(code, 0 | 0x10), "with QoS 2 it may be: {code:#x}");
    let _listener = subscriber(&node, &topic, 0);
    assert_eq!([publisher.publish(&topic, "x", 1), publisher.publish(&topic, "x", 2)], [0, 0]);
}

#[test]
fn codes_that_are_none_of_the_packet_break_the_protocol() {
    let node = node();
    for (kind, code) in
        [(4, 0x01), (4, 0x92), (4, 0x8e), (5, 0x11), (5, 0x92), (6, 0x10), (6, 0x80), (7, 0x04), (7, 0x87)]
    {
        assert_wrong(&node, &long(kind, 1, code, &[]), "");
    }
}

#[test]
fn a_reason_and_user_properties_may_be_given() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 2);
    let mut publisher = client(&node);
    let said = [
        property::text(property::REASON_STRING, "because"),
        property::user("a", "b"),
        property::user("a", "c"),
    ]
    .concat();
    publisher.publish(&topic, "x", 1);
    let (id, ..) = unanswered(&mut listener);
    listener.send(&long(4, id, 0, &said));
    publisher.publish(&topic, "x", 2);
    let (id, ..) = unanswered(&mut listener);
    listener.send(&long(5, id, 0, &said));
    listener.answer(6, id, SOON);
    listener.send(&long(7, id, 0, &said));
    assert!(listener.ping().is_ok());
    publisher.send(&publish(4, &topic, Some(77), &[], b"x"));
    publisher.answer(5, 77, SOON);
    publisher.send(&long(6, 77, 0, &said));
    assert_eq!(publisher.answer(7, 77, SOON).0, 0);
}

#[test]
fn properties_of_other_packets_are_malformed() {
    let node = node();
    for kind in 4..=7 {
        for property in
            [property::four(property::MESSAGE_EXPIRY, 1), property::text(property::SERVER_REFERENCE, "x")]
        {
            assert_wrong(&node, &long(kind, 1, 0, &property), "");
        }
        let twice = property::text(property::REASON_STRING, "x").repeat(2);
        assert_eq!(broken(&node, &long(kind, 1, 0, &twice)), Some(0x82), "{kind}");
    }
}

#[test]
fn flags_of_pubrel_are_2() {
    let node = node();
    for flags in [0, 1, 3, 4, 15] {
        assert_wrong(&node, &packet(0x60 | flags, &[0, 1]), &format!("{flags}"));
    }
}

#[test]
fn acknowledgements_of_nothing_are_taken_calmly() {
    let node = node();
    let mut client = client(&node);
    for kind in [4, 7] {
        client.send(&answer(kind, 4711));
    }
    client.send(&answer(5, 4711));
    // PUBREC of something unknown: PUBREL with 0x92 (§3.6.2.1), or nothing.
    assert!(client.ping().is_ok());
}

#[test]
fn all_three_lengths_of_an_acknowledgement_are_read() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 1);
    let mut publisher = client(&node);
    for form in 0..3 {
        publisher.publish(&topic, "x", 1);
        let (id, ..) = unanswered(&mut listener);
        let [high, low] = id.to_be_bytes();
        listener.send(&packet(0x40, [&[high, low][..], &[high, low, 0], &[high, low, 0, 0]][form]));
        assert!(listener.ping().is_ok(), "{form}");
    }
}
