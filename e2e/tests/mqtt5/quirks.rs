//! What a listener may be told to do otherwise (`listeners[].mqtt`): less QoS, Response Information, Server Reference.

use crate::support::{client, connack, name, next, publish, subscriber};
use windrose_e2e::Node;
use windrose_e2e::documents::open;
use windrose_e2e::mqtt::{Client, Options, Packet, property};
use windrose_e2e::wait::SOON;

/// A node whose listener is told this.
fn with(options: &str) -> Node {
    let listener = "bind: \"127.0.0.1:${MQTT}\"";
    Node::start(&open("").replace(listener, &format!("{listener}, mqtt: {{{options}}}")))
}

#[test]
fn a_listener_of_less_qos_says_so() {
    for most in [0, 1] {
        let node = with(&format!("quirks: {{maximum_qos: {most}}}"));
        let (_, _, properties) = connack(&node, &Options::v5(&name()));
        assert_eq!(properties.number(property::MAXIMUM_QOS), Some(most));
    }
}

#[test]
fn a_listener_of_less_qos_grants_less() {
    let node = with("quirks: {maximum_qos: 1}");
    let topic = name();
    let mut listener = client(&node);
    let all = [(topic.as_str(), 2), ("b", 1), ("c", 0)];
    assert_eq!(listener.subscribe_all(&all, &[]).0, [1, 1, 0]);
    client(&node).publish(&topic, "x", 1);
    assert_eq!(next(&mut listener).qos, 1);
}

#[test]
fn a_publication_of_more_qos_ends_the_connection() {
    let node = with("quirks: {maximum_qos: 0}");
    for qos in [1, 2] {
        let mut client = client(&node);
        client.send(&publish(qos << 1, "a", Some(1), &[], b"x"));
        assert_eq!(client.closed(), Some(0x9b));
    }
}

#[test]
fn a_will_of_more_qos_is_refused() {
    let node = with("quirks: {maximum_qos: 0}");
    let options = Options::v5(&name()).will("t", "x");
    assert_eq!(crate::support::refused(node.mqtt(), &options.packet()), Some(0x9b));
}

#[test]
fn response_information_is_given_to_those_who_ask() {
    let node = with("response_information: \"replies/{session}\"");
    let id = name();
    let ask = Options::v5(&id).property(property::byte(property::REQUEST_RESPONSE_INFORMATION, 1));
    let (_, _, properties) = connack(&node, &ask);
    assert_eq!(properties.text(property::RESPONSE_INFORMATION), Some(format!("replies/{id}")));
    let (_, _, properties) = connack(&node, &Options::v5(&id));
    assert!(!properties.has(property::RESPONSE_INFORMATION), "not to others");
}

#[test]
fn a_server_reference_is_given_when_the_node_goes() {
    let node = with("server_reference: \"other.example:8883\"");
    let mut client = client(&node);
    node.signal("TERM");
    match client.wait(SOON, |packet| matches!(packet, Packet::Disconnect { .. })) {
        Ok(Packet::Disconnect { code: 0x9c | 0x8b, properties }) => {
            assert_eq!(properties.text(property::SERVER_REFERENCE).as_deref(), Some("other.example:8883"));
        }
        other => panic!("no DISCONNECT: {other:?}"),
    }
    assert_eq!(client.closed(), None);
}

#[test]
fn one_copy_for_overlapping_subscriptions_may_be_asked_for() {
    let node = with("overlapping_subscriptions: once");
    let topic = name();
    let mut listener = subscriber(&node, &format!("{topic}/#"), 1);
    listener.subscribe(&format!("{topic}/+"), 2);
    Client::connect(node.mqtt(), &Options::v5(&name())).publish(&format!("{topic}/a"), "x", 2);
    assert_eq!(next(&mut listener).qos, 2);
    crate::support::assert_quiet(&mut listener, "once");
}
