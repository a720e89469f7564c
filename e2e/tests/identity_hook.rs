//! Identities that a service keeps elsewhere.

use serde_json::{Value, json};
use windrose_e2e::clients::request;
use windrose_e2e::http::Message;
use windrose_e2e::mqtt::{Client, Options};
use windrose_e2e::node::Setup;
use windrose_e2e::{Answer, Node, Sink};

const DOCUMENT: &str = r##"
node: {name: e2e, shards: 2}
admin: {bind: "127.0.0.1:${ADMIN}"}
listeners:
  - {name: mqtt, protocol: mqtt, bind: "127.0.0.1:${MQTT}"}
  - {name: rest, protocol: http, bind: "127.0.0.1:${REST}"}
identity:
  hook: {url: "http://127.0.0.1:${SINK}/who", headers: {Authorization: "Bearer of-the-node"}, timeout: 2s}
access:
  - {who: "device:*", may: [publish], on: "devices/{device}/#"}
  - {who: "owner:*", may: [publish], on: "homes/{owner}/#"}
"##;

/// Knows car-7 by its password, alice by her key, and nobody else.
fn who(request: &Message) -> Answer {
    let claim: Value = request.json();
    let answer = match (claim["username"].as_str(), claim["password"].as_str(), claim["api_key"].as_str()) {
        (Some("car-7"), Some("secret"), _) => json!({"device": "car-7", "owner": "alice"}),
        (Some("car-7"), _, _) => return Answer::Status(401),
        (_, _, Some("key-of-alice")) => json!({"owner": "alice"}),
        _ => return Answer::Status(404),
    };
    Answer::Full(200, "Content-Type: application/json\r\n", answer.to_string())
}

fn start() -> (Sink, Node) {
    let sink = Sink::start();
    sink.script(who);
    let node = Setup::new().set("SINK", sink.port()).start(DOCUMENT);
    (sink, node)
}

fn connect(node: &Node, name: &str, password: &str) -> u8 {
    match Client::try_connect(node.mqtt(), &Options::v5("thing").credentials(name, password)) {
        Ok((_, _, code, _)) => code,
        Err(end) => panic!("no CONNACK: {end:?}"),
    }
}

#[test]
fn the_hook_says_who_is_let_in_and_is_not_asked_twice() {
    let (sink, node) = start();
    let mut car = Client::connect(node.mqtt(), &Options::v5("thing").credentials("car-7", "secret"));
    assert!(car.publish("devices/car-7/a", "x", 1) < 0x80);
    assert_eq!(car.publish("devices/car-8/a", "x", 1), 0x87);
    let asked = sink.received().remove(0);
    assert_eq!(asked.request.header("authorization"), Some("Bearer of-the-node"));
    assert_eq!(asked.request.json()["listener"], "mqtt");
    for _ in 0..5 {
        assert_eq!(connect(&node, "car-7", "secret"), 0);
    }
    assert_eq!(sink.count(), 1, "its word is remembered");
    assert_eq!(connect(&node, "car-7", "guess"), 0x86);
    assert_eq!(connect(&node, "stranger", "guess"), 0x86, "nobody learns whether a name is known");
    let line = node.wait_log(&["bad_credentials", "hook"]);
    assert!(!line.contains("guess") && !line.contains("of-the-node"), "{line}");

    let url = node.url("/v1/events/homes/alice/lamp");
    assert_eq!(request(&["-H", "X-API-Key: key-of-alice", "-d", "on", &url]).status, 202);
    assert_eq!(request(&["-H", "X-API-Key: another", "-d", "on", &url]).status, 401);
}

#[test]
fn while_the_hook_is_away_nobody_new_is_let_in_and_it_is_not_their_fault() {
    let (sink, node) = start();
    assert_eq!(connect(&node, "car-7", "secret"), 0);
    sink.stop();
    assert_eq!(connect(&node, "car-9", "secret"), 0x88);
    node.wait_log(&["unavailable", "the identity hook cannot be used"]);
    assert_eq!(connect(&node, "car-7", "secret"), 0, "whom it let in a moment ago");
    sink.restart();
    sink.script(|_| Answer::Garbage);
    assert_eq!(connect(&node, "car-10", "secret"), 0x88);
    sink.script(who);
    assert_eq!(connect(&node, "car-10", "secret"), 0x86);
}
