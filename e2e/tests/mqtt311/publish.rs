//! §3.3: PUBLISH, its flags and retained messages; §4.7: topics.

use crate::support::{
    assert_broken, assert_quiet, client, name, next, node, publish, subscriber, wait_retained,
};
use windrose_e2e::documents::open;
use windrose_e2e::mqtt::{Client, Options};
use windrose_e2e::wait::SOON;

#[test]
fn flags_that_cannot_be_end_the_connection() {
    let node = node();
    for flags in [6, 7, 14, 8] {
        assert_broken(&node, &publish(flags, "a", Some(1), b"x"));
    }
}

#[test]
fn dup_is_not_passed_on() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 2);
    let mut publisher = client(&node);
    for flags in [0x0a, 0x0c] {
        publisher.send(&publish(flags, &topic, Some(flags.into()), b"x"));
        assert!(!next(&mut listener).4);
    }
}

#[test]
fn topic_names_have_a_character_and_no_wildcard() {
    let node = node();
    for topic in ["", "#", "+", "a/#", "a/+/b"] {
        assert_broken(&node, &publish(0, topic, None, b"x"));
    }
}

#[test]
fn a_retained_message_is_stored_replaced_and_removed() {
    let node = node();
    let topic = name();
    let mut publisher = client(&node);
    publisher.retain(&topic, "first");
    publisher.retain(&topic, "second");
    wait_retained(&node, &topic, true);
    let mut late = subscriber(&node, &topic, 1);
    assert_eq!(next(&mut late), (topic.clone(), "second".into(), 1, true, false));
    assert_quiet(&mut late, "one only");
    publisher.publish(&topic, "passing", 1);
    assert_eq!(next(&mut late), (topic.clone(), "passing".into(), 1, false, false), "live, without the flag");
    assert_eq!(next(&mut subscriber(&node, &topic, 1)).1, "second", "and the retained one stays");
    publisher.retain(&topic, "");
    assert_eq!(next(&mut late), (topic.clone(), String::new(), 1, false, false), "live as any other");
    wait_retained(&node, &topic, false);
}

#[test]
fn a_retained_message_of_qos_0_replaces_the_one_before() {
    let node = node();
    let topic = name();
    let mut publisher = client(&node);
    publisher.retain(&topic, "first");
    publisher.publish_with(&topic, "second", 0, true, &[]);
    publisher.ping().expect("the connection is open");
    windrose_e2e::wait_until("the second one", || next(&mut subscriber(&node, &topic, 1)).1 == "second");
}

#[test]
fn retained_messages_come_with_every_subscription() {
    let node = node();
    let topic = name();
    client(&node).retain(&topic, "x");
    wait_retained(&node, &topic, true);
    let mut listener = subscriber(&node, &topic, 1);
    assert!(next(&mut listener).3);
    listener.subscribe(&topic, 1);
    assert!(next(&mut listener).3, "again, as the subscription is replaced");
}

#[test]
fn retained_messages_outlive_their_session() {
    let node = node();
    let topic = name();
    let mut publisher = client(&node);
    publisher.retain(&topic, "x");
    publisher.disconnect();
    wait_retained(&node, &topic, true);
    assert_eq!(next(&mut subscriber(&node, &topic, 0)).1, "x");
}

#[test]
fn overlapping_subscriptions_respect_the_highest_qos() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &format!("{topic}/#"), 0);
    listener.subscribe(&format!("{topic}/a"), 2);
    client(&node).publish(&format!("{topic}/a"), "x", 2);
    let mut best = next(&mut listener).2;
    while let Ok(windrose_e2e::mqtt::Packet::Publish { qos, .. }) = listener.delivery(crate::support::QUIET) {
        best = best.max(qos);
    }
    assert_eq!(best, 2);
}

#[test]
fn what_may_not_be_published_is_acknowledged_and_dropped_or_ends_the_connection() {
    let rules = "{who: anonymous, may: [publish, subscribe, read, request], on: \"#\"}";
    let node =
        windrose_e2e::Node::start(&open("").replace(rules, "{who: anonymous, may: [subscribe], on: \"#\"}"));
    let mut listener = subscriber(&node, "#", 1);
    for qos in 0..=2 {
        let mut client = client(&node);
        client.send(&publish(qos << 1, "forbidden", (qos > 0).then_some(1), b"x"));
        let _ = client.next(crate::support::QUIET);
    }
    assert_quiet(&mut listener, "nobody gets it");
}

#[test]
fn wildcards_do_not_match_dollars() {
    let node = node();
    let mut listener = subscriber(&node, "+/monitor/#", 0);
    let mut publisher = Client::connect(node.mqtt(), &Options::v3(&name()));
    publisher.send(&publish(0, "$SYS/monitor/x", None, b"x"));
    publisher.send(&publish(0, "$mine/monitor/x", None, b"x"));
    assert_quiet(&mut listener, "they begin with a dollar");
}

#[test]
fn names_are_not_normalised() {
    let node = node();
    let own = name();
    for (one, other) in [("a", "A"), ("a", "a/"), ("a/b", "a//b"), ("\u{e9}", "e\u{301}"), ("a", "a ")] {
        let mut listener = subscriber(&node, &format!("{own}/{one}"), 1);
        let mut publisher = client(&node);
        publisher.publish(&format!("{own}/{other}"), "other", 1);
        publisher.publish(&format!("{own}/{one}"), "one", 1);
        assert_eq!(next(&mut listener).1, "one", "{other}");
    }
}

#[test]
fn a_name_may_have_65535_bytes() {
    let node = node();
    let topic = format!("{}/{}", name(), "x".repeat(65_535));
    let topic = &topic[..65_535];
    let mut listener = subscriber(&node, topic, 0);
    client(&node).publish(topic, "long", 0);
    assert_eq!(listener.delivery(SOON).map(|_| ()), Ok(()));
}
