//! Requests and answers across protocols, and a Windrose as the broker behind another.

use std::net::SocketAddr;
use std::thread::{JoinHandle, spawn};
use std::time::Duration;
use windrose_e2e::amqp091;
use windrose_e2e::coap::{self, Message, code, option};
use windrose_e2e::documents::{open, open_amqp, open_coap};
use windrose_e2e::fleet::{Fleet, Pace, assert_undisturbed};
use windrose_e2e::mqtt::{Client, Options};
use windrose_e2e::node::Setup;
use windrose_e2e::wait::{SOON, within};
use windrose_e2e::{Answer, Node, Sink};

const VERSIONS: [&str; 3] = ["auto", "0-9-1", "1.0"];

/// What the front has besides its pool of one broker, which is a Windrose.
fn pool(behind: &Node, version: &str, more: &str) -> String {
    format!(
        "pools:\n  estate: {{protocol: amqp, members: [\"amqp://{}\"], amqp_version: \"{version}\", timeout: 5s, \
         backoff: 50ms, {more}}}\nroutes:\n  - {{name: all, match: \"devices/#\", deliver: {{pool: estate}}, \
         acknowledge: delivered, deadline: 60s, reply_to: \"{{address}}/reply\"}}\n",
        behind.amqp()
    )
}

fn behind() -> Node {
    Setup::new().start(&open_amqp("").replace("name: e2e", "name: behind"))
}

/// A service that answers what gets into its queue: with `count` answers, then it ends.
fn service(broker: SocketAddr, queue: &str, key: &str, count: usize) -> JoinHandle<()> {
    let mut service = amqp091::Client::connect(broker);
    service.declare(queue, false);
    service.bind(queue, "amq.topic", key);
    service.consume(queue, 1);
    spawn(move || {
        for _ in 0..count {
            let ask = service.delivery(SOON * 2).expect("a request");
            let reply_to = ask.property(6).expect("it says where the answer goes");
            let correlation = ask.property(5).unwrap_or_default();
            service.publish("", &reply_to, format!("{} answered", ask.text()).as_bytes(), &correlation, "");
            service.ack(ask.tag, false);
        }
    })
}

#[test]
fn a_windrose_behind_another_gets_each_event_and_confirms_it() {
    let behind = behind();
    for version in VERSIONS {
        let front = Setup::new().start(&open(&pool(&behind, version, "")));
        let mut subscriber = Client::connect(behind.mqtt(), &Options::v5("subscriber"));
        subscriber.subscribe("devices/#", 1);
        let mut device = Client::connect(front.mqtt(), &Options::v5("device"));
        for (number, payload) in ["1".to_owned(), String::new(), "x".repeat(100_000)].into_iter().enumerate()
        {
            let topic = format!("devices/{number}.a/telemetry");
            assert_eq!(device.publish(&topic, &payload, 1), 0, "{version}");
            assert_eq!(subscriber.message(), (topic, payload), "{version}");
        }
    }
}

#[test]
fn what_is_subscribed_to_in_front_comes_from_behind_and_so_does_a_queue() {
    let behind = behind();
    for (version, queue) in [("0-9-1", "jobs"), ("1.0", "works")] {
        let mut at_behind = amqp091::Client::connect(behind.amqp());
        at_behind.declare(queue, true);
        let more = format!("subscribe: [\"weather/#\"], consume: {queue}");
        let front = Setup::new().start(&open(&pool(&behind, version, &more)));
        let mut subscriber = Client::connect(front.mqtt(), &Options::v5("subscriber"));
        subscriber.subscribe("weather/+/rain", 1);
        subscriber.subscribe(queue, 1);
        let mut publisher = Client::connect(behind.mqtt(), &Options::v5("publisher"));
        // 0x10: nobody listens.
        within(SOON, "the subscription", || {
            (publisher.publish("weather/north/rain", "probe", 1) == 0).then_some(())
        });
        assert_eq!(subscriber.message(), ("weather/north/rain".to_owned(), "probe".to_owned()), "{version}");
        publisher.publish("weather/north/sun", "no", 1);
        at_behind.publish("amq.topic", "weather.south.rain", b"1", "", "");
        assert_eq!(subscriber.message(), ("weather/south/rain".to_owned(), "1".to_owned()), "{version}");
        at_behind.publish("", queue, b"2", "", "");
        assert_eq!(subscriber.message(), (queue.to_owned(), "2".to_owned()), "{version}");
        within(SOON, "an empty queue", || (at_behind.declare(queue, true).1 == 0).then_some(()));
    }
}

#[test]
fn a_windrose_that_is_killed_behind_another_loses_nothing_of_a_durable_queue() {
    for version in ["0-9-1", "1.0"] {
        let document = open_amqp("").replace("shards: 2", "shards: 2, persistence: on, data_dir: data");
        let mut behind = Setup::new().start(&document.replace("name: e2e", "name: behind"));
        let mut service = amqp091::Client::connect(behind.amqp());
        service.declare("devices", true);
        service.bind("devices", "amq.topic", "devices.#");
        let front = Setup::new().start(&open(&pool(&behind, version, "")));
        let pace = Pace { devices: 5, window: 16, pause: Duration::from_millis(10) };
        let fleet = Fleet::start(front.mqtt(), pace);
        let more = |count| {
            let goal = fleet.acknowledged() + count;
            within(SOON * 4, "traffic", || (fleet.acknowledged() >= goal).then_some(()));
        };
        more(200);
        behind.kill();
        behind.start_again();
        more(200);
        let reports = fleet.stop();
        assert_undisturbed(&reports);
        let mut service = amqp091::Client::connect(behind.amqp());
        let came: std::collections::BTreeSet<_> = service.drain("devices").into_iter().collect();
        let accepted = || reports.iter().flat_map(|report| report.accepted());
        let missing: Vec<_> = accepted().filter(|(payload, _)| !came.contains(*payload)).collect();
        assert!(missing.is_empty(), "{version}: {} of {} are lost", missing.len(), accepted().count());
    }
}

#[test]
fn an_amqp_service_behind_a_pool_answers_a_coap_thing() {
    let behind = behind();
    for version in VERSIONS {
        let answers = service(behind.amqp(), &format!("asks-{version}"), "devices.*.ask", 1);
        let front = Setup::new().start(&open_coap(&pool(&behind, version, "")));
        let mut thing = coap::Client::new(front.coap());
        let request = Message::post("devices/7/ask", "?").with(option::URI_QUERY, "wait=20s");
        let answer = thing.ask(request);
        assert_eq!((answer.code, answer.text().as_str()), (code::CONTENT, "? answered"), "{version}");
        answers.join().unwrap();
        amqp091::Client::connect(behind.amqp()).delete(&format!("asks-{version}"));
    }
}

#[test]
fn an_amqp_service_of_the_node_itself_answers_a_coap_thing() {
    let node = Node::start(&open_coap("").replacen(
        "identity:",
        "  - {name: amqp, protocol: amqp, bind: \"127.0.0.1:${AMQP}\"}\nidentity:",
        1,
    ));
    let answers = service(node.amqp(), "asks", "devices.*.ask", 1);
    let mut thing = coap::Client::new(node.coap());
    let answer = thing.ask(Message::post("devices/7/ask", "?").with(option::URI_QUERY, "wait=20s"));
    assert_eq!((answer.code, answer.text().as_str()), (code::CONTENT, "? answered"));
    answers.join().unwrap();
}

#[test]
fn an_amqp_thing_calls_a_rest_service() {
    let sink = Sink::start();
    sink.answer(Answer::Full(200, "Content-Type: application/json\r\n", "{\"kwh\":3}".to_owned()));
    let document = open_amqp(
        "pools:\n  service: {protocol: http, members: [\"http://127.0.0.1:${SINK}/ask\"]}\nroutes:\n  \
         - {name: ask, match: \"devices/+/ask\", deliver: {pool: service}}\n",
    );
    let node = Node::start_with(&sink, &document);
    let mut thing = amqp091::Client::connect(node.amqp());
    let (replies, _) = thing.declare("", false);
    thing.consume(&replies, 0);
    thing.publish("amq.topic", "devices.7.ask", b"?", "c-1", &replies);
    let answer = thing.delivery(SOON).expect("an answer");
    assert_eq!((answer.text().as_str(), answer.property(5).as_deref()), ("{\"kwh\":3}", Some("c-1")));
    assert_eq!(answer.property(0).as_deref(), Some("application/json"));
}

#[test]
fn things_of_mqtt_3_1_1_get_their_answers_where_the_route_says() {
    let sink = Sink::start();
    sink.answer(Answer::Full(200, "", "of REST".to_owned()));
    let document = open_amqp(
        "pools:\n  service: {protocol: http, members: [\"http://127.0.0.1:${SINK}/ask\"]}\nroutes:\n  \
         - {name: rest, match: \"rest/+/ask\", deliver: {pool: service}, reply_to: \"{address}/reply\"}\n  \
         - {name: amqp, match: \"amqp/+/ask\", reply_to: \"replies/{session}\"}\n",
    );
    let node = Node::start_with(&sink, &document);
    let mut thing = Client::connect(node.mqtt(), &Options::v3("thing"));
    thing.subscribe("rest/7/ask/reply", 1);
    thing.subscribe("replies/thing", 1);
    thing.publish_only("rest/7/ask", "?", 1);
    assert_eq!(thing.message(), ("rest/7/ask/reply".to_owned(), "of REST".to_owned()));
    let answers = service(node.amqp(), "asks", "amqp.*.ask", 1);
    thing.publish_only("amqp/7/ask", "?", 1);
    assert_eq!(thing.message(), ("replies/thing".to_owned(), "? answered".to_owned()));
    answers.join().unwrap();
}
