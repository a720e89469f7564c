//! The quickstart: the commands that `make run` tells a newcomer to try, against the document that it runs.

use std::process::Command;
use windrose_e2e::binary::windrose;
use windrose_e2e::clients::{amqp_python, curl, mosquitto_pub, stream, subscribe};
use windrose_e2e::coap::{Client, Message, code};
use windrose_e2e::node::Setup;
use windrose_e2e::ports::Port;
use windrose_e2e::process::Process;
use windrose_e2e::{Node, wait_until};

const QUICKSTART: &str = include_str!("../../examples/quickstart.yaml");

/// The node with the sample service and the sample thing, as `make run` starts them, on ports of the test's own.
struct Quickstart {
    node: Node,
    service: Process,
    _thing: Process,
}

impl Quickstart {
    fn start() -> Self {
        let service = Port::free().address();
        let document = [
            ("127.0.0.1:1883", "127.0.0.1:${MQTT}".to_owned()),
            ("127.0.0.1:8080", "127.0.0.1:${REST}".to_owned()),
            ("127.0.0.1:5683", "127.0.0.1:${COAP}".to_owned()),
            ("127.0.0.1:5684", "127.0.0.1:${COAPS}".to_owned()),
            ("127.0.0.1:5672", "127.0.0.1:${AMQP}".to_owned()),
            ("bind: \"127.0.0.1:9090\"", "bind: \"127.0.0.1:${ADMIN}\"".to_owned()),
            ("127.0.0.1:9000", service.to_string()),
        ]
        .iter()
        .fold(QUICKSTART.to_owned(), |document, (from, to)| {
            assert!(document.contains(from), "the quickstart has {from}");
            document.replace(from, to)
        });
        let node = Setup::new().start(&document);
        let sample =
            |arguments: &[&str]| Process::start(Command::new(windrose()).args(arguments), "build it");
        let service = sample(&["sample-service", "--bind", &service.to_string()]);
        let thing = sample(&["sample-thing", "--id", "car-7", "--connect", &node.mqtt().to_string()]);
        wait_until("the sample thing's subscription", || node.metric("windrose_subscriptions", &[]) >= 1.0);
        Self { node, service, _thing: thing }
    }
}

#[test]
fn what_a_device_publishes_arrives_at_the_sample_service_as_a_cloud_event() {
    let quickstart = Quickstart::start();
    let arguments = ["-t", "devices/car-7/telemetry", "-q", "1", "-m", "{\"speed\":81}"];
    mosquitto_pub(quickstart.node.mqtt(), &arguments).fine();
    let line = quickstart.service.line("the event", |line| line.contains("{\"speed\":81}"));
    assert!(line.contains("devices/car-7/telemetry"), "the line names the subject: {line}");
    assert_eq!(
        quickstart.node.metric("windrose_events_settled_total", &["outcome=\"accepted\""]),
        1.0,
        "the PUBACK says accepted, and the metrics agree"
    );
}

#[test]
fn what_curl_posts_reaches_a_waiting_thing() {
    let quickstart = Quickstart::start();
    let thing = subscribe(quickstart.node.mqtt(), &["-t", "devices/car-7/commands/#", "-V", "5"]);
    let url = quickstart.node.url("/v1/events/devices/car-7/commands/honk");
    curl(&["-X", "POST", &url, "-d", "{}"]).fine();
    thing.line("the command", |line| line == "{}");
}

#[test]
fn server_sent_events_show_the_telemetry() {
    let quickstart = Quickstart::start();
    let events = stream(&quickstart.node.url("/v1/events/devices/+/telemetry"), &[]);
    mosquitto_pub(
        quickstart.node.mqtt(),
        &["-t", "devices/car-7/telemetry", "-q", "1", "-m", "{\"speed\":82}"],
    )
    .fine();
    let line = events.line("the event", |line| line.starts_with("data:"));
    assert!(line.contains("82") && line.contains("devices/car-7/telemetry"), "{line}");
}

#[test]
fn a_request_gets_the_things_answer() {
    let quickstart = Quickstart::start();
    let url = quickstart.node.url("/v1/requests/devices/car-7/commands/locate?wait=5s");
    let answer = windrose_e2e::clients::request(&["-X", "POST", &url, "-d", "{}"]);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.json().is_object(), "the thing answers with JSON: {answer:?}");
}

#[test]
fn coap_is_served_on_its_default_ports() {
    for listener in
        ["name: coap, protocol: coap, bind: \"127.0.0.1:5683\"", "bind: \"127.0.0.1:5684\", dtls: psk"]
    {
        assert!(QUICKSTART.contains(listener), "the quickstart has {listener}");
    }
    let quickstart = Quickstart::start();
    let mut thing = Client::new(quickstart.node.coap());
    let accepted = thing.ask(Message::post("devices/meter-1/telemetry", "{\"kwh\":3}").format(50));
    assert_eq!(accepted.code, code::CHANGED);
    // The service has it already: the answer came after its 2xx.
    let has_it = |line: &str| line.contains("devices/meter-1/telemetry") && line.contains("{\"kwh\":3}");
    quickstart.service.line("the event", has_it);
}

#[test]
fn a_service_fetches_by_amqp_what_a_device_tells() {
    let quickstart = Quickstart::start();
    let address = quickstart.node.amqp().to_string();
    let fetched = amqp_python("fetch.py", &[&address, "work", "devices.*.telemetry.#"]);
    fetched.line("that the queue is there", |line| line == "waiting");
    let arguments = ["-t", "devices/car-7/telemetry", "-q", "1", "-m", "{\"speed\":83}"];
    mosquitto_pub(quickstart.node.mqtt(), &arguments).fine();
    fetched.line("the event", |line| line == "devices.car-7.telemetry {\"speed\":83}");
}
