//! The registry is managed over the admin API, with curl as the caller, and `windrose explain` agrees with what is decided.

use serde_json::Value;
use std::time::Duration;
use windrose_e2e::Node;
use windrose_e2e::binary::run;
use windrose_e2e::clients::{Answered, request};
use windrose_e2e::mqtt::{Client, Options};
use windrose_e2e::node::Setup;

const DOCUMENT: &str = r##"
node: {name: e2e, shards: 2}
admin: {bind: "127.0.0.1:${ADMIN:-9090}"}
listeners:
  - {name: mqtt, protocol: mqtt, bind: "127.0.0.1:${MQTT:-1883}"}
identity: {registry: "sqlite:registry.db", api_keys: api-keys.yaml}
access:
  - {who: "device:*", may: [publish, subscribe], on: "devices/{device}/#"}
  - {who: "owner:*", may: publish, on: "devices/{owned}/commands/#"}
  - {who: "service:ops", may: administer}
"##;

/// SHA-256 of the two keys.
const API_KEYS: &str = r#"
api_keys:
  - {service: ops, key_sha256: "16ba548450ff7de021bf9a6c1f7d6774756c8909e3607c8132453af202bc64a9"}
  - {service: other, key_sha256: "ef930a905aa029f128cd4ccc511beea86303b75a64904812bf9637466c2b82d9"}
"#;

/// How long a revoked peer may take to be gone: no measure, only a bound on a slow machine.
const GONE: Duration = Duration::from_secs(10);

fn start() -> Node {
    Setup::new().file("api-keys.yaml", API_KEYS).start(DOCUMENT)
}

fn ask(node: &Node, method: &str, path: &str, body: &str) -> Answered {
    let url = node.admin_url(path);
    let key = "X-API-Key: ops-key-0123456789abcdef";
    let mut arguments = vec!["-X", method, "-H", key];
    if !body.is_empty() {
        arguments.extend(["-H", "Content-Type: application/json", "-d", body]);
    }
    arguments.push(&url);
    request(&arguments)
}

/// A device of household-7 with a password.
fn add(node: &Node, id: &str) {
    let device = format!(
        r#"{{"id": "{id}", "owner": "household-7", "credentials": [{{"kind": "password", "value": "s3cret"}}]}}"#
    );
    let added = ask(node, "POST", "/v1/devices", &device);
    assert_eq!((added.status, added.json()["owner"].as_str()), (201, Some("household-7")), "{added:?}");
}

#[test]
fn a_device_that_is_added_connects_and_one_that_is_revoked_is_gone() {
    let node = start();
    add(&node, "car-7");
    let options = Options::v5("car-7").credentials("car-7", "s3cret");
    let mut car = Client::connect(node.mqtt(), &options);
    assert_eq!(car.publish("devices/car-7/telemetry", "81", 1), 0x10, "accepted, nobody listens");
    assert_eq!(car.publish("devices/car-8/telemetry", "81", 1), 0x87);

    let revoked = ask(&node, "POST", "/v1/devices/car-7/revoke", r#"{"reason": "stolen"}"#);
    assert_eq!((revoked.status, revoked.json()["status"].as_str()), (200, Some("revoked")), "{revoked:?}");
    assert_eq!(car.closed_within(GONE), Some(0x98));
    let refused = Client::try_connect(node.mqtt(), &options).expect("an answer");
    assert_ne!(refused.2, 0, "it is not let in any more");
    assert_eq!(ask(&node, "POST", "/v1/devices/car-7/reinstate", "").status, 200);
    Client::connect(node.mqtt(), &options).disconnect();
    node.wait_log(&["the registry was changed by the admin API", "service:ops", "revoked", "device:car-7"]);
    assert_eq!(node.log().count(|line| line.contains("s3cret")), 0);

    let code = ask(&node, "POST", "/v1/devices/car-7/enrol-code", "").json();
    assert!(code["code"].as_str().is_some_and(|code| code.starts_with("wre_")), "{code}");
    let history = ask(&node, "GET", "/v1/devices/car-7/history", "").json();
    assert_eq!(history["history"][0]["by"], "service:ops");
}

#[test]
fn the_registry_is_taken_in_and_written_out_whole() {
    let node = start();
    let send = |lines: &str| {
        let (key, kind) = ("X-API-Key: ops-key-0123456789abcdef", "Content-Type: text/csv");
        request(&["-H", key, "-H", kind, "--data-binary", lines, &node.admin_url("/v1/registry/import")])
    };
    let bad = send("id,owner,groups\ncar-1,household-7,cars\ncar/2,household-7,cars\n");
    assert_eq!((bad.status, &bad.json()["results"]["problems"][0]["line"]), (422, &3.into()), "{bad:?}");
    assert_eq!(ask(&node, "GET", "/v1/registry", "").json()["devices"], 0, "all or nothing");
    let good = send("id,owner,groups\ncar-1,household-7,cars\ncar-2,household-7,cars\n");
    assert_eq!((good.status, &good.json()["added"]), (200, &2.into()), "{good:?}");
    let export = ask(&node, "GET", "/v1/registry/export?format=csv", "");
    assert_eq!(export.status, 200);
    assert!(export.body.contains("car-1") && export.body.contains("car-2"), "{export:?}");
}

#[test]
fn nobody_else_may_administer() {
    let node = start();
    let url = node.admin_url("/v1/devices");
    assert_eq!(request(&[&url]).status, 401);
    assert_eq!(request(&["-H", "X-API-Key: wrong", &url]).status, 401);
    let other = request(&["-H", "X-API-Key: other-key-0123456789abcdef", &url]);
    assert_eq!((other.status, other.field("content-type")), (403, Some("application/problem+json")));
    assert_eq!(node.admin("/healthz").status(), 200, "health is for everybody");
}

#[test]
fn explanations_agree_wherever_they_are_asked_for() {
    let node = start();
    add(&node, "car-7");
    let explain = |who: &str, address: &str| -> (Option<i32>, Value) {
        let document = node.document().display().to_string();
        let arguments = ["explain", "--json", "--document", &document, "--as", who, "publish", address];
        let said = run(&arguments, "");
        (said.status.code(), serde_json::from_slice(&said.stdout).unwrap_or_default())
    };
    let radio = "devices/car-7/commands/radio";
    for (who, code, rule) in [("owner:household-7", 0, Some(2)), ("owner:household-8", 1, None)] {
        let (status, here) = explain(who, radio);
        assert_eq!((status, here["by"]["rule"].as_u64()), (Some(code), rule), "{here}");
        let query = format!("/v1/explain?as={who}&permission=publish&on={radio}");
        let there = ask(&node, "GET", &query, "").json();
        assert_eq!((&there["allowed"], &there["by"]), (&here["allowed"], &here["by"]), "{there}");
    }
    let (status, allowed) = explain("owner:household-7", radio);
    assert_eq!((status, &allowed["by"]["filled"]["{owned}"]), (Some(0), &"car-7".into()));
    assert_eq!(explain("robot:7", radio).0, Some(2), "nonsense is neither yes nor no");
}
