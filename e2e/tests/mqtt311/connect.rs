//! §3.1, §3.2: CONNECT and CONNACK; §3.14: DISCONNECT; §3.12: PING.

use crate::support::{
    QUIET, assert_broken, assert_quiet, client, connect, name, next, node, packet, publish, refused,
    subscriber, wait_retained,
};
use std::time::{Duration, Instant};
use windrose_e2e::Node;
use windrose_e2e::documents::open;
use windrose_e2e::mqtt::{Client, End, Options, Packet, Version, string};
use windrose_e2e::wait::SOON;

#[test]
fn the_first_packet_is_connect_and_comes_once() {
    let node = node();
    assert_eq!(refused(node.mqtt(), &[0xc0, 0]), None);
    assert_eq!(refused(node.mqtt(), &publish(0, "a", None, b"x")), None);
    assert_broken(&node, &Options::v3("second").packet());
}

#[test]
fn another_level_is_refused() {
    let node = node();
    // Between 3.1.1 and 5.0 nothing says in which of the two a level that is neither is refused: with 0x01, or with 0x84.
    for level in [0, 1, 2] {
        let code = refused(node.mqtt(), &connect("MQTT", level, 2, &string("x")));
        assert!(matches!(code, Some(1 | 0x84)), "{level}: {code:?}");
    }
}

#[test]
fn another_protocol_is_not_spoken() {
    let node = node();
    for protocol in ["MQTx", "mqtt", "", "HTTP"] {
        let mut client = Client::open(node.mqtt(), Version::V5).expect("the listener listens");
        client.send(&connect(protocol, 4, 2, &string("x")));
        client.closed();
    }
}

#[test]
fn a_connect_that_breaks_a_rule_is_closed_without_connack() {
    let node = node();
    let id = string(name());
    for (why, flags, payload) in [
        ("the reserved flag", 0x03, id.clone()),
        ("Will QoS without a will", 0x0a, id.clone()),
        ("Will Retain without a will", 0x22, id.clone()),
        ("Will QoS 3", 0x1e, [id.clone(), string("t"), string("p")].concat()),
        ("no will although announced", 0x06, id.clone()),
        ("no user name although announced", 0x82, id.clone()),
        ("no password although announced", 0xc2, [id.clone(), string("u")].concat()),
        ("a password without a user name", 0x42, [id.clone(), string("p")].concat()),
        ("a user name that was not announced", 0x02, [id.clone(), string("u")].concat()),
        ("no client identifier", 0x02, vec![]),
        ("an identifier that is no UTF-8", 0x02, string(b"\xff\xfe")),
        ("an identifier with U+0000", 0x02, string(b"a\0")),
        ("a will topic that is no UTF-8", 0x06, [id.clone(), string(b"\xff"), string("p")].concat()),
        ("a user name that is no UTF-8", 0x82, [id.clone(), string(b"\xff")].concat()),
    ] {
        assert_eq!(refused(node.mqtt(), &connect("MQTT", 4, flags, &payload)), None, "{why}");
    }
}

#[test]
fn identifiers_are_allowed_and_assigned() {
    let node = node();
    for id in ["a", "abcdefghijklmnopqrstuvw", "ABCDEFGHIJKLMNOPQRSTUVW", "0123456789xyzXYZ"] {
        Client::connect(node.mqtt(), &Options::v3(id));
    }
    let mut one = Client::connect(node.mqtt(), &Options::v3(""));
    let mut other = Client::connect(node.mqtt(), &Options::v3(""));
    assert!(one.ping().is_ok() && other.ping().is_ok(), "each with an identifier of its own");
}

#[test]
fn an_empty_identifier_needs_a_clean_session() {
    let node = node();
    let options = Options { clean: false, ..Options::v3("") };
    assert_eq!(refused(node.mqtt(), &options.packet()), Some(2));
}

#[test]
fn credentials_that_are_none_are_answered_with_4_and_none_with_5() {
    let node = Node::start(&open("").replace("{anonymous: allow}", "{anonymous: deny}"));
    assert_eq!(refused(node.mqtt(), &Options::v3("a").packet()), Some(5));
    assert_eq!(refused(node.mqtt(), &Options::v3("a").credentials("u", "p").packet()), Some(4));
}

#[test]
fn nothing_after_a_refused_connect_is_processed() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 0);
    let refusal = Options { clean: false, ..Options::v3("") };
    assert_eq!(refused(node.mqtt(), &[refusal.packet(), publish(0, &topic, None, b"x")].concat()), Some(2));
    assert_quiet(&mut listener, "the server has hung up");
}

#[test]
fn connack_is_first_and_says_whether_there_is_a_session() {
    let node = node();
    let kept = Options::v3(&name()).persistent();
    assert!(!Client::resume(node.mqtt(), &kept).1, "none yet");
    assert!(Client::resume(node.mqtt(), &kept).1, "the one before");
    assert!(!Client::resume(node.mqtt(), &Options { clean: true, ..kept.clone() }).1, "a clean one");
    assert!(!Client::resume(node.mqtt(), &kept).1, "which was not kept");
}

#[test]
fn what_comes_with_connect_is_processed_after_it() {
    let node = node();
    let mut client = Client::open(node.mqtt(), Version::V3).expect("the listener listens");
    client.send(&[Options::v3(&name()).packet(), packet(0xc0, &[])].concat());
    assert!(matches!(client.next(SOON), Ok(Packet::Connack { code: 0, .. })));
    assert_eq!(client.next(SOON), Ok(Packet::Pingresp));
}

#[test]
fn a_second_connection_takes_over() {
    let node = node();
    let options = Options::v3(&name());
    let mut first = Client::connect(node.mqtt(), &options);
    let mut second = Client::connect(node.mqtt(), &options);
    assert_eq!(first.next(SOON), Err(End::Closed), "3.1.1 has no DISCONNECT from a server");
    assert!(second.ping().is_ok());
}

#[test]
fn a_silent_client_is_disconnected_after_one_and_a_half_keep_alives() {
    let node = node();
    let mut client = Client::connect(node.mqtt(), &Options { keep_alive: 2, ..Options::v3(&name()) });
    let begun = Instant::now();
    assert_eq!(client.next(SOON), Err(End::Closed));
    assert!(begun.elapsed() > Duration::from_millis(2_500), "{:?}", begun.elapsed());
}

#[test]
fn keep_alive_zero_is_for_ever_and_pings_keep_alive() {
    let node = node();
    let mut silent = Client::connect(node.mqtt(), &Options { keep_alive: 0, ..Options::v3(&name()) });
    let mut pinging = Client::connect(node.mqtt(), &Options { keep_alive: 1, ..Options::v3(&name()) });
    for _ in 0..6 {
        std::thread::sleep(Duration::from_millis(500));
        assert!(pinging.ping().is_ok());
    }
    assert!(silent.ping().is_ok());
}

#[test]
fn a_will_is_published_unless_the_client_says_good_bye() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 2);
    for qos in 0..=2 {
        let options = Options { will_qos: qos, ..Options::v3(&name()).will(&topic, "gone") };
        drop(Client::connect(node.mqtt(), &options));
        assert_eq!(next(&mut listener), (topic.clone(), "gone".into(), qos, false, false));
        Client::connect(node.mqtt(), &options).disconnect();
    }
    assert_quiet(&mut listener, "whoever says good-bye has none");
}

#[test]
fn a_will_is_published_at_a_protocol_error_and_in_silence() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 1);
    let mut broken = Client::connect(node.mqtt(), &Options::v3(&name()).will(&topic, "broken"));
    broken.send(&[0x00, 0]);
    assert_eq!(next(&mut listener).1, "broken");
    let silent = Options { keep_alive: 1, ..Options::v3(&name()).will(&topic, "silent") };
    let _silent = Client::connect(node.mqtt(), &silent);
    assert_eq!(next(&mut listener).1, "silent");
}

#[test]
fn a_will_is_published_once_and_without_one_none() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 1);
    let options = Options::v3(&name()).persistent();
    drop(Client::connect(node.mqtt(), &options.clone().will(&topic, "once")));
    assert_eq!(next(&mut listener).1, "once");
    drop(Client::connect(node.mqtt(), &options));
    assert_quiet(&mut listener, "the second connection had none");
}

#[test]
fn a_will_is_retained_if_it_says_so() {
    let node = node();
    let (kept, passing) = (name(), name());
    let mut listener = subscriber(&node, &passing, 1);
    let options = |topic: &str, will_retain| Options { will_retain, ..Options::v3(&name()).will(topic, "x") };
    drop(Client::connect(node.mqtt(), &options(&kept, true)));
    drop(Client::connect(node.mqtt(), &options(&passing, false)));
    next(&mut listener);
    wait_retained(&node, &kept, true);
    assert!(next(&mut subscriber(&node, &kept, 1)).3);
    assert_quiet(&mut subscriber(&node, &passing, 1), "it was not retained");
}

#[test]
fn the_server_closes_after_disconnect_and_processes_nothing_more() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 0);
    assert_broken(&node, &[packet(0xe0, &[]), publish(0, &topic, None, b"x")].concat());
    assert_quiet(&mut listener, "the client had said good-bye");
}

#[test]
fn pings_are_answered() {
    let node = node();
    let mut client = client(&node);
    client.send(&[0xc0, 0, 0xc0, 0]);
    assert_eq!(client.next(SOON), Ok(Packet::Pingresp));
    assert_eq!(client.next(SOON), Ok(Packet::Pingresp));
    assert_eq!(client.next(QUIET), Err(End::Timeout));
}
