//! Sessions follow what the registry says of their owners: what proved them ends, two things share an identity, names are
//! bound to devices, owners come to own more.

use std::time::{Duration, SystemTime};
use windrose_e2e::Node;
use windrose_e2e::binary::output;
use windrose_e2e::clients::paho;
use windrose_e2e::mqtt::{Client, Options};
use windrose_e2e::node::Setup;
use windrose_e2e::wait::eventually;

const DOCUMENT: &str = r##"
node: {name: e2e, shards: 2}
admin: {bind: "127.0.0.1:${ADMIN}"}
listeners: [{name: mqtt, protocol: mqtt, bind: "127.0.0.1:${MQTT}"}]
identity:
  registry: "sqlite:registry.db"
  client_id: device
  duplicates: {takeovers: 2, within: 1m, quarantine: 1m}
access:
  - {who: "device:*", may: [publish, subscribe], on: "devices/{device}/#"}
  - {who: "owner:*", may: [publish, subscribe], on: "devices/{owned}/#"}
"##;

/// The same registry, for the command line.
const BESIDE: &str = r##"
listeners: [{name: mqtt, protocol: mqtt, bind: "127.0.0.1:1883"}]
identity: {registry: "sqlite:registry.db"}
"##;

const GONE: Duration = Duration::from_secs(20);

fn start() -> Node {
    Setup::new().file("beside.yaml", BESIDE).start(DOCUMENT)
}

fn windrose(node: &Node, arguments: &[&str], input: &str) -> String {
    let document = node.folder().path().join("beside.yaml").display().to_string();
    output(&[arguments, &["--document", &document]].concat(), input)
}

/// A device or an owner with a password, which is its id.
fn add(node: &Node, kind: &str, id: &str, more: &[&str], credential: &[&str]) {
    windrose(node, &[&[kind, "add", id], more].concat(), "");
    let add = [kind, "credential", "add", id, "--password", "--secret", "-"];
    windrose(node, &[&add, credential].concat(), id);
}

fn options(name: &str, id: &str) -> Options {
    Options::v5(name).persistent().credentials(id, id)
}

/// The code of CONNACK.
fn answer(node: &Node, options: &Options) -> u8 {
    Client::try_connect(node.mqtt(), options).expect("a CONNACK comes").2
}

#[test]
fn a_session_ends_with_the_credential_that_proved_it() {
    let node = start();
    let until = SystemTime::now() + Duration::from_secs(6);
    let until = until.duration_since(SystemTime::UNIX_EPOCH).expect("the clock is right").as_secs();
    let at = format!("@{until}");
    let date = std::process::Command::new("date").args(["-u", "-d", &at, "+%Y-%m-%dT%H:%M:%SZ"]).output();
    let date = date.expect("date can be started");
    let until = String::from_utf8_lossy(&date.stdout).trim().to_owned();
    add(&node, "device", "car-1", &[], &["--not-after", &until]);
    let mut car = Client::connect(node.mqtt(), &options("car-1", "car-1"));
    assert_eq!(car.closed_within(GONE), Some(0x87));
    node.wait_metric("windrose_connections_closed_total", &["cause=\"expired\""], 1.0);
    node.wait_log(&["session ended", "device:car-1", "expired"]);
    assert_eq!(answer(&node, &options("car-1", "car-1")), 0x86, "it proves nothing any more");
}

#[test]
fn a_password_that_is_proved_by_scram_is_proved_anew_until_it_is_revoked() {
    let node = start();
    windrose(&node, &["device", "add", "car-1"], "");
    windrose(&node, &["device", "credential", "add", "car-1", "--scram", "--secret", "-"], "its secret");
    let mut wrong = paho("scram.py", node.mqtt(), &["car-1", "a guess"]);
    let said = wrong.line("CONNACK", |line| line.contains("connack"));
    assert!(said.contains("134"), "{said}");
    wrong.wait();
    let mut car = paho("scram.py", node.mqtt(), &["car-1", "its secret"]);
    let said = car.line("CONNACK", |line| line.contains("connack"));
    assert_eq!(said, r#"{"connack": 0, "known": true}"#);
    car.write("its secret\n");
    let said = car.line("AUTH", |line| line.contains("anew"));
    assert_eq!(said, r#"{"anew": 0, "known": true}"#);
    let shown = windrose(&node, &["device", "show", "car-1", "--json"], "");
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("it is JSON");
    let id = shown["credentials"][0]["id"].as_str().expect("it has one").to_owned();
    windrose(&node, &["device", "credential", "revoke", &id], "");
    let said = car.line("DISCONNECT", |line| line.contains("gone"));
    assert_eq!(said, r#"{"gone": 152}"#);
    let again = paho("scram.py", node.mqtt(), &["car-1", "its secret"]);
    let said = again.line("CONNACK", |line| line.contains("connack"));
    assert!(!said.contains("true"), "{said}");
}

#[test]
fn things_that_take_each_other_over_are_kept_out_for_a_while() {
    let node = start();
    add(&node, "device", "car-1", &["--owner", "ann"], &[]);
    add(&node, "device", "car-2", &["--owner", "ann"], &[]);
    let mut other = Client::connect(node.mqtt(), &options("car-2", "car-2"));
    // From one address: a takeover counts a quarter.
    let mut last = Client::connect(node.mqtt(), &options("car-1", "car-1"));
    for _ in 0..7 {
        let next = Client::connect(node.mqtt(), &options("car-1", "car-1"));
        assert_eq!(last.closed_within(GONE), Some(0x8e));
        last = next;
    }
    // The one too many is let in and sent away, or refused while it waits for what it takes over.
    match Client::try_connect(node.mqtt(), &options("car-1", "car-1")).expect("a CONNACK comes") {
        (mut next, _, 0, _) => assert_eq!(next.closed_within(GONE), Some(0x98)),
        (_, _, code, _) => assert_eq!(code, 0x8a),
    }
    assert_eq!(answer(&node, &options("car-1", "car-1")), 0x8a);
    node.wait_metric("windrose_connections_refused_total", &["cause=\"quarantined\""], 1.0);
    node.wait_log(&["two things seem to share an identity", "device:car-1", "127.0.0.1"]);
    other.ping().expect("the other one has nothing to do with it");
    // Whoever reinstates what the registry has not noted yet reinstates nobody.
    eventually("the registry notes it", || {
        windrose(&node, &["device", "show", "car-1"], "").contains("quarantined").then_some(())
    });
    windrose(&node, &["device", "reinstate", "car-1"], "");
    eventually("it is let in again", || (answer(&node, &options("car-1", "car-1")) == 0).then_some(()));
}

#[test]
fn a_device_calls_itself_by_its_own_name() {
    let node = start();
    add(&node, "device", "car-1", &[], &[]);
    assert_eq!(answer(&node, &options("car-1", "car-1")), 0);
    assert_eq!(answer(&node, &options("car-1/telemetry", "car-1")), 0);
    for name in ["car-10", "car-2", "x"] {
        assert_eq!(answer(&node, &options(name, "car-1")), 0x85, "{name}");
    }
    let old = Options::v3("car-2").credentials("car-1", "car-1");
    assert_eq!(answer(&node, &old), 2);
}

#[test]
fn an_owner_that_is_connected_hears_of_a_device_when_it_is_its_own() {
    let node = start();
    add(&node, "owner", "ann", &[], &[]);
    add(&node, "device", "car-1", &[], &[]);
    let mut ann = Client::connect(node.mqtt(), &options("ann", "ann"));
    assert_eq!(ann.subscribe("devices/car-1/#", 1), 0x80);
    windrose(&node, &["device", "claim", "car-1", "--owner", "ann"], "");
    eventually("it may subscribe", || (ann.subscribe("devices/car-1/#", 1) == 1).then_some(()));
    let mut car = Client::connect(node.mqtt(), &options("car-1", "car-1"));
    assert_eq!(car.publish("devices/car-1/x", "hers", 1), 0);
    assert_eq!(ann.message().1, "hers");
    windrose(&node, &["device", "transfer", "car-1", "--owner", "bob"], "");
    assert_eq!(car.closed_within(GONE), Some(0x98));
    // A thread that hears of it late sends it away once more.
    let again = || {
        eventually("it is let in as bob's", || {
            match Client::try_connect(node.mqtt(), &options("car-1", "car-1")) {
                Ok((client, _, 0, _)) => Some(client),
                _ => None,
            }
        })
    };
    let mut car = again();
    eventually("ann does not hear of it any more", || {
        if car.ping().is_err() {
            car = again();
        }
        car.publish("devices/car-1/x", "bob's", 1);
        ann.delivery(Duration::from_millis(500)).is_err().then_some(())
    });
    ann.ping().expect("she is still there");
}
