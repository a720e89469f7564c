//! MQTT 3.1 (`MQIsdp`, level 3): what differs from 3.1.1.

use crate::support::{QUIET, connect, name, next, node, refused};
use std::time::Duration;
use windrose_e2e::Node;
use windrose_e2e::documents::open;
use windrose_e2e::mqtt::{Client, End, Options, string};
use windrose_e2e::wait::SOON;

/// A node whose listener has these quirks.
fn with_quirks(quirks: &str, more: &str) -> Node {
    let listener = "bind: \"127.0.0.1:${MQTT}\"";
    let document = open(more).replace(listener, &format!("{listener}, mqtt: {{quirks: {{{quirks}}}}}"));
    Node::start(&document)
}

#[test]
fn it_is_spoken_with_every_qos() {
    let node = node();
    let topic = name();
    for qos in 0..=2 {
        let mut listener = Client::connect(node.mqtt(), &Options::v31(&name()));
        assert_eq!(listener.subscribe(&topic, qos), qos);
        let mut publisher = Client::connect(node.mqtt(), &Options::v31(&name()));
        publisher.publish(&topic, "x", qos);
        assert_eq!(next(&mut listener).1, "x");
        listener.unsubscribe(&topic);
        assert!(listener.ping().is_ok());
    }
}

#[test]
fn all_versions_meet() {
    let node = node();
    let topic = name();
    let options = [Options::v31(&name()), Options::v3(&name()), Options::v5(&name())];
    let mut listeners = options.map(|options| Client::connect(node.mqtt(), &options));
    for listener in &mut listeners {
        listener.subscribe(&topic, 1);
    }
    for options in [Options::v31(&name()), Options::v3(&name()), Options::v5(&name())] {
        Client::connect(node.mqtt(), &options).publish(&topic, format!("{:?}", options.version), 1);
        for listener in &mut listeners {
            assert_eq!(next(listener).1, format!("{:?}", options.version));
        }
    }
}

#[test]
fn connack_says_nothing_of_sessions() {
    let node = node();
    let options = Options::v31(&name()).persistent();
    let topic = name();
    let (mut first, present) = Client::resume(node.mqtt(), &options);
    assert!(!present);
    first.subscribe(&topic, 1);
    first.disconnect();
    Client::connect(node.mqtt(), &Options::v3(&name())).publish(&topic, "x", 1);
    let (mut again, present) = Client::resume(node.mqtt(), &options);
    assert!(!present, "its first byte is reserved in 3.1");
    assert_eq!(next(&mut again).1, "x", "although there is one");
}

#[test]
fn identifiers_have_1_to_23_characters() {
    let node = node();
    Client::connect(node.mqtt(), &Options::v31("abcdefghijklmnopqrstuvw"));
    assert_eq!(refused(node.mqtt(), &Options::v31("abcdefghijklmnopqrstuvwx").packet()), Some(2));
    assert_eq!(refused(node.mqtt(), &Options::v31("").packet()), Some(2));
}

#[test]
fn other_levels_of_its_name_are_refused() {
    let node = node();
    for level in [0, 1, 2, 4, 5] {
        let code = refused(node.mqtt(), &connect("MQIsdp", level, 2, &string("x")));
        assert!(matches!(code, Some(1 | 0x84)), "{level}: {code:?}");
    }
}

#[test]
fn a_will_is_published() {
    let node = node();
    let topic = name();
    let mut listener = Client::connect(node.mqtt(), &Options::v31(&name()));
    listener.subscribe(&topic, 1);
    drop(Client::connect(node.mqtt(), &Options::v31(&name()).will(&topic, "gone")));
    assert_eq!(next(&mut listener).1, "gone");
}

#[test]
fn longer_identifiers_are_a_quirk() {
    let node = with_quirks("long_client_id: true", "");
    let (mut client, _) = Client::resume(node.mqtt(), &Options::v31(&"x".repeat(100)));
    assert!(client.ping().is_ok());
    assert_eq!(refused(node.mqtt(), &Options::v31("").packet()), Some(2), "empty ones are another");
}

#[test]
fn empty_identifiers_are_a_quirk() {
    let node = with_quirks("empty_client_id: true", "");
    for clean in [true, false] {
        let mut client = Client::connect(node.mqtt(), &Options { clean, ..Options::v31("") });
        assert!(client.ping().is_ok());
    }
    assert_eq!(
        refused(node.mqtt(), &Options::v31(&"x".repeat(24)).packet()),
        Some(2),
        "long ones are another"
    );
}

#[test]
fn a_capped_keep_alive_is_a_quirk() {
    let limits = "limits: {keep_alive_max: 1s}\n";
    let node = with_quirks("cap_keep_alive: true", limits);
    for options in [Options::v31(&name()), Options::v3(&name())] {
        for keep_alive in [0, 600] {
            let mut client = Client::connect(node.mqtt(), &Options { keep_alive, ..options.clone() });
            assert_eq!(client.next(SOON), Err(End::Closed), "silent for longer than the policy allows");
        }
    }
    let node = Node::start(&open(limits));
    let mut client = Client::connect(node.mqtt(), &Options { keep_alive: 600, ..Options::v3(&name()) });
    assert_eq!(client.next(Duration::from_secs(3)), Err(End::Timeout), "it cannot be told of a cap");
}

#[test]
fn a_capped_qos_is_a_quirk() {
    let node = with_quirks("maximum_qos: 1", "");
    let topic = name();
    let mut listener = Client::connect(node.mqtt(), &Options::v31(&name()));
    assert_eq!(listener.subscribe(&topic, 2), 1, "granted");
    Client::connect(node.mqtt(), &Options::v3(&name())).publish(&topic, "x", 1);
    assert_eq!(next(&mut listener).2, 1);
    assert_eq!(listener.next(QUIET), Err(End::Timeout));
}
