//! §3.1.2.4, §4.1: sessions.

use crate::support::{assert_quiet, client, name, next, node};
use windrose_e2e::mqtt::{Client, Options};

#[test]
fn a_kept_session_has_its_subscriptions_and_what_came_meanwhile() {
    let node = node();
    let topic = name();
    let options = Options::v3(&name()).persistent();
    let mut sleeper = Client::connect(node.mqtt(), &options);
    sleeper.subscribe(&topic, 2);
    sleeper.disconnect();
    let mut publisher = client(&node);
    for (payload, qos) in [("1", 1), ("2", 2)] {
        publisher.publish(&topic, payload, qos);
    }
    let (mut sleeper, present) = Client::resume(node.mqtt(), &options);
    assert!(present);
    assert_eq!(next(&mut sleeper), (topic.clone(), "1".into(), 1, false, false));
    assert_eq!(next(&mut sleeper), (topic.clone(), "2".into(), 2, false, false));
    publisher.publish(&topic, "3", 1);
    assert_eq!(next(&mut sleeper).1, "3", "still subscribed");
}

#[test]
fn a_clean_session_ends_the_one_before_and_is_not_kept() {
    let node = node();
    let topic = name();
    let kept = Options::v3(&name()).persistent();
    let clean = Options { clean: true, ..kept.clone() };
    Client::connect(node.mqtt(), &kept).subscribe(&topic, 1);
    let (mut client_, present) = Client::resume(node.mqtt(), &clean);
    assert!(!present);
    client(&node).publish(&topic, "x", 1);
    assert_quiet(&mut client_, "no subscription is left");
    client_.subscribe(&topic, 1);
    client_.disconnect();
    let (mut anew, present) = Client::resume(node.mqtt(), &kept);
    assert!(!present, "a clean session is not kept");
    client(&node).publish(&topic, "x", 1);
    assert_quiet(&mut anew, "nor its subscription");
}

#[test]
fn a_session_is_its_client_identifiers() {
    let node = node();
    let topic = name();
    Client::connect(node.mqtt(), &Options::v3(&name()).persistent()).subscribe(&topic, 1);
    let (mut other, present) = Client::resume(node.mqtt(), &Options::v3(&name()).persistent());
    assert!(!present);
    client(&node).publish(&topic, "x", 1);
    assert_quiet(&mut other, "another client, another session");
}
