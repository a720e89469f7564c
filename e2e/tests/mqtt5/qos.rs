//! §4.3, §4.4: the three qualities of service, each way, and what is sent again.

use crate::support::{
    answer, assert_quiet, client, connack, name, next, node, publish, subscriber, unanswered,
};
use std::time::Duration;
use windrose_e2e::mqtt::{Client, End, Options, Packet, packet, property};
use windrose_e2e::wait::SOON;

#[test]
fn qos_0_is_delivered_with_qos_0_and_without_dup() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 2);
    client(&node).publish(&topic, "x", 0);
    let message = next(&mut listener);
    assert_eq!((message.qos, message.again, message.id), (0, false, 0));
}

#[test]
fn qos_1_and_2_are_delivered_with_an_identifier_and_without_dup() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 2);
    for qos in [1, 2] {
        client(&node).publish(&topic, "x", qos);
        let message = next(&mut listener);
        assert_eq!((message.qos, message.again), (qos, false));
        assert_ne!(message.id, 0);
    }
}

#[test]
fn identifiers_in_flight_are_different() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 1);
    let mut publisher = client(&node);
    for _ in 0..30 {
        publisher.publish(&topic, "x", 1);
    }
    let ids: std::collections::BTreeSet<u16> = (0..30).map(|_| unanswered(&mut listener).0).collect();
    assert_eq!(ids.len(), 30);
    assert!(!ids.contains(&0));
}

#[test]
fn a_qos_1_identifier_is_free_after_puback() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 1);
    let mut publisher = client(&node);
    for (turn, flags) in [("1", 2), ("2", 2), ("3", 10)] {
        publisher.send(&publish(flags, &topic, Some(5), &[], turn.as_bytes()));
        publisher.answer(4, 5, SOON);
        assert_eq!(listener.message().1, turn, "a new publication, whatever DUP says");
    }
}

#[test]
fn a_qos_2_message_sent_again_is_delivered_once() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 2);
    let mut publisher = client(&node);
    for flags in [4, 12, 12, 12] {
        publisher.send(&publish(flags, &topic, Some(6), &[], b"once"));
        assert!(publisher.answer(5, 6, SOON).0 < 0x80, "each is answered");
    }
    publisher.send(&answer(6, 6));
    publisher.answer(7, 6, SOON);
    assert_eq!(listener.message().1, "once");
    assert_quiet(&mut listener, "once");
}

#[test]
fn a_qos_2_identifier_is_free_after_pubcomp() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 2);
    let mut publisher = client(&node);
    for turn in ["1", "2"] {
        publisher.send(&publish(4, &topic, Some(6), &[], turn.as_bytes()));
        publisher.answer(5, 6, SOON);
        publisher.send(&answer(6, 6));
        publisher.answer(7, 6, SOON);
        assert_eq!(listener.message().1, turn);
    }
}

#[test]
fn pubrel_is_answered_even_when_nothing_is_known_of_it() {
    let node = node();
    let mut client = client(&node);
    client.send(&answer(6, 4711));
    let code = client.answer(7, 4711, SOON).0;
    assert!(matches!(code, 0 | 0x92), "{code:#x}");
    assert!(client.ping().is_ok());
}

#[test]
fn the_server_sends_pubrel_after_pubrec() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 2);
    client(&node).publish(&topic, "x", 2);
    let (id, ..) = unanswered(&mut listener);
    assert_eq!(listener.next(Duration::from_millis(200)), Err(End::Timeout), "not before");
    listener.send(&answer(5, id));
    listener.answer(6, id, SOON);
    listener.send(&answer(7, id));
    assert!(listener.ping().is_ok());
}

#[test]
fn a_pubrec_that_refuses_ends_the_exchange() {
    let node = node();
    let topic = name();
    let options = Options::v5(&name()).persistent();
    let mut listener = Client::connect(node.mqtt(), &options);
    listener.subscribe(&topic, 2);
    client(&node).publish(&topic, "x", 2);
    let (id, ..) = unanswered(&mut listener);
    listener.send(&packet(0x50, &[&id.to_be_bytes()[..], &[0x80]].concat()));
    assert_eq!(listener.next(Duration::from_millis(300)), Err(End::Timeout), "no PUBREL");
    listener.disconnect();
    let mut listener = Client::connect(node.mqtt(), &options);
    assert_quiet(&mut listener, "it counts as acknowledged");
}

#[test]
fn a_puback_that_refuses_is_an_acknowledgement() {
    let node = node();
    let topic = name();
    let options = Options::v5(&name()).persistent();
    let mut listener = Client::connect(node.mqtt(), &options);
    listener.subscribe(&topic, 1);
    client(&node).publish(&topic, "x", 1);
    let (id, ..) = unanswered(&mut listener);
    listener.send(&packet(0x40, &[&id.to_be_bytes()[..], &[0x97]].concat()));
    listener.disconnect();
    assert_quiet(&mut Client::connect(node.mqtt(), &options), "it is not sent again");
}

#[test]
fn nothing_is_sent_again_on_the_same_connection() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 2);
    client(&node).publish(&topic, "1", 1);
    client(&node).publish(&topic, "2", 2);
    unanswered(&mut listener);
    unanswered(&mut listener);
    assert_eq!(listener.next(Duration::from_secs(3)), Err(End::Timeout));
}

#[test]
fn what_is_unacknowledged_is_sent_again_with_dup_and_its_identifier() {
    let node = node();
    let topic = name();
    let options = Options::v5(&name()).persistent();
    let mut listener = Client::connect(node.mqtt(), &options);
    listener.subscribe(&topic, 2);
    let mut publisher = client(&node);
    for (payload, qos) in [("1", 1), ("2", 2), ("3", 1)] {
        publisher.publish(&topic, payload, qos);
    }
    let before: Vec<_> = (0..3).map(|_| unanswered(&mut listener)).collect();
    assert!(before.iter().all(|(_, again, _)| !again));
    drop(listener);
    let (mut listener, present, _) = connack(&node, &options);
    assert!(present);
    for (id, _, payload) in before {
        assert_eq!(unanswered(&mut listener), (id, true, payload), "in order");
    }
}

#[test]
fn pubrel_is_sent_again_and_the_message_is_not() {
    let node = node();
    let topic = name();
    let options = Options::v5(&name()).persistent();
    let mut listener = Client::connect(node.mqtt(), &options);
    listener.subscribe(&topic, 2);
    client(&node).publish(&topic, "x", 2);
    let (id, ..) = unanswered(&mut listener);
    listener.send(&answer(5, id));
    listener.answer(6, id, SOON);
    drop(listener);
    let (mut listener, ..) = connack(&node, &options);
    match listener.next(SOON) {
        Ok(Packet::Answer { kind: 6, id: again, .. }) => assert_eq!(again, id),
        other => panic!("no PUBREL: {other:?}"),
    }
    listener.send(&answer(7, id));
    assert_quiet(&mut listener, "it is complete");
}

#[test]
fn the_exchange_goes_on_although_the_message_expired() {
    let node = node();
    let topic = name();
    let options = Options::v5(&name()).persistent();
    let mut listener = Client::connect(node.mqtt(), &options);
    listener.subscribe(&topic, 2);
    let mut publisher = client(&node);
    publisher.send(&publish(4, &topic, Some(1), &property::four(property::MESSAGE_EXPIRY, 1), b"x"));
    publisher.answer(5, 1, SOON);
    let (id, ..) = unanswered(&mut listener);
    drop(listener);
    std::thread::sleep(Duration::from_millis(1_500));
    let (mut listener, ..) = connack(&node, &options);
    assert_eq!(unanswered(&mut listener).0, id, "sent once, it is sent to the end");
    listener.send(&answer(5, id));
    listener.answer(6, id, SOON);
    publisher.send(&answer(6, 1));
    publisher.answer(7, 1, SOON);
}

#[test]
fn a_qos_2_exchange_outlives_the_publishers_connection() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 2);
    let options = Options::v5(&name()).persistent();
    let mut publisher = Client::connect(node.mqtt(), &options);
    publisher.send(&publish(4, &topic, Some(3), &[], b"once"));
    publisher.answer(5, 3, SOON);
    drop(publisher);
    let (mut publisher, ..) = connack(&node, &options);
    publisher.send(&publish(12, &topic, Some(3), &[], b"once"));
    publisher.answer(5, 3, SOON);
    publisher.send(&answer(6, 3));
    assert_eq!(publisher.answer(7, 3, SOON).0, 0);
    assert_eq!(listener.message().1, "once");
    assert_quiet(&mut listener, "once");
}

#[test]
fn a_new_session_knows_of_no_exchange() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 2);
    let options = Options::v5(&name());
    for turn in ["1", "2"] {
        let mut publisher = Client::connect(node.mqtt(), &options);
        publisher.send(&publish(4, &topic, Some(3), &[], turn.as_bytes()));
        publisher.answer(5, 3, SOON);
        assert_eq!(listener.message().1, turn);
    }
}

#[test]
fn messages_of_one_sender_stay_in_order() {
    let node = node();
    let topic = name();
    for qos in 0..=2 {
        let mut listener = subscriber(&node, &topic, qos);
        let mut publisher = client(&node);
        for number in 0..20 {
            publisher.publish(&topic, number.to_string(), qos);
        }
        for number in 0..20 {
            assert_eq!(listener.message().1, number.to_string(), "QoS {qos}");
        }
    }
}
