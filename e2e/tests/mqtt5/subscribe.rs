//! §3.8, §3.9: SUBSCRIBE and SUBACK.

use crate::support::{
    answer, assert_quiet, assert_wrong, broken, client, name, next, node, publish, subscriber, unanswered,
};
use windrose_e2e::mqtt::{Client, Options, packet, property, string};
use windrose_e2e::wait::SOON;

const NO_LOCAL: u8 = 1 << 2;

/// SUBSCRIBE of bytes.
fn subscribe(properties: &[u8], payload: &[u8]) -> Vec<u8> {
    packet(0x82, &[vec![0, 1], property::block(properties), payload.to_vec()].concat())
}

fn filter(text: &str, options: u8) -> Vec<u8> {
    [string(text), vec![options]].concat()
}

#[test]
fn each_filter_has_its_code_in_order() {
    let node = node();
    let topic = name();
    let mut client = client(&node);
    let filters = [
        (format!("{topic}/0"), 0),
        (format!("{topic}/#/wrong"), 1),
        (format!("{topic}/2"), 2),
        (format!("{topic}+"), 0),
        (format!("{topic}/1"), 1),
    ];
    let filters: Vec<(&str, u8)> =
        filters.iter().map(|(filter, options)| (filter.as_str(), *options)).collect();
    assert_eq!(client.subscribe_all(&filters, &[]).0, [0, 0x8f, 2, 0x8f, 1]);
    client.publish(&format!("{topic}/1"), "x", 1);
    assert_eq!(client.message().1, "x", "those that are good are granted");
}

#[test]
fn several_filters_are_several_subscriptions() {
    let node = node();
    let topic = name();
    let mut client = client(&node);
    let (one, two) = (format!("{topic}/1"), format!("{topic}/2"));
    assert_eq!(client.subscribe_all(&[(&one, 1), (&two, 0)], &[]).0, [1, 0]);
    client.publish(&one, "1", 1);
    client.publish(&two, "2", 1);
    assert_eq!([next(&mut client).qos, next(&mut client).qos], [1, 0]);
}

#[test]
fn without_filters_it_breaks_the_protocol() {
    assert_wrong(&node(), &subscribe(&[], &[]), "");
}

#[test]
fn reserved_options_are_zero() {
    let node = node();
    for options in [0x40, 0x80, 0xc0] {
        assert_wrong(&node, &subscribe(&[], &filter("a", options)), &format!("{options:#x}"));
    }
}

#[test]
fn qos_3_and_retain_handling_3_break_the_protocol() {
    let node = node();
    for options in [0x03, 0x30] {
        assert_wrong(&node, &subscribe(&[], &filter("a", options)), "");
    }
}

#[test]
fn no_local_keeps_ones_own_messages_away() {
    let node = node();
    let topic = name();
    let mut one = subscriber(&node, &topic, 1 | NO_LOCAL);
    let mut other = subscriber(&node, &topic, 1 | NO_LOCAL);
    one.publish(&topic, "one's", 1);
    assert_eq!(other.message().1, "one's");
    other.publish(&topic, "other's", 1);
    assert_eq!(one.message().1, "other's");
    assert_quiet(&mut one, "not its own");
}

#[test]
fn no_local_is_of_the_client_identifier() {
    let node = node();
    let topic = name();
    let options = Options::v5(&name()).persistent();
    let mut client = Client::connect(node.mqtt(), &options);
    client.subscribe(&topic, 1 | NO_LOCAL);
    client.disconnect();
    let mut client = Client::connect(node.mqtt(), &options);
    client.publish(&topic, "x", 1);
    assert_quiet(&mut client, "another connection of the same client");
}

#[test]
fn no_local_on_a_shared_subscription_breaks_the_protocol() {
    let node = node();
    assert_eq!(broken(&node, &subscribe(&[], &filter("$share/g/a", 1 | NO_LOCAL))), Some(0x82));
}

#[test]
fn the_same_filter_replaces_the_subscription() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 2);
    assert_eq!(listener.subscribe(&topic, 0), 0);
    client(&node).publish(&topic, "x", 2);
    assert_eq!(next(&mut listener).qos, 0, "the new one");
    assert_quiet(&mut listener, "and the old one is none any more");
}

#[test]
fn a_message_has_at_most_the_qos_that_was_granted() {
    let node = node();
    for granted in 0..=2 {
        let topic = name();
        let mut listener = subscriber(&node, &topic, granted);
        for published in 0..=2 {
            client(&node).publish(&topic, "x", published);
            assert_eq!(next(&mut listener).qos, published.min(granted));
        }
    }
}

#[test]
fn overlapping_subscriptions_respect_the_highest_qos() {
    let node = node();
    let topic = name();
    let mut listener = client(&node);
    for (filter, qos) in [(format!("{topic}/#"), 0), (format!("{topic}/+"), 2), (format!("{topic}/a"), 1)] {
        listener.subscribe(&filter, qos);
    }
    client(&node).publish(&format!("{topic}/a"), "x", 2);
    // One copy, or one for each of them (§3.3.4): the best of them has the highest QoS.
    let mut best = next(&mut listener).qos;
    while let Ok(windrose_e2e::mqtt::Packet::Publish { qos, .. }) = listener.delivery(crate::support::QUIET) {
        best = best.max(qos);
    }
    assert_eq!(best, 2);
}

#[test]
fn a_subscription_identifier_comes_with_its_messages() {
    let node = node();
    let topic = name();
    let mut listener = client(&node);
    for identifier in [1, 127, 128, 16_384, 268_435_455] {
        listener.subscribe_all(&[(&topic, 1)], &property::subscription(identifier));
        client(&node).publish(&topic, "x", 1);
        let numbers = next(&mut listener).properties.numbers(property::SUBSCRIPTION_IDENTIFIER);
        assert_eq!(numbers, [identifier as u32]);
    }
    listener.subscribe(&topic, 1);
    client(&node).publish(&topic, "x", 1);
    assert!(
        !next(&mut listener).properties.has(property::SUBSCRIPTION_IDENTIFIER),
        "replaced by one without"
    );
}

#[test]
fn all_identifiers_of_overlapping_subscriptions_come() {
    let node = node();
    let topic = name();
    let mut listener = client(&node);
    for (filter, identifier) in
        [(format!("{topic}/#"), 7), (format!("{topic}/+"), 8), (format!("{topic}/a"), 9)]
    {
        listener.subscribe_all(&[(&filter, 1)], &property::subscription(identifier));
    }
    client(&node).publish(&format!("{topic}/a"), "x", 1);
    // In one copy, or each in its own.
    let mut numbers = next(&mut listener).properties.numbers(property::SUBSCRIPTION_IDENTIFIER);
    while numbers.len() < 3 {
        numbers.extend(next(&mut listener).properties.numbers(property::SUBSCRIPTION_IDENTIFIER));
    }
    numbers.sort_unstable();
    assert_eq!(numbers, [7, 8, 9]);
    assert_quiet(&mut listener, "no more copies than subscriptions");
}

#[test]
fn one_identifier_may_be_of_several_subscriptions() {
    let node = node();
    let topic = name();
    let mut listener = client(&node);
    let filters = [format!("{topic}/#"), format!("{topic}/a")];
    listener.subscribe_all(&[(&filters[0], 1), (&filters[1], 1)], &property::subscription(5));
    client(&node).publish(&format!("{topic}/a"), "x", 1);
    let numbers = next(&mut listener).properties.numbers(property::SUBSCRIPTION_IDENTIFIER);
    assert!(!numbers.is_empty() && numbers.iter().all(|number| *number == 5), "{numbers:?}");
}

#[test]
fn identifiers_are_the_sessions() {
    let node = node();
    let topic = name();
    let options = Options::v5(&name()).persistent();
    let mut listener = Client::connect(node.mqtt(), &options);
    listener.subscribe_all(&[(&topic, 1)], &property::subscription(42));
    listener.disconnect();
    client(&node).publish(&topic, "x", 1);
    let mut listener = Client::connect(node.mqtt(), &options);
    let message = next(&mut listener);
    assert_eq!(message.properties.numbers(property::SUBSCRIPTION_IDENTIFIER), [42]);
}

#[test]
fn an_identifier_comes_with_retained_messages() {
    let node = node();
    let topic = name();
    client(&node).retain(&topic, "x");
    crate::support::wait_retained(&node, &topic, true);
    let mut listener = client(&node);
    listener.subscribe_all(&[(&topic, 1)], &property::subscription(3));
    assert_eq!(next(&mut listener).properties.numbers(property::SUBSCRIPTION_IDENTIFIER), [3]);
}

#[test]
fn an_identifier_is_not_zero_and_comes_once() {
    let node = node();
    assert_eq!(broken(&node, &subscribe(&property::subscription(0), &filter("a", 0))), Some(0x82));
    let twice = [property::subscription(1), property::subscription(2)].concat();
    assert_eq!(broken(&node, &subscribe(&twice, &filter("a", 0))), Some(0x82));
}

#[test]
fn user_properties_may_be_given() {
    let node = node();
    let said = [property::user("a", "b"), property::user("a", "b")].concat();
    let mut client = client(&node);
    assert_eq!(client.subscribe_all(&[(&name(), 1)], &said).0, [1]);
    assert_eq!(client.unsubscribe_all(&["nothing"], &said).0, [0x11]);
}

#[test]
fn properties_of_other_packets_are_malformed() {
    let node = node();
    for property in [property::text(property::REASON_STRING, "x"), property::two(property::TOPIC_ALIAS, 1)] {
        assert_wrong(&node, &subscribe(&property, &filter("a", 0)), "");
    }
}

#[test]
fn messages_may_come_before_suback_and_after() {
    let node = node();
    let topic = name();
    client(&node).retain(&topic, "x");
    crate::support::wait_retained(&node, &topic, true);
    let mut listener = client(&node);
    listener.send(&subscribe(&[], &filter(&topic, 1)));
    unanswered(&mut listener);
}

#[test]
fn what_may_not_be_subscribed_to_is_said() {
    let rules = "{who: anonymous, may: [publish, subscribe, read, request], on: \"#\"}";
    let document = windrose_e2e::documents::open("")
        .replace(rules, "{who: anonymous, may: [publish, subscribe], on: \"open/#\"}");
    let node = windrose_e2e::Node::start(&document);
    let mut client = client(&node);
    let codes = client.subscribe_all(&[("open/a", 1), ("closed/a", 1), ("#", 1)], &[]).0;
    assert!(matches!(codes[..], [1, 0x80 | 0x87, 0x80 | 0x87]), "{codes:02x?}");
    assert_eq!([client.publish("closed/a", "x", 1), client.publish("closed/a", "x", 2)], [0x87, 0x87]);
    client.send(&publish(0, "closed/a", None, &[], b"x"));
    assert!(client.ping().is_ok());
}

#[test]
fn a_subscription_does_not_disturb_what_is_in_flight() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 2);
    client(&node).publish(&topic, "x", 2);
    let (id, ..) = unanswered(&mut listener);
    listener.subscribe(&topic, 0);
    listener.send(&answer(5, id));
    listener.answer(6, id, SOON);
    listener.send(&answer(7, id));
    assert!(listener.ping().is_ok());
}
