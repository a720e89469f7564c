//! §3.1: CONNECT.

use crate::support::{assert_wrong, client, connack, connect, name, node, refused};
use std::time::{Duration, Instant};
use windrose_e2e::mqtt::{Client, End, Options, Packet, Version, packet, property, string};
use windrose_e2e::wait::SOON;

#[test]
fn the_first_packet_is_connect() {
    let node = node();
    for bytes in [&[0xc0, 0][..], &[0xe0, 0], &[0x30, 4, 0, 1, b'a', 0], &[0xf0, 0]] {
        assert_eq!(refused(node.mqtt(), bytes), None, "{bytes:02x?}");
    }
}

#[test]
fn a_second_connect_is_a_protocol_error() {
    let node = node();
    let mut client = client(&node);
    client.send(&Options::v5("second").packet());
    assert_eq!(client.closed(), Some(0x82));
}

#[test]
fn another_protocol_is_not_spoken() {
    let node = node();
    for protocol in ["MQTt", "mqtt", "HTTP", "MQTTT", ""] {
        let code = refused(node.mqtt(), &connect(protocol, 5, 2, &[], &string("x")));
        assert!(matches!(code, None | Some(0x84)), "{protocol}: {code:?}");
    }
}

#[test]
fn another_version_is_not_spoken() {
    let node = node();
    for level in [6, 7, 127, 255] {
        assert_eq!(
            refused(node.mqtt(), &connect("MQTT", level, 2, &[], &string("x"))),
            Some(0x84),
            "{level}"
        );
    }
}

#[test]
fn the_reserved_flag_is_zero() {
    let node = node();
    let code = refused(node.mqtt(), &connect("MQTT", 5, 3, &[], &string("x")));
    assert!(matches!(code, None | Some(0x81)), "{code:?}");
}

#[test]
fn the_flags_of_the_fixed_header_are_zero() {
    let node = node();
    let mut bytes = Options::v5("flags").packet();
    for flags in [1, 2, 4, 8] {
        bytes[0] = 0x10 | flags;
        let code = refused(node.mqtt(), &bytes);
        assert!(matches!(code, None | Some(0x81)), "{flags}: {code:?}");
    }
}

#[test]
fn clean_start_ends_the_session_that_was() {
    let node = node();
    let kept = Options::v5(&name()).persistent();
    let topic = name();
    Client::connect(node.mqtt(), &kept).subscribe(&topic, 1);
    let (_, present, _) = connack(&node, &Options { clean: true, ..kept.clone() });
    assert!(!present);
    let (mut anew, present, _) = connack(&node, &kept);
    assert!(present, "the session that was begun with Clean Start is kept");
    client(&node).publish(&topic, "x", 1);
    crate::support::assert_quiet(&mut anew, "the subscription went with its session");
}

#[test]
fn without_clean_start_a_session_is_resumed() {
    let node = node();
    let kept = Options::v5(&name()).persistent();
    let topic = name();
    let (mut first, present, _) = connack(&node, &kept);
    assert!(!present, "there was none");
    first.subscribe(&topic, 1);
    first.disconnect();
    let (mut again, present, _) = connack(&node, &kept);
    assert!(present);
    client(&node).publish(&topic, "x", 1);
    assert_eq!(again.message().1, "x");
}

#[test]
fn will_flags_need_a_will() {
    let node = node();
    // Will QoS 1, Will QoS 2, Will Retain; no Will Flag.
    for flags in [0x08, 0x10, 0x20, 0x18] {
        let code = refused(node.mqtt(), &connect("MQTT", 5, 2 | flags, &[], &string(name())));
        assert!(matches!(code, None | Some(0x81 | 0x82)), "{flags:#x}: {code:?}");
    }
}

#[test]
fn will_qos_3_is_malformed() {
    let node = node();
    let payload = [string(name()), vec![0], string("t"), string("p")].concat();
    let code = refused(node.mqtt(), &connect("MQTT", 5, 0x1e, &[], &payload));
    assert!(matches!(code, None | Some(0x81)), "{code:?}");
}

#[test]
fn what_the_flags_promise_is_in_the_payload() {
    let node = node();
    let id = name();
    // A will, a user name, a password that are announced and not there.
    for flags in [0x04, 0x80, 0x40, 0xc0] {
        let code = refused(node.mqtt(), &connect("MQTT", 5, 2 | flags, &[], &string(&id)));
        assert!(matches!(code, None | Some(0x81)), "{flags:#x}: {code:?}");
    }
    // And the other way about: what is not announced is not there.
    let payload = [string(&id), string("user")].concat();
    let code = refused(node.mqtt(), &connect("MQTT", 5, 2, &[], &payload));
    assert!(matches!(code, None | Some(0x81)), "{code:?}");
}

#[test]
fn a_password_needs_no_user_name() {
    let node = node();
    let payload = [string(name()), string("secret")].concat();
    let mut client = Client::open(node.mqtt(), Version::V5).expect("the listener listens");
    client.send(&connect("MQTT", 5, 0x42, &[], &payload));
    // Credentials that nobody knows are refused, but the packet is well formed.
    let answer = client.next(SOON);
    assert!(matches!(answer, Ok(Packet::Connack { code: 0x86 | 0x87 | 0, .. })), "{answer:?}");
}

#[test]
fn a_client_identifier_is_always_there() {
    let node = node();
    let code = refused(node.mqtt(), &connect("MQTT", 5, 2, &[], &[]));
    assert!(matches!(code, None | Some(0x81 | 0x85)), "{code:?}");
}

#[test]
fn a_client_identifier_is_utf_8() {
    let node = node();
    for id in [&b"\xff\xfe"[..], b"a\0b", b"\xed\xa0\x80"] {
        let code = refused(node.mqtt(), &connect("MQTT", 5, 2, &[], &string(id)));
        assert!(matches!(code, None | Some(0x81 | 0x85)), "{id:02x?}: {code:?}");
    }
}

#[test]
fn plain_client_identifiers_are_allowed() {
    let node = node();
    for id in ["0", "abcdefghijklmnopqrstuvw", "ABCDEFGHIJKLMNOPQRSTUVW", "xyzXYZ0123456789"] {
        drop(connack(&node, &Options::v5(id)));
    }
    // More than that is the server's to allow: it does.
    let long = "long-".repeat(50);
    drop(connack(&node, &Options::v5(&long)));
}

#[test]
fn an_empty_client_identifier_is_assigned() {
    let node = node();
    let mut known = std::collections::BTreeSet::new();
    for clean in [true, false] {
        for _ in 0..5 {
            let (client, present, properties) = connack(&node, &Options { clean, ..Options::v5("") });
            assert!(!present);
            let id =
                properties.text(property::ASSIGNED_CLIENT_IDENTIFIER).expect("an identifier is assigned");
            assert!(!id.is_empty() && known.insert(id), "unique");
            drop(client);
        }
    }
    let (_, _, properties) = connack(&node, &Options::v5(&name()));
    assert!(!properties.has(property::ASSIGNED_CLIENT_IDENTIFIER), "only to those who bring none");
}

#[test]
fn an_assigned_identifier_is_the_sessions() {
    let node = node();
    let (client, _, properties) = connack(&node, &Options::v5("").persistent());
    let id = properties.text(property::ASSIGNED_CLIENT_IDENTIFIER).expect("an identifier is assigned");
    client.disconnect();
    assert!(connack(&node, &Options::v5(&id).persistent()).1, "{id} has a session");
}

#[test]
fn a_second_connection_takes_over_and_the_first_is_told() {
    let node = node();
    let options = Options::v5(&name());
    let mut first = Client::connect(node.mqtt(), &options);
    let mut second = Client::connect(node.mqtt(), &options);
    assert_eq!(first.closed(), Some(0x8e));
    assert!(second.ping().is_ok());
}

#[test]
fn a_silent_client_is_disconnected_after_one_and_a_half_keep_alives() {
    let node = node();
    let options = Options { keep_alive: 2, ..Options::v5(&name()) };
    let mut client = Client::connect(node.mqtt(), &options);
    let begun = Instant::now();
    let code = client.closed();
    let time = begun.elapsed();
    assert!(matches!(code, None | Some(0x8d)), "{code:?}");
    assert!(time > Duration::from_millis(2_500), "not before its time: {time:?}");
}

#[test]
fn every_packet_keeps_a_connection_alive() {
    let node = node();
    let mut client = Client::connect(node.mqtt(), &Options { keep_alive: 1, ..Options::v5(&name()) });
    for turn in 0..6 {
        std::thread::sleep(Duration::from_millis(500));
        match turn % 2 {
            0 => assert!(client.ping().is_ok()),
            _ => _ = client.publish(&name(), "x", 1),
        }
    }
}

#[test]
fn keep_alive_zero_is_for_ever() {
    let node = node();
    let mut client = Client::connect(node.mqtt(), &Options { keep_alive: 0, ..Options::v5(&name()) });
    assert_eq!(client.next(Duration::from_secs(3)), Err(End::Timeout));
    assert!(client.ping().is_ok());
}

#[test]
fn receive_maximum_zero_is_a_protocol_error() {
    let node = node();
    let options = Options::v5(&name()).property(property::two(property::RECEIVE_MAXIMUM, 0));
    assert_eq!(refused(node.mqtt(), &options.packet()), Some(0x82));
}

#[test]
fn maximum_packet_size_zero_is_a_protocol_error() {
    let node = node();
    let options = Options::v5(&name()).property(property::four(property::MAXIMUM_PACKET_SIZE, 0));
    assert_eq!(refused(node.mqtt(), &options.packet()), Some(0x82));
}

#[test]
fn requests_for_information_are_zero_or_one() {
    let node = node();
    for identifier in [property::REQUEST_PROBLEM_INFORMATION, property::REQUEST_RESPONSE_INFORMATION] {
        let options = Options::v5(&name()).property(property::byte(identifier, 2));
        assert_eq!(refused(node.mqtt(), &options.packet()), Some(0x82), "{identifier:#x}");
    }
}

#[test]
fn a_property_comes_once() {
    let node = node();
    let twice = [
        property::four(property::SESSION_EXPIRY, 1),
        property::two(property::RECEIVE_MAXIMUM, 1),
        property::four(property::MAXIMUM_PACKET_SIZE, 1000),
        property::two(property::TOPIC_ALIAS_MAXIMUM, 1),
        property::byte(property::REQUEST_PROBLEM_INFORMATION, 1),
        property::byte(property::REQUEST_RESPONSE_INFORMATION, 1),
        property::text(property::AUTHENTICATION_METHOD, "x"),
    ];
    for property in twice {
        let options = Options::v5(&name()).property(property.clone()).property(property.clone());
        assert_eq!(refused(node.mqtt(), &options.packet()), Some(0x82), "{property:02x?}");
    }
}

#[test]
fn user_properties_may_come_often() {
    let node = node();
    let options = Options::v5(&name());
    let options = options.property(property::user("a", "1")).property(property::user("a", "1"));
    drop(connack(&node, &options));
}

#[test]
fn properties_of_other_packets_are_malformed() {
    let node = node();
    for property in [
        property::text(property::REASON_STRING, "x"),
        property::text(property::ASSIGNED_CLIENT_IDENTIFIER, "x"),
        property::two(property::TOPIC_ALIAS, 1),
        property::subscription(1),
        property::byte(property::MAXIMUM_QOS, 1),
        property::four(property::WILL_DELAY, 1),
        property::byte(0x7f, 1),
        property::byte(0x00, 1),
    ] {
        let code = refused(node.mqtt(), &Options::v5(&name()).property(property.clone()).packet());
        assert!(matches!(code, None | Some(0x81 | 0x82)), "{property:02x?}: {code:?}");
    }
}

#[test]
fn nothing_after_a_refused_connect_is_processed() {
    let node = node();
    let topic = name();
    let mut listener = crate::support::subscriber(&node, &topic, 0);
    let mut bytes = connect("MQTT", 9, 2, &[], &string(name()));
    bytes.extend(crate::support::publish(0, &topic, None, &[], b"x"));
    assert_eq!(refused(node.mqtt(), &bytes), Some(0x84));
    crate::support::assert_quiet(&mut listener, "the server has hung up");
}

#[test]
fn what_comes_with_connect_is_processed_after_it() {
    let node = node();
    let mut client = Client::open(node.mqtt(), Version::V5).expect("the listener listens");
    client.send(&[Options::v5(&name()).packet(), packet(0xc0, &[])].concat());
    assert!(matches!(client.next(SOON), Ok(Packet::Connack { code: 0, .. })), "CONNACK is first");
    assert_eq!(client.next(SOON), Ok(Packet::Pingresp));
}

#[test]
fn a_truncated_connect_is_closed_in_time_and_harms_nobody() {
    let node = node();
    let bytes = Options::v5(&name()).packet();
    for end in 1..bytes.len() {
        let mut half = Client::open(node.mqtt(), Version::V5).expect("the listener listens");
        half.send(&bytes[..end]);
    }
    drop(connack(&node, &Options::v5(&name())));
}

#[test]
fn trailing_bytes_are_malformed() {
    let node = node();
    let mut bytes = Options::v5(&name()).packet();
    bytes.push(0);
    bytes[1] += 1;
    let code = refused(node.mqtt(), &bytes);
    assert!(matches!(code, None | Some(0x81)), "{code:?}");
    assert_wrong(&node, &[0x00, 0], "packet type 0 is reserved");
}
