//! §3.15, §4.12: AUTH, for a server that knows no method. Exchanges with one are tested with the machine
//! (`crates/protocol/src/mqtt/server/tests/`).

use crate::support::{assert_wrong, broken, connack, name, node, refused};
use windrose_e2e::mqtt::{Options, packet, property};

fn method(name: &str) -> Vec<u8> {
    property::text(property::AUTHENTICATION_METHOD, name)
}

#[test]
fn an_unknown_method_is_refused() {
    let node = node();
    let code = refused(node.mqtt(), &Options::v5(&name()).property(method("unknown")).packet());
    assert!(matches!(code, Some(0x8c | 0x87)), "{code:?}");
}

#[test]
fn data_needs_a_method() {
    let node = node();
    let data = property::text(property::AUTHENTICATION_DATA, [1, 2]);
    assert_eq!(refused(node.mqtt(), &Options::v5(&name()).property(data).packet()), Some(0x82));
}

#[test]
fn without_a_method_there_is_no_auth() {
    let node = node();
    let (mut client, _, properties) = connack(&node, &Options::v5(&name()));
    assert!(!properties.has(property::AUTHENTICATION_METHOD));
    assert!(client.ping().is_ok(), "and no AUTH came before");
    for code in [0x00, 0x18, 0x19] {
        let body = [vec![code], property::block(&method("unknown"))].concat();
        let said = broken(&node, &packet(0xf0, &body));
        assert!(matches!(said, Some(0x82 | 0x8c)), "{code:#x}: {said:?}");
    }
    assert_eq!(broken(&node, &packet(0xf0, &[])), Some(0x82), "nor in its short form");
}

#[test]
fn its_flags_are_zero() {
    let node = node();
    let body = [vec![0x18], property::block(&method("unknown"))].concat();
    for flags in [1, 2, 4, 8] {
        assert_wrong(&node, &packet(0xf0 | flags, &body), "");
    }
}

#[test]
fn its_codes_are_its_own() {
    let node = node();
    for code in [0x01, 0x17, 0x1a, 0x80, 0xff] {
        let body = [vec![code], property::block(&method("unknown"))].concat();
        assert_wrong(&node, &packet(0xf0, &body), "");
    }
}
