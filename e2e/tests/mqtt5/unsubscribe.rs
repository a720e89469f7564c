//! §3.10, §3.11: UNSUBSCRIBE and UNSUBACK.

use crate::support::{answer, assert_quiet, assert_wrong, client, name, next, node, subscriber, unanswered};
use windrose_e2e::mqtt::{Client, Options, packet, property};
use windrose_e2e::wait::SOON;

#[test]
fn a_subscription_ends() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 1);
    assert_eq!(listener.unsubscribe(&topic), Some(0));
    client(&node).publish(&topic, "x", 1);
    assert_quiet(&mut listener, "it is subscribed no more");
}

#[test]
fn filters_are_compared_character_by_character() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &format!("{topic}/+"), 1);
    for other in [format!("{topic}/#"), format!("{topic}/a"), topic.clone(), format!("{topic}/+/")] {
        assert_eq!(listener.unsubscribe(&other), Some(0x11), "{other}");
    }
    client(&node).publish(&format!("{topic}/a"), "x", 1);
    assert_eq!(next(&mut listener).payload, "x");
    assert_eq!(listener.unsubscribe(&format!("{topic}/+")), Some(0));
}

#[test]
fn it_is_answered_even_if_there_is_nothing_to_end() {
    let node = node();
    assert_eq!(client(&node).unsubscribe(&name()), Some(0x11));
}

#[test]
fn each_filter_has_its_code_in_order() {
    let node = node();
    let topic = name();
    let mut listener = client(&node);
    let [a, b, c] = ["a", "b", "c"].map(|level| format!("{topic}/{level}"));
    listener.subscribe(&a, 1);
    listener.subscribe(&c, 1);
    let codes = listener.unsubscribe_all(&[&a, &b, &c, &a, "x/#/y"], &[]).0;
    assert_eq!(codes, [0, 0x11, 0, 0x11, 0x8f], "as if they came one by one");
}

#[test]
fn without_filters_it_breaks_the_protocol() {
    assert_wrong(&node(), &packet(0xa2, &[0, 1, 0]), "");
}

#[test]
fn what_is_in_flight_is_completed() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 2);
    client(&node).publish(&topic, "x", 2);
    let (id, ..) = unanswered(&mut listener);
    assert_eq!(listener.unsubscribe(&topic), Some(0));
    listener.send(&answer(5, id));
    listener.answer(6, id, SOON);
    listener.send(&answer(7, id));
    assert!(listener.ping().is_ok());
}

#[test]
fn it_is_of_the_session() {
    let node = node();
    let topic = name();
    let options = Options::v5(&name()).persistent();
    let mut listener = Client::connect(node.mqtt(), &options);
    listener.subscribe(&topic, 1);
    listener.unsubscribe(&topic);
    listener.disconnect();
    client(&node).publish(&topic, "x", 1);
    assert_quiet(&mut Client::connect(node.mqtt(), &options), "nothing waited");
}

#[test]
fn others_keep_their_subscriptions() {
    let node = node();
    let topic = name();
    let mut one = subscriber(&node, &topic, 1);
    let mut other = subscriber(&node, &topic, 1);
    one.unsubscribe(&topic);
    client(&node).publish(&topic, "x", 1);
    assert_eq!(next(&mut other).payload, "x");
}

#[test]
fn a_shared_subscription_ends_by_its_whole_name() {
    let node = node();
    let topic = name();
    let shared = format!("$share/g/{topic}");
    let mut listener = subscriber(&node, &shared, 1);
    assert_eq!(listener.unsubscribe(&topic), Some(0x11));
    assert_eq!(listener.unsubscribe(&format!("$share/other/{topic}")), Some(0x11));
    assert_eq!(listener.unsubscribe(&shared), Some(0));
}

#[test]
fn properties_of_other_packets_are_malformed() {
    let node = node();
    let body = [vec![0, 1], property::block(&property::subscription(1)), vec![0, 1, b'a']].concat();
    assert_wrong(&node, &packet(0xa2, &body), "");
}
