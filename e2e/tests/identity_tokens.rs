//! Who published, as services can prove it: a token in a header, verified with the node's keys by a library of others.

use std::os::unix::fs::PermissionsExt;
use windrose_e2e::clients::request;
use windrose_e2e::issuer::{Issuer, now};
use windrose_e2e::mqtt::{Client, Options};
use windrose_e2e::node::Setup;
use windrose_e2e::{Node, Sink, binary};

const DOCUMENT: &str = r##"
node: {name: e2e, shards: 2, data_dir: data}
admin: {bind: "127.0.0.1:${ADMIN}"}
listeners:
  - {name: mqtt, protocol: mqtt, bind: "127.0.0.1:${MQTT}"}
  - {name: rest, protocol: http, bind: "127.0.0.1:${REST}"}
identity: {devices: devices.yaml, anonymous: allow}
access:
  - {who: "device:*", may: [publish], on: "devices/{device}/#"}
  - {who: anonymous, may: [publish], on: "guests/#"}
pools:
  service:
    protocol: http
    members: ["http://127.0.0.1:${SINK}/events"]
    identity_token: {audience: billing, lifetime: 60s}
routes:
  - {name: all, match: "#", deliver: {pool: service}}
"##;

const HEADER: &str = "windrose-identity";

fn start() -> (Sink, Node) {
    let sink = Sink::start();
    let hash = binary::output(&["hash-password"], "secret\n");
    let hash = hash.trim();
    let devices = format!(
        "devices:\n  - {{id: car-7, owner: alice, groups: [cars], credentials: [{{password_hash: \"{hash}\"}}]}}\n"
    );
    let node = Setup::new().file("devices.yaml", &devices).set("SINK", sink.port()).start(DOCUMENT);
    (sink, node)
}

#[test]
fn a_service_verifies_who_published() {
    let (sink, mut node) = start();
    let issuer = Issuer::start();
    let keys = node.url("/.well-known/jwks.json");
    let mut car = Client::connect(node.mqtt(), &Options::v5("car-7").credentials("car-7", "secret"));
    // A thing cannot bring a header of its own.
    assert!(car.publish("devices/car-7/telemetry", "81", 1) < 0x80);
    let event = sink.wait_for_text("81");
    let token = event.request.header(HEADER).expect("the request has a token").to_owned();
    let claims = issuer.verify(&keys, "billing", &token).expect("the node's keys verify it");
    for (name, value) in
        [("iss", "windrose://e2e"), ("sub", "device:car-7"), ("device", "car-7"), ("owner", "alice")]
    {
        assert_eq!(claims[name], value, "{claims}");
    }
    assert_eq!(claims["groups"][0], "cars");
    assert!(claims["exp"].as_u64().is_some_and(|end| end <= now() + 60), "{claims}");
    assert!(issuer.verify(&keys, "another service", &token).is_err());

    let url = node.url("/v1/events/guests/a");
    assert_eq!(request(&["-d", "nobody", &url]).status, 202);
    assert_eq!(sink.wait_for_text("nobody").request.header(HEADER), None, "nobody vouches for the anonymous");

    let file = node.folder().path().join("data/identity-token.key");
    let mode = std::fs::metadata(&file).expect("the key is kept").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let answered = request(&[&keys]);
    assert_eq!(answered.field("content-type"), Some("application/jwk-set+json"));
    assert!(!answered.body.contains("\"d\""), "no private key is told");
    node.kill();
    node.start_again();
    issuer.verify(&keys, "billing", &token).expect("the key outlives the node");
}

#[test]
fn where_no_pool_wants_tokens_there_are_no_keys() {
    let sink = Sink::start();
    let document = DOCUMENT.replace("    identity_token: {audience: billing, lifetime: 60s}\n", "");
    let document = document.replace("devices: devices.yaml, ", "");
    let node = Setup::new().set("SINK", sink.port()).start(&document);
    assert_eq!(request(&[&node.url("/.well-known/jwks.json")]).status, 404);
    assert!(!node.folder().path().join("data/identity-token.key").exists());
}
