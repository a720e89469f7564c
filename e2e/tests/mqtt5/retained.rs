//! §3.3.1.3, §3.8.3.1: retained messages and Retain Handling.

use crate::support::{assert_quiet, client, name, next, node, publish, subscriber, wait_retained};
use windrose_e2e::Node;
use windrose_e2e::mqtt::{Client, Options};
use windrose_e2e::wait::SOON;

const AS_PUBLISHED: u8 = 1 << 3;
const IF_NEW: u8 = 1 << 4;
const NEVER: u8 = 2 << 4;

/// Retains a message and waits until new subscribers get it.
fn retain(node: &Node, topic: &str, payload: &str) {
    client(node).retain(topic, payload);
    wait_retained(node, topic, !payload.is_empty());
}

#[test]
fn it_is_stored_and_sent_to_new_subscribers() {
    let node = node();
    let topic = name();
    retain(&node, &topic, "last");
    let message = next(&mut subscriber(&node, &topic, 1));
    assert_eq!((message.payload.as_str(), message.retain, message.qos), ("last", true, 1));
}

#[test]
fn every_matching_topic_has_its_own() {
    let node = node();
    let topic = name();
    for level in ["a", "b", "c"] {
        retain(&node, &format!("{topic}/{level}"), level);
    }
    let mut late = subscriber(&node, &format!("{topic}/+"), 1);
    let mut got: Vec<_> = (0..3).map(|_| next(&mut late).payload).collect();
    got.sort();
    assert_eq!(got, ["a", "b", "c"]);
    assert_quiet(&mut late, "each once");
}

#[test]
fn the_last_one_replaces_the_one_before() {
    let node = node();
    let topic = name();
    let mut publisher = client(&node);
    for (payload, qos) in [("first", 2), ("second", 0), ("third", 1)] {
        publisher.publish_with(&topic, payload, qos, true, &[]);
    }
    windrose_e2e::wait_until("the third one", || next(&mut subscriber(&node, &topic, 1)).payload == "third");
    let mut late = subscriber(&node, &topic, 1);
    next(&mut late);
    assert_quiet(&mut late, "one only");
}

#[test]
fn an_empty_one_removes_it_and_is_not_stored() {
    let node = node();
    let topic = name();
    retain(&node, &topic, "last");
    let mut listener = subscriber(&node, &topic, 1 | NEVER);
    retain(&node, &topic, "");
    let message = next(&mut listener);
    assert_eq!((message.payload.as_str(), message.retain), ("", false), "it is a message all the same");
    assert_quiet(&mut subscriber(&node, &topic, 1), "nothing is retained");
}

#[test]
fn a_message_that_is_not_retained_leaves_it_alone() {
    let node = node();
    let topic = name();
    retain(&node, &topic, "last");
    let mut publisher = client(&node);
    publisher.publish(&topic, "passing", 1);
    publisher.publish(&topic, "", 1);
    assert_eq!(next(&mut subscriber(&node, &topic, 1)).payload, "last");
}

#[test]
fn a_live_message_has_no_retain_flag() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 1);
    client(&node).retain(&topic, "x");
    assert!(!next(&mut listener).retain);
}

#[test]
fn a_live_message_has_its_retain_flag_as_published() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 1 | AS_PUBLISHED);
    let mut publisher = client(&node);
    publisher.retain(&topic, "kept");
    publisher.publish(&topic, "passing", 1);
    let (kept, passing) = (next(&mut listener), next(&mut listener));
    assert_eq!((kept.payload.as_str(), kept.retain), ("kept", true));
    assert_eq!((passing.payload.as_str(), passing.retain), ("passing", false));
}

#[test]
fn one_that_is_sent_for_a_subscription_has_the_flag_always() {
    let node = node();
    let topic = name();
    retain(&node, &topic, "x");
    for options in [0, 1, 2, AS_PUBLISHED] {
        assert!(next(&mut subscriber(&node, &topic, options)).retain, "{options:#x}");
    }
}

#[test]
fn handling_0_sends_them_at_every_subscription() {
    let node = node();
    let topic = name();
    retain(&node, &topic, "x");
    let mut listener = subscriber(&node, &topic, 1);
    assert_eq!(next(&mut listener).payload, "x");
    listener.subscribe(&topic, 1);
    assert_eq!(next(&mut listener).payload, "x", "again");
}

#[test]
fn handling_1_sends_them_if_the_subscription_is_new() {
    let node = node();
    let topic = name();
    retain(&node, &topic, "x");
    let mut listener = subscriber(&node, &topic, 1 | IF_NEW);
    assert_eq!(next(&mut listener).payload, "x");
    listener.subscribe(&topic, 1 | IF_NEW);
    assert_quiet(&mut listener, "it existed");
    listener.unsubscribe(&topic);
    listener.subscribe(&topic, 1 | IF_NEW);
    assert_eq!(next(&mut listener).payload, "x", "it is new again");
}

#[test]
fn handling_1_knows_the_subscriptions_of_a_resumed_session() {
    let node = node();
    let topic = name();
    retain(&node, &topic, "x");
    let options = Options::v5(&name()).persistent();
    let mut listener = Client::connect(node.mqtt(), &options);
    listener.subscribe(&topic, 1 | IF_NEW);
    next(&mut listener);
    listener.disconnect();
    let mut listener = Client::connect(node.mqtt(), &options);
    listener.subscribe(&topic, 1 | IF_NEW);
    assert_quiet(&mut listener, "the session had it");
}

#[test]
fn handling_2_sends_none() {
    let node = node();
    let topic = name();
    retain(&node, &topic, "x");
    assert_quiet(&mut subscriber(&node, &topic, 1 | NEVER), "none was asked for");
}

#[test]
fn they_are_sent_at_the_qos_that_was_granted() {
    let node = node();
    for published in 0..=2 {
        let topic = name();
        client(&node).publish_with(&topic, "x", published, true, &[]);
        wait_retained(&node, &topic, true);
        for granted in 0..=2 {
            let message = next(&mut subscriber(&node, &topic, granted));
            assert_eq!(message.qos, published.min(granted), "{published} {granted}");
        }
    }
}

#[test]
fn they_outlive_their_publishers_session() {
    let node = node();
    let topic = name();
    let mut publisher = Client::connect(node.mqtt(), &Options::v5(&name()));
    publisher.retain(&topic, "x");
    publisher.disconnect();
    wait_retained(&node, &topic, true);
    assert_eq!(next(&mut subscriber(&node, &topic, 1)).payload, "x");
}

#[test]
fn they_are_not_for_those_who_may_not_see_dollars() {
    let node = node();
    let mut listener = subscriber(&node, "#", NEVER);
    listener.send(&publish(2, "$SYS/mine", Some(1), &[], b"x"));
    assert!(listener.answer(4, 1, SOON).0 >= 0x80, "$SYS is the server's");
}

#[test]
fn publications_are_not_lost_while_a_subscription_is_replaced() {
    let node = node();
    let topic = name();
    retain(&node, &topic, "retained");
    let mut listener = subscriber(&node, &topic, 1);
    assert_eq!(next(&mut listener).payload, "retained");
    let mut publisher = client(&node);
    for number in 0..50 {
        publisher.publish_only(&topic, number.to_string(), 1);
        listener.subscribe(&topic, 1 + u8::from(number % 2 == 0));
    }
    let mut expected = 0;
    while expected < 50 {
        let message = next(&mut listener);
        if message.payload != "retained" {
            assert_eq!(message.payload, expected.to_string(), "in order, and none is lost");
            expected += 1;
        }
    }
}
