//! Several listeners on one port: told apart by server name, by protocol, and by path; and reloads that change them.

use windrose_e2e::certs::Authority;
use windrose_e2e::clients::{mosquitto_pub, paho, request, result, s_client};
use windrose_e2e::mqtt::{Client, Options};
use windrose_e2e::node::Setup;
use windrose_e2e::websocket::{BINARY, CLOSE, FIN, WebSocket, ask, frame, request as upgrade};
use windrose_e2e::{Node, wait_until};

const HEAD: &str = r##"
node: {name: e2e, shards: 2}
admin: {bind: "127.0.0.1:${ADMIN}"}
identity: {anonymous: allow}
access:
  - {who: anonymous, may: [publish, subscribe, read], on: "#"}
"##;

const MQTT: &str = "  - {name: mqtt, protocol: mqtt, bind: \"127.0.0.1:${MQTT}\"}\n";
const WS: &str = "  - {name: ws, protocol: mqtt, transport: websocket, bind: \"127.0.0.1:${MQTT}\"}\n";
const CARS: &str =
    "  - {name: cars, protocol: mqtt, transport: websocket, path: /cars, bind: \"127.0.0.1:${MQTT}\"}\n";
const REST: &str = "  - {name: rest, protocol: http, bind: \"127.0.0.1:${MQTT}\"}\n";

fn listeners(list: &[&str]) -> String {
    format!("{HEAD}listeners:\n{}", list.concat())
}

fn opened(node: &Node, listener: &str) -> f64 {
    node.metric("windrose_connections_opened_total", &[&format!("listener=\"{listener}\"")])
}

/// Shakes hands, opens a session and says good-bye.
fn over_websocket(node: &Node, path: &str) {
    let mut socket = WebSocket::connect(node.mqtt(), path);
    socket.send(&frame(FIN | BINARY, &Options::v3("framed").packet()));
    assert_eq!(socket.receive(), Some((FIN | BINARY, vec![0x20, 2, 0, 0])));
    socket.send(&[frame(FIN | BINARY, &[0xe0, 0]), frame(FIN | CLOSE, &[])].concat());
    socket.closed();
}

#[test]
fn first_bytes_and_paths_choose_the_listener() {
    let node = Setup::new().start(&listeners(&[MQTT, WS, CARS, REST]));
    Client::connect(node.mqtt(), &Options::v5("plain")).disconnect();
    over_websocket(&node, "/mqtt");
    over_websocket(&node, "/cars");
    over_websocket(&node, "/cars?token=1");
    let url = format!("http://{}/v1/events/a", node.mqtt());
    assert_eq!(request(&["-X", "POST", "-d", "body", &url]).status, 202);
    assert_eq!(request(&["--http2-prior-knowledge", "-X", "POST", "-d", "body", &url]).status, 202);
    for (listener, count) in [("mqtt", 1.0), ("ws", 1.0), ("cars", 2.0)] {
        wait_until(listener, || opened(&node, listener) == count);
    }
    // What nobody has: a path, a WebSocket without one, and something that is neither.
    assert_eq!(request(&[&format!("http://{}/nowhere", node.mqtt())]).status, 404);
    let answer = ask(node.mqtt(), &upgrade("/nowhere"));
    assert_eq!((answer.status(), answer.text().contains("/mqtt /cars")), (404, true), "{answer:?}");
    node.wait_metric("windrose_connections_refused_total", &["listener=\"ws\"", "cause=\"websocket\""], 1.0);
    let mut stranger = Client::open(node.mqtt(), Options::v5("").version).expect("it is accepted");
    stranger.send(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03");
    stranger.closed();
    node.wait_metric("windrose_connections_closed_total", &["listener=\"mqtt\"", "cause=\"protocol\""], 1.0);
}

#[test]
fn who_says_nothing_is_sent_away_and_counted() {
    let document = format!("{}limits: {{connect_timeout: 1s}}\n", listeners(&[MQTT, WS]));
    let node = Setup::new().start(&document);
    let mut silent = Client::open(node.mqtt(), Options::v5("").version).expect("it is accepted");
    let mut slow = Client::open(node.mqtt(), Options::v5("").version).expect("it is accepted");
    slow.send(b"GET /mqtt HTTP/1.1\r\n");
    silent.closed();
    slow.closed();
    node.wait_metric("windrose_connections_refused_total", &["cause=\"no_open\""], 2.0);
    assert_eq!(node.admin("/healthz").status(), 200);
}

#[test]
fn a_reload_adds_and_takes_away_listeners_of_a_port_in_use() {
    let node = Setup::new().start(&listeners(&[MQTT]));
    let mut old = Client::connect(node.mqtt(), &Options::v5("old"));
    let mut reloads = 0;
    let mut reload = |list: &[&str]| {
        node.write_document(&listeners(list));
        reloads += 1;
        node.wait_metric("windrose_reloads_total", &["outcome=\"accepted\""], f64::from(reloads));
    };
    reload(&[MQTT, WS, REST]);
    over_websocket(&node, "/mqtt");
    assert_eq!(request(&["-I", &format!("http://{}/v1/openapi.json", node.mqtt())]).status, 200);
    Client::connect(node.mqtt(), &Options::v5("new")).disconnect();
    reload(&[WS]);
    over_websocket(&node, "/mqtt");
    assert_eq!(ask(node.mqtt(), "\x10\x0c\0\x04MQTT\x04\x02\0\0\0\0").status(), 400);
    node.wait_metric("windrose_connections_refused_total", &["listener=\"ws\""], 1.0);
    old.ping().expect("it goes on");
}

/// A node with TLS on one port, `localhost` and a wildcard for some of its listeners.
fn secured(more: &str) -> (Node, String) {
    let authority = Authority::new("servers");
    let devices = Authority::new("devices");
    let mut setup =
        Setup::new().file("ca.pem", &authority.certificate).file("devices.pem", &devices.certificate);
    for name in ["named", "wild", "any"] {
        let pair = authority.server(&[&format!("{name}.example"), "localhost", "127.0.0.1"]);
        setup = setup.file(&format!("{name}.pem"), &pair.certificate).file(&format!("{name}.key"), &pair.key);
    }
    let node = setup.start(&format!(
        "{HEAD}tls:\n  named: {{certificate: named.pem, key: named.key}}\n  \
         wild: {{certificate: wild.pem, key: wild.key, client_ca: devices.pem, client_certificate: required}}\n  \
         any: {{certificate: any.pem, key: any.key}}\nlisteners:\n{more}"
    ));
    let ca = node.folder().path().join("ca.pem").display().to_string();
    (node, ca)
}

const NAMED: &str = r##"
  - {name: named, protocol: mqtt, bind: "127.0.0.1:${MQTTS}", tls: named, server_names: [localhost]}
  - {name: named-ws, protocol: mqtt, transport: websocket, bind: "127.0.0.1:${MQTTS}", tls: named, server_names: [localhost]}
  - {name: named-rest, protocol: http, bind: "127.0.0.1:${MQTTS}", tls: named, server_names: [LocalHost]}
  - {name: wild, protocol: mqtt, bind: "127.0.0.1:${MQTTS}", tls: wild, server_names: ["*.b.example"]}
"##;
const ANY: &str = "  - {name: any, protocol: mqtt, bind: \"127.0.0.1:${MQTTS}\", tls: any}\n";

#[test]
fn the_server_name_chooses_certificate_and_listener() {
    let (node, ca) = secured(&format!("{NAMED}{ANY}"));
    let subject = |arguments: &[&str]| s_client(node.mqtts(), arguments).out.replace(" = ", "=");
    assert!(subject(&["-servername", "localhost"]).contains("CN=named.example"));
    assert!(subject(&["-servername", "c.example"]).contains("CN=any.example"));
    assert!(subject(&["-noservername"]).contains("CN=any.example"));
    let said = s_client(node.mqtts(), &["-servername", "a.b.example"]);
    assert!(said.out.replace(" = ", "=").contains("CN=wild.example"), "{said:?}");
    assert!(
        said.out.contains("Acceptable client certificate CA names"),
        "it asks for a certificate: {said:?}"
    );

    // Two of these handshakes were with the one for any name.
    wait_until("any", || opened(&node, "any") == 2.0);

    // Of the three that are for localhost, the first words choose.
    mosquitto_pub(node.mqtts(), &["-h", "localhost", "--cafile", &ca, "-t", "a", "-m", "b"]).fine();
    let result = result(paho("websocket.py", node.mqtts(), &["/mqtt", &ca]));
    assert_eq!(result["lengths"].as_array().map(Vec::len), Some(8), "{result}");
    let url = format!("https://localhost:{}/v1/events/a", node.mqtts().port());
    for version in ["--http1.1", "--http2"] {
        assert_eq!(request(&[version, "--cacert", &ca, "-X", "POST", "-d", "body", &url]).status, 202);
    }
    // ALPN of other protocols does not get in the way (RFC 7301 §3.2 would end the handshake).
    mosquitto_pub(
        node.mqtts(),
        &["-h", "localhost", "--cafile", &ca, "--tls-alpn", "mqtt", "-t", "a", "-m", "b"],
    )
    .fine();
    mosquitto_pub(node.mqtts(), &["--cafile", &ca, "-t", "a", "-m", "b"]).fine();
    for (listener, count) in [("named", 2.0), ("named-ws", 1.0), ("any", 3.0), ("wild", 0.0)] {
        wait_until(listener, || opened(&node, listener) == count);
    }
}

#[test]
fn a_server_name_that_nobody_has_ends_the_handshake() {
    let (node, _) = secured(NAMED);
    for arguments in [&["-servername", "c.example"][..], &["-noservername"]] {
        let said = s_client(node.mqtts(), arguments);
        assert!(said.err.contains("unrecognized name"), "{said:?}");
    }
    node.wait_metric("windrose_connections_refused_total", &["cause=\"server_name\""], 2.0);
    node.wait_log(&["connection refused", "no listener is for the server name c.example"]);
}
