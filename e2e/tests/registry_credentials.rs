//! Credentials of the registry's database, made by the command line beside a running node: several for each, each in its time,
//! changed while connections are open; and whoever guesses is held off.

use serde_json::Value;
use std::time::Duration;
use windrose_e2e::binary::output;
use windrose_e2e::clients::request;
use windrose_e2e::folder::Folder;
use windrose_e2e::mqtt::{Client, Options};
use windrose_e2e::node::Setup;
use windrose_e2e::{Node, wait_until};

const DOCUMENT: &str = r##"
node: {name: e2e, shards: 2}
admin: {bind: "127.0.0.1:${ADMIN}"}
listeners:
  - {name: mqtt, protocol: mqtt, bind: "127.0.0.1:${MQTT}"}
  - {name: rest, protocol: http, bind: "127.0.0.1:${REST}"}
identity: {registry: "sqlite:${FOLDER}/registry.db", guard: {failures: 20, within: 10m, block: 10m}}
access:
  - {who: "device:*", may: [publish, subscribe], on: "devices/{device}/#"}
  - {who: "owner:*", may: [publish], on: "devices/{owned}/#"}
  - {who: "service:backend", may: [publish], on: "#"}
"##;

/// MQTT 5 §3.2.2.2: bad user name or password.
const BAD: u8 = 0x86;
/// MQTT 5 §3.2.2.2: the server does not look at more of these now.
const THROTTLED: u8 = 0x9f;

struct Registry(Folder);

impl Registry {
    fn start() -> (Self, Node) {
        let folder = Folder::new();
        folder.write("registry.yaml", "identity: {registry: \"sqlite:registry.db\"}\n");
        let node = Setup::new().set("FOLDER", folder.path().display()).start(DOCUMENT);
        (Self(folder), node)
    }

    fn run(&self, family: &str, arguments: &[&str], input: &str) -> String {
        let document = self.0.path().join("registry.yaml").display().to_string();
        output(&[&[family, "--document", &document], arguments].concat(), input).trim().to_owned()
    }

    /// Adds a password with a user name of its own, and returns the credential's id.
    fn password(&self, device: &str, name: &str, password: &str) -> String {
        let arguments = ["credential", "add", device, "--password", "--name", name, "--secret", "-"];
        self.run("device", &arguments, password);
        let shown: Value = serde_json::from_str(&self.run("device", &["--json", "show", device], ""))
            .expect("what it prints is JSON");
        let credentials = shown["credentials"].as_array().expect("there is a list of credentials").clone();
        let ours = credentials.iter().find(|one| one["name"] == name).expect("ours is among them").clone();
        ours["id"].as_str().expect("an id is text").to_owned()
    }
}

fn code(node: &Node, name: &str, password: &str) -> u8 {
    let options = Options::v5(&format!("{name}-now")).credentials(name, password);
    Client::try_connect(node.mqtt(), &options).map_or(0xff, |(_, _, code, _)| code)
}

#[test]
fn a_device_changes_its_password_without_losing_its_connection() {
    let (registry, node) = Registry::start();
    assert_eq!(code(&node, "first", "one"), BAD, "nobody is known yet");
    registry.run("device", &["add", "car-7"], "");
    let first = registry.password("car-7", "first", "one");
    wait_until("it is known soon after it is added", || code(&node, "first", "one") == 0);
    let mut by_first = Client::connect(node.mqtt(), &Options::v5("a").credentials("first", "one"));

    registry.password("car-7", "second", "two");
    wait_until("the second is good", || code(&node, "second", "two") == 0);
    let mut by_second = Client::connect(node.mqtt(), &Options::v5("b").credentials("second", "two"));
    assert_eq!(by_first.publish("devices/car-7/x", "1", 1), 0x10, "the first one still is, too");

    registry.run("device", &["credential", "revoke", &first], "");
    assert_eq!(by_first.closed_within(Duration::from_secs(10)), Some(0x98));
    assert_ne!(code(&node, "first", "one"), 0);
    node.wait_log(&["is revoked"]);
    assert_eq!(by_second.publish("devices/car-7/x", "2", 1), 0x10, "whoever came by the other stays");
    assert_eq!(code(&node, "second", "two"), 0);
}

#[test]
fn a_credential_counts_in_its_time_only_and_the_log_says_why() {
    let (registry, node) = Registry::start();
    registry.run("device", &["add", "car-7"], "");
    for (name, option, time) in
        [("late", "--not-after", "2020-01-01T00:00:00Z"), ("early", "--not-before", "2100-01-01T00:00:00Z")]
    {
        let arguments =
            ["credential", "add", "car-7", "--password", "--name", name, "--secret", "-", option, time];
        registry.run("device", &arguments, "secret");
        wait_until("it is refused", || code(&node, name, "secret") == BAD);
    }
    node.wait_log(&["device:car-7", "has run out"]);
    node.wait_log(&["device:car-7", "is not good yet"]);
}

#[test]
fn names_with_sql_in_them_are_names() {
    let (registry, node) = Registry::start();
    let name = "x'; DROP TABLE principals; --";
    registry.run("device", &["add", name], "");
    registry.password(name, name, "secret");
    wait_until("it is let in", || code(&node, name, "secret") == 0);
    for hostile in ["' OR '1'='1", "x' --", "%", "_", "x'; DROP TABLE principals; -- "] {
        assert_eq!(code(&node, hostile, "secret"), BAD, "{hostile}");
    }
    assert_eq!(code(&node, name, "secret"), 0, "everything is still there");
}

#[test]
fn services_and_owners_call_by_keys_that_were_made_for_them() {
    let (registry, node) = Registry::start();
    registry.run("device", &["add", "car-7", "--owner", "alice"], "");
    registry.run("service", &["add", "backend"], "");
    let backend = registry.run("service", &["credential", "add", "backend", "--api-key", "--generate"], "");
    let alice = registry.run("owner", &["credential", "add", "alice", "--api-key", "--generate"], "");
    let publish = |key: &str, address: &str| {
        let bearer = format!("Authorization: Bearer {key}");
        request(&["-H", &bearer, "-d", "x", &node.url(&format!("/v1/events/{address}"))]).status
    };
    wait_until("the service is known", || publish(&backend, "notices/a") == 202);
    wait_until("the owner is known", || publish(&alice, "devices/car-7/a") == 202);
    assert_eq!(publish(&alice, "devices/boat/a"), 403);
    assert_eq!(publish("guess", "notices/a"), 401);
    // A device that comes to her is hers at once.
    registry.run("device", &["add", "boat"], "");
    registry.run("device", &["claim", "boat", "--owner", "alice"], "");
    wait_until("the new device is hers", || publish(&alice, "devices/boat/a") == 202);
    registry.run("service", &["revoke", "backend"], "");
    wait_until("a revoked service is refused", || publish(&backend, "notices/a") == 401);
}

#[test]
fn a_guesser_is_not_looked_at_and_whoever_was_here_comes_all_the_same() {
    let (registry, node) = Registry::start();
    registry.run("device", &["add", "car-7"], "");
    registry.password("car-7", "car-7", "secret");
    wait_until("it is let in", || code(&node, "car-7", "secret") == 0);
    let codes: Vec<u8> = (0..30).map(|number| code(&node, "car-7", &number.to_string())).collect();
    assert!(codes.contains(&BAD) && codes.ends_with(&[THROTTLED]), "{codes:?}");
    assert_eq!(code(&node, "somebody", "else"), THROTTLED);
    assert_eq!(code(&node, "car-7", "secret"), 0, "it was here before, from here");
    assert!(node.metric("windrose_identity_throttled_total", &[]) > 0.0);
    assert!(node.metric("windrose_identity_blocks_total", &[]) > 0.0);
    node.wait_error("too many wrong credentials");
}
