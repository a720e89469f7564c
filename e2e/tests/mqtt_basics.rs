//! MQTT 3.1.1 and 5 from device to device, with the clients that people use.

use rumqttc::{Event, MqttOptions, Packet as Rumqtt, QoS};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use windrose_e2e::clients::{mosquitto_pub, mosquitto_sub, paho, result, subscribe};
use windrose_e2e::documents::open;
use windrose_e2e::mqtt::{Client, End, Options, Packet, property};
use windrose_e2e::wait::SOON;
use windrose_e2e::{Node, wait_until};

/// How long is waited for what must not come.
const QUIET: Duration = Duration::from_millis(300);

#[test]
fn every_version_and_qos_with_mosquitto() {
    let node = Node::start(&open(""));
    for version in ["311", "5"] {
        for qos in ["0", "1", "2"] {
            let topic = format!("basics/{version}/{qos}");
            let arguments = ["-V", version, "-q", qos, "-t", &topic, "-F", "%t %q %p"];
            let subscriber = subscribe(node.mqtt(), &arguments);
            mosquitto_pub(node.mqtt(), &["-V", version, "-q", qos, "-t", &topic, "-m", "hello"]).fine();
            let expected = format!("{topic} {qos} hello");
            subscriber.line(&expected, |line| line == expected);
        }
    }
}

#[test]
fn versions_meet() {
    let node = Node::start(&open(""));
    for (from, to) in [("311", "5"), ("5", "311")] {
        let subscriber = subscribe(node.mqtt(), &["-V", to, "-q", "1", "-t", "meet"]);
        mosquitto_pub(node.mqtt(), &["-V", from, "-q", "1", "-t", "meet", "-m", from]).fine();
        subscriber.line(from, |line| line == from);
    }
}

#[test]
fn a_subscription_gets_at_most_the_qos_it_asked_for() {
    let node = Node::start(&open(""));
    let subscriber = subscribe(node.mqtt(), &["-q", "1", "-t", "qos", "-F", "%q %p"]);
    for (published, delivered) in [(0, 0), (1, 1), (2, 1)] {
        let qos = published.to_string();
        mosquitto_pub(node.mqtt(), &["-q", &qos, "-t", "qos", "-m", &qos]).fine();
        let expected = format!("{delivered} {published}");
        subscriber.line(&expected, |line| line == expected);
    }
}

#[test]
fn rumqttc_publishes_and_receives_exactly_once() {
    let node = Node::start(&open(""));
    let mut options = MqttOptions::new("rumqttc", "127.0.0.1", node.mqtt().port());
    options.set_keep_alive(Duration::from_secs(5));
    let (client, mut connection) = rumqttc::Client::new(options, 100);
    client.subscribe("rumqttc/#", QoS::ExactlyOnce).expect("the request is queued");
    let mut numbers = Vec::new();
    for event in connection.iter() {
        match event.expect("the connection holds") {
            Event::Incoming(Rumqtt::SubAck(_)) => {
                for number in 0..20 {
                    client
                        .publish("rumqttc/numbers", QoS::ExactlyOnce, false, [number])
                        .expect("it is queued");
                }
            }
            Event::Incoming(Rumqtt::Publish(publish)) => {
                numbers.extend_from_slice(&publish.payload);
                if numbers.len() == 20 {
                    break;
                }
            }
            _ => {}
        }
    }
    assert_eq!(numbers, (0..20).collect::<Vec<u8>>(), "each once and in order");
}

#[test]
fn wildcards() {
    let node = Node::start(&open(""));
    let cases: [(&str, &[&str], &[&str]); 4] = [
        ("w/+/c", &["w/b/c", "w//c"], &["w/b/d", "w/b/c/d", "w/c"]),
        ("w/#", &["w", "w/b", "w/b/c"], &["v", "ww"]),
        ("+/+", &["w/b", "/b"], &["w", "w/b/c"]),
        ("#", &["w", "w/b/c"], &[]),
    ];
    for (filter, matching, others) in cases {
        let mut subscriber = Client::connect(node.mqtt(), &Options::v5(""));
        subscriber.subscribe(filter, 1);
        let mut publisher = Client::connect(node.mqtt(), &Options::v5(""));
        // The last one shows that the others did not come.
        for topic in others.iter().chain(matching) {
            publisher.publish(topic, filter, 1);
        }
        for topic in matching {
            assert_eq!(subscriber.message().0, *topic, "{filter}");
        }
        assert_eq!(subscriber.delivery(QUIET).err(), Some(End::Timeout), "{filter} matches nothing else");
    }
}

#[test]
fn a_topic_that_begins_with_a_dollar_is_not_for_wildcards_nor_for_publishers() {
    let node = Node::start(&open(""));
    let mut thing = Client::connect(node.mqtt(), &Options::v5("thing"));
    assert_eq!(thing.publish("$SYS/anything", "x", 1), 0x87);
    assert!(thing.ping().is_ok());
}

#[test]
fn the_node_tells_its_state_to_whom_a_rule_lets_it() {
    let rule = "  - {who: anonymous, may: [subscribe], on: \"$SYS/broker/#\"}\n";
    let node = Node::start(&open(rule).replace("{name: e2e,", "{name: e2e, sys_interval: 1s,"));
    let _idle = Client::connect(node.mqtt(), &Options::v5("idle"));
    let mut watcher = Client::connect(node.mqtt(), &Options::v5("watcher"));
    assert_eq!(watcher.subscribe("$SYS/broker/clients/connected", 1), 1);
    while watcher.message().1 != "2" {}
    let arguments = ["-t", "$SYS/#", "-t", "$SYS/broker/#", "-C", "16", "-W", "10", "-F", "%r %t %p"];
    let said = mosquitto_sub(node.mqtt(), &arguments).fine().out;
    for told in
        ["1 $SYS/broker/version windrose ", "1 $SYS/broker/uptime ", "1 $SYS/broker/messages/received "]
    {
        assert!(said.lines().any(|line| line.starts_with(told)), "{told}: {said}");
    }
    assert!(node.metric("windrose_bytes_in_total", &[]) > 0.0);
}

#[test]
fn retained_messages() {
    let node = Node::start(&open(""));
    mosquitto_pub(node.mqtt(), &["-r", "-t", "retained/a", "-m", "first", "-q", "1"]).fine();
    mosquitto_pub(node.mqtt(), &["-r", "-t", "retained/a", "-m", "last", "-q", "1"]).fine();
    mosquitto_pub(node.mqtt(), &["-r", "-t", "retained/b", "-m", "other", "-q", "1"]).fine();
    wait_until("both last values", || node.metric("windrose_retained", &[]) == 2.0);
    let arguments = ["-t", "retained/#", "-C", "2", "-W", "10", "-q", "1", "-F", "%t %r %p"];
    let said = mosquitto_sub(node.mqtt(), &arguments).fine();
    let lines: BTreeSet<_> = said.out.lines().collect();
    assert_eq!(lines, BTreeSet::from(["retained/a 1 last", "retained/b 1 other"]));

    // A live event has no retain flag for those who were there before; an empty one clears the value.
    let mut subscriber = Client::connect(node.mqtt(), &Options::v5("subscriber"));
    subscriber.subscribe("retained/a", 1);
    assert_eq!(subscriber.message().1, "last");
    let mut publisher = Client::connect(node.mqtt(), &Options::v5("publisher"));
    publisher.retain("retained/a", "");
    let live = subscriber.delivery(SOON);
    assert!(
        matches!(&live, Ok(Packet::Publish { retain: false, payload, .. }) if payload.is_empty()),
        "{live:?}"
    );
    wait_until("one last value", || node.metric("windrose_retained", &[]) == 1.0);
    let mut late = Client::connect(node.mqtt(), &Options::v5("late"));
    late.subscribe("retained/#", 1);
    assert_eq!(late.message().0, "retained/b");
    assert_eq!(late.delivery(QUIET).err(), Some(End::Timeout));
}

#[test]
fn a_will_is_published_when_the_connection_is_lost_and_not_after_a_good_bye() {
    let node = Node::start(&open(""));
    let mut subscriber = Client::connect(node.mqtt(), &Options::v5("subscriber"));
    subscriber.subscribe("wills/#", 1);
    for (options, name) in [(Options::v5("five"), "wills/five"), (Options::v3("three"), "wills/three")] {
        Client::connect(node.mqtt(), &options.clone().will(name, "polite")).disconnect();
        drop(Client::connect(node.mqtt(), &options.will(name, "lost")));
        assert_eq!(subscriber.message(), (name.to_owned(), "lost".to_owned()));
    }
}

#[test]
fn keep_alive_ends_a_silent_connection_and_publishes_its_will() {
    let node = Node::start(&open(""));
    let mut subscriber = Client::connect(node.mqtt(), &Options::v5("subscriber"));
    subscriber.subscribe("wills/#", 1);
    let options = Options { keep_alive: 1, ..Options::v5("silent").will("wills/silent", "asleep") };
    let start = Instant::now();
    let mut silent = Client::connect(node.mqtt(), &options);
    assert_eq!(silent.closed(), Some(0x8d), "keep alive timeout");
    let took = start.elapsed();
    assert!(
        took >= Duration::from_millis(1_400) && took < Duration::from_secs(5),
        "one and a half times 1 s: {took:?}"
    );
    assert_eq!(subscriber.message().1, "asleep");
    node.wait_metric("windrose_connections_closed_total", &["cause=\"keep_alive\""], 1.0);
}

#[test]
fn a_shared_subscription_gives_each_message_to_one_member() {
    let node = Node::start(&open(""));
    let mut members: Vec<Client> = (0..4)
        .map(|index| {
            let mut member = Client::connect(node.mqtt(), &Options::v5(&format!("member-{index}")));
            assert_eq!(member.subscribe("$share/workers/jobs/#", 1), 1);
            member
        })
        .collect();
    let mut everyone = Client::connect(node.mqtt(), &Options::v3("everyone"));
    everyone.subscribe("jobs/#", 1);
    let mut publisher = Client::connect(node.mqtt(), &Options::v5("publisher"));
    for number in 0..100 {
        assert_eq!(publisher.publish("jobs/one", number.to_string(), 1), 0);
    }
    let mut seen = Vec::new();
    for member in &mut members {
        let before = seen.len();
        while let Ok(Packet::Publish { payload, .. }) = member.delivery(QUIET) {
            seen.push(String::from_utf8_lossy(&payload).into_owned());
        }
        assert!(seen.len() > before, "every member gets some of the work");
    }
    let each: BTreeSet<_> = seen.iter().cloned().collect();
    assert_eq!((seen.len(), each.len()), (100, 100), "each job went to one member");
    for number in 0..100 {
        assert_eq!(everyone.message().1, number.to_string());
    }
}

#[test]
fn what_a_member_leaves_undone_goes_to_another() {
    let node = Node::start(&open(""));
    let mut lazy = Client::connect(node.mqtt(), &Options::v5("lazy"));
    lazy.subscribe("$share/workers/jobs", 1);
    let mut publisher = Client::connect(node.mqtt(), &Options::v5("publisher"));
    publisher.publish("jobs", "job", 1);
    // Taken, never acknowledged.
    lazy.wait(SOON, |packet| matches!(packet, Packet::Publish { .. })).expect("the job comes");
    let mut diligent = Client::connect(node.mqtt(), &Options::v5("diligent"));
    diligent.subscribe("$share/workers/jobs", 1);
    drop(lazy);
    assert_eq!(diligent.message().1, "job");
}

#[test]
fn a_session_that_is_kept_gets_what_came_meanwhile() {
    let node = Node::start(&open(""));
    for options in [Options::v5("five").persistent(), Options::v3("three").persistent()] {
        let topic = format!("offline/{}", options.id);
        let (mut away, present) = Client::resume(node.mqtt(), &options);
        assert!(!present);
        away.subscribe(&topic, 1);
        away.disconnect();
        let mut publisher = Client::connect(node.mqtt(), &Options::v5("publisher"));
        for number in 0..50 {
            publisher.publish(&topic, number.to_string(), 1);
        }
        let (mut back, present) = Client::resume(node.mqtt(), &options);
        assert!(present, "the session was kept");
        for number in 0..50 {
            assert_eq!(back.message(), (topic.clone(), number.to_string()), "in order");
        }
        assert_eq!(back.delivery(QUIET).err(), Some(End::Timeout));
        back.disconnect();
        let (mut anew, present) = Client::resume(node.mqtt(), &Options { clean: true, ..options });
        assert!(!present, "a clean start ends the session");
        publisher.publish(&topic, "unheard", 1);
        assert_eq!(anew.delivery(QUIET).err(), Some(End::Timeout), "and its subscriptions");
    }
}

#[test]
fn what_was_not_acknowledged_is_delivered_again() {
    let node = Node::start(&open(""));
    let options = Options::v5("forgetful").persistent();
    let mut first = Client::connect(node.mqtt(), &options);
    first.subscribe("again", 1);
    let mut publisher = Client::connect(node.mqtt(), &Options::v5("publisher"));
    publisher.publish("again", "hello", 1);
    first
        .wait(SOON, |packet| matches!(packet, Packet::Publish { again: false, .. }))
        .expect("the message comes");
    drop(first);
    let mut second = Client::connect(node.mqtt(), &options);
    let again = second.delivery(SOON);
    assert!(
        matches!(&again, Ok(Packet::Publish { again: true, payload, .. }) if payload == b"hello"),
        "{again:?}"
    );
}

#[test]
fn a_second_connection_takes_the_session_over() {
    let node = Node::start(&open(""));
    let result = result(paho("takeover.py", node.mqtt(), &[]));
    assert_eq!(result["code"], 0x8e, "session taken over: {result}");
    assert_eq!(result["by_server"], true);
    // Two threads accept: many takeovers cross from one to the other.
    let options = Options::v5("moves").persistent();
    let mut current = Client::connect(node.mqtt(), &options);
    current.subscribe("moves", 1);
    let mut publisher = Client::connect(node.mqtt(), &Options::v5("publisher"));
    for number in 0..20 {
        let (mut next, present) = Client::resume(node.mqtt(), &options);
        assert!(present, "takeover {number} keeps the session");
        assert_eq!(current.closed(), Some(0x8e), "takeover {number}");
        publisher.publish("moves", number.to_string(), 1);
        assert_eq!(next.message().1, number.to_string(), "takeover {number} keeps the subscription");
        // The answer shows that the acknowledgement has arrived too.
        assert!(next.ping().is_ok());
        current = next;
    }
    assert_eq!(node.metric("windrose_sessions", &[]), 2.0);
}

#[test]
fn mqtt_5_properties_are_carried_through() {
    let node = Node::start(&open(""));
    for qos in ["0", "1", "2"] {
        let result = result(paho("properties.py", node.mqtt(), &[qos]));
        assert_eq!(result["topic"], "properties/one");
        assert_eq!(result["payload"], "{\"speed\":81}");
        assert_eq!(result["content_type"], "application/json");
        assert_eq!(result["response_topic"], "properties/answers");
        assert_eq!(result["correlation"], "question-1");
        assert_eq!(result["payload_format"], 1);
        assert_eq!(
            result["user"],
            serde_json::json!([["colour", "red"], ["colour", "blue"]]),
            "in order, repeated"
        );
        assert_eq!(result["identifier"], serde_json::json!([77]));
        let expiry = result["expiry"].as_u64().unwrap_or_default();
        assert!((55..=60).contains(&expiry), "what is left of a minute: {expiry}");
    }
}

#[test]
fn a_message_that_expired_is_not_delivered() {
    let node = Node::start(&open(""));
    let options = Options::v5("away").persistent();
    let mut away = Client::connect(node.mqtt(), &options);
    away.subscribe("expiry", 1);
    away.disconnect();
    let mut publisher = Client::connect(node.mqtt(), &Options::v5("publisher"));
    let soon = [property::MESSAGE_EXPIRY, 0, 0, 0, 1];
    let start = Instant::now();
    let id = publisher.publish_with("expiry", "stale", 1, false, &soon);
    publisher.answer(4, id, SOON);
    publisher.publish("expiry", "fresh", 1);
    wait_until("a second's end", || start.elapsed() > Duration::from_millis(1_100));
    let mut back = Client::connect(node.mqtt(), &options);
    assert_eq!(back.message().1, "fresh");
}

#[test]
fn messages_of_one_sender_arrive_in_order() {
    let node = Node::start(&open(""));
    let mut subscribers: Vec<Client> = (0..4)
        .map(|index| {
            let mut subscriber = Client::connect(node.mqtt(), &Options::v5(&format!("subscriber-{index}")));
            subscriber.subscribe("order/#", 2);
            subscriber
        })
        .collect();
    let mut publisher =
        Client::connect(node.mqtt(), &Options { receive_maximum: None, ..Options::v3("publisher") });
    for qos in [1, 2] {
        let ids: Vec<_> =
            (0..200).map(|number| publisher.publish_only("order/one", number.to_string(), qos)).collect();
        for id in ids {
            let (code, _) = publisher.answer(if qos == 1 { 4 } else { 5 }, id, SOON);
            assert_eq!(code, 0);
            if qos == 2 {
                publisher.send(&[0x62, 2, (id >> 8) as u8, id as u8]);
                publisher.answer(7, id, SOON);
            }
        }
        for subscriber in &mut subscribers {
            for number in 0..200 {
                assert_eq!(subscriber.message().1, number.to_string(), "QoS {qos}");
            }
        }
    }
}

#[test]
fn a_message_that_nobody_hears_is_accepted_and_says_so() {
    let node = Node::start(&open(""));
    let mut thing = Client::connect(node.mqtt(), &Options::v5("thing"));
    assert_eq!(thing.publish("nobody/listens", "x", 1), 0x10, "no matching subscribers");
    thing.subscribe("nobody/listens", 0);
    assert_eq!(thing.publish("nobody/listens", "x", 1), 0);
}

#[test]
fn a_publication_right_before_a_good_bye_is_still_acknowledged() {
    let node = Node::start(&open(""));
    let mut client = Client::connect(node.mqtt(), &Options::v5("hasty"));
    client.send(b"\x32\x08\0\x01a\0\x07\0hi\xe0\0");
    assert!(client.answer(4, 7, SOON).0 < 0x80);
}
