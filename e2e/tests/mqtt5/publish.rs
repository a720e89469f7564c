//! §3.3: PUBLISH.

use crate::support::{
    assert_quiet, assert_wrong, broken, client, connack, name, next, node, publish, subscriber,
};
use windrose_e2e::mqtt::{Client, Options, packet, property};
use windrose_e2e::wait::SOON;

#[test]
fn qos_3_is_malformed() {
    let node = node();
    for flags in [6, 7, 14, 15] {
        assert_wrong(&node, &publish(flags, "a", Some(1), &[], b"x"), "");
    }
}

#[test]
fn dup_without_qos_is_malformed() {
    let node = node();
    assert_wrong(&node, &publish(8, "a", None, &[], b"x"), "");
}

#[test]
fn dup_is_not_passed_on() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 2);
    let mut publisher = client(&node);
    for qos in [1, 2] {
        publisher.send(&publish(8 | qos << 1, &topic, Some(u16::from(qos)), &[], b"x"));
        let message = next(&mut listener);
        assert_eq!((message.qos, message.again), (qos, false));
    }
}

#[test]
fn a_topic_name_has_no_wildcards() {
    let node = node();
    for topic in ["a/#", "#", "+", "a/+/b", "a+", "a#b"] {
        let said = broken(&node, &publish(2, topic, Some(1), &[], b"x"));
        assert!(matches!(said, Some(0x90 | 0x81 | 0x82)), "{topic}: {said:?}");
    }
}

#[test]
fn a_topic_name_or_an_alias_is_there() {
    let node = node();
    assert_wrong(&node, &publish(0, "", None, &[], b"x"), "neither");
    // An alias that stands for nothing.
    let said = broken(&node, &publish(0, "", None, &property::two(property::TOPIC_ALIAS, 1), b"x"));
    assert!(matches!(said, Some(0x82 | 0x94)), "{said:?}");
}

#[test]
fn a_topic_alias_stands_for_its_topic() {
    let node = node();
    let (one, other) = (name(), name());
    let mut first = subscriber(&node, &one, 0);
    let mut second = subscriber(&node, &other, 0);
    let mut publisher = client(&node);
    let alias = property::two(property::TOPIC_ALIAS, 3);
    publisher.send(&publish(0, &one, None, &alias, b"1"));
    publisher.send(&publish(0, "", None, &alias, b"2"));
    publisher.send(&publish(0, &other, None, &alias, b"3"));
    publisher.send(&publish(0, "", None, &alias, b"4"));
    assert_eq!([first.message().1, first.message().1], ["1", "2"]);
    assert_eq!([second.message().1, second.message().1], ["3", "4"], "set anew");
}

#[test]
fn a_topic_alias_is_its_connections() {
    let node = node();
    let options = Options::v5(&name()).persistent();
    let alias = property::two(property::TOPIC_ALIAS, 1);
    let mut client = Client::connect(node.mqtt(), &options);
    client.send(&publish(0, &name(), None, &alias, b"x"));
    client.disconnect();
    let (mut client, present, _) = connack(&node, &options);
    assert!(present);
    client.send(&publish(0, "", None, &alias, b"x"));
    let said = client.closed();
    assert!(matches!(said, Some(0x82 | 0x94)), "{said:?}");
}

#[test]
fn a_topic_alias_is_not_zero() {
    let node = node();
    assert_eq!(
        broken(&node, &publish(0, "a", None, &property::two(property::TOPIC_ALIAS, 0), b"x")),
        Some(0x94)
    );
}

#[test]
fn aliases_towards_the_client_are_those_it_takes() {
    let node = node();
    let topic = name();
    for most in [0, 2] {
        let options = Options::v5(&name()).property(property::two(property::TOPIC_ALIAS_MAXIMUM, most));
        let mut listener = Client::connect(node.mqtt(), &options);
        listener.subscribe(&format!("{topic}/#"), 1);
        let mut publisher = client(&node);
        let mut known = std::collections::BTreeMap::new();
        for turn in 0..12 {
            publisher.publish(&format!("{topic}/{}", turn % 4), "x", 1);
            let message = next(&mut listener);
            if let Some(alias) = message.properties.number(property::TOPIC_ALIAS) {
                assert!((1..=u32::from(most)).contains(&alias), "alias {alias} of {most}");
                if !message.topic.is_empty() {
                    known.insert(alias, message.topic.clone());
                }
                assert_eq!(known[&alias], format!("{topic}/{}", turn % 4));
            } else {
                assert_eq!(message.topic, format!("{topic}/{}", turn % 4));
            }
        }
    }
}

#[test]
fn without_a_topic_alias_maximum_there_are_none() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 1);
    let mut publisher = client(&node);
    for _ in 0..3 {
        let id = publisher.publish_with(&topic, "x", 1, false, &property::two(property::TOPIC_ALIAS, 1));
        publisher.answer(4, id, SOON);
        let message = next(&mut listener);
        assert!(!message.properties.has(property::TOPIC_ALIAS), "the publisher's is not passed on");
        assert_eq!(message.topic, topic);
    }
}

#[test]
fn a_subscription_identifier_is_the_servers_to_send() {
    let node = node();
    let said = broken(&node, &publish(0, "a", None, &property::subscription(1), b"x"));
    assert!(matches!(said, Some(0x82)), "{said:?}");
}

#[test]
fn a_response_topic_has_no_wildcards() {
    let node = node();
    for topic in ["a/#", "+", "+/a"] {
        let response = property::text(property::RESPONSE_TOPIC, topic);
        let said = broken(&node, &publish(2, "a", Some(1), &response, b"x"));
        assert!(matches!(said, Some(0x82 | 0x81 | 0x90)), "{topic}: {said:?}");
    }
}

#[test]
fn a_payload_format_is_zero_or_one() {
    let node = node();
    let said = broken(&node, &publish(0, "a", None, &property::byte(property::PAYLOAD_FORMAT, 2), b"x"));
    assert!(matches!(said, Some(0x81 | 0x82 | 0x99)), "{said:?}");
}

#[test]
fn a_property_comes_once() {
    let node = node();
    for property in [
        property::byte(property::PAYLOAD_FORMAT, 0),
        property::four(property::MESSAGE_EXPIRY, 9),
        property::two(property::TOPIC_ALIAS, 1),
        property::text(property::RESPONSE_TOPIC, "r"),
        property::text(property::CORRELATION_DATA, "c"),
        property::text(property::CONTENT_TYPE, "t"),
    ] {
        let twice = [property.clone(), property.clone()].concat();
        assert_eq!(broken(&node, &publish(0, "a", None, &twice, b"x")), Some(0x82), "{property:02x?}");
    }
}

#[test]
fn properties_of_other_packets_are_malformed() {
    let node = node();
    for property in [
        property::text(property::REASON_STRING, "x"),
        property::four(property::SESSION_EXPIRY, 1),
        property::two(property::RECEIVE_MAXIMUM, 1),
        property::four(property::WILL_DELAY, 1),
        vec![0x7f, 0],
    ] {
        assert_wrong(&node, &publish(0, "a", None, &property, b"x"), "");
    }
}

#[test]
fn the_topic_of_a_delivery_matches_the_filter() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &format!("{topic}/+/c"), 1);
    let mut publisher = client(&node);
    publisher.publish(&format!("{topic}/b/d"), "no", 1);
    publisher.publish(&format!("{topic}/b/c"), "yes", 1);
    let message = next(&mut listener);
    assert_eq!((message.topic, message.payload.as_str()), (format!("{topic}/b/c"), "yes"));
}

#[test]
fn an_empty_message_is_a_message() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 1);
    client(&node).publish(&topic, "", 1);
    assert_eq!(next(&mut listener).payload, "");
}

#[test]
fn the_answer_is_as_the_qos_asks() {
    let node = node();
    let mut client = client(&node);
    let topic = name();
    client.subscribe(&topic, 0);
    client.send(&publish(0, &topic, None, &[], b"0"));
    assert_eq!(client.message().1, "0");
    assert!(client.ping().is_ok(), "and no acknowledgement came before");
    client.send(&publish(2, &topic, Some(7), &[], b"1"));
    assert!(client.answer(4, 7, SOON).0 < 0x80);
    client.send(&publish(4, &topic, Some(7), &[], b"2"));
    assert!(client.answer(5, 7, SOON).0 < 0x80);
}

#[test]
fn a_large_message_is_carried_whole() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 1);
    let payload = "x".repeat(256 * 1024);
    client(&node).publish(&topic, &payload, 1);
    assert!(next(&mut listener).payload == payload);
}

#[test]
fn a_publisher_hears_its_own_messages() {
    let node = node();
    let topic = name();
    let mut client = subscriber(&node, &topic, 1);
    client.publish(&topic, "mine", 1);
    assert_eq!(client.message().1, "mine");
    assert_quiet(&mut client, "once");
}

#[test]
fn an_empty_property_length_is_there() {
    let node = node();
    // A PUBLISH of MQTT 3.1.1: nothing stands where the length of the properties should be.
    let said = broken(&node, &packet(0x30, &[0, 1, b'a']));
    assert_eq!(said, Some(0x81));
}
