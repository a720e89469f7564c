//! §3.3.2.3: what a PUBLISH says of its message, carried unaltered to every subscriber.

use crate::support::{assert_quiet, client, name, next, node, publish, subscriber};
use std::time::Duration;
use windrose_e2e::mqtt::{Client, Options, Properties, property};
use windrose_e2e::wait::SOON;

/// What a subscriber gets of a message with properties.
fn carried(properties: &[u8], payload: &str) -> Properties {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 1);
    let mut publisher = client(&node);
    let id = publisher.publish_with(&topic, payload, 1, false, properties);
    assert!(publisher.answer(4, id, SOON).0 < 0x80);
    let message = next(&mut listener);
    assert_eq!(message.payload, payload);
    message.properties
}

#[test]
fn payload_format_indicator() {
    for value in [0, 1] {
        let carried = carried(&property::byte(property::PAYLOAD_FORMAT, value), "text");
        // Zero is the same as none (§3.3.2.3.2).
        let expected: &[Option<u32>] = if value == 0 { &[None, Some(0)] } else { &[Some(1)] };
        assert!(expected.contains(&carried.number(property::PAYLOAD_FORMAT)), "{value}: {carried:?}");
    }
}

#[test]
fn content_type() {
    let carried = carried(&property::text(property::CONTENT_TYPE, "application/x-é"), "x");
    assert_eq!(carried.text(property::CONTENT_TYPE).as_deref(), Some("application/x-é"));
}

#[test]
fn an_empty_content_type() {
    let carried = carried(&property::text(property::CONTENT_TYPE, ""), "x");
    assert_eq!(carried.text(property::CONTENT_TYPE).as_deref(), Some(""));
}

#[test]
fn response_topic_and_correlation_data() {
    let data: Vec<u8> = (0..=255).collect();
    let sent = [
        property::text(property::RESPONSE_TOPIC, "answers/to/é"),
        property::text(property::CORRELATION_DATA, &data),
    ];
    let carried = carried(&sent.concat(), "question");
    assert_eq!(carried.text(property::RESPONSE_TOPIC).as_deref(), Some("answers/to/é"));
    assert_eq!(carried.bytes(property::CORRELATION_DATA), Some(data.as_slice()));
}

#[test]
fn user_properties_in_order() {
    let sent = [("z", "1"), ("a", "2"), ("z", "1"), ("", ""), ("m", "é")];
    let bytes: Vec<u8> = sent.iter().flat_map(|(name, value)| property::user(name, value)).collect();
    let expected: Vec<String> = sent.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(carried(&bytes, "x").texts(property::USER_PROPERTY), expected);
}

#[test]
fn a_thousand_user_properties() {
    let bytes: Vec<u8> = (0..1000).flat_map(|number| property::user("n", number.to_string())).collect();
    let expected: Vec<String> = (0..1000).map(|number| format!("n={number}")).collect();
    assert_eq!(carried(&bytes, "x").texts(property::USER_PROPERTY), expected);
}

#[test]
fn they_are_kept_with_a_retained_message() {
    let node = node();
    let topic = name();
    let mut publisher = client(&node);
    let sent = [
        property::byte(property::PAYLOAD_FORMAT, 1),
        property::text(property::CONTENT_TYPE, "t"),
        property::text(property::RESPONSE_TOPIC, "r"),
        property::text(property::CORRELATION_DATA, "c"),
        property::user("b", "2"),
        property::user("a", "1"),
    ];
    let id = publisher.publish_with(&topic, "x", 1, true, &sent.concat());
    publisher.answer(4, id, SOON);
    let mut late = subscriber(&node, &topic, 1);
    let properties = next(&mut late).properties;
    assert_eq!(properties.number(property::PAYLOAD_FORMAT), Some(1));
    assert_eq!(properties.text(property::CONTENT_TYPE).as_deref(), Some("t"));
    assert_eq!(properties.text(property::RESPONSE_TOPIC).as_deref(), Some("r"));
    assert_eq!(properties.text(property::CORRELATION_DATA).as_deref(), Some("c"));
    assert_eq!(properties.texts(property::USER_PROPERTY), ["b=2", "a=1"]);
}

#[test]
fn message_expiry_is_counted_down() {
    let node = node();
    let topic = name();
    let options = Options::v5(&name()).persistent();
    let mut sleeper = Client::connect(node.mqtt(), &options);
    sleeper.subscribe(&topic, 1);
    sleeper.disconnect();
    let mut publisher = client(&node);
    let id = publisher.publish_with(&topic, "x", 1, false, &property::four(property::MESSAGE_EXPIRY, 60));
    publisher.answer(4, id, SOON);
    std::thread::sleep(Duration::from_millis(2_100));
    let mut sleeper = Client::connect(node.mqtt(), &options);
    let left = next(&mut sleeper).properties.number(property::MESSAGE_EXPIRY);
    assert!(matches!(left, Some(40..=58)), "{left:?}");
}

#[test]
fn an_expired_message_is_not_delivered() {
    let node = node();
    let topic = name();
    let options = Options::v5(&name()).persistent();
    let mut sleeper = Client::connect(node.mqtt(), &options);
    sleeper.subscribe(&topic, 2);
    sleeper.disconnect();
    let mut publisher = client(&node);
    for qos in [1, 2] {
        publisher.send(&publish(
            qos << 1,
            &topic,
            Some(qos.into()),
            &property::four(property::MESSAGE_EXPIRY, 1),
            b"old",
        ));
        publisher.answer(3 + qos, qos.into(), SOON);
    }
    publisher.publish(&topic, "kept", 1);
    std::thread::sleep(Duration::from_millis(1_500));
    let mut sleeper = Client::connect(node.mqtt(), &options);
    assert_eq!(sleeper.message().1, "kept");
}

#[test]
fn an_expired_retained_message_is_gone() {
    let node = node();
    let topic = name();
    let mut publisher = client(&node);
    let id = publisher.publish_with(&topic, "old", 1, true, &property::four(property::MESSAGE_EXPIRY, 1));
    publisher.answer(4, id, SOON);
    std::thread::sleep(Duration::from_millis(1_500));
    assert_quiet(&mut subscriber(&node, &topic, 1), "it has expired");
}

#[test]
fn a_message_without_expiry_gets_none() {
    assert!(!carried(&[], "x").has(property::MESSAGE_EXPIRY));
}

#[test]
fn a_request_is_answered() {
    let node = node();
    let (questions, answers) = (name(), name());
    let mut responder = subscriber(&node, &questions, 1);
    let mut requester = subscriber(&node, &answers, 1);
    let sent = [
        property::text(property::RESPONSE_TOPIC, &answers),
        property::text(property::CORRELATION_DATA, "17"),
    ];
    requester.publish_with(&questions, "question", 1, false, &sent.concat());
    let question = next(&mut responder).properties;
    let to = question.text(property::RESPONSE_TOPIC).expect("it says where to answer");
    let with = question.bytes(property::CORRELATION_DATA).expect("it says with what");
    responder.publish_with(&to, "answer", 1, false, &property::text(property::CORRELATION_DATA, with));
    let answer = next(&mut requester);
    assert_eq!(answer.payload, "answer");
    assert_eq!(answer.properties.text(property::CORRELATION_DATA).as_deref(), Some("17"));
}
