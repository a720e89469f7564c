//! `acknowledge: delivered`: the sender is told what the service said, and not before the service has said it.

use std::time::{Duration, Instant};
use windrose_e2e::documents::open;
use windrose_e2e::mqtt::{Client, End, Options, property, string};
use windrose_e2e::wait::SOON;
use windrose_e2e::{Answer, Node, Sink};

const TOPIC: &str = "devices/car-7/telemetry";

/// A route with a short deadline, so that failures show soon.
const SHORT: &str = r#"
pools:
  service: {protocol: http, members: ["http://127.0.0.1:${SINK}/events"], timeout: 500ms, backoff: 50ms, backoff_max: 200ms}
routes:
  - {name: telemetry, match: "devices/+/telemetry", deliver: {pool: service}, acknowledge: delivered, deadline: 2s}
"#;

fn start() -> (Sink, Node) {
    let sink = Sink::start();
    let node = Node::start_with(&sink, &open(SHORT));
    (sink, node)
}

/// With a time limit of an attempt that a slow service does not exceed.
fn start_patient() -> (Sink, Node) {
    let sink = Sink::start();
    let node = Node::start_with(
        &sink,
        &open(&SHORT.replace("500ms", "10s").replace("deadline: 2s", "deadline: 20s")),
    );
    (sink, node)
}

#[test]
fn the_acknowledgement_waits_for_the_services_answer() {
    let (sink, node) = start_patient();
    let delay = Duration::from_secs(1);
    sink.answer(Answer::OK.after(delay));
    for (name, options, qos) in [
        ("v5, QoS 1", Options::v5("five-1"), 1),
        ("v5, QoS 2", Options::v5("five-2"), 2),
        ("v3.1.1, QoS 1", Options::v3("three-1"), 1),
    ] {
        let mut thing = Client::connect(node.mqtt(), &options);
        let start = Instant::now();
        let code = thing.publish(TOPIC, name, qos);
        assert!(code < 0x80, "{name}: {code:#x}");
        assert!(start.elapsed() >= delay, "{name}: acknowledged after {:?}, before the 2xx", start.elapsed());
        assert!(sink.wait_for_text(name).accepted(), "{name}: the service has it");
    }
}

#[test]
fn a_refusal_of_the_service_reaches_an_mqtt_5_sender_with_its_reason() {
    let (sink, node) = start();
    sink.answer(Answer::problem(404, "No such device", "car-7 was never built"));
    let mut thing = Client::connect(node.mqtt(), &Options::v5("thing"));
    let id = thing.publish_only(TOPIC, "81", 1);
    let (code, properties) = thing.answer(4, id, SOON);
    assert_eq!(code, 0x83, "implementation specific error");
    let reason = properties.text(property::REASON_STRING).unwrap_or_default();
    assert!(reason.contains("404") && reason.contains("car-7 was never built"), "the reason: {reason:?}");
    assert_eq!(sink.count(), 1, "a refusal is final: the event is not sent again");
    assert!(thing.ping().is_ok(), "the connection stays");
    node.wait_log(&["by_service"]);
}

#[test]
fn a_refusal_of_the_service_is_acknowledged_to_an_mqtt_3_sender() {
    let (sink, node) = start();
    sink.answer(Answer::Status(404));
    let mut thing = Client::connect(node.mqtt(), &Options::v3("thing"));
    assert_eq!(
        thing.publish(TOPIC, "81", 1),
        0,
        "MQTT 3.1.1 cannot say no, and sending again would not help"
    );
    assert_eq!(node.metric("windrose_events_settled_total", &["outcome=\"rejected\""]), 1.0);
}

#[test]
fn an_event_is_sent_again_until_the_service_takes_it() {
    let (sink, node) = start();
    sink.answers([Answer::Status(503), Answer::Status(500), Answer::Close, Answer::OK]);
    let mut thing = Client::connect(node.mqtt(), &Options::v5("thing"));
    assert!(thing.publish(TOPIC, "81", 1) < 0x80);
    let attempts = sink.received();
    assert_eq!(attempts.len(), 4, "three attempts failed, the fourth did not");
    let ids: Vec<_> = attempts.iter().map(|attempt| attempt.attribute("id").map(str::to_owned)).collect();
    assert!(
        ids[0].is_some() && ids.windows(2).all(|pair| pair[0] == pair[1]),
        "one event, one ce-id: {ids:?}"
    );
}

#[test]
fn another_member_is_tried_when_one_fails() {
    let (dead, alive) = (Sink::start(), Sink::start());
    dead.stop();
    let document = open(&SHORT.replace(
        r#"members: ["http://127.0.0.1:${SINK}/events"]"#,
        r#"members: ["http://127.0.0.1:${DEAD}/events", "http://127.0.0.1:${ALIVE}/events"]"#,
    ));
    let setup = windrose_e2e::node::Setup::new().set("DEAD", dead.port()).set("ALIVE", alive.port());
    let node = setup.start(&document);
    let mut thing = Client::connect(node.mqtt(), &Options::v5("thing"));
    for number in 0..20 {
        assert!(thing.publish(TOPIC, number.to_string(), 1) < 0x80, "event {number}");
    }
    assert_eq!(alive.accepted().len(), 20);
}

#[test]
fn a_dead_service_is_told_at_the_deadline_to_mqtt_5() {
    let (sink, node) = start();
    sink.stop();
    let mut thing = Client::connect(node.mqtt(), &Options::v5("thing"));
    let start = Instant::now();
    assert_eq!(thing.publish(TOPIC, "81", 1), 0x83);
    let took = start.elapsed();
    assert!(
        took >= Duration::from_millis(1_500) && took < Duration::from_secs(6),
        "the deadline is 2 s: {took:?}"
    );
    assert!(thing.ping().is_ok(), "the connection stays");
    sink.restart();
    assert!(thing.publish(TOPIC, "82", 1) < 0x80, "and everything goes on when the service is back");
}

#[test]
fn a_dead_service_costs_an_mqtt_3_sender_its_connection_and_not_its_event() {
    let (sink, node) = start();
    sink.stop();
    let options = Options::v3("thing").persistent();
    let mut thing = Client::connect(node.mqtt(), &options);
    thing.publish_only(TOPIC, "81", 1);
    match thing.next(SOON) {
        Err(End::Closed) => {}
        other => panic!("no PUBACK may come, and the connection is closed: {other:?}"),
    }
    sink.restart();
    let mut thing = Client::connect(node.mqtt(), &options);
    assert_eq!(thing.publish(TOPIC, "81", 1), 0, "sent again, it is taken");
    assert!(sink.wait_for_text("81").accepted());
}

#[test]
fn a_service_that_never_answers_is_a_time_out() {
    let (sink, node) = start();
    sink.answer(Answer::Never);
    let mut thing = Client::connect(node.mqtt(), &Options::v5("thing"));
    let code = thing.publish(TOPIC, "81", 1);
    assert!(code == 0x80 || code == 0x83, "timed out, or unavailable: {code:#x}");
    assert!(node.metric("windrose_pool_attempts_total", &["outcome=\"timed_out\""]) >= 1.0);
}

#[test]
fn the_services_answer_is_published_to_the_response_topic() {
    let (sink, node) = start();
    sink.answer(Answer::Full(200, "Content-Type: application/json\r\n", "{\"limit\":80}".to_owned()));
    let mut thing = Client::connect(node.mqtt(), &Options::v5("thing"));
    thing.subscribe("devices/car-7/answers", 1);
    let properties = [
        vec![property::RESPONSE_TOPIC],
        string("devices/car-7/answers"),
        vec![property::CORRELATION_DATA],
        string("question-1"),
    ]
    .concat();
    let id = thing.publish_with(TOPIC, "{\"speed\":81}", 1, false, &properties);
    let delivery = thing.delivery(SOON);
    let Ok(windrose_e2e::mqtt::Packet::Publish { topic, payload, properties, .. }) = delivery else {
        panic!("no answer is published: {delivery:?}");
    };
    assert_eq!((topic.as_str(), payload.as_slice()), ("devices/car-7/answers", b"{\"limit\":80}".as_slice()));
    assert_eq!(properties.text(property::CORRELATION_DATA).as_deref(), Some("question-1"));
    assert_eq!(properties.text(property::CONTENT_TYPE).as_deref(), Some("application/json"));
    assert!(thing.answer(4, id, SOON).0 < 0x80);
}

#[test]
fn received_is_acknowledged_at_once_and_delivered_later() {
    let sink = Sink::start();
    let node = Node::start_with(
        &sink,
        &open(&SHORT.replace("acknowledge: delivered, deadline: 2s", "acknowledge: received")),
    );
    sink.answer(Answer::Status(503));
    let mut thing = Client::connect(node.mqtt(), &Options::v5("thing"));
    assert!(thing.publish(TOPIC, "81", 1) < 0x80, "the node has it in memory");
    sink.wait_for_text("81");
    assert!(sink.accepted().is_empty());
    sink.answer(Answer::OK);
    sink.wait_for("that is accepted", |received| received.accepted());
}

#[test]
fn a_slow_service_brakes_its_senders_and_loses_nothing() {
    let sink = Sink::start();
    let document = open(
        &SHORT.replace("timeout: 500ms", "timeout: 10s, queue: 20, max_in_flight: 4").replace("2s}", "60s}"),
    );
    let node = Node::start_with(&sink, &document);
    sink.answer(Answer::OK.after(Duration::from_millis(20)));
    let mut thing = Client::connect(node.mqtt(), &Options::v5("thing"));
    let ids: Vec<_> = (0..200).map(|number| thing.publish_only(TOPIC, number.to_string(), 1)).collect();
    for id in ids {
        assert!(thing.answer(4, id, SOON).0 < 0x80);
    }
    let mut numbers: Vec<u32> =
        sink.accepted().iter().filter_map(|received| received.text().parse().ok()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 200, "each event is at the service");
}
