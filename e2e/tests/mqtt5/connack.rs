//! §3.2: CONNACK.

use crate::support::{broken, client, connack, name, node, publish, refused};
use windrose_e2e::Node;
use windrose_e2e::documents::open;
use windrose_e2e::mqtt::{Client, Options, Packet, Version, packet, property};
use windrose_e2e::wait::SOON;

#[test]
fn it_is_the_first_packet_and_its_flags_are_session_present_alone() {
    let node = node();
    let kept = Options::v5(&name()).persistent();
    for present in [0, 1] {
        let mut client = Client::open(node.mqtt(), Version::V5).expect("the listener listens");
        client.send(&kept.packet());
        let answer: [u8; 4] = client.raw();
        assert_eq!((answer[0], answer[2], answer[3]), (0x20, present, 0));
    }
}

#[test]
fn it_comes_once() {
    let node = node();
    let mut client = client(&node);
    client.publish(&name(), "x", 1);
    client.send(&[0xe0, 0]);
    while let Ok(packet) = client.next(SOON) {
        assert!(!matches!(packet, Packet::Connack { .. }), "{packet:?}");
    }
}

#[test]
fn session_present_says_whether_there_is_one() {
    let node = node();
    let kept = Options::v5(&name()).persistent();
    assert!(!connack(&node, &kept).1, "none yet");
    assert!(connack(&node, &kept).1);
    assert!(!connack(&node, &Options { clean: true, ..kept.clone() }).1, "not after Clean Start");
    assert!(connack(&node, &kept).1);
}

#[test]
fn a_refusal_has_no_session_and_closes() {
    let node = Node::start(&open("").replace("{anonymous: allow}", "{anonymous: deny}"));
    assert_eq!(refused(node.mqtt(), &Options::v5("nobody").packet()), Some(0x87));
    let known = Options::v5("nobody").credentials("nobody", "nothing");
    assert_eq!(refused(node.mqtt(), &known.packet()), Some(0x86));
}

#[test]
fn a_refusal_of_version_3_1_1_has_that_versions_code() {
    let node = Node::start(&open("").replace("{anonymous: allow}", "{anonymous: deny}"));
    assert_eq!(refused(node.mqtt(), &Options::v3("nobody").packet()), Some(5));
    assert_eq!(refused(node.mqtt(), &Options::v3("nobody").credentials("a", "b").packet()), Some(4));
}

#[test]
fn everything_that_a_server_may_leave_out_is_there() {
    let node = node();
    let (_, _, properties) = connack(&node, &Options::v5(&name()));
    // Absent means available (§3.2.2.3.4 to §3.2.2.3.13).
    for identifier in [
        property::MAXIMUM_QOS,
        property::RETAIN_AVAILABLE,
        property::WILDCARD_AVAILABLE,
        property::SUBSCRIPTION_IDENTIFIERS_AVAILABLE,
        property::SHARED_AVAILABLE,
    ] {
        assert!(matches!(properties.number(identifier), None | Some(1)), "{identifier:#x}");
    }
    assert!(!properties.has(property::AUTHENTICATION_METHOD), "none was asked for");
    assert!(!properties.has(property::AUTHENTICATION_DATA));
}

#[test]
fn the_maximum_packet_size_that_it_announces_is_kept() {
    let node = node();
    let (_, _, properties) = connack(&node, &Options::v5(&name()));
    let most = properties.number(property::MAXIMUM_PACKET_SIZE).expect("it is announced") as usize;
    let mut bytes = publish(0, "t", None, &[], &vec![b'x'; most]);
    bytes.truncate(64);
    assert_eq!(broken(&node, &bytes), Some(0x95), "said before the whole packet has come");
}

#[test]
fn the_receive_maximum_that_it_announces_is_kept() {
    let node = node();
    let (mut client, _, properties) = connack(&node, &Options::v5(&name()));
    let most = properties.number(property::RECEIVE_MAXIMUM).expect("it is announced") as u16;
    let topic = name();
    for id in 1..=most {
        client.send(&publish(4, &topic, Some(id), &[], b"x"));
    }
    assert!(client.ping().is_ok(), "{most} are allowed");
    client.send(&publish(4, &topic, Some(most + 1), &[], b"x"));
    assert_eq!(client.closed(), Some(0x93));
}

#[test]
fn the_topic_alias_maximum_that_it_announces_is_kept() {
    let node = node();
    let (mut client, _, properties) = connack(&node, &Options::v5(&name()));
    let most = properties.number(property::TOPIC_ALIAS_MAXIMUM).expect("it is announced") as u16;
    let topic = name();
    for alias in 1..=most {
        let alias = property::two(property::TOPIC_ALIAS, alias);
        client.send(&publish(0, &topic, None, &alias, b"x"));
    }
    assert!(client.ping().is_ok(), "every alias up to {most} is accepted");
    client.send(&publish(0, &topic, None, &property::two(property::TOPIC_ALIAS, most + 1), b"x"));
    assert_eq!(client.closed(), Some(0x94));
}

#[test]
fn the_session_expiry_is_told_where_it_is_another_than_asked_for() {
    let node = node();
    let asked = |seconds| Options { session_expiry: seconds, ..Options::v5(&name()) };
    let told = |seconds| connack(&node, &asked(seconds)).2.number(property::SESSION_EXPIRY);
    assert_eq!(told(u32::MAX), Some(3600));
    assert_eq!(told(7200), Some(3600));
    assert!(matches!(told(60), None | Some(60)));
}

#[test]
fn the_servers_keep_alive_is_told_and_used() {
    let node = Node::start(&open("limits: {keep_alive_max: 2s}\n"));
    for asked in [0, 600] {
        let (mut client, _, properties) = connack(&node, &Options { keep_alive: asked, ..Options::v5("a") });
        assert_eq!(properties.number(property::SERVER_KEEP_ALIVE), Some(2), "for {asked}");
        assert_eq!(client.closed(), Some(0x8d));
    }
    let (_, _, properties) = connack(&node, &Options { keep_alive: 1, ..Options::v5("b") });
    assert!(!properties.has(property::SERVER_KEEP_ALIVE), "the client's own is used");
}

#[test]
fn response_information_is_for_those_who_ask() {
    let node = node();
    for ask in [None, Some(0)] {
        let mut options = Options::v5(&name());
        if let Some(ask) = ask {
            options = options.property(property::byte(property::REQUEST_RESPONSE_INFORMATION, ask));
        }
        assert!(!connack(&node, &options).2.has(property::RESPONSE_INFORMATION), "{ask:?}");
    }
}

#[test]
fn a_reason_string_is_left_out_where_it_does_not_fit() {
    let node = node();
    let bad = Options { maximum_packet: Some(20), ..Options::v5(&name()) };
    let bad = bad.property(property::text(property::AUTHENTICATION_METHOD, "unknown"));
    let mut client = Client::open(node.mqtt(), Version::V5).expect("the listener listens");
    client.send(&bad.packet());
    match client.next(SOON) {
        Ok(Packet::Connack { code: 0x8c | 0x87, properties, .. }) => {
            assert!(properties.text(property::REASON_STRING).is_none_or(|text| text.len() < 13));
        }
        other => panic!("not refused: {other:?}"),
    }
    assert_eq!(client.closed(), None);
}

#[test]
fn a_client_that_takes_no_connack_is_not_connected() {
    let node = node();
    let options = Options { maximum_packet: Some(4), ..Options::v5(&name()) };
    assert_eq!(refused(node.mqtt(), &options.packet()), None);
}

#[test]
fn it_is_never_taken_from_a_client() {
    let node = node();
    assert_eq!(broken(&node, &packet(0x20, &[0, 0, 0])), Some(0x82));
}
