//! What local sessions subscribe to comes from brokers, once, and nothing goes round in circles.

use std::collections::BTreeSet;
use std::time::Duration;
use windrose_e2e::documents::open;
use windrose_e2e::mosquitto::Mosquitto;
use windrose_e2e::mqtt::{Client, End, Options, Packet};
use windrose_e2e::node::Setup;
use windrose_e2e::sink::Received;
use windrose_e2e::wait::SOON;
use windrose_e2e::{Answer, Node, Sink, wait_until};

const POOL: &str = r##"
pools:
  brokers: {protocol: mqtt, members: [MEMBERS], timeout: 2s, keep_alive: 2s, subscribe: ["weather/#", "both/+/x"]}
routes:
  - {name: weather, match: "weather/#", deliver: {pool: brokers}, acknowledge: delivered}
"##;

/// How long is waited for what must not come.
const QUIET: Duration = Duration::from_millis(700);

fn node(members: &[String], name: &str) -> Node {
    let members: Vec<_> = members.iter().map(|url| format!("{url:?}")).collect();
    let document = open(&POOL.replace("MEMBERS", &members.join(", ")));
    Setup::new().start(&document.replace("name: e2e", &format!("name: {name}")))
}

fn client(node: &Node, name: &str) -> Client {
    Client::connect(node.mqtt(), &Options::v5(name))
}

/// Waits until a broker gives the node what is published there, by asking with numbered messages of QoS 0.
fn wait_fetching(broker: &Mosquitto, subscriber: &mut Client, topic: &str) {
    let mut at_broker = Client::connect(broker.address(), &Options::v5("probe"));
    wait_until("the node's subscription at the broker", || {
        at_broker.publish(topic, "probe", 0);
        subscriber.delivery(Duration::from_millis(50)).is_ok()
    });
    while subscriber.delivery(QUIET).is_ok() {}
}

fn quiet(client: &mut Client) {
    assert_eq!(client.delivery(QUIET), Err(End::Timeout), "nothing more");
}

#[test]
fn a_broker_is_asked_for_what_is_wanted_here_and_no_longer() {
    let broker = Mosquitto::start();
    let node = node(&[broker.url()], "e2e");
    let mut subscriber = client(&node, "subscriber");
    subscriber.subscribe("weather/+/rain", 2);
    let mut other = client(&node, "other");
    other.subscribe("weather/#", 1);
    wait_fetching(&broker, &mut subscriber, "weather/north/rain");
    let mut at_broker = Client::connect(broker.address(), &Options::v5("publisher"));
    for qos in 0..=2 {
        at_broker.publish("weather/north/rain", format!("{qos}"), qos);
        let Ok(Packet::Publish { topic, payload, qos: granted, .. }) = subscriber.delivery(SOON) else {
            panic!("nothing came")
        };
        assert_eq!((topic.as_str(), &payload[..]), ("weather/north/rain", qos.to_string().as_bytes()));
        assert_eq!(granted, qos);
        quiet(&mut subscriber);
    }
    at_broker.publish("other", "x", 1);
    at_broker.publish("weatherman", "x", 1);
    quiet(&mut subscriber);

    subscriber.unsubscribe("weather/+/rain");
    other.disconnect();
    // MQTT 5 brokers say if nobody listens: 0x10.
    wait_until("the end of the node's subscription", || at_broker.publish("weather/x", "x", 1) == 0x10);
}

#[test]
fn what_is_published_here_comes_once_although_the_broker_sends_it_back() {
    let brokers = [Mosquitto::start(), Mosquitto::start()];
    let node = node(&brokers.each_ref().map(Mosquitto::url), "e2e");
    let mut subscribers = ["one", "two", "three"].map(|name| client(&node, name));
    for subscriber in &mut subscribers {
        subscriber.subscribe("weather/#", 2);
    }
    for broker in &brokers {
        wait_fetching(broker, &mut subscribers[0], "weather/probe");
    }
    for subscriber in &mut subscribers {
        while subscriber.delivery(QUIET).is_ok() {}
    }
    let mut publisher = client(&node, "publisher");
    for number in 0..20 {
        assert_eq!(publisher.publish("weather/north", format!("{number}"), (number % 3) as u8), 0);
    }
    for subscriber in &mut subscribers {
        let mut came: Vec<u32> = (0..20).map(|_| subscriber.message().1.parse().unwrap()).collect();
        came.sort_unstable();
        assert_eq!(came, (0..20).collect::<Vec<_>>());
        quiet(subscriber);
    }
    node.wait_metric("windrose_events_dropped_total", &["cause=\"looped\""], 20.0);
}

#[test]
fn nodes_that_are_joined_by_brokers_tell_one_another_once() {
    let broker = Mosquitto::start();
    let nodes = ["left", "right"].map(|name| node(&[broker.url()], name));
    let mut subscribers = nodes.each_ref().map(|node| client(node, "subscriber"));
    for subscriber in &mut subscribers {
        subscriber.subscribe("weather/#", 1);
    }
    wait_fetching(&broker, &mut subscribers[0], "weather/probe");
    wait_fetching(&broker, &mut subscribers[1], "weather/probe");
    while subscribers[0].delivery(QUIET).is_ok() {}
    let mut publisher = client(&nodes[0], "publisher");
    assert_eq!(publisher.publish("weather/north", "rain", 1), 0);
    for subscriber in &mut subscribers {
        assert_eq!(subscriber.message(), ("weather/north".to_owned(), "rain".to_owned()));
        quiet(subscriber);
    }
}

#[test]
fn retained_messages_come_with_the_first_subscription_and_are_known_to_the_next() {
    let broker = Mosquitto::start();
    let node = node(&[broker.url()], "e2e");
    let mut at_broker = Client::connect(broker.address(), &Options::v5("publisher"));
    at_broker.retain("weather/north", "rain");
    let mut first = client(&node, "first");
    first.subscribe("weather/#", 1);
    assert_eq!(first.message(), ("weather/north".to_owned(), "rain".to_owned()));
    let mut second = client(&node, "second");
    second.subscribe("weather/north", 1);
    match second.delivery(SOON) {
        Ok(Packet::Publish { retain: true, payload, .. }) => assert_eq!(payload, b"rain"),
        other => panic!("not the last value: {other:?}"),
    }
    at_broker.retain("weather/north", "");
    assert_eq!(first.message().1, "");
    let mut third = client(&node, "third");
    third.subscribe("weather/north", 1);
    quiet(&mut third);
}

#[test]
fn what_came_while_the_broker_was_out_of_reach_is_not_missed() {
    let broker = Mosquitto::start();
    let node = node(&[broker.url()], "e2e");
    let mut subscriber = client(&node, "subscriber");
    subscriber.subscribe("weather/#", 2);
    wait_fetching(&broker, &mut subscriber, "weather/probe");
    let mut at_broker = Client::connect(broker.address(), &Options::v5("publisher"));
    broker.freeze();
    // The node asks whether it is still there, and then gives the connection up.
    node.wait_log(&["trouble with a broker"]);
    broker.thaw();
    for number in 0..10 {
        at_broker.publish("weather/north", format!("{number}"), 1 + (number % 2) as u8);
    }
    let mut came: Vec<u32> = (0..10).map(|_| subscriber.message().1.parse().unwrap()).collect();
    came.sort_unstable();
    assert_eq!(came, (0..10).collect::<Vec<_>>());
}

#[test]
fn a_slow_service_behind_the_node_holds_the_broker_back() {
    let broker = Mosquitto::start();
    let sink = Sink::start();
    let pools = POOL.replace("MEMBERS", &format!("{:?}", broker.url())).replace(
        "routes:",
        "  service: {protocol: http, members: [\"http://127.0.0.1:${SINK}/events\"], queue: 8, max_in_flight: 4, \
         timeout: 2s}\nroutes:\n  - {name: service, match: \"weather/north\", deliver: {pool: service}, \
         acknowledge: delivered, deadline: 120s}",
    );
    let node = Node::start_with(&sink, &open(&format!("{pools}limits: {{receive_maximum: 20}}\n")));
    let mut subscriber = client(&node, "subscriber");
    subscriber.subscribe("weather/#", 0);
    wait_fetching(&broker, &mut subscriber, "weather/probe");
    sink.answer(Answer::Never);
    let mut at_broker = Client::connect(broker.address(), &Options::v5("publisher"));
    for number in 0..200 {
        assert_eq!(at_broker.publish("weather/north", format!("{number}"), 1 + (number % 2) as u8), 0);
    }
    // Longer than the keep alive: the node does not read, and is not given up.
    node.wait_metric("windrose_connections_paused", &[], 1.0);
    std::thread::sleep(Duration::from_secs(5));
    let taken = node.metric("windrose_events_in_total", &["listener=\"brokers\""]);
    assert!(taken < 60.0, "{taken} events were taken in although nothing went out");
    assert_eq!(node.log().count(|line| line.contains("trouble with a broker")), 0);
    sink.answer(Answer::OK);
    wait_until("all of them at the service", || {
        let texts: BTreeSet<_> =
            sink.received().iter().filter(|received| received.accepted()).map(Received::text).collect();
        texts.len() >= 200
    });
    assert_eq!(node.log().count(|line| line.contains("trouble with a broker")), 0);
}
