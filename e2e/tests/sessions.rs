//! What a session holds: subscriptions and their options, events that wait, exactly once, wills, and for how long.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use windrose_e2e::documents::open;
use windrose_e2e::mqtt::{Client, End, Options, Packet, Version, string};
use windrose_e2e::wait::SOON;
use windrose_e2e::{Node, wait_until};

/// How long is waited for what must not come.
const QUIET: Duration = Duration::from_millis(300);

/// Bits of subscription options (MQTT 5 §3.8.3.1).
const NO_LOCAL: u8 = 4;
const RETAIN_AS_PUBLISHED: u8 = 8;
const RETAIN_IF_NEW: u8 = 1 << 4;
const RETAIN_NEVER: u8 = 2 << 4;

fn start() -> Node {
    Node::start(&open(""))
}

fn connect(node: &Node, name: &str) -> Client {
    Client::connect(node.mqtt(), &Options::v5(name))
}

/// A QoS 2 PUBLISH in MQTT 5 with an identifier of the test's choice.
fn exactly_once(topic: &str, id: u8, again: bool) -> Vec<u8> {
    let body = [&string(topic)[..], &[0, id, 0], b"once"].concat();
    [&[0x34 | u8::from(again) << 3, body.len() as u8], &body[..]].concat()
}

#[test]
fn unsubscribing_ends_deliveries() {
    let node = start();
    for options in [Options::v5("five"), Options::v3("three")] {
        let mut client = Client::connect(node.mqtt(), &options);
        let code = |code: u8| (options.version == Version::V5).then_some(code);
        client.subscribe("a/#", 1);
        client.subscribe("b", 1);
        assert_eq!(client.unsubscribe("a/#"), code(0));
        assert_eq!(client.unsubscribe("a/#"), code(0x11), "no subscription existed");
        client.publish("a/x", "gone", 1);
        client.publish("b", "here", 1);
        assert_eq!(client.message().0, "b");
    }
    wait_until("two subscriptions less", || node.metric("windrose_subscriptions", &[]) <= 2.0);
}

#[test]
fn subscription_options_of_mqtt_5() {
    let node = start();
    let mut publisher = connect(&node, "publisher");
    publisher.subscribe("own", 1 | NO_LOCAL);
    publisher.publish("own", "mine", 1);
    let mut subscriber = connect(&node, "subscriber");
    subscriber.subscribe("own", 1 | NO_LOCAL);
    subscriber.publish("own", "theirs", 1);
    assert_eq!(publisher.message().1, "theirs", "not its own");
    assert_eq!(subscriber.delivery(QUIET).err(), Some(End::Timeout));

    publisher.retain("last", "value");
    wait_until("the last value", || node.metric("windrose_retained", &[]) == 1.0);
    subscriber.subscribe("last", 1 | RETAIN_NEVER);
    assert_eq!(subscriber.delivery(QUIET).err(), Some(End::Timeout));
    subscriber.subscribe("last", 1 | RETAIN_IF_NEW);
    assert_eq!(subscriber.delivery(QUIET).err(), Some(End::Timeout), "the subscription existed");
    subscriber.unsubscribe("last");
    subscriber.subscribe("last", 1 | RETAIN_IF_NEW | RETAIN_AS_PUBLISHED);
    let last = subscriber.delivery(SOON);
    assert!(matches!(last, Ok(Packet::Publish { retain: true, .. })), "{last:?}");
    publisher.retain("last", "newer");
    let live = subscriber.delivery(SOON);
    assert!(matches!(live, Ok(Packet::Publish { retain: true, .. })), "as published: {live:?}");
}

#[test]
fn overlapping_subscriptions_deliver_as_often_as_the_listener_says() {
    for (mode, expected) in [("each", vec![1, 2]), ("once", vec![2])] {
        let options = format!("protocol: mqtt, mqtt: {{overlapping_subscriptions: {mode}}}");
        let node = Node::start(&open("").replace("protocol: mqtt", &options));
        let mut subscriber = connect(&node, "subscriber");
        for (filter, qos) in [("a/#", 0), ("a/+", 1), ("a/b", 2)] {
            subscriber.subscribe(filter, qos);
        }
        connect(&node, "publisher").publish("a/b", "x", 2);
        let mut got = Vec::new();
        while got.len() < expected.len() {
            match subscriber.delivery(SOON) {
                Ok(Packet::Publish { qos, .. }) => got.push(qos),
                other => panic!("{mode}: {other:?} after {got:?}"),
            }
        }
        got.sort_unstable();
        assert_eq!(got, expected, "{mode}");
        assert_eq!(subscriber.delivery(QUIET).err(), Some(End::Timeout));
    }
}

#[test]
fn exactly_once_survives_a_lost_connection() {
    let node = start();
    let mut subscriber = connect(&node, "subscriber");
    subscriber.subscribe("once", 2);
    let options = Options::v5("sender").persistent();
    // The connection is lost after PUBLISH, and again after PUBREC; the sender sends again each time.
    let mut sender = Client::connect(node.mqtt(), &options);
    sender.send(&exactly_once("once", 7, false));
    assert!(sender.answer(5, 7, SOON).0 < 0x80);
    drop(sender);
    for _ in 0..4 {
        let (mut sender, present) = Client::resume(node.mqtt(), &options);
        assert!(present);
        sender.send(&exactly_once("once", 7, true));
        assert!(sender.answer(5, 7, SOON).0 < 0x80);
    }
    let (mut sender, _) = Client::resume(node.mqtt(), &options);
    sender.send(&[0x62, 2, 0, 7]);
    assert_eq!(sender.answer(7, 7, SOON).0, 0);
    sender.send(&[0x62, 2, 0, 7]);
    assert_eq!(sender.answer(7, 7, SOON).0, 0, "whoever lost PUBCOMP gets another");
    assert_eq!(subscriber.message().1, "once");
    assert_eq!(subscriber.delivery(QUIET).err(), Some(End::Timeout), "once, however often it was sent");
    sender.send(&exactly_once("once", 7, false));
    assert_eq!(subscriber.message().1, "once", "and another event may use it");
}

#[test]
fn a_full_queue_drops_the_newest_and_counts_them() {
    let node = Node::start(&open("limits: {session_queue_events: 10}\n"));
    let options = Options::v5("away").persistent();
    let mut away = Client::connect(node.mqtt(), &options);
    away.subscribe("queue", 1);
    away.disconnect();
    let mut publisher = connect(&node, "publisher");
    for number in 0..30 {
        assert_eq!(publisher.publish("queue", number.to_string(), 1), 0);
    }
    node.wait_metric("windrose_events_dropped_total", &["cause=\"queue_full\""], 20.0);
    node.wait_log(&["away", "session_queue_events"]);
    let mut back = Client::connect(node.mqtt(), &options);
    for number in 0..10 {
        assert_eq!(back.message().1, number.to_string());
    }
    assert_eq!(back.delivery(QUIET).err(), Some(End::Timeout));
}

#[test]
fn a_message_too_large_for_its_receiver_is_left_out() {
    let node = start();
    let mut small =
        Client::connect(node.mqtt(), &Options { maximum_packet: Some(100), ..Options::v5("small") });
    small.subscribe("sizes", 1);
    let mut publisher = connect(&node, "publisher");
    for payload in ["x".repeat(200), "fits".to_owned()] {
        publisher.publish("sizes", payload, 1);
    }
    assert_eq!(small.message().1, "fits");
}

#[test]
fn the_receivers_window_is_kept() {
    let node = start();
    let mut narrow =
        Client::connect(node.mqtt(), &Options { receive_maximum: Some(3), ..Options::v5("narrow") });
    narrow.subscribe("window", 1);
    let mut publisher = connect(&node, "publisher");
    for number in 0..10 {
        publisher.publish("window", number.to_string(), 1);
    }
    let is_publish = |packet: &Packet| matches!(packet, Packet::Publish { .. });
    let mut ids = Vec::new();
    while let Ok(Packet::Publish { id, .. }) = narrow.wait(QUIET, is_publish) {
        ids.push(id);
    }
    assert_eq!(ids.len(), 3, "no more than it takes at once");
    for id in ids {
        narrow.send(&[0x40, 2, (id >> 8) as u8, id as u8]);
    }
    for number in 3..10 {
        assert_eq!(narrow.message().1, number.to_string());
    }
}

#[test]
fn a_session_ends_when_its_time_is_over() {
    let node = start();
    let options = Options { session_expiry: 1, ..Options::v5("short").persistent() };
    Client::connect(node.mqtt(), &options).disconnect();
    assert!(Client::resume(node.mqtt(), &options).1, "at once it is still there");
    wait_until("the session's end", || node.metric("windrose_sessions", &[]) == 0.0);
    assert!(!Client::resume(node.mqtt(), &options).1);
}

#[test]
fn a_delayed_will_waits_and_is_cancelled_by_a_return() {
    let node = start();
    let mut subscriber = connect(&node, "subscriber");
    subscriber.subscribe("wills/#", 1);
    let options =
        |name: &str| Options { will_delay: 1, ..Options::v5(name).persistent().will("wills/late", name) };
    let start = Instant::now();
    drop(Client::connect(node.mqtt(), &options("gone")));
    drop(Client::connect(node.mqtt(), &options("back")));
    let _back = Client::connect(node.mqtt(), &options("back"));
    assert_eq!(subscriber.message().1, "gone");
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(900), "after a second: {took:?}");
    assert_eq!(
        subscriber.delivery(Duration::from_secs(1)).err(),
        Some(End::Timeout),
        "who came back is not dead"
    );
}

#[test]
fn nothing_is_lost_while_a_session_moves_about() {
    const EVENTS: usize = 400;
    let node = start();
    let options = Options::v5("nomad").persistent();
    let mut nomad = Client::connect(node.mqtt(), &options);
    nomad.subscribe("moves", 1);
    let done = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let nomad = scope.spawn(|| follow(nomad, node.mqtt(), &options, &done));
        let mut publisher = connect(&node, "publisher");
        for number in 0..EVENTS {
            assert_eq!(publisher.publish("moves", number.to_string(), 1), 0, "event {number} is heard");
        }
        done.store(true, Ordering::Relaxed);
        nomad.join().expect("the nomad does not fail")
    });
    let missing: Vec<_> = (0..EVENTS).filter(|number| !seen.contains(&number.to_string())).collect();
    assert!(missing.is_empty(), "{} of {EVENTS} events were lost: {missing:?}", missing.len());
}

/// Takes a session over again and again, by a new connection after every few messages, until all is quiet.
fn follow(mut client: Client, address: SocketAddr, options: &Options, done: &AtomicBool) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    loop {
        for _ in 0..5 {
            match client.delivery(Duration::from_millis(500)) {
                Ok(Packet::Publish { payload, .. }) => {
                    seen.insert(String::from_utf8_lossy(&payload).into_owned());
                }
                Ok(other) => panic!("not asked for: {other:?}"),
                Err(_) if done.load(Ordering::Relaxed) => return seen,
                Err(_) => {}
            }
        }
        let (next, present) = Client::resume(address, options);
        assert!(present, "the session is kept");
        client = next;
    }
}

#[test]
fn many_claim_one_name_and_one_has_it() {
    let node = start();
    let mut clients: Vec<Client> = std::thread::scope(|scope| {
        let connect =
            |_| scope.spawn(|| Client::try_connect(node.mqtt(), &Options::v5("popular").persistent()));
        let started: Vec<_> = (0..20).map(connect).collect();
        let joined = started.into_iter().map(|client| client.join().expect("a client does not fail"));
        joined
            .filter_map(|client| client.ok().filter(|client| client.2 == 0).map(|client| client.0))
            .collect()
    });
    assert!(!clients.is_empty());
    let alive = clients.iter_mut().map(Client::ping).filter(Result::is_ok).count();
    assert_eq!(alive, 1, "each later one took it from the one before");
    assert_eq!(node.metric("windrose_sessions", &[]), 1.0);
    assert_eq!(node.metric("windrose_connections", &["listener=\"mqtt\""]), 1.0);
}
