//! Bad input ends in a clear reason where there is a place for one, a clean close, a log line and a count, and disturbs
//! nobody else.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use windrose_e2e::certs::Authority;
use windrose_e2e::documents::{DELIVERED, OPEN, open};
use windrose_e2e::mqtt::{Client, End, Options, Packet, Version, string, varint};
use windrose_e2e::node::Setup;
use windrose_e2e::wait::{SOON, wait_until};
use windrose_e2e::{Answer, Node, Sink};

/// Short times and small packets.
const STRICT: &str = "limits: {connect_timeout: 500ms, body_timeout: 500ms, handshake_timeout: 500ms, packet_bytes: 20000, payload_bytes: 10000}\n";

/// A node and a client that must never notice anything.
struct Watched {
    node: Node,
    well_behaved: Client,
    seen: usize,
}

impl Watched {
    fn start() -> Self {
        Self::of(Node::start(&open(STRICT)))
    }

    fn of(node: Node) -> Self {
        let mut well_behaved = Client::connect(node.mqtt(), &Options::v5("well-behaved"));
        well_behaved.subscribe("watch/#", 1);
        Self { node, well_behaved, seen: 0 }
    }

    /// The well-behaved client talks to itself.
    fn check(&mut self, after: &str) {
        self.seen += 1;
        let text = format!("{} {after}", self.seen);
        assert_eq!(self.well_behaved.publish("watch/me", &text, 1), 0, "after {after}");
        assert_eq!(self.well_behaved.message().1, text, "after {after}");
    }
}

/// Sends bytes on a new connection and reads until the server closes it; returns what it said.
fn talk(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("the listener listens");
    stream.set_read_timeout(Some(SOON)).expect("a time limit can be set");
    let _ = stream.write_all(bytes);
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Ok(_) => said,
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => said,
        Err(error) => panic!("the server has not closed the connection: {error}"),
    }
}

/// A packet of any first byte, claimed length and body.
fn packet(first: u8, claimed: usize, body: &[u8]) -> Vec<u8> {
    [vec![first], varint(claimed), body.to_vec()].concat()
}

#[test]
fn what_is_no_connect_ends_the_connection() {
    let mut watched = Watched::start();
    let first: [(&str, Vec<u8>); 7] = [
        ("an HTTP request", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        ("a PUBLISH first", packet(0x30, 5, b"\x00\x01ax\x00")),
        ("a PINGREQ first", vec![0xc0, 0]),
        ("the reserved type 0", vec![0, 0]),
        ("an endless length", vec![0x10, 0xff, 0xff, 0xff, 0xff, 0x7f]),
        ("another protocol's name", packet(0x10, 12, b"\x00\x04HTTP\x05\x02\x00\x3c\x00\x00")),
    ];
    let count = first.len() as f64;
    for (what, bytes) in first {
        talk(watched.node.mqtt(), &bytes);
        watched.check(what);
    }
    watched.node.wait_metric("windrose_connections_closed_total", &["cause=\"protocol\""], count);
    watched.node.wait_log(&["127.0.0.1:", "broke the protocol", "mqtt"]);
}

#[test]
fn malformed_packets_end_an_open_connection_with_their_reason() {
    let mut watched = Watched::start();
    let utf8: &[u8] = b"\x00\x02\xc3\x28\x00x";
    let cases: [(&str, Vec<u8>, &[u8]); 13] = [
        ("QoS 3", packet(0x36, 8, b"\x00\x01a\x00\x01\x00xy"), &[0x81]),
        ("a topic that is not UTF-8", packet(0x30, utf8.len(), utf8), &[0x81, 0x82, 0x90]),
        ("a topic with a wildcard", packet(0x30, 7, b"\x00\x03a/+\x00x"), &[0x81, 0x82, 0x90]),
        ("an empty topic", packet(0x30, 4, b"\x00\x00\x00x"), &[0x81, 0x82, 0x90]),
        ("packet identifier 0", packet(0x32, 7, b"\x00\x01a\x00\x00\x00x"), &[0x81, 0x82]),
        ("a topic longer than its packet", packet(0x30, 4, b"\xff\xffab"), &[0x81]),
        ("an unknown property", packet(0x30, 6, b"\x00\x01a\x02\x7f\x00"), &[0x81, 0x82]),
        ("an alias that was never announced", packet(0x30, 6, b"\x00\x00\x03\x23\xff\xff"), &[0x94]),
        ("SUBSCRIBE with wrong flags", packet(0x80, 8, b"\x00\x01\x00\x00\x01a\x00\x00"), &[0x81]),
        ("SUBSCRIBE of nothing", packet(0x82, 3, b"\x00\x01\x00"), &[0x81, 0x82]),
        ("a second CONNECT", Options::v5("again").packet(), &[0x82]),
        ("a server's packet", packet(0x20, 3, b"\x00\x00\x00"), &[0x81, 0x82]),
        ("the reserved type 0", vec![0, 0], &[0x81, 0x82]),
    ];
    let count = cases.len() as f64;
    for (what, bytes, codes) in cases {
        let mut client = Client::connect(watched.node.mqtt(), &Options::v5("bad"));
        client.send(&bytes);
        let code = client.closed();
        assert!(code.is_some_and(|code| codes.contains(&code)), "{what}: {code:x?} is none of {codes:x?}");
        watched.check(what);
    }
    watched.node.wait_metric("windrose_connections_closed_total", &["cause=\"protocol\""], count);
    let mut three = Client::connect(watched.node.mqtt(), &Options::v3("bad"));
    three.send(&packet(0x36, 5, b"\x00\x01a\x00\x01"));
    assert_eq!(three.closed(), None, "MQTT 3.1.1 has no word for it");
    watched.node.wait_log(&["bad", "127.0.0.1:"]);
}

#[test]
fn a_claimed_length_costs_nothing_and_ends_the_connection() {
    let mut watched = Watched::start();
    let before = watched.node.resident_bytes();
    for index in 0..50 {
        let mut client = Client::connect(watched.node.mqtt(), &Options::v5(&format!("claims-{index}")));
        client.send(&packet(0x30, 268_435_455, b"\x00\x01a\x00"));
        assert_eq!(client.closed(), Some(0x95), "packet too large");
    }
    talk(watched.node.mqtt(), &packet(0x10, 268_435_455, b"\x00\x04MQTT"));
    watched.check("huge claims");
    let grown = watched.node.resident_bytes().saturating_sub(before);
    assert!(grown < 20 << 20, "memory grew by {grown} bytes");
}

#[test]
fn a_payload_above_the_limit() {
    let mut watched = Watched::start();
    let mut five = Client::connect(watched.node.mqtt(), &Options::v5("five"));
    assert!(five.publish("big", vec![b'x'; 10_000], 1) < 0x80, "the limit itself is fine");
    five.publish_only("big", vec![b'x'; 10_001], 1);
    assert_eq!(five.closed(), Some(0x95));
    let mut three = Client::connect(watched.node.mqtt(), &Options::v3("three"));
    three.publish_only("big", vec![b'x'; 10_001], 1);
    assert_eq!(three.closed(), None);
    watched.check("a payload above the limit");
}

#[test]
fn a_topic_of_64_kilobytes() {
    let mut watched = Watched::of(Node::start(OPEN));
    let mut client = Client::connect(watched.node.mqtt(), &Options::v5("long"));
    let long = "x".repeat(65_535);
    client.subscribe("#", 1);
    assert_eq!(client.publish(&long, "payload", 1), 0);
    assert_eq!(client.message(), (long, "payload".to_owned()));
    let deep = vec!["x"; 32_768].join("/");
    assert_eq!(client.publish(&deep, "payload", 1), 0x90, "too many levels");
    assert_ne!(client.subscribe(&deep, 1), 1);
    assert!(client.ping().is_ok());
    watched.check("long topics");
}

#[test]
fn a_topic_of_64_kilobytes_reaches_a_service_or_is_refused() {
    let sink = Sink::start();
    let node = Node::start_with(&sink, &open(&DELIVERED.replace("deliver:", "deadline: 2s, deliver:")));
    let mut client = Client::connect(node.mqtt(), &Options::v5("long"));
    let long = format!("devices/car-7/telemetry/{}", "ü\u{a0}%".repeat(12_000));
    let code = client.publish(&long, "payload", 1);
    if code < 0x80 {
        let event = sink.wait_for_text("payload");
        let subject = event.attribute("subject").unwrap_or_default();
        assert!(
            subject.starts_with("devices/car-7/telemetry/%C3%BC%C2%A0%25"),
            "encoded by the binding: {subject:.60}"
        );
    }
    assert!(client.publish("devices/car-7/telemetry", "short", 1) < 0x80, "the pool works on");
    assert!(sink.wait_for_text("short").accepted());
}

#[test]
fn half_a_packet_then_silence() {
    let mut watched = Watched::start();
    let start = Instant::now();
    let connect = Options::v5("slow").packet();
    for bytes in [&b""[..], &connect[..1], &connect[..connect.len() - 1]] {
        talk(watched.node.mqtt(), bytes);
    }
    let took = start.elapsed();
    assert!(
        took >= Duration::from_millis(1_400) && took < Duration::from_secs(9),
        "three times 500 ms: {took:?}"
    );
    watched.check("silence");
    watched.node.wait_log(&["127.0.0.1:", "connect_timeout"]);
    watched.node.wait_metric("windrose_connections_closed_total", &["cause=\"no_open\""], 3.0);
}

#[test]
fn half_a_packet_of_an_open_connection_then_its_end() {
    let mut watched = Watched::start();
    let options = Options::v5("half").will("watch/will", "lost");
    let mut client = Client::connect(watched.node.mqtt(), &options);
    client.send(&packet(0x32, 100, b"\x00\x05topic"));
    drop(client);
    assert_eq!(watched.well_behaved.message(), ("watch/will".to_owned(), "lost".to_owned()));
    watched.check("half a packet");
}

#[test]
fn a_client_that_sends_byte_by_byte_is_understood() {
    let watched = Watched::start();
    let mut client = Client::open(watched.node.mqtt(), Version::V5).expect("the listener listens");
    let connect = Options::v5("bytewise").packet();
    for byte in connect.iter().chain(&packet(0x32, 8, b"\x00\x01a\x00\x07\x00xy")) {
        client.send(&[*byte]);
    }
    assert!(matches!(client.next(SOON), Ok(Packet::Connack { code: 0, .. })));
    assert_eq!(client.answer(4, 7, SOON).0, 0x10);
}

#[test]
fn more_publications_than_allowed_at_once() {
    let sink = Sink::start();
    sink.answer(Answer::OK.after(Duration::from_secs(1)));
    let node = Node::start_with(&sink, &open(&format!("{DELIVERED}limits: {{receive_maximum: 5}}\n")));
    let mut greedy = Client::connect(node.mqtt(), &Options::v5("greedy"));
    for number in 0..20 {
        greedy.publish_only("devices/car-7/telemetry", number.to_string(), 1);
    }
    assert_eq!(greedy.closed(), Some(0x93), "receive maximum exceeded");
    let mut patient = Client::connect(node.mqtt(), &Options::v3("patient"));
    let ids: Vec<_> =
        (0..20).map(|n| patient.publish_only("devices/car-8/telemetry", n.to_string(), 1)).collect();
    for id in ids {
        assert_eq!(
            patient.answer(4, id, SOON).0,
            0,
            "MQTT 3.1.1 knows no such limit: its socket is not read meanwhile"
        );
    }
}

#[test]
fn a_subscriber_that_does_not_read_is_bounded() {
    let mut watched =
        Watched::of(Node::start(&open("limits: {write_timeout: 2s, session_queue_events: 100}\n")));
    let mut deaf = Client::connect(watched.node.mqtt(), &Options::v5("deaf"));
    deaf.subscribe("flood", 0);
    let before = watched.node.resident_bytes();
    let mut publisher = Client::connect(watched.node.mqtt(), &Options::v5("publisher"));
    let payload = vec![b'x'; 100_000];
    for _ in 0..400 {
        assert!(publisher.publish("flood", &payload, 1) < 0x80);
    }
    let grown = watched.node.resident_bytes().saturating_sub(before);
    assert!(grown < 24 << 20, "40 MB were sent to who does not read; memory grew by {grown} bytes");
    watched.check("a flood");
}

#[test]
fn a_stream_that_is_not_read_is_bounded() {
    let mut watched =
        Watched::of(Node::start(&open("limits: {write_timeout: 2s, session_queue_events: 100}\n")));
    let mut deaf = TcpStream::connect(watched.node.rest()).expect("the listener listens");
    let request = b"GET /v1/events/flood HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n";
    deaf.write_all(request).expect("the request is sent");
    windrose_e2e::wait_until("the stream", || watched.node.metric("windrose_subscriptions", &[]) == 2.0);
    let before = watched.node.resident_bytes();
    let mut publisher = Client::connect(watched.node.mqtt(), &Options::v5("publisher"));
    let payload = vec![b'x'; 100_000];
    for _ in 0..400 {
        assert!(publisher.publish("flood", &payload, 1) < 0x80);
    }
    let grown = watched.node.resident_bytes().saturating_sub(before);
    assert!(grown < 48 << 20, "40 MB were sent to who does not read; memory grew by {grown} bytes");
    windrose_e2e::wait_until("the stream's end", || {
        watched.node.metric("windrose_subscriptions", &[]) == 1.0
    });
    watched.check("a flood");
}

#[test]
fn connections_above_the_limit_are_refused() {
    let node = Node::start(&open("limits: {connections: 4}\n"));
    // Each of the two threads takes half of them.
    let clients: Vec<_> =
        (0..12).map(|n| Client::try_connect(node.mqtt(), &Options::v5(&format!("many-{n}")))).collect();
    let accepted = clients.iter().filter(|client| matches!(client, Ok((_, _, 0, _)))).count();
    assert!((2..=4).contains(&accepted), "{accepted} of 12 connections were accepted, the limit is 4");
    let refused = (12 - accepted) as f64;
    node.wait_metric(
        "windrose_connections_refused_total",
        &["listener=\"mqtt\"", "cause=\"quota\""],
        refused,
    );
    node.wait_log(&["connection refused", "limits.connections"]);
    drop(clients);
    let again = || matches!(Client::try_connect(node.mqtt(), &Options::v5("later")), Ok((_, _, 0, _)));
    windrose_e2e::wait_until("room", again);
}

#[test]
fn a_tls_handshake_that_never_ends() {
    let authority = Authority::new("servers");
    let server = authority.server(&["127.0.0.1"]);
    let document = open(STRICT).replace(
        "listeners:\n",
        "tls: {edge: {certificate: server.pem, key: server.key}}\nlisteners:\n  - {name: mqtts, protocol: mqtt, bind: \"127.0.0.1:${MQTTS}\", tls: edge}\n  - {name: rests, protocol: http, bind: \"127.0.0.1:${RESTS}\", tls: edge}\n",
    );
    let setup = Setup::new().file("server.pem", &server.certificate).file("server.key", &server.key);
    let mut watched = Watched::of(setup.start(&document));
    for (address, name) in [(watched.node.mqtts(), "mqtts"), (watched.node.rests(), "rests")] {
        let start = Instant::now();
        talk(address, b"");
        talk(address, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
        assert!(start.elapsed() < Duration::from_secs(8), "{name}: {:?}", start.elapsed());
        let listener = format!("listener=\"{name}\"");
        watched.node.wait_metric(
            "windrose_connections_refused_total",
            &[&listener, "cause=\"tls_timeout\""],
            2.0,
        );
        talk(address, b"this is no TLS at all, and never was, however long one reads it");
        watched.node.wait_metric("windrose_connections_refused_total", &[&listener, "cause=\"tls\""], 1.0);
    }
    watched.check("handshakes");
    watched.node.wait_log(&["tls_timeout", "handshake_timeout"]);
}

#[test]
fn an_http_client_that_trickles() {
    let mut watched = Watched::start();
    let head = "POST /v1/events/x HTTP/1.1\r\nHost: x\r\n";
    // A head that never ends, a body that never ends.
    for (start, answer) in
        [(head.to_owned(), ""), (format!("{head}Content-Length: 1000\r\n\r\n"), "HTTP/1.1 408")]
    {
        let mut stream = TcpStream::connect(watched.node.rest()).expect("the listener listens");
        stream.set_read_timeout(Some(Duration::from_millis(100))).expect("a time limit can be set");
        let _ = stream.write_all(start.as_bytes());
        let begun = Instant::now();
        let mut said = Vec::new();
        let mut chunk = [0; 1024];
        loop {
            // One byte of a header field's name, or of the body.
            let _ = stream.write_all(b"x");
            match stream.read(&mut chunk) {
                Ok(0) => break,
                Ok(read) => said.extend_from_slice(&chunk[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
            assert!(begun.elapsed() < Duration::from_secs(15), "the server waits for ever after {start:?}");
        }
        assert!(said.starts_with(answer.as_bytes()), "{start:?}: {}", String::from_utf8_lossy(&said));
        watched.check("a trickle");
    }
    watched.node.wait_metric(
        "windrose_connections_closed_total",
        &["listener=\"rest\"", "cause=\"no_open\""],
        1.0,
    );
    watched.node.wait_log(&["connect_timeout", "rest"]);
}

#[test]
fn http_that_is_none() {
    let mut watched = Watched::start();
    let long = format!("GET /v1/events/x HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    for bytes in
        [&b"\x00\x01\x02\x03\r\n\r\n"[..], b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", long.as_bytes()]
    {
        let said = talk(watched.node.rest(), bytes);
        let said = String::from_utf8_lossy(&said);
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{said:.200}");
        watched.check("no HTTP");
    }
    watched.node.wait_metric(
        "windrose_connections_closed_total",
        &["listener=\"rest\"", "cause=\"protocol\""],
        1.0,
    );
    watched.node.wait_log(&["an HTTP connection ended badly"]);
}

#[test]
fn a_service_that_answers_garbage() {
    let sink = Sink::start();
    let document = open(&DELIVERED.replace("deliver:", "deadline: 10s, deliver:"));
    let mut watched = Watched::of(Node::start_with(&sink, &document));
    sink.answers([Answer::Garbage, Answer::Garbage, Answer::OK]);
    let mut thing = Client::connect(watched.node.mqtt(), &Options::v5("thing"));
    assert_eq!(thing.publish("devices/car-7/telemetry", "81", 1), 0, "taken in the end");
    let failed = watched.node.metric("windrose_pool_attempts_total", &["outcome=\"unavailable\""]);
    assert!(failed >= 1.0, "bad answers are counted");
    watched.node.wait_log(&["WARN", "127.0.0.1"]);
    // An answer that is too big is an answer all the same.
    sink.answer(Answer::Full(200, "", "x".repeat(5 << 20)));
    assert_eq!(thing.publish("devices/car-7/telemetry", "82", 1), 0);
    watched.check("garbage");
}

#[test]
fn noise_of_every_kind_disturbs_nobody() {
    let mut watched = Watched::start();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let valid = [
        packet(0x32, 14, &[&string("a/b/c")[..], b"\x00\x01\x00xyz\x00"].concat()),
        packet(0x82, 9, b"\x00\x02\x00\x00\x03a/#\x01"),
        packet(0xa2, 8, b"\x00\x03\x00\x00\x03a/#"),
        packet(0x62, 2, b"\x00\x01"),
    ];
    let rounds = 150;
    for round in 0..rounds {
        let options = if round % 2 == 0 { Options::v5("noise") } else { Options::v3("noise") };
        let mut bytes = options.packet();
        for packet in &valid {
            bytes.extend(packet);
        }
        for _ in 0..1 + random() % 4 {
            let at = random() as usize % bytes.len();
            bytes[at] = random() as u8;
        }
        let mut client = Client::open(watched.node.mqtt(), Version::V5).expect("the listener listens");
        client.send(&bytes);
    }
    watched.check("noise");
    // Each shard accepts for itself: the last of the noise may come late, and would take over what is opened now.
    let mqtt = ["listener=\"mqtt\""];
    watched.node.wait_metric("windrose_connections_opened_total", &mqtt, f64::from(rounds) + 1.0);
    wait_until("the end of all noise", || watched.node.metric("windrose_connections", &mqtt) <= 1.0);
    let mut client = Client::connect(watched.node.mqtt(), &Options::v5("noise"));
    assert_eq!(
        client.next(Duration::from_millis(200)).err(),
        Some(End::Timeout),
        "a new session of that name is clean"
    );
}

#[test]
fn a_peer_that_asks_and_never_reads_the_answers() {
    let mut watched = Watched::start();
    let mut stream = TcpStream::connect(watched.node.mqtt()).expect("the listener listens");
    stream.write_all(&Options::v5("deaf").packet()).expect("CONNECT is sent");
    watched.node.wait_metric("windrose_sessions", &[], 2.0);
    let before = watched.node.resident_bytes();
    // Every PINGREQ is owed an answer of its own size. The node must stop reading, so that this side cannot send.
    stream.set_write_timeout(Some(Duration::from_secs(1))).expect("a time limit can be set");
    let pings = [0xc0, 0].repeat(512 * 1024);
    let mut sent = 0;
    while sent < 256 << 20 {
        match stream.write(&pings) {
            Ok(written) => sent += written,
            Err(_) => break,
        }
    }
    assert!(sent < 256 << 20, "the node reads what it cannot answer");
    let grown = watched.node.resident_bytes().saturating_sub(before);
    assert!(grown < 8 << 20, "{} KiB for one deaf peer that sent {} KiB", grown >> 10, sent >> 10);
    watched.check("a deaf peer");
}

#[test]
fn connections_that_say_nothing_are_counted_and_refused_beyond_the_limit() {
    let node = Node::start(&open("limits: {connections: 8}\n"));
    let silent: Vec<TcpStream> =
        (0..40).map(|_| TcpStream::connect(node.rest()).expect("the listener listens")).collect();
    node.wait_metric("windrose_connections_refused_total", &["listener=\"rest\"", "cause=\"quota\""], 32.0);
    drop(silent);
    // Whoever left made room.
    wait_until("room for a request", || {
        let mut stream = TcpStream::connect(node.rest()).expect("the listener listens");
        let _ = stream.write_all(b"GET /v1/openapi.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let mut said = Vec::new();
        stream.read_to_end(&mut said).is_ok() && said.starts_with(b"HTTP/1.1 200")
    });
}
