//! §4.3 to §4.6: qualities of service, what is sent again, order.

use crate::support::{answer, assert_quiet, client, name, next, node, publish, subscriber, unanswered};
use std::time::Duration;
use windrose_e2e::mqtt::{Client, End, Options, Packet};
use windrose_e2e::wait::SOON;

#[test]
fn each_qos_takes_its_steps_with_the_publisher() {
    let node = node();
    let topic = name();
    let mut client = client(&node);
    client.send(&publish(0, &topic, None, b"0"));
    client.send(&publish(2, &topic, Some(1), b"1"));
    client.answer(4, 1, SOON);
    client.send(&publish(4, &topic, Some(2), b"2"));
    client.answer(5, 2, SOON);
    client.send(&answer(6, 2));
    client.answer(7, 2, SOON);
    assert_eq!(client.next(Duration::from_millis(200)), Err(End::Timeout), "and no more");
}

#[test]
fn each_qos_takes_its_steps_with_the_subscriber() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 2);
    client(&node).publish(&topic, "0", 0);
    assert_eq!(unanswered(&mut listener).0, 0);
    client(&node).publish(&topic, "2", 2);
    let (id, again, _) = unanswered(&mut listener);
    assert!(id > 0 && !again);
    listener.send(&answer(5, id));
    listener.answer(6, id, SOON);
    listener.send(&answer(7, id));
    assert!(listener.ping().is_ok());
}

#[test]
fn a_qos_2_message_sent_again_is_delivered_once() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 2);
    let mut publisher = client(&node);
    for flags in [4, 12, 12] {
        publisher.send(&publish(flags, &topic, Some(1), b"once"));
        publisher.answer(5, 1, SOON);
    }
    publisher.send(&answer(6, 1));
    publisher.answer(7, 1, SOON);
    publisher.send(&publish(4, &topic, Some(1), b"next"));
    publisher.answer(5, 1, SOON);
    assert_eq!(next(&mut listener).1, "once");
    assert_eq!(next(&mut listener).1, "next", "the identifier is free after PUBCOMP");
}

#[test]
fn a_qos_1_identifier_is_free_after_puback() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 1);
    let mut publisher = client(&node);
    for flags in [2, 10] {
        publisher.send(&publish(flags, &topic, Some(1), b"x"));
        publisher.answer(4, 1, SOON);
        assert_eq!(next(&mut listener).1, "x");
    }
}

#[test]
fn what_is_unacknowledged_is_sent_again_in_order_with_dup() {
    let node = node();
    let topic = name();
    let options = Options::v3(&name()).persistent();
    let mut listener = Client::connect(node.mqtt(), &options);
    listener.subscribe(&topic, 2);
    let mut publisher = client(&node);
    for (payload, qos) in [("1", 1), ("2", 2), ("3", 1)] {
        publisher.publish(&topic, payload, qos);
    }
    let before: Vec<_> = (0..3).map(|_| unanswered(&mut listener)).collect();
    drop(listener);
    let (mut listener, present) = Client::resume(node.mqtt(), &options);
    assert!(present);
    for (id, _, payload) in before {
        assert_eq!(unanswered(&mut listener), (id, true, payload));
    }
}

#[test]
fn pubrel_is_sent_again_instead_of_the_message() {
    let node = node();
    let topic = name();
    let options = Options::v3(&name()).persistent();
    let mut listener = Client::connect(node.mqtt(), &options);
    listener.subscribe(&topic, 2);
    client(&node).publish(&topic, "x", 2);
    let (id, ..) = unanswered(&mut listener);
    listener.send(&answer(5, id));
    listener.answer(6, id, SOON);
    drop(listener);
    let mut listener = Client::connect(node.mqtt(), &options);
    assert!(matches!(listener.next(SOON), Ok(Packet::Answer { kind: 6, id: again, .. }) if again == id));
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
            assert_eq!(next(&mut listener).1, number.to_string());
        }
    }
}

#[test]
fn a_clean_session_gets_nothing_again() {
    let node = node();
    let topic = name();
    let options = Options::v3(&name());
    let mut listener = Client::connect(node.mqtt(), &options);
    listener.subscribe(&topic, 1);
    client(&node).publish(&topic, "x", 1);
    unanswered(&mut listener);
    drop(listener);
    let mut listener = Client::connect(node.mqtt(), &options);
    assert_quiet(&mut listener, "a new session");
}
