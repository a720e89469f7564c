//! SIGTERM: nothing new is accepted, what is in flight is finished, clients are told, and the exit is clean.

use std::time::{Duration, Instant};
use windrose_e2e::clients::{request, stream};
use windrose_e2e::documents::{delivered, open};
use windrose_e2e::fleet::{Fleet, Pace, assert_delivered};
use windrose_e2e::mqtt::{Client, Options};
use windrose_e2e::{Answer, Node, Sink, http, wait_until};

#[test]
fn a_termination_under_load_loses_nothing_that_was_acknowledged() {
    let sink = Sink::start();
    sink.answer(Answer::OK.after(Duration::from_millis(5)));
    let mut node = Node::start_with(&sink, &delivered());
    let fleet = Fleet::start(node.mqtt(), Pace { devices: 50, window: 16, pause: Duration::from_millis(20) });
    wait_until("traffic", || fleet.acknowledged() > 500);
    let start = Instant::now();
    node.signal("TERM");
    let reports = fleet.join();
    let status = node.wait_end(Duration::from_secs(15));
    assert_eq!(status.code(), Some(0), "the exit is clean");
    assert!(start.elapsed() < Duration::from_secs(10), "within the deadline: {:?}", start.elapsed());
    for report in &reports {
        assert_eq!(report.cut, Some(Some(0x8b)), "{} is told that the server shuts down", report.device);
    }
    assert_delivered(&reports, &sink.received());
}

#[test]
fn what_is_in_flight_is_finished_first() {
    let sink = Sink::start();
    sink.answer(Answer::OK.after(Duration::from_secs(1)));
    let mut node = Node::start_with(&sink, &delivered());
    let mut thing = Client::connect(node.mqtt(), &Options::v5("thing"));
    let id = thing.publish_only("devices/car-7/telemetry", "81", 1);
    sink.wait_for_text("81");
    node.signal("TERM");
    assert!(thing.answer(4, id, Duration::from_secs(5)).0 < 0x80, "the acknowledgement still comes");
    assert_eq!(thing.closed(), Some(0x8b));
    assert_eq!(node.wait_end(Duration::from_secs(10)).code(), Some(0));
    assert!(sink.wait_for_text("81").accepted());
}

#[test]
fn nothing_new_is_accepted_and_the_node_is_not_ready() {
    let sink = Sink::start();
    sink.answer(Answer::OK.after(Duration::from_secs(2)));
    let mut node = Node::start_with(&sink, &delivered());
    let mut thing = Client::connect(node.mqtt(), &Options::v5("thing"));
    thing.publish_only("devices/car-7/telemetry", "81", 1);
    sink.wait_for_text("81");
    node.signal("TERM");
    wait_until("that the node is not ready", || node.admin("/readyz").status() == 503);
    assert_eq!(node.admin("/healthz").status(), 200, "it lives all the same");
    wait_until("that nobody is let in", || {
        !matches!(Client::try_connect(node.mqtt(), &Options::v5("late")), Ok((_, _, 0, _)))
    });
    assert!(
        http::get(node.rest(), "/v1/openapi.json").is_ok_and(|answer| answer.status() == 503)
            || http::get(node.rest(), "/v1/openapi.json").is_err()
    );
    assert_eq!(node.wait_end(Duration::from_secs(10)).code(), Some(0));
}

#[test]
fn a_drain_that_takes_too_long_is_cut_and_says_so() {
    let sink = Sink::start();
    sink.answer(Answer::Never);
    let document = delivered().replace("shutdown_deadline: 10s", "shutdown_deadline: 1s");
    let mut node = Node::start_with(&sink, &document);
    let mut thing = Client::connect(node.mqtt(), &Options::v5("thing"));
    thing.publish_only("devices/car-7/telemetry", "81", 1);
    sink.wait_for_text("81");
    let start = Instant::now();
    node.signal("TERM");
    let status = node.wait_end(Duration::from_secs(10));
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    assert_eq!(status.code(), Some(1), "not everything was finished");
    node.wait_log(&["before everything in flight was finished"]);
}

#[test]
fn rest_callers_get_their_answers_and_streams_end() {
    let sink = Sink::start();
    sink.answer(Answer::OK.after(Duration::from_secs(1)));
    let mut node = Node::start_with(&sink, &delivered());
    let mut events = stream(&node.url("/v1/events/devices/%23"), &[]);
    let url = node.url("/v1/events/devices/car-7/telemetry");
    let posting = std::thread::spawn(move || request(&["-d", "81", &url]));
    sink.wait_for_text("81");
    let start = Instant::now();
    node.signal("TERM");
    assert_eq!(posting.join().expect("curl ends").status, 202);
    events.wait();
    assert_eq!(node.wait_end(Duration::from_secs(10)).code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
}

#[test]
fn an_interrupt_drains_too() {
    let mut node = Node::start(&open(""));
    let mut thing = Client::connect(node.mqtt(), &Options::v5("thing"));
    node.signal("INT");
    assert_eq!(thing.closed(), Some(0x8b));
    assert_eq!(node.wait_end(Duration::from_secs(5)).code(), Some(0));
}

#[test]
fn idle_clients_are_told_at_once() {
    let mut node = Node::start(&open(""));
    let mut five = Client::connect(node.mqtt(), &Options::v5("five"));
    let mut three = Client::connect(node.mqtt(), &Options::v3("three"));
    node.signal("TERM");
    assert_eq!(five.closed(), Some(0x8b));
    assert_eq!(three.closed(), None, "MQTT 3.1.1 has no word for it");
    assert_eq!(node.wait_end(Duration::from_secs(5)).code(), Some(0));
}
