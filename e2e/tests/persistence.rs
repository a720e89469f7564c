//! `node.persistence: on`: the node is killed, and what was acknowledged is there when it starts again.

use std::time::Duration;
use windrose_e2e::documents::OPEN;
use windrose_e2e::mqtt::{Client, Options, Packet, packet};
use windrose_e2e::node::Setup;
use windrose_e2e::steadfast::{Publisher, Subscriber};
use windrose_e2e::wait::SOON;
use windrose_e2e::{Node, wait_until};

/// [`OPEN`] with what outlives the process in a folder beside the document.
fn document(more: &str) -> String {
    OPEN.replace("node: {", "node: {persistence: on, data_dir: ./data, ") + more
}

fn start() -> Node {
    Node::start(&document(""))
}

fn resume(node: &Node, name: &str) -> (Client, bool) {
    Client::resume(node.mqtt(), &Options::v5(name).persistent())
}

/// Kills the node under load, so often, and looks at what everybody got.
fn kill_under_load(rounds: usize) {
    let mut node =
        Node::start(&document("limits: {session_queue_events: 1000000, session_queue_bytes: 1073741824}\n"));
    let address = node.mqtt();
    let subscribers = ["at-least-once", "exactly-once", "late"];
    let mut connected = Vec::new();
    for (name, qos) in subscribers.into_iter().zip([1, 2, 2]) {
        let subscriber = Subscriber::start(address, name, "load/#", qos);
        if name == "late" {
            // It has been here once, and comes back at the very end.
            subscriber.finish(Vec::new());
        } else {
            connected.push((name, qos, subscriber));
        }
    }
    let publishers: Vec<(String, u8, Publisher)> = (0..4)
        .map(|number| {
            let (topic, qos) = (format!("load/{number}"), 1 + (number % 2) as u8);
            (topic.clone(), qos, Publisher::start(address, &format!("publisher-{number}"), &topic, qos))
        })
        .collect();
    let acknowledged = |publishers: &[(String, u8, Publisher)]| {
        publishers.iter().map(|(.., one)| one.acknowledged()).sum::<usize>()
    };
    for round in 0..rounds {
        let before = acknowledged(&publishers);
        wait_until("traffic", || acknowledged(&publishers) > before + 50);
        // The moment of the kill differs from round to round.
        std::thread::sleep(Duration::from_millis(37 * (round as u64 % 11)));
        node.kill();
        node.start_again();
    }
    let promised: Vec<_> =
        publishers.into_iter().map(|(topic, qos, publisher)| (topic, qos, publisher.finish())).collect();
    let wanted: Vec<_> =
        promised.iter().map(|(topic, _, promised)| (topic.clone(), promised.acknowledged.clone())).collect();
    connected.push(("late", 2, Subscriber::take_up(address, "late")));
    for (name, qos, subscriber) in connected {
        let got = subscriber.finish(wanted.clone());
        assert_eq!(got.forgotten, 0, "the session of {name} was forgotten");
        for (topic, sent_at, promised) in &promised {
            assert_eq!(promised.forgotten, 0, "the session of the publisher on {topic} was forgotten");
            let missing = got.missing(topic, &promised.acknowledged);
            assert!(missing.is_empty(), "{name} misses {} of {topic}: {missing:?}", missing.len());
            if qos.min(*sent_at) == 2 {
                let repeated = got.repeated(topic);
                assert!(repeated.is_empty(), "{name} got {repeated:?} of {topic} more than once");
            }
        }
    }
    let total: usize = wanted.iter().map(|(_, numbers)| numbers.len()).sum();
    println!("killed {rounds} times, {total} messages acknowledged, none missing, none twice");
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_comes_twice_when_the_node_is_killed() {
    kill_under_load(5);
}

/// `cargo test -p windrose-e2e --test persistence -- --ignored --nocapture`
#[test]
#[ignore = "takes a minute or more"]
fn killed_fifty_times() {
    let rounds = std::env::var("KILLS").ok().and_then(|kills| kills.parse().ok());
    kill_under_load(rounds.unwrap_or(50));
}

#[test]
fn what_was_in_flight_is_sent_again_with_its_identifier() {
    let mut node = start();
    let (mut subscriber, _) = resume(&node, "subscriber");
    subscriber.subscribe("a", 2);
    let mut publisher = Client::connect(node.mqtt(), &Options::v5("publisher"));
    publisher.publish("a", "first", 2);
    publisher.publish("a", "second", 2);
    let mut ids = Vec::new();
    for _ in 0..2 {
        match subscriber.wait(SOON, |packet| matches!(packet, Packet::Publish { .. })) {
            Ok(Packet::Publish { id, .. }) => ids.push(id),
            other => panic!("no delivery: {other:?}"),
        }
    }
    subscriber.send(&packet(0x50, &ids[0].to_be_bytes()));
    subscriber.answer(6, ids[0], SOON);
    node.kill();
    node.start_again();
    let (mut subscriber, present) = resume(&node, "subscriber");
    assert!(present);
    subscriber.answer(6, ids[0], SOON);
    match subscriber.next(SOON) {
        Ok(Packet::Publish { id, again, payload, .. }) => {
            assert_eq!((id, again, &*payload), (ids[1], true, &b"second"[..]));
        }
        other => panic!("no delivery: {other:?}"),
    }
}

#[test]
fn last_values_subscriptions_and_wills_outlive_the_process() {
    let mut node = start();
    let (mut away, _) = resume(&node, "away");
    away.subscribe("#", 1);
    away.disconnect();
    let _doomed = Client::connect(node.mqtt(), &Options::v5("doomed").will("will", "gone"));
    let mut publisher = Client::connect(node.mqtt(), &Options::v5("publisher"));
    publisher.retain("kept", "value");
    publisher.retain("cleared", "value");
    publisher.retain("cleared", "");
    node.kill();
    node.start_again();
    let (mut away, present) = resume(&node, "away");
    assert!(present);
    let mut got: Vec<_> = (0..4).map(|_| away.message()).collect();
    got.sort();
    let expected = [("cleared", ""), ("cleared", "value"), ("kept", "value"), ("will", "gone")];
    assert_eq!(got, expected.map(|(topic, payload)| (topic.to_owned(), payload.to_owned())));
    let mut reader = Client::connect(node.mqtt(), &Options::v5("reader"));
    reader.subscribe("+", 0);
    assert_eq!(reader.message(), ("kept".to_owned(), "value".to_owned()));
}

#[test]
fn a_clean_end_and_another_start_keep_everything() {
    let mut node = start();
    let (mut away, _) = resume(&node, "away");
    away.subscribe("a", 1);
    away.disconnect();
    let mut publisher = Client::connect(node.mqtt(), &Options::v5("publisher"));
    publisher.publish("a", "waits", 1);
    node.signal("TERM");
    assert_eq!(node.wait_end(Duration::from_secs(15)).code(), Some(0));
    node.start_again();
    let (mut away, present) = resume(&node, "away");
    assert!(present);
    assert_eq!(away.message().1, "waits");
}

#[test]
fn a_second_node_on_the_same_folder_says_so_and_ends() {
    let node = start();
    let folder = node.folder().path().join("data");
    let other = document("").replace("./data", &folder.to_string_lossy());
    let mut second = Setup::new().launch(&other);
    assert!(!second.wait_end(SOON).success());
    second.wait_error("another node uses");
}

#[test]
fn persistence_cannot_be_turned_off_by_a_reload() {
    let node = start();
    let seen = node.log().all().len();
    node.write_document(&document("").replace("persistence: on", "persistence: off"));
    node.wait_log_after(seen, &["node.persistence", "restart it"]);
}
