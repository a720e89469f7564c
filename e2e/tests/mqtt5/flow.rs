//! §4.9, §3.1.2.11.3, §3.1.2.11.4: Receive Maximum and Maximum Packet Size of the client.

use crate::support::{answer, assert_quiet, client, name, next, node, publish, unanswered};
use std::time::Duration;
use windrose_e2e::mqtt::{Client, End, Options, Packet, packet, property};
use windrose_e2e::wait::SOON;

#[test]
fn no_more_is_sent_than_the_client_takes_at_once() {
    let node = node();
    let topic = name();
    let options = Options { receive_maximum: Some(2), ..Options::v5(&name()) };
    let mut listener = Client::connect(node.mqtt(), &options);
    listener.subscribe(&topic, 2);
    let mut publisher = client(&node);
    for number in 0..5 {
        publisher.publish(&topic, number.to_string(), 1 + number % 2);
    }
    let (first, ..) = unanswered(&mut listener);
    let (second, ..) = unanswered(&mut listener);
    assert_eq!(listener.next(Duration::from_millis(300)), Err(End::Timeout), "two are in flight");
    listener.send(&answer(4, first));
    let (third, ..) = unanswered(&mut listener);
    // The second is of QoS 2: PUBREC alone makes no room.
    listener.send(&answer(5, second));
    listener.answer(6, second, SOON);
    assert_eq!(listener.next(Duration::from_millis(300)), Err(End::Timeout), "until PUBCOMP");
    listener.send(&answer(7, second));
    let (fourth, ..) = unanswered(&mut listener);
    // A PUBREC that refuses does make room.
    listener.send(&packet(0x50, &[&fourth.to_be_bytes()[..], &[0x80]].concat()));
    let (fifth, ..) = unanswered(&mut listener);
    for id in [third, fifth] {
        listener.send(&answer(4, id));
    }
    assert!(listener.ping().is_ok());
}

#[test]
fn other_packets_are_not_held_back() {
    let node = node();
    let topic = name();
    let options = Options { receive_maximum: Some(1), ..Options::v5(&name()) };
    let mut listener = Client::connect(node.mqtt(), &options);
    listener.subscribe(&topic, 1);
    let mut publisher = client(&node);
    publisher.publish(&topic, "1", 1);
    publisher.publish(&topic, "2", 1);
    unanswered(&mut listener);
    assert!(listener.ping().is_ok());
    assert_eq!(listener.subscribe(&name(), 1), 1);
    assert_eq!(listener.unsubscribe("nothing"), Some(0x11));
    assert_eq!(listener.publish(&name(), "x", 1), 0x10);
}

#[test]
fn a_packet_larger_than_the_client_takes_is_not_sent() {
    let node = node();
    let topic = name();
    for qos in 0..=2 {
        let options = Options { maximum_packet: Some(100), ..Options::v5(&name()) };
        let mut listener = Client::connect(node.mqtt(), &options);
        listener.subscribe(&topic, qos);
        let mut publisher = client(&node);
        assert!(publisher.publish(&topic, "x".repeat(200), qos) < 0x80, "the sender is not to blame");
        publisher.publish(&topic, "small", qos);
        assert_eq!(next(&mut listener).payload, "small", "as if it had been delivered");
        assert_quiet(&mut listener, "nothing else");
    }
}

#[test]
fn a_packet_as_large_as_the_client_takes_is_sent() {
    let node = node();
    let topic = name();
    let most = 100;
    let options = Options { maximum_packet: Some(most), ..Options::v5(&name()) };
    let mut listener = Client::connect(node.mqtt(), &options);
    listener.subscribe(&topic, 0);
    // Fixed header, topic, length of the properties.
    let room = most as usize - 2 - 2 - topic.len() - 1;
    let mut publisher = client(&node);
    publisher.publish(&topic, "x".repeat(room + 1), 0);
    publisher.publish(&topic, "y".repeat(room), 0);
    assert_eq!(next(&mut listener).payload, "y".repeat(room));
}

#[test]
fn others_get_what_one_client_cannot_take() {
    let node = node();
    let topic = name();
    let options = Options { maximum_packet: Some(50), ..Options::v5(&name()) };
    let mut small = Client::connect(node.mqtt(), &options);
    small.subscribe(&topic, 1);
    let mut large = crate::support::subscriber(&node, &topic, 1);
    client(&node).publish(&topic, "x".repeat(200), 1);
    assert_eq!(next(&mut large).payload.len(), 200);
    assert_quiet(&mut small, "too large for it");
}

#[test]
fn reasons_are_left_out_where_nobody_wants_them() {
    let node = node();
    let options = Options::v5(&name()).property(property::byte(property::REQUEST_PROBLEM_INFORMATION, 0));
    let mut client = Client::connect(node.mqtt(), &options);
    let silent = |properties: &windrose_e2e::mqtt::Properties| {
        !properties.has(property::REASON_STRING) && !properties.has(property::USER_PROPERTY)
    };
    client.send(&publish(2, "$SYS/forbidden", Some(1), &[], b"x"));
    let (code, properties) = client.answer(4, 1, SOON);
    assert!(code >= 0x80 && silent(&properties), "{code:#x} {properties:?}");
    client.send(&publish(4, "$SYS/forbidden", Some(2), &[], b"x"));
    let (code, properties) = client.answer(5, 2, SOON);
    assert!(code >= 0x80 && silent(&properties), "{code:#x} {properties:?}");
    client.send(&answer(6, 99));
    assert!(silent(&client.answer(7, 99, SOON).1));
    assert!(silent(&client.subscribe_all(&[("a/#/b", 0)], &[]).1));
    assert!(silent(&client.unsubscribe_all(&["a/#/b"], &[]).1));
    // A message keeps its own.
    let topic = name();
    client.subscribe(&topic, 0);
    client.send(&publish(0, &topic, None, &property::user("a", "b"), b"x"));
    match client.delivery(SOON) {
        Ok(Packet::Publish { properties, .. }) => assert!(properties.has(property::USER_PROPERTY)),
        other => panic!("no message: {other:?}"),
    }
}

#[test]
fn acknowledgements_fit_the_client() {
    let node = node();
    let options = Options { maximum_packet: Some(16), ..Options::v5(&name()) };
    let mut client = match Client::try_connect(node.mqtt(), &options) {
        Ok((client, _, 0, _)) => client,
        // A server whose CONNACK does not fit may hang up.
        Err(End::Closed) => return,
        other => panic!("{other:?}"),
    };
    for (flags, kind) in [(2, 4), (4, 5)] {
        client.send(&publish(flags, "$SYS/forbidden", Some(1), &[], b"x"));
        let (code, properties) = client.answer(kind, 1, SOON);
        assert!(code >= 0x80);
        assert!(properties.text(property::REASON_STRING).is_none_or(|text| text.len() <= 7));
    }
}
