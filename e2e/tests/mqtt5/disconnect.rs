//! §3.14: DISCONNECT.

use crate::support::{
    QUIET, assert_quiet, assert_wrong, broken, client, connack, name, next, node, subscriber,
};
use windrose_e2e::mqtt::{Client, Options, Packet, packet, property};
use windrose_e2e::wait::SOON;

/// DISCONNECT with a code and properties.
fn disconnect(code: u8, properties: &[u8]) -> Vec<u8> {
    packet(0xe0, &[vec![code], property::block(properties)].concat())
}

#[test]
fn the_server_closes_after_it() {
    let node = node();
    for bytes in [packet(0xe0, &[]), packet(0xe0, &[0]), packet(0xe0, &[4]), disconnect(0, &[])] {
        assert_eq!(broken(&node, &bytes), None, "{bytes:02x?}");
    }
}

#[test]
fn nothing_after_it_is_processed() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 0);
    let mut bytes = packet(0xe0, &[]);
    bytes.extend(crate::support::publish(0, &topic, None, &[], b"x"));
    assert_eq!(broken(&node, &bytes), None);
    assert_quiet(&mut listener, "the client had said good-bye");
}

#[test]
fn success_discards_the_will() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 1);
    for bytes in [packet(0xe0, &[]), packet(0xe0, &[0]), disconnect(0, &[])] {
        let mut client = Client::connect(node.mqtt(), &Options::v5(&name()).will(&topic, "will"));
        client.send(&bytes);
        assert_eq!(client.closed(), None);
        assert_quiet(&mut listener, "there is no will any more");
    }
}

#[test]
fn every_other_code_publishes_the_will() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 1);
    for code in [0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99] {
        let mut client = Client::connect(node.mqtt(), &Options::v5(&name()).will(&topic, &code.to_string()));
        client.send(&disconnect(code, &[]));
        assert_eq!(client.closed(), None, "{code:#x}");
        assert_eq!(next(&mut listener).payload, code.to_string());
    }
}

#[test]
fn its_flags_are_zero() {
    let node = node();
    for flags in [1, 2, 4, 8] {
        assert_wrong(&node, &packet(0xe0 | flags, &[]), "");
    }
}

#[test]
fn codes_that_are_none_of_a_client_break_the_protocol() {
    let node = node();
    // Not of DISCONNECT at all, and of servers only.
    for code in [0x01, 0x03, 0x10, 0x18, 0x84, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x9c, 0x9d, 0xff] {
        assert_wrong(&node, &disconnect(code, &[]), "");
    }
}

#[test]
fn a_reason_and_user_properties_may_be_given() {
    let node = node();
    let properties = [property::text(property::REASON_STRING, "tired"), property::user("a", "b")].concat();
    assert_eq!(broken(&node, &disconnect(0, &properties)), None);
}

#[test]
fn a_server_reference_is_the_servers_to_give() {
    let node = node();
    assert_wrong(&node, &disconnect(0, &property::text(property::SERVER_REFERENCE, "elsewhere")), "");
}

#[test]
fn a_property_comes_once() {
    let node = node();
    let expiry = property::four(property::SESSION_EXPIRY, 0);
    assert_eq!(broken(&node, &disconnect(0, &[expiry.clone(), expiry].concat())), Some(0x82));
}

#[test]
fn it_may_change_the_session_expiry() {
    let node = node();
    let options = Options::v5(&name()).persistent();
    let mut client = Client::connect(node.mqtt(), &options);
    client.send(&disconnect(0, &property::four(property::SESSION_EXPIRY, 0)));
    assert_eq!(client.closed(), None);
    let (mut client, present, _) = connack(&node, &options);
    assert!(!present, "the session ended with the connection");
    client.send(&disconnect(0, &property::four(property::SESSION_EXPIRY, 100)));
    assert_eq!(client.closed(), None);
    assert!(connack(&node, &options).1, "it is kept");
}

#[test]
fn it_may_not_keep_a_session_that_connect_did_not() {
    let node = node();
    let options = Options::v5(&name());
    let mut client = Client::connect(node.mqtt(), &options);
    client.send(&disconnect(0, &property::four(property::SESSION_EXPIRY, 100)));
    assert_eq!(client.closed(), Some(0x82));
    assert!(!connack(&node, &Options { clean: false, ..options }).1);
}

#[test]
fn one_from_the_server_has_a_code_and_no_session_expiry() {
    let node = node();
    let mut client = client(&node);
    client.send(&packet(0x20, &[0, 0, 0]));
    match client.wait(SOON, |packet| matches!(packet, Packet::Disconnect { .. })) {
        Ok(Packet::Disconnect { code, properties }) => {
            assert!(code >= 0x80);
            assert!(!properties.has(property::SESSION_EXPIRY));
        }
        other => panic!("no DISCONNECT: {other:?}"),
    }
    assert_eq!(client.closed(), None, "nothing more, and the connection ends");
}

#[test]
fn one_from_the_server_fits_the_client() {
    let node = node();
    let options = Options { maximum_packet: Some(24), ..Options::v5(&name()) };
    let mut client = Client::connect(node.mqtt(), &options);
    client.send(&packet(0x20, &[0, 0, 0]));
    match client.next(QUIET * 10) {
        Ok(Packet::Disconnect { code: 0x82, properties }) => {
            assert!(properties.text(property::REASON_STRING).is_none_or(|text| text.len() <= 17));
        }
        other => panic!("no DISCONNECT: {other:?}"),
    }
}
