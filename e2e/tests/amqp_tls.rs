//! AMQP and who is let in: a device's certificate by EXTERNAL, passwords by PLAIN and SCRAM, over TLS; and who is refused, in
//! the protocol's own words.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use windrose_e2e::Node;
use windrose_e2e::binary::output;
use windrose_e2e::certs::Authority;
use windrose_e2e::clients::{amqp_python, result};
use windrose_e2e::node::Setup;

const DOCUMENT: &str = r##"
node: {name: e2e, shards: 2}
admin: {bind: "127.0.0.1:${ADMIN}"}
tls:
  edge: {certificate: server.pem, key: server.key, client_ca: devices-ca.pem}
listeners:
  - {name: amqp, protocol: amqp, bind: "127.0.0.1:${AMQP}"}
  - {name: amqps, protocol: amqp, bind: "127.0.0.1:${AMQPS}", tls: edge}
  - {name: mqtt, protocol: mqtt, bind: "127.0.0.1:${MQTT}"}
identity: {devices: devices.yaml}
access:
  - {who: "device:*", may: [publish, subscribe], on: ["devices/{device}/#", "inbox-{device}"]}
"##;

fn start() -> Node {
    let (servers, devices) = (Authority::new("servers"), Authority::new("devices"));
    let (server, car) = (servers.server(&["localhost", "127.0.0.1"]), devices.client("car-7"));
    let hash = output(&["hash-password"], "the secret of car-7\n");
    let keys = output(&["hash-password", "--scram"], "the secret of boat\n");
    let list = format!(
        "devices:\n  - id: car-7\n    credentials:\n      - {{certificate: {{common_name: car-7}}}}\n      \
         - {{password_hash: \"{}\"}}\n  - id: boat\n    credentials: [{{scram_sha_256: \"{}\"}}]\n",
        hash.trim(),
        keys.trim()
    );
    Setup::new()
        .file("ca.pem", &servers.certificate)
        .file("devices-ca.pem", &devices.certificate)
        .file("server.pem", &server.certificate)
        .file("server.key", &server.key)
        .file("car.pem", &car.certificate)
        .file("car.key", &car.key)
        .file("devices.yaml", &list)
        .start(DOCUMENT)
}

fn file(node: &Node, name: &str) -> String {
    node.folder().path().join(name).display().to_string()
}

/// Plays a case of `tls_cases.py`.
fn play(node: &Node, case: &str) -> serde_json::Value {
    let ports = [node.amqp().port().to_string(), node.amqps().port().to_string()];
    let files = ["ca.pem", "car.pem", "car.key"].map(|name| file(node, name));
    let arguments: Vec<&str> =
        [case].into_iter().chain(ports.iter().chain(&files).map(String::as_str)).collect();
    result(amqp_python("tls_cases.py", &arguments))
}

#[test]
fn a_certificate_says_who_a_device_is_by_1_0_and_by_0_9_1() {
    let node = start();
    for case in ["pika_external", "proton_external"] {
        let said = play(&node, case);
        assert_eq!(said["received"], "hello", "{case}: {said}");
    }
    node.wait_metric("windrose_events_in_total", &["listener=\"amqps\"", "protocol=\"amqp\""], 2.0);
}

#[test]
fn a_password_says_so_too_and_a_wrong_one_is_refused_in_the_protocols_words() {
    let node = start();
    for case in ["pika_plain", "proton_plain"] {
        let said = play(&node, case);
        assert_eq!(said["received"], "hello", "{case}: {said}");
    }
    let said = play(&node, "pika_wrong");
    assert!(said["error"].as_str().is_some_and(|error| error.contains("403")), "{said}");
    let said = play(&node, "proton_wrong");
    assert!(said["error"].as_str().is_some_and(|error| error.contains("unauthorized-access")), "{said}");
    let labels = ["listener=\"amqp\"", "cause=\"bad_credentials\""];
    node.wait_metric("windrose_connections_refused_total", &labels, 2.0);
}

#[test]
fn who_brings_nothing_is_refused_where_anonymous_is() {
    let node = start();
    let said = play(&node, "proton_anonymous");
    assert!(said["error"].as_str().is_some_and(|error| error.contains("unauthorized-access")), "{said}");
    let labels = ["listener=\"amqp\"", "cause=\"anonymous_denied\""];
    node.wait_metric("windrose_connections_refused_total", &labels, 1.0);
}

#[test]
fn scram_proves_a_password_without_telling_it() {
    let node = start();
    for case in ["scram", "scram_wrong"] {
        let said = play(&node, case);
        assert_eq!(said["mechanisms"], serde_json::json!(["PLAIN", "SCRAM-SHA-256", "ANONYMOUS"]), "{said}");
        assert_eq!(said["outcome"], if case == "scram" { 0 } else { 1 }, "{said}");
        assert_eq!(said["server_is_known"], case == "scram", "{said}");
    }
}

/// All that a listener says to some first words, until it closes or has said so much.
fn first_answer(address: SocketAddr, words: &[u8], length: usize) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("it is accepted");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
    stream.write_all(words).expect("it is read");
    let mut answer = Vec::new();
    stream.take(length as u64).read_to_end(&mut answer).expect("it answers");
    answer
}

#[test]
fn tls_inside_amqp_is_not_spoken_and_the_answer_says_what_is() {
    let node = start();
    // AMQP 1.0 §5.2.1: a client that asks for TLS by protocol 2 is told of what there is instead.
    assert_eq!(first_answer(node.amqp(), b"AMQP\x02\x01\x00\x00", 8), b"AMQP\x03\x01\x00\x00");
}
