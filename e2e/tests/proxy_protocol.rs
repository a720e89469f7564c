//! Connections that come by a proxy, which says in a header of the PROXY protocol where they come from.

use windrose_e2e::certs::Authority;
use windrose_e2e::clients::{curl, mosquitto_pub, request};
use windrose_e2e::mqtt::{Client, Options};
use windrose_e2e::node::Setup;
use windrose_e2e::relay::Relay;
use windrose_e2e::{Node, wait_until};

const DOCUMENT: &str = r##"
node: {name: e2e, shards: 2}
admin: {bind: "127.0.0.1:${ADMIN}"}
tls: {edge: {certificate: server.pem, key: server.key}}
listeners:
  - {name: mqtt, protocol: mqtt, bind: "127.0.0.1:${MQTT}", proxy_protocol: required, server_names: [cars.example]}
  - {name: others, protocol: mqtt, bind: "127.0.0.1:${MQTT}", proxy_protocol: required}
  - {name: ws, protocol: mqtt, transport: websocket, bind: "127.0.0.1:${MQTT}", proxy_protocol: required}
  - {name: mqtts, protocol: mqtt, bind: "127.0.0.1:${MQTTS}", tls: edge, proxy_protocol: required}
  - {name: rest, protocol: http, bind: "127.0.0.1:${REST}", proxy_protocol: required}
  - {name: rests, protocol: http, bind: "127.0.0.1:${RESTS}", tls: edge, proxy_protocol: required}
identity: {devices: devices.yaml, anonymous: "${ANONYMOUS}"}
access:
  - {who: anyone, may: [publish, subscribe], on: "open/#"}
  - {who: "device:*", may: [publish, subscribe], on: "devices/{device}/#"}
limits: {handshake_timeout: 2s}
"##;

const DEVICES: &str = "
devices:
  - {id: car-7, owner: alice, credentials: [{certificate: {common_name: car-7}}]}
";

const LINE: &[u8] = b"PROXY TCP4 203.0.113.9 198.51.100.2 40123 1883\r\n";

fn start(anonymous: &str) -> Node {
    let authority = Authority::new("servers");
    let server = authority.server(&["127.0.0.1"]);
    Setup::new()
        .file("ca.pem", &authority.certificate)
        .file("server.pem", &server.certificate)
        .file("server.key", &server.key)
        .file("devices.yaml", DEVICES)
        .set("ANONYMOUS", anonymous)
        .start(DOCUMENT)
}

/// A header of version 2 from 203.0.113.9:40124, with further values.
fn binary(values: &[u8]) -> Vec<u8> {
    let block = [&[203, 0, 113, 9, 198, 51, 100, 2, 0x9c, 0xbc, 0x07, 0x5b][..], values].concat();
    let length = u16::try_from(block.len()).expect("a short header").to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n\x21\x11", &length[..], &block].concat()
}

fn value(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind][..], &u16::try_from(value.len()).expect("a short value").to_be_bytes(), value].concat()
}

/// A client's TLS as a proxy tells it: `verify` is zero for a good certificate.
fn certificate(name: &str, verify: u8) -> Vec<u8> {
    value(
        0x20,
        &[&[0x07, 0, 0, 0, verify][..], &value(0x21, b"TLSv1.3"), &value(0x22, name.as_bytes())].concat(),
    )
}

#[test]
fn the_source_is_the_one_that_the_proxy_tells() {
    let node = start("deny");
    for (header, peer) in
        [(LINE.to_vec(), "203.0.113.9:40123"), (binary(&value(0x05, b"an id")), "203.0.113.9:40124")]
    {
        let seen = node.log().all().len();
        let proxy = Relay::proxy(node.mqtt(), header);
        let refused = Client::try_connect(proxy.address(), &Options::v5("nobody"));
        assert!(matches!(refused, Ok((_, _, 0x87, _))), "{refused:?}");
        node.wait_log_after(seen, &["connection refused", "\"cause\":\"anonymous_denied\"", peer]);
    }
}

#[test]
fn a_certificate_that_the_proxy_verified_says_who_a_device_is() {
    let node = start("deny");
    let proxy = Relay::proxy(node.mqtt(), binary(&certificate("car-7", 0)));
    let mut car = Client::connect(proxy.address(), &Options::v5("car-7"));
    assert_eq!(car.subscribe("devices/car-7/#", 1), 1);
    assert!(car.subscribe("devices/car-8/#", 1) >= 0x80);
    // Not verified, somebody else's, and none at all.
    for values in [certificate("car-7", 1), certificate("car-8", 0), Vec::new()] {
        let proxy = Relay::proxy(node.mqtt(), binary(&values));
        let refused = Client::try_connect(proxy.address(), &Options::v5("car-9"));
        assert!(matches!(refused, Ok((_, _, 0x86 | 0x87, _))), "{refused:?}");
    }
}

#[test]
fn the_name_that_the_proxy_tells_chooses_the_listener() {
    let node = start("allow");
    for (name, listener) in [("cars.example", "mqtt"), ("CARS.example", "mqtt"), ("bikes.example", "others")]
    {
        let before = node.metric("windrose_connections_opened_total", &[&format!("listener=\"{listener}\"")]);
        let proxy = Relay::proxy(node.mqtt(), binary(&value(0x02, name.as_bytes())));
        Client::connect(proxy.address(), &Options::v5("named")).disconnect();
        node.wait_metric(
            "windrose_connections_opened_total",
            &[&format!("listener=\"{listener}\"")],
            before + 1.0,
        );
    }
    let proxy = Relay::proxy(node.mqtt(), LINE.to_vec());
    let relay = windrose_e2e::websocket::relay(proxy.address(), "/mqtt", windrose_e2e::websocket::Cut::Reads);
    Client::connect(relay.address(), &Options::v5("framed")).disconnect();
    node.wait_metric("windrose_connections_opened_total", &["listener=\"ws\""], 1.0);
}

#[test]
fn the_header_comes_before_tls() {
    let node = start("allow");
    let ca = node.folder().path().join("ca.pem").display().to_string();
    for header in [LINE.to_vec(), binary(&[]), b"PROXY UNKNOWN\r\n".to_vec()] {
        let proxy = Relay::proxy(node.mqtts(), header);
        let arguments = ["--cafile", &ca, "-t", "open/a", "-m", "b", "-q", "1"];
        mosquitto_pub(proxy.address(), &arguments).fine();
    }
    wait_until("all came by TLS", || {
        node.metric("windrose_connections_opened_total", &["listener=\"mqtts\""]) == 3.0
    });
}

#[test]
fn rest_is_spoken_by_a_proxy_too() {
    let node = start("allow");
    let ca = node.folder().path().join("ca.pem").display().to_string();
    let plain = format!("http://{}/v1/events/open/a", node.rest());
    let secured = format!("https://{}/v1/events/open/a", node.rests());
    // curl writes a header of version 1 itself.
    for url in [&plain, &secured] {
        let answer = request(&["--haproxy-protocol", "--cacert", &ca, "-X", "POST", "-d", "body", url]);
        assert_eq!(answer.status, 202, "{answer:?}");
    }
    let said = curl(&["-X", "POST", "-d", "body", &plain]);
    assert_ne!(said.code, 0, "without a header there is no answer: {said:?}");
    node.wait_metric(
        "windrose_connections_refused_total",
        &["listener=\"rest\"", "cause=\"proxy_protocol\""],
        1.0,
    );
}

#[test]
fn a_proxy_that_speaks_for_itself_is_let_in_as_itself() {
    let node = start("allow");
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00".to_vec();
    let proxy = Relay::proxy(node.mqtt(), local);
    Client::connect(proxy.address(), &Options::v5("check")).disconnect();
}

#[test]
fn without_a_good_header_nobody_is_let_in() {
    let node = start("allow");
    let connect = Options::v5("direct").packet();
    let wrong_sum = binary(&value(0x03, &[1, 2, 3, 4]));
    let cases: [&[u8]; 6] = [
        &connect,
        b"GET /mqtt HTTP/1.1\r\n\r\n",
        b"PROXY TCP4 203.0.113.9 198.51.100.2 40123\r\n",
        &[b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat(),
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
        &wrong_sum,
    ];
    for bytes in &cases {
        let mut client = Client::open(node.mqtt(), Options::v5("").version).expect("it is accepted");
        client.send(bytes);
        assert_eq!(client.closed(), None, "{bytes:?}");
    }
    // And who says half of it has as long as a handshake may take.
    let mut slow = Client::open(node.mqtt(), Options::v5("").version).expect("it is accepted");
    slow.send(b"PROXY TCP4 203");
    slow.closed();
    let mut count = cases.len() as f64 + 1.0;
    node.wait_metric("windrose_connections_refused_total", &["cause=\"proxy_protocol\""], count);
    node.wait_log(&["connection refused", "does not begin with a PROXY protocol header"]);
    for _ in 0..100 {
        let mut client = Client::open(node.mqtt(), Options::v5("").version).expect("it is accepted");
        client.send(&connect);
        client.closed();
        count += 1.0;
    }
    node.wait_metric("windrose_connections_refused_total", &["cause=\"proxy_protocol\""], count);
    let told = node.log().all().iter().filter(|line| line.contains("\"proxy_protocol\"")).count();
    assert!(told < 60, "{told} lines were written: their rate is limited");
}
