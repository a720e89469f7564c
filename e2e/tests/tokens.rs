//! Tokens of an issuer: devices, owners and services come in by them on every protocol, as long as they are good.

use serde_json::{Value, json};
use std::time::{Duration, Instant};
use windrose_e2e::clients::{amqp_python, request, result};
use windrose_e2e::issuer::{Issuer, now};
use windrose_e2e::mqtt::{Client, Options};
use windrose_e2e::node::Setup;
use windrose_e2e::{Node, Sink};

const DOCUMENT: &str = r##"
node: {name: e2e, shards: 2}
admin: {bind: "127.0.0.1:${ADMIN}"}
listeners:
  - {name: mqtt, protocol: mqtt, bind: "127.0.0.1:${MQTT}"}
  - {name: rest, protocol: http, bind: "127.0.0.1:${REST}"}
  - {name: amqp, protocol: amqp, bind: "127.0.0.1:${AMQP}"}
identity:
  tokens:
    - name: idp
      issuer: https://idp.example
      audience: windrose
      keys: "http://127.0.0.1:${IDP}/jwks"
      device: sub
      owner: household
      service: azp
      groups: roles
      registered: false
      leeway: 0s
access:
  - {who: "device:*", may: [publish, subscribe], on: "devices/{device}/#"}
  - {who: "owner:*", may: [publish], on: "homes/{owner}/#"}
  - {who: "service:billing", may: [publish], on: "invoices/#"}
  - {who: "group:mechanics", may: [publish], on: "workshop/#"}
pools:
  service: {protocol: http, members: ["http://127.0.0.1:${SINK}/events"]}
routes:
  - {name: all, match: "#", deliver: {pool: service}}
"##;

fn start() -> (Issuer, Sink, Node) {
    let (issuer, sink) = (Issuer::start(), Sink::start());
    for key in ["rs-1", "es-1", "ed-1"] {
        issuer.sign(key, &json!({}));
    }
    let node = Setup::new().set("SINK", sink.port()).set("IDP", issuer.port()).start(DOCUMENT);
    (issuer, sink, node)
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = Issuer::claims("car-7");
    claims[name] = value;
    claims
}

fn refused(node: &Node, options: Options, token: &str) -> u8 {
    match Client::try_connect(node.mqtt(), &options.credentials("car-7", token)) {
        Ok((_, _, code, _)) => code,
        Err(end) => panic!("no CONNACK: {end:?}"),
    }
}

#[test]
fn a_device_comes_in_by_its_token_on_mqtt_and_the_service_knows_whose_it_is() {
    let (issuer, sink, node) = start();
    for (key, options) in
        [("rs-1", Options::v5("five")), ("es-1", Options::v3("three")), ("ed-1", Options::v31("old"))]
    {
        let token = issuer.sign(key, &Issuer::claims("car-7"));
        let options = options.credentials("car-7", &token);
        let mut thing = Client::connect(node.mqtt(), &options);
        assert!(thing.publish("devices/car-7/telemetry", key, 1) < 0x80);
        let event = sink.wait_for_text(key);
        assert_eq!(event.attribute("deviceid"), Some("car-7"));
        assert_eq!(event.attribute("ownerid"), Some("alice"));
    }
    let token = issuer.sign("rs-1", &Issuer::claims("car-7"));
    let mut thing = Client::connect(node.mqtt(), &Options::v5("five").credentials("car-7", &token));
    assert_eq!(thing.publish("devices/car-8/telemetry", "not mine", 1), 0x87);
    assert_eq!(issuer.asked(), 1, "at its start");
}

#[test]
fn callers_and_clients_of_amqp_come_in_by_tokens_too() {
    let (issuer, sink, node) = start();
    let post = |address: &str, token: &str| {
        let bearer = format!("Authorization: Bearer {token}");
        let url = node.url(&format!("/v1/events/{address}"));
        request(&["-X", "POST", "-H", &bearer, "-d", address, &url]).status
    };
    let owner =
        json!({"iss": "https://idp.example", "aud": ["windrose"], "household": "alice", "exp": now() + 60});
    assert_eq!(post("homes/alice/lamp", &issuer.sign("rs-1", &owner)), 202);
    assert_eq!(sink.wait_for_text("homes/alice/lamp").attribute("ownerid"), Some("alice"));
    assert_eq!(post("homes/bob/lamp", &issuer.sign("rs-1", &owner)), 403);
    let service =
        json!({"iss": "https://idp.example", "aud": "windrose", "azp": "billing", "exp": now() + 60});
    assert_eq!(post("invoices/7", &issuer.sign("rs-1", &service)), 202);
    assert_eq!(post("workshop/7", &issuer.sign("rs-1", &service)), 403);
    let grouped = issuer.sign("rs-1", &with("roles", json!(["mechanics"])));
    assert_eq!(post("workshop/7", &grouped), 202, "a group of the token's");
    assert_eq!(post("homes/alice/lamp", "eyJhbGciOiJub25lIn0.e30."), 401);

    for version in ["pika", "proton"] {
        let token = issuer.sign("rs-1", &Issuer::claims("car-7"));
        let port = node.amqp().port().to_string();
        let said = result(amqp_python("by_token.py", &[version, &port, &token, "devices/car-7/telemetry"]));
        assert_eq!(said["sent"], true, "{version}: {said}");
        let event = sink.wait_for_text(&format!("by {version}"));
        assert_eq!(event.attribute("deviceid"), Some("car-7"));
        let bad = format!("{}x", &token[..token.len() - 1]);
        let said = result(amqp_python("by_token.py", &[version, &port, &bad, "devices/car-7/telemetry"]));
        assert_eq!(said["sent"], false, "{version}: {said}");
    }
}

#[test]
fn bad_tokens_are_refused_alike_and_the_log_says_why() {
    let (issuer, _sink, node) = start();
    let good = Issuer::claims("car-7");
    let unsigned = {
        let token = issuer.sign("rs-1", &good);
        let body = token.split('.').nth(1).expect("a token has three parts").to_owned();
        format!("eyJhbGciOiJub25lIn0.{body}.")
    };
    let header = |header: Value| issuer.sign_as("rs-1", &good, &header);
    let bad = [
        (unsigned, "never taken"),
        (issuer.sign("rs-1", &with("aud", json!("other"))), "audience"),
        (issuer.sign("rs-1", &with("iss", json!("https://evil.example"))), "no such issuer"),
        (issuer.sign("rs-1", &with("exp", json!(now() - 10))), "ended"),
        (issuer.sign("rs-1", &with("nbf", json!(now() + 100))), "not good before"),
        (header(json!({"kid": "../../etc/passwd"})), "etc/passwd"),
        (header(json!({"crit": ["x"]})), "critical"),
        (issuer.sign("xrs-1", &good), "'xrs-1'"),
        (issuer.sign_as("xrs-1", &good, &json!({"kid": "rs-1"})), "no key of the issuer"),
        (issuer.sign("rs-1", &with("sub", json!("a/b"))), "no name"),
    ];
    for (token, why) in &bad {
        let line_before = node.log().all().len();
        assert_eq!(refused(&node, Options::v5("five"), token), 0x86, "{why}");
        let line = node.wait_log_after(line_before, &["bad_credentials", why]);
        assert!(!line.contains(&token[..40]), "no token is in the log: {line}");
    }
    let token = issuer.sign("rs-1", &good);
    Client::connect(node.mqtt(), &Options::v5("five").credentials("car-7", &token));
}

#[test]
fn a_session_ends_when_its_token_does() {
    let (issuer, _sink, node) = start();
    let token = issuer.sign("rs-1", &with("exp", json!(now() + 3)));
    let mut thing = Client::connect(node.mqtt(), &Options::v5("five").credentials("car-7", &token));
    assert!(thing.ping().is_ok());
    assert_eq!(
        thing.closed_within(Duration::from_secs(15)),
        Some(0x87),
        "it is told that it is not authorized any more"
    );
    assert_eq!(refused(&node, Options::v5("five"), &token), 0x86);
}

#[test]
fn keys_come_and_go_and_outlive_their_issuer() {
    let (mut issuer, _sink, node) = start();
    let old = issuer.sign("rs-1", &Issuer::claims("car-7"));
    let connect = |token: &str| {
        let options = Options::v5("five").credentials("car-7", token);
        matches!(Client::try_connect(node.mqtt(), &options), Ok((_, _, 0, _)))
    };
    assert!(connect(&old));
    let new = issuer.sign("es-2", &Issuer::claims("car-7"));
    issuer.drop_key("rs-1");
    // The node asks for keys that it lacks, though not at once again.
    let until = Instant::now() + Duration::from_secs(30);
    while !connect(&new) {
        assert!(Instant::now() < until, "the new key is not found");
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(!connect(&old), "what a key signed that is gone counts no more");
    let another = issuer.sign("es-2", &Issuer::claims("car-9"));
    issuer.stop();
    assert!(connect(&another), "without the issuer its keys hold");
}

#[test]
fn where_the_issuer_never_answered_nobody_is_let_in_and_it_is_not_their_fault() {
    let (mut issuer, sink) = (Issuer::start(), Sink::start());
    let token = issuer.sign("rs-1", &Issuer::claims("car-7"));
    let port = issuer.port();
    issuer.stop();
    let node = Setup::new().set("SINK", sink.port()).set("IDP", port).start(DOCUMENT);
    assert_eq!(refused(&node, Options::v5("five"), &token), 0x88);
    node.wait_log(&["unavailable", "/jwks cannot be used"]);
    node.wait_metric("windrose_connections_refused_total", &["cause=\"unavailable\""], 1.0);
}
