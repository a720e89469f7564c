//! §3.8 to §3.11: SUBSCRIBE, UNSUBSCRIBE and their answers.

use crate::support::{
    answer, assert_broken, assert_quiet, client, name, next, node, packet, subscriber, unanswered,
};
use windrose_e2e::mqtt::string;
use windrose_e2e::wait::SOON;

fn subscribe(filters: &[u8]) -> Vec<u8> {
    packet(0x82, &[&[0, 1], filters].concat())
}

#[test]
fn payloads_have_filters_and_no_reserved_bits() {
    let node = node();
    assert_broken(&node, &subscribe(&[]));
    assert_broken(&node, &packet(0xa2, &[0, 1]));
    for options in [0x03, 0x04, 0x08, 0x10, 0x80] {
        assert_broken(&node, &subscribe(&[string("a"), vec![options]].concat()));
    }
}

#[test]
fn each_filter_has_its_code_in_order() {
    let node = node();
    let topic = name();
    let mut client = client(&node);
    // One of them has more levels than the policy allows.
    let deep = format!("{topic}{}", "/x".repeat(200));
    let filters = [format!("{topic}/0"), deep, format!("{topic}/2"), format!("{topic}/1")];
    let asked = [(filters[0].as_str(), 0), (&filters[1], 1), (&filters[2], 2), (&filters[3], 1)];
    assert_eq!(client.subscribe_all(&asked, &[]).0, [0, 0x80, 2, 1]);
}

#[test]
fn filters_that_are_none_are_refused() {
    let node = node();
    for filter in ["a#", "#/a", "a/#/b", "a+", "+a", "a/+b", ""] {
        assert_broken(&node, &subscribe(&[string(filter), vec![0]].concat()));
    }
    let mut client = client(&node);
    for filter in ["#", "+", "a/+/#", "/+", "/"] {
        assert_eq!(client.subscribe(filter, 0), 0, "{filter}");
    }
}

#[test]
fn wildcards_match_as_they_should() {
    let node = node();
    let own = name();
    for (filter, topics) in
        [("~/#", vec!["~", "~/a", "~/a/b"]), ("~/+", vec!["~/", "~/a"]), ("~/+/c", vec!["~//c", "~/b/c"])]
    {
        let mut listener = subscriber(&node, &filter.replace('~', &own), 1);
        let mut publisher = client(&node);
        for topic in ["~", "~/", "~/a", "~/a/b", "~/b/c", "~//c", "~x"] {
            publisher.publish(&topic.replace('~', &own), topic, 1);
        }
        let mut got = Vec::new();
        while let Ok(packet) = listener.delivery(crate::support::QUIET) {
            let windrose_e2e::mqtt::Packet::Publish { payload, .. } = packet else { continue };
            got.push(String::from_utf8_lossy(&payload).into_owned());
        }
        for topic in topics {
            assert!(got.iter().any(|got| got == topic), "{filter} matches {topic}: {got:?}");
        }
        assert!(!got.iter().any(|got| got == "~x"), "{filter}");
    }
}

#[test]
fn the_same_filter_replaces_the_subscription() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 2);
    listener.subscribe(&topic, 0);
    client(&node).publish(&topic, "x", 2);
    assert_eq!(next(&mut listener).2, 0);
    assert_quiet(&mut listener, "one subscription, one copy");
}

#[test]
fn a_message_has_at_most_the_qos_that_was_granted() {
    let node = node();
    for granted in 0..=2 {
        let topic = name();
        let mut listener = subscriber(&node, &topic, granted);
        for published in 0..=2 {
            client(&node).publish(&topic, "x", published);
            assert_eq!(next(&mut listener).2, published.min(granted));
        }
    }
}

#[test]
fn unsubscribing_is_answered_and_ends_deliveries() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &format!("{topic}/+"), 1);
    listener.subscribe(&topic, 1);
    // Compared character by character: none of these is subscribed.
    listener.unsubscribe_all(&[&format!("{topic}/#"), &format!("{topic}/a")], &[]);
    listener.unsubscribe(&topic);
    let mut publisher = client(&node);
    publisher.publish(&topic, "gone", 1);
    publisher.publish(&format!("{topic}/a"), "here", 1);
    assert_eq!(next(&mut listener).1, "here");
    listener.unsubscribe_all(&[&format!("{topic}/+"), "nothing"], &[]);
    publisher.publish(&format!("{topic}/a"), "gone", 1);
    assert_quiet(&mut listener, "nothing is subscribed");
}

#[test]
fn what_is_in_flight_is_completed_after_unsubscribing() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 2);
    client(&node).publish(&topic, "x", 2);
    let (id, ..) = unanswered(&mut listener);
    listener.unsubscribe(&topic);
    listener.send(&answer(5, id));
    listener.answer(6, id, SOON);
    listener.send(&answer(7, id));
    assert!(listener.ping().is_ok());
}
