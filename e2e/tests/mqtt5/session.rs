//! §4.1, §3.1.2.11.2: session state and how long it is kept.

use crate::support::{assert_quiet, client, connack, name, next, node};
use std::time::Duration;
use windrose_e2e::mqtt::{Client, Options};
use windrose_e2e::wait_until;

#[test]
fn it_ends_with_the_connection_unless_it_is_to_be_kept() {
    let node = node();
    let options = Options { clean: false, ..Options::v5(&name()) };
    drop(Client::connect(node.mqtt(), &options));
    assert!(!connack(&node, &options).1);
}

#[test]
fn it_ends_when_its_time_is_over() {
    let node = node();
    let options = Options { clean: false, session_expiry: 1, ..Options::v5(&name()) };
    Client::connect(node.mqtt(), &options).disconnect();
    assert!(connack(&node, &options).1, "still there");
    std::thread::sleep(Duration::from_millis(2_500));
    assert!(!connack(&node, &options).1, "not any more");
}

#[test]
fn it_does_not_end_while_the_connection_is_open() {
    let node = node();
    let options = Options { clean: false, session_expiry: 1, ..Options::v5(&name()) };
    let topic = name();
    let mut client = Client::connect(node.mqtt(), &options);
    client.subscribe(&topic, 1);
    std::thread::sleep(Duration::from_millis(2_500));
    client.publish(&topic, "x", 1);
    assert_eq!(client.message().1, "x");
    assert!(connack(&node, &options).1);
}

#[test]
fn its_expiry_is_of_the_last_connection() {
    let node = node();
    let kept = Options::v5(&name()).persistent();
    drop(Client::connect(node.mqtt(), &kept));
    let (client, present, _) = connack(&node, &Options { session_expiry: 0, ..kept.clone() });
    assert!(present);
    drop(client);
    wait_until("its end", || !connack(&node, &Options { session_expiry: 0, ..kept.clone() }).1);
}

#[test]
fn messages_of_qos_1_and_2_wait_in_it() {
    let node = node();
    let topic = name();
    let options = Options::v5(&name()).persistent();
    let mut sleeper = Client::connect(node.mqtt(), &options);
    sleeper.subscribe(&topic, 2);
    sleeper.disconnect();
    let mut publisher = client(&node);
    for (payload, qos) in [("1", 1), ("2", 2), ("3", 1)] {
        assert_eq!(publisher.publish(&topic, payload, qos), 0, "somebody listens, if not now");
    }
    let (mut sleeper, present, _) = connack(&node, &options);
    assert!(present);
    for (payload, qos) in [("1", 1), ("2", 2), ("3", 1)] {
        let message = next(&mut sleeper);
        assert_eq!((message.payload.as_str(), message.qos, message.again), (payload, qos, false));
    }
    assert_quiet(&mut sleeper, "that was all");
}

#[test]
fn subscriptions_are_its_own() {
    let node = node();
    let topic = name();
    let options = Options::v5(&name()).persistent();
    let mut first = Client::connect(node.mqtt(), &options);
    first.subscribe(&topic, 1);
    drop(first);
    let mut second = Client::connect(node.mqtt(), &options);
    client(&node).publish(&topic, "x", 1);
    assert_eq!(next(&mut second).payload, "x");
}

#[test]
fn a_takeover_keeps_it() {
    let node = node();
    let topic = name();
    let options = Options::v5(&name()).persistent();
    let mut first = Client::connect(node.mqtt(), &options);
    first.subscribe(&topic, 1);
    let (mut second, present, _) = connack(&node, &options);
    assert!(present);
    assert_eq!(first.closed(), Some(0x8e));
    client(&node).publish(&topic, "x", 1);
    assert_eq!(next(&mut second).payload, "x");
}

#[test]
fn it_may_be_of_another_version_of_the_protocol() {
    let node = node();
    let topic = name();
    let id = name();
    let mut old = Client::connect(node.mqtt(), &Options::v3(&id).persistent());
    old.subscribe(&topic, 1);
    old.disconnect();
    let (mut new, present, _) = connack(&node, &Options::v5(&id).persistent());
    assert!(present);
    client(&node).publish(&topic, "x", 1);
    assert_eq!(next(&mut new).payload, "x");
}

#[test]
fn other_sessions_are_not_touched() {
    let node = node();
    let topic = name();
    let mut one = crate::support::subscriber(&node, &topic, 1);
    drop(crate::support::subscriber(&node, &topic, 1));
    client(&node).publish(&topic, "x", 1);
    assert_eq!(next(&mut one).payload, "x");
}
