//! One life of a thing, told the same by clients that nobody here wrote, over TCP, TLS and WebSocket: every QoS, last values,
//! a will, and a session that outlives its connection.

use serde_json::{Value, json};
use windrose_e2e::Node;
use windrose_e2e::certs::Authority;
use windrose_e2e::clients::{mosquitto_pub, mosquitto_sub, mqttjs, paho, result};
use windrose_e2e::node::Setup;
use windrose_e2e::websocket::{Cut, relay};

const DOCUMENT: &str = r##"
node: {name: e2e, shards: 2}
admin: {bind: "127.0.0.1:${ADMIN}"}
tls: {edge: {certificate: server.pem, key: server.key}}
listeners:
  - {name: mqtt, protocol: mqtt, bind: "127.0.0.1:${MQTT}"}
  - {name: ws, protocol: mqtt, transport: websocket, bind: "127.0.0.1:${MQTT}"}
  - {name: mqtts, protocol: mqtt, bind: "127.0.0.1:${MQTTS}", tls: edge}
  - {name: wss, protocol: mqtt, transport: websocket, bind: "127.0.0.1:${MQTTS}", tls: edge}
identity: {anonymous: allow}
access:
  - {who: anonymous, may: [publish, subscribe, read], on: "#"}
"##;

/// MQTT 3.1.1 and 5.0, as both libraries number them.
const VERSIONS: [&str; 2] = ["4", "5"];

fn start() -> (Node, String) {
    let authority = Authority::new("servers");
    let server = authority.server(&["localhost", "127.0.0.1"]);
    let node = Setup::new()
        .file("ca.pem", &authority.certificate)
        .file("server.pem", &server.certificate)
        .file("server.key", &server.key)
        .start(DOCUMENT);
    let ca = node.folder().path().join("ca.pem").display().to_string();
    (node, ca)
}

/// What every client tells of its life.
fn a_good_life() -> Value {
    json!({
        "qos": [[0, 0], [1, 30_000], [2, 60_000]],
        "retained": ["value", true],
        "will": "gone",
        "session": true,
        "kept": "kept",
    })
}

#[test]
fn mqttjs_lives_over_every_transport() {
    let (node, ca) = start();
    let (plain, secured) = (node.mqtt().port(), node.mqtts().port());
    let roads = [
        (format!("mqtt://127.0.0.1:{plain}"), ""),
        (format!("ws://127.0.0.1:{plain}/mqtt"), ""),
        // MQTT.js asks for `/` if it is given no path.
        (format!("ws://127.0.0.1:{plain}"), ""),
        (format!("mqtts://localhost:{secured}"), &*ca),
        (format!("wss://localhost:{secured}/mqtt"), &*ca),
    ];
    for version in VERSIONS {
        for (url, authority) in &roads {
            assert_eq!(
                result(mqttjs("life.js", &[url, version, authority])),
                a_good_life(),
                "{url} {version}"
            );
        }
    }
}

#[test]
fn paho_lives_over_every_transport() {
    let (node, ca) = start();
    for version in VERSIONS {
        for transport in ["tcp", "websockets"] {
            for (address, authority) in [(node.mqtt(), ""), (node.mqtts(), &*ca)] {
                let told = result(paho("life.py", address, &[transport, version, authority]));
                assert_eq!(told, a_good_life(), "{transport} {address} {version}");
            }
        }
    }
}

#[test]
fn mosquitto_speaks_over_every_transport() {
    let (node, ca) = start();
    // Its clients know no WebSocket: the harness has one for them.
    let websocket = relay(node.mqtt(), "/mqtt", Cut::Reads);
    let tls = ["--cafile", &ca];
    let roads = [(node.mqtt(), &[][..]), (node.mqtts(), &tls), (websocket.address(), &[])];
    for version in ["31", "311", "5"].map(|version| format!("mqttv{version}")) {
        for (index, (address, more)) in roads.iter().enumerate() {
            let topic = format!("mosquitto/{version}/{index}");
            let publish = ["-V", &version, "-t", &topic, "-m", "value", "-q", "2", "-r"];
            mosquitto_pub(*address, &[&publish[..], more].concat()).fine();
            let subscribe = ["-V", &version, "-t", &topic, "-q", "2", "-C", "1", "-F", "%q %r %p"];
            let said = mosquitto_sub(*address, &[&subscribe[..], more].concat()).fine();
            assert_eq!(said.out.trim(), "2 1 value", "{version} {index}");
        }
    }
}

/// rumqttc has TLS and WebSocket of its own, which would bring in dependencies that nobody maintains any more: it goes by the
/// harness's.
#[test]
fn rumqttc_speaks_over_tcp_and_websocket() {
    let (node, _) = start();
    let whole = relay(node.mqtt(), "/mqtt", Cut::Reads);
    let crumbs = relay(node.mqtt(), "/mqtt", Cut::Bytes);
    for address in [node.mqtt(), whole.address(), crumbs.address()] {
        let (id, port) = (format!("rumqttc-{}", address.port()), address.port());
        let mut options = rumqttc::v5::MqttOptions::new(&id, "127.0.0.1", port);
        options.set_clean_start(true);
        let (client, mut connection) = rumqttc::v5::Client::new(options, 64);
        client.subscribe(format!("{id}/#"), rumqttc::v5::mqttbytes::QoS::ExactlyOnce).expect("it is queued");
        let mut numbers = Vec::new();
        for event in connection.iter() {
            use rumqttc::v5::mqttbytes::v5::Packet;
            match event.expect("the connection holds") {
                rumqttc::v5::Event::Incoming(Packet::SubAck(_)) => {
                    for number in 0..20_u8 {
                        let qos = rumqttc::v5::mqttbytes::qos(1 + number % 2).expect("a QoS");
                        client
                            .publish(format!("{id}/numbers"), qos, false, vec![number])
                            .expect("it is queued");
                    }
                }
                rumqttc::v5::Event::Incoming(Packet::Publish(publish)) => {
                    numbers.extend_from_slice(&publish.payload);
                    if numbers.len() == 20 {
                        break;
                    }
                }
                _ => {}
            }
        }
        numbers.sort_unstable();
        assert_eq!(numbers, (0..20).collect::<Vec<u8>>(), "each once");
    }
}
