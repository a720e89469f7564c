//! Who is let in, and what they may do: devices by password, callers by API key, denied by default.

use windrose_e2e::binary::output;
use windrose_e2e::clients::{mosquitto_pub, request};
use windrose_e2e::mqtt::{Client, Options};
use windrose_e2e::node::Setup;
use windrose_e2e::{Node, Sink};

const DOCUMENT: &str = r##"
node: {name: e2e, shards: 2}
admin: {bind: "127.0.0.1:${ADMIN}"}
listeners:
  - {name: mqtt, protocol: mqtt, bind: "127.0.0.1:${MQTT}"}
  - {name: rest, protocol: http, bind: "127.0.0.1:${REST}"}
identity: {devices: devices.yaml, api_keys: api-keys.yaml}
access:
  - {who: "device:*", may: [publish, subscribe], on: "devices/{device}/#"}
  - {who: "owner:*", may: [publish, subscribe, read, request], on: "devices/{owned}/#"}
  - {who: "service:backend", may: [publish], on: "notices/#"}
  - {who: "group:trucks", may: [subscribe], on: "notices/#"}
pools:
  service: {protocol: http, members: ["http://127.0.0.1:${SINK}/events"]}
routes:
  - {name: telemetry, match: "devices/+/telemetry", deliver: {pool: service}}
"##;

/// The SHA-256 of `the-key-of-the-backend` and of `the-key-of-alice`, as `sha256sum` prints it.
fn digest(key: &str) -> String {
    let command = format!("printf %s '{key}' | sha256sum | cut -d' ' -f1");
    let output = std::process::Command::new("sh").args(["-c", &command]).output().expect("sh can be started");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn start() -> (Sink, Node) {
    let sink = Sink::start();
    let hash = output(&["hash-password"], "the secret of car-7\n");
    let devices = format!(
        "devices:\n  - id: car-7\n    owner: alice\n    credentials: [{{password_hash: \"{0}\"}}]\n  - id: truck-1\n    \
         owner: bob\n    groups: [trucks]\n    credentials: [{{username: lorry, password_hash: \"{0}\"}}]\n",
        hash.trim()
    );
    let keys = format!(
        "api_keys:\n  - {{service: backend, key_sha256: \"{}\"}}\n  - {{owner: alice, key_sha256: \"{}\"}}\n",
        digest("the-key-of-the-backend"),
        digest("the-key-of-alice")
    );
    let setup =
        Setup::new().file("devices.yaml", &devices).file("api-keys.yaml", &keys).set("SINK", sink.port());
    let node = setup.start(DOCUMENT);
    (sink, node)
}

fn car(id: &str, options: Options) -> Options {
    Options { id: id.to_owned(), ..options }.credentials("car-7", "the secret of car-7")
}

#[test]
fn a_device_with_its_password_is_known_to_the_service_by_name_and_owner() {
    let (sink, node) = start();
    let arguments =
        ["-u", "car-7", "-P", "the secret of car-7", "-t", "devices/car-7/telemetry", "-m", "81", "-q", "1"];
    mosquitto_pub(node.mqtt(), &arguments).fine();
    let event = sink.wait_for_text("81");
    assert_eq!(event.attribute("deviceid"), Some("car-7"));
    assert_eq!(event.attribute("ownerid"), Some("alice"));
    assert_eq!(event.attribute("source"), Some("windrose://e2e/devices/car-7"));
    assert_eq!(event.attribute("subject"), Some("devices/car-7/telemetry"));
    assert_eq!(event.attribute("protocol"), Some("mqtt"));
}

#[test]
fn a_device_cannot_say_that_it_is_another_one() {
    let (sink, node) = start();
    let spoof = ["-D", "publish", "user-property"];
    let mut arguments =
        vec!["-V", "5", "-u", "car-7", "-P", "the secret of car-7", "-t", "devices/car-7/telemetry"];
    arguments.extend(["-m", "81", "-q", "1"]);
    for (name, value) in
        [("deviceid", "truck-1"), ("ce-deviceid", "truck-1"), ("ownerid", "bob"), ("ce-ownerid", "bob")]
    {
        arguments.extend(spoof);
        arguments.extend([name, value]);
    }
    mosquitto_pub(node.mqtt(), &arguments).fine();
    let event = sink.wait_for_text("81");
    let claimed: Vec<_> =
        event.request.headers.iter().filter(|(_, value)| value == "truck-1" || value == "bob").collect();
    assert_eq!(event.attribute("deviceid"), Some("car-7"));
    assert_eq!(event.attribute("ownerid"), Some("alice"));
    assert!(!claimed.iter().any(|(name, _)| name.starts_with("ce-")), "{claimed:?}");
}

#[test]
fn a_wrong_password_is_refused_counted_and_logged_without_the_password() {
    let (_sink, node) = start();
    let wrong = |options: Options| options.credentials("car-7", "a guess");
    for (options, code) in [(Options::v5("five"), 0x86), (Options::v3("three"), 5)] {
        let (mut client, _, said, _) =
            Client::try_connect(node.mqtt(), &wrong(options)).expect("a CONNACK comes");
        assert!(said == code || (code == 5 && said == 4), "{said:#x}");
        assert_eq!(client.closed(), None, "and the connection is closed");
    }
    let unknown = Options::v5("unknown").credentials("nobody", "a guess");
    assert!(
        matches!(Client::try_connect(node.mqtt(), &unknown), Ok((_, _, 0x86, _))),
        "a guesser learns nothing"
    );
    let line = node.wait_log(&["bad_credentials", "127.0.0.1:", "mqtt"]);
    assert!(!line.contains("a guess"), "{line}");
    node.wait_metric(
        "windrose_connections_refused_total",
        &["listener=\"mqtt\"", "cause=\"bad_credentials\""],
        3.0,
    );
}

#[test]
fn nobody_comes_in_without_credentials() {
    let (_sink, node) = start();
    assert!(matches!(Client::try_connect(node.mqtt(), &Options::v5("five")), Ok((_, _, 0x87, _))));
    assert!(matches!(Client::try_connect(node.mqtt(), &Options::v3("three")), Ok((_, _, 5, _))));
    node.wait_log(&["anonymous_denied"]);
    node.wait_metric("windrose_connections_refused_total", &["cause=\"anonymous_denied\""], 2.0);
}

#[test]
fn a_device_may_only_what_a_rule_allows_it() {
    let (sink, node) = start();
    let mut thing = Client::connect(node.mqtt(), &car("thing", Options::v5("")));
    assert!(thing.publish("devices/car-7/telemetry", "mine", 1) < 0x80);
    assert_eq!(thing.publish("devices/truck-1/telemetry", "not mine", 1), 0x87);
    assert_eq!(thing.publish("devices/truck-1/telemetry", "not mine", 2), 0x87);
    assert_eq!(thing.subscribe("devices/car-7/commands/#", 1), 1);
    assert_eq!(thing.subscribe("devices/+/commands/#", 1), 0x80);
    assert_eq!(thing.subscribe("#", 1), 0x80);
    assert_eq!(thing.subscribe("notices/#", 1), 0x80, "only for its group");
    assert!(thing.ping().is_ok(), "the connection stays");
    node.wait_log(&["not_permitted", "devices/truck-1/telemetry"]);
    assert!(sink.received().iter().all(|received| received.text() == "mine"));

    let mut three = Client::connect(node.mqtt(), &car("three", Options::v3("")));
    assert_eq!(three.publish("devices/truck-1/telemetry", "not mine", 1), 0, "MQTT 3.1.1 cannot be told");
    assert_eq!(three.subscribe("#", 1), 0x80);
    assert!(sink.received().iter().all(|received| received.text() == "mine"));

    let lorry = Options::v5("lorry").credentials("lorry", "the secret of car-7");
    let mut lorry = Client::connect(node.mqtt(), &lorry);
    assert_eq!(lorry.subscribe("notices/#", 1), 1, "its group may");
}

#[test]
fn a_session_belongs_to_who_began_it() {
    let (_sink, node) = start();
    let mut first = Client::connect(node.mqtt(), &car("shared-name", Options::v5("")).persistent());
    let thief = Options::v5("shared-name").credentials("lorry", "the secret of car-7");
    assert!(matches!(Client::try_connect(node.mqtt(), &thief), Ok((_, _, code, _)) if code >= 0x80));
    assert!(first.ping().is_ok(), "the first one is not disturbed");
}

#[test]
fn rest_callers_come_by_api_key() {
    let (_sink, node) = start();
    let notices = node.url("/v1/events/notices/today");
    let none = request(&["-d", "hello", &notices]);
    assert_eq!(none.status, 401, "{none:?}");
    assert!(none.field("www-authenticate").is_some(), "{none:?}");
    assert_eq!(none.field("content-type"), Some("application/problem+json"));
    assert_eq!(request(&["-d", "hello", "-H", "Authorization: Bearer a-guess", &notices]).status, 401);

    let bearer = ["-d", "hello", "-H", "Authorization: Bearer the-key-of-the-backend"];
    assert_eq!(request(&[&bearer[..], &[&notices]].concat()).status, 202);
    assert_eq!(request(&["-d", "hello", "-H", "X-API-Key: the-key-of-the-backend", &notices]).status, 202);
    let elsewhere = node.url("/v1/events/devices/car-7/commands/honk");
    let forbidden = request(&[&bearer[..], &[&elsewhere]].concat());
    assert_eq!(forbidden.status, 403, "{forbidden:?}");
    assert_eq!(forbidden.json()["status"], 403);
    node.wait_log(&["not_permitted", "devices/car-7/commands/honk"]);
}

#[test]
fn an_owner_reaches_its_own_devices_only() {
    let (_sink, node) = start();
    let alice = ["-d", "{}", "-H", "Authorization: Bearer the-key-of-alice"];
    let own = node.url("/v1/events/devices/car-7/commands/honk");
    assert_eq!(request(&[&alice[..], &[&own]].concat()).status, 202);
    let other = node.url("/v1/events/devices/truck-1/commands/honk");
    assert_eq!(request(&[&alice[..], &[&other]].concat()).status, 403);
}

#[test]
fn a_device_also_publishes_over_rest_with_its_password() {
    let (sink, node) = start();
    let url = node.url("/v1/events/devices/car-7/telemetry");
    let answer = request(&["-u", "car-7:the secret of car-7", "-d", "over http", &url]);
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(sink.wait_for_text("over http").attribute("deviceid"), Some("car-7"));
    assert_eq!(request(&["-u", "car-7:a guess", "-d", "x", &url]).status, 401);
}

#[test]
fn a_changed_file_of_devices_takes_force() {
    let (_sink, node) = start();
    let hash = output(&["hash-password"], "another secret\n");
    node.write_file(
        "devices.yaml",
        &format!("devices:\n  - id: boat-3\n    credentials: [{{password_hash: \"{}\"}}]\n", hash.trim()),
    );
    node.wait_log(&["the document is reloaded"]);
    let boat = Options::v5("boat").credentials("boat-3", "another secret");
    let mut boat = Client::connect(node.mqtt(), &boat);
    assert!(boat.publish("devices/boat-3/log", "afloat", 1) < 0x80);
    assert!(matches!(Client::try_connect(node.mqtt(), &car("car", Options::v5(""))), Ok((_, _, 0x86, _))));
}
