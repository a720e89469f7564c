//! AMQP by its first bytes: what is none of it is told so and costs nobody else anything.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use windrose_e2e::clients::request;
use windrose_e2e::mqtt::{Client, Options};
use windrose_e2e::node::Setup;
use windrose_e2e::{Node, wait_until};

const HEAD: &str = r##"
node: {name: e2e, shards: 2}
admin: {bind: "127.0.0.1:${ADMIN}"}
identity: {anonymous: allow}
access:
  - {who: anonymous, may: [publish, subscribe, read], on: "#"}
"##;

const AMQP: &str = "  - {name: amqp, protocol: amqp, bind: \"127.0.0.1:${AMQP}\"}\n";
const MQTT: &str = "  - {name: mqtt, protocol: mqtt, bind: \"127.0.0.1:${AMQP}\"}\n";
const REST: &str = "  - {name: rest, protocol: http, bind: \"127.0.0.1:${AMQP}\"}\n";

/// What clients of 0-9-1 are told that speak something else (§4.2.2).
const SPOKEN: &[u8] = b"AMQP\x00\x00\x09\x01";

fn start(listeners: &[&str]) -> Node {
    Setup::new().start(&format!("{HEAD}listeners:\n{}limits: {{connect_timeout: 2s}}\n", listeners.concat()))
}

fn open(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it is accepted");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
    stream
}

/// Says something, and returns all that is answered until the connection is closed.
fn say(address: SocketAddr, words: &[u8]) -> Vec<u8> {
    let mut stream = open(address);
    stream.write_all(words).expect("it is read");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it is closed in order");
    answer
}

#[test]
fn what_is_no_amqp_is_told_what_is_and_sent_away() {
    let node = start(&[AMQP]);
    let strangers: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x10\x0c\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00",
        b"\x00\x01\x02\x03garbage that goes on and on",
        b"AMQP\x01\x01\x00\x0a",
        b"AMQP\x00\x00\x09\x00",
        b"AMQX",
    ];
    for words in strangers {
        assert_eq!(say(node.amqp(), words), SPOKEN, "{}", words.escape_ascii());
    }
    let labels = ["listener=\"amqp\"", "cause=\"protocol\""];
    node.wait_metric("windrose_connections_closed_total", &labels, 6.0);
}

#[test]
fn who_says_half_a_header_is_sent_away_in_time() {
    let node = start(&[AMQP]);
    let mut half = open(node.amqp());
    half.write_all(b"AMQP\x00").expect("it is read");
    let mut answer = Vec::new();
    half.read_to_end(&mut answer).expect("it is closed in order");
    assert_eq!(answer, b"");
    node.wait_metric("windrose_connections_closed_total", &["listener=\"amqp\"", "cause=\"no_open\""], 1.0);
}

#[test]
fn amqp_shares_a_port_with_mqtt_and_rest() {
    let node = start(&[MQTT, AMQP, REST]);
    Client::connect(node.amqp(), &Options::v5("beside")).disconnect();
    let url = format!("http://{}/v1/events/a", node.amqp());
    assert_eq!(request(&["-X", "POST", "-d", "body", &url]).status, 202);
    assert_eq!(say(node.amqp(), b"AMQP\x00\x00\x08\x00"), SPOKEN);
    for (listener, count) in [("mqtt", 1.0), ("amqp", 1.0)] {
        let labels = [&*format!("listener=\"{listener}\"")];
        wait_until(listener, || node.metric("windrose_connections_opened_total", &labels) == count);
    }
}
