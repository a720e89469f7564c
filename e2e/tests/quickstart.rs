//! The quickstart: the commands that `make run` tells a newcomer to try, against the document that it runs.

use std::process::Command;
use windrose_e2e::binary::{output, windrose};
use windrose_e2e::clients::{amqp_python, curl, mosquitto_pub, request, stream, subscribe};
use windrose_e2e::coap::{Client, Message, code};
use windrose_e2e::node::Setup;
use windrose_e2e::ports::Port;
use windrose_e2e::process::Process;
use windrose_e2e::{Node, wait_until};

const QUICKSTART: &str = include_str!("../../examples/quickstart.yaml");

/// What `make run` writes, as far as it is needed here: a car of a household, the user of AMQP's clients, and keys of the
/// household and of its neighbour, which are `mine` and `theirs`.
fn files() -> [(&'static str, String); 2] {
    let guest = output(&["hash-password"], "guest\n");
    let devices = format!(
        "devices:\n  - {{id: car-7, owner: household-7, credentials: []}}\n  \
         - {{id: guest, credentials: [{{username: guest, password_hash: \"{}\"}}]}}\n",
        guest.trim()
    );
    let keys = format!(
        "api_keys:\n  - {{owner: household-7, key_sha256: \"{MINE}\"}}\n  - {{owner: household-8, key_sha256: \"{THEIRS}\"}}\n"
    );
    [("devices.yaml", devices), ("api-keys.yaml", keys)]
}

/// SHA-256 of `mine`, and of `theirs`.
const MINE: &str = "3fd30542fe3f61b14bd4a4b2dc0b6fb30fa6f63ebce52dd1778aaa8c4dc02cff";
const THEIRS: &str = "4c55a8552a2c7261f61f798c2265e6f13358f326ae5b934096ff16bd15e62c33";

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
        let mut setup = Setup::new();
        for (name, text) in files() {
            setup = setup.file(name, &text);
        }
        setup = setup.set("QUICKSTART_DEVICES", "devices.yaml").set("QUICKSTART_API_KEYS", "api-keys.yaml");
        let node = setup.start(&document);
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
fn my_neighbour_cannot_retune_my_radio() {
    let quickstart = Quickstart::start();
    let radio = subscribe(quickstart.node.mqtt(), &["-t", "devices/car-7/commands/radio", "-V", "5"]);
    let url = quickstart.node.url("/v1/events/devices/car-7/commands/radio");
    let tune =
        |key: &str, station: &str| request(&["-H", &format!("X-API-Key: {key}"), "-d", station, &url]).status;
    assert_eq!(tune("theirs", "polka"), 403);
    assert_eq!(request(&["-d", "polka", &url]).status, 403, "nor anybody who does not say who it is");
    assert_eq!(tune("mine", "jazz"), 202);
    radio.line("the station", |line| line == "jazz");
    assert!(!radio.said().contains("polka"));
    let why = |owner: &str| {
        let who = format!("owner:{owner}");
        let asked = ["explain", "--as", &who, "publish", "devices/car-7/commands/radio"];
        Command::new(windrose())
            .args(asked)
            .env("QUICKSTART_DEVICES", quickstart.node.folder().path().join("devices.yaml"))
            .env("QUICKSTART_API_KEYS", quickstart.node.folder().path().join("api-keys.yaml"))
            .current_dir("/")
            .output()
            .expect("windrose can be started")
    };
    assert_eq!(why("household-7").status.code(), Some(0));
    let denied = why("household-8");
    assert_eq!(denied.status.code(), Some(1));
    let said = String::from_utf8_lossy(&denied.stdout).into_owned();
    assert!(said.contains("{owned}"), "it names the rule that nearly allowed it: {said}");
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
