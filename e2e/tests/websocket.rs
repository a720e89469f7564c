//! MQTT over WebSocket: any fragmentation, control frames, closing, and frames and handshakes that lie.

use windrose_e2e::clients::{mosquitto_pub, paho, result};
use windrose_e2e::documents::OPEN;
use windrose_e2e::mqtt::{Client, Options, packet, string};
use windrose_e2e::node::Setup;
use windrose_e2e::websocket::{
    BINARY, CLOSE, CONTINUATION, Cut, FIN, PING, PONG, TEXT, WebSocket, ask, frame, relay, request,
};
use windrose_e2e::{Node, wait_until};

/// [`OPEN`] with MQTT over WebSocket where it has MQTT.
fn start(more: &str) -> Node {
    let document = OPEN.replace(
        "{name: mqtt, protocol: mqtt, bind: \"127.0.0.1:${MQTT}\"}",
        "{name: ws, protocol: mqtt, transport: websocket, bind: \"127.0.0.1:${MQTT}\"}\n  \
         - {name: tcp, protocol: mqtt, bind: \"127.0.0.1:${MQTTS}\"}",
    );
    Setup::new().start(&format!("{document}{more}"))
}

/// A WebSocket on which a session is open.
fn opened(node: &Node, options: &Options) -> WebSocket {
    let mut socket = WebSocket::connect(node.mqtt(), "/mqtt");
    socket.send(&frame(FIN | BINARY, &options.packet()));
    let (first, connack) = socket.receive().expect("a CONNACK");
    assert_eq!((first, connack[0], connack[3]), (FIN | BINARY, 0x20, 0), "{connack:?}");
    socket
}

fn publish(topic: &str, payload: &[u8]) -> Vec<u8> {
    packet(0x30, &[&string(topic)[..], payload].concat())
}

#[test]
fn clients_need_not_know_how_frames_are_cut() {
    let node = start("");
    for cut in [Cut::Reads, Cut::Bytes] {
        let relay = relay(node.mqtt(), "/mqtt", cut);
        let mut things = [Options::v5("new"), Options::v3("old")].map(|options| {
            let mut client = Client::connect(relay.address(), &options);
            assert_eq!(client.subscribe("news/#", 1), 1);
            client
        });
        mosquitto_pub(relay.address(), &["-t", "news/today", "-m", "framed", "-q", "2"]).fine();
        for thing in &mut things {
            assert_eq!(thing.message(), ("news/today".to_owned(), "framed".to_owned()));
        }
        for thing in things {
            thing.disconnect();
        }
    }
    wait_until("all have said good-bye", || {
        node.metric("windrose_connections_closed_total", &["listener=\"ws\"", "cause=\"goodbye\""]) >= 6.0
    });
}

#[test]
fn packets_span_frames_and_frames_hold_packets() {
    let node = start("");
    let mut socket = WebSocket::connect(node.mqtt(), "/mqtt");
    let connect = Options::v3("spanning").packet();
    let (one, two) = connect.split_at(7);
    socket.send(&[frame(BINARY, one), frame(FIN | PING, b"amid"), frame(FIN | CONTINUATION, two)].concat());
    let mut answers = [socket.receive().unwrap(), socket.receive().unwrap()];
    answers.sort();
    assert_eq!(answers, [(FIN | BINARY, vec![0x20, 2, 0, 0]), (FIN | PONG, b"amid".to_vec())]);
    let subscribe = packet(0x82, &[&[0, 1][..], &string("own"), &[0]].concat());
    let all = [subscribe, publish("own", b"one"), publish("own", b"two"), vec![0xc0, 0]].concat();
    socket.send(&frame(FIN | BINARY, &all));
    let expected = [vec![0x90, 3, 0, 1, 0], publish("own", b"one"), publish("own", b"two"), vec![0xd0, 0]];
    let mut got = socket.data(expected.concat().len());
    let expected: Vec<Vec<u8>> = expected.into();
    for packet in &expected {
        let at = got.windows(packet.len()).position(|window| window == packet);
        let at = at.unwrap_or_else(|| panic!("{packet:?} is not in {got:?}"));
        got.drain(at..at + packet.len());
    }
}

#[test]
fn what_breaks_the_rules_is_told_and_disturbs_nobody() {
    let node = start("");
    let mut bystander = opened(&node, &Options::v3("bystander"));
    let cases: [(&str, u16, Vec<u8>); 12] = [
        ("text", 1003, frame(FIN | TEXT, &[0xc0, 0])),
        ("a reserved bit", 1002, frame(FIN | 0x20 | BINARY, &[0xc0, 0])),
        ("a reserved kind", 1002, frame(FIN | 5, &[])),
        ("no mask", 1002, vec![FIN | BINARY, 2, 0xc0, 0]),
        ("more of nothing", 1002, frame(FIN | CONTINUATION, &[0xc0, 0])),
        ("a message amid another", 1002, [frame(BINARY, &[]), frame(FIN | BINARY, &[])].concat()),
        ("a fragmented ping", 1002, frame(PING, &[])),
        ("a long ping", 1002, frame(FIN | PING, &[0; 126])),
        ("nine exabytes", 1009, vec![FIN | BINARY, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255]),
        ("more than that", 1002, vec![FIN | BINARY, 0xff, 255, 255, 255, 255, 255, 255, 255, 255]),
        ("a code that none may send", 1002, frame(FIN | CLOSE, &1006_u16.to_be_bytes())),
        ("a reason that is no text", 1007, frame(FIN | CLOSE, &[0x03, 0xe8, 0xc0])),
    ];
    let before = node.resident_bytes();
    for (name, code, bytes) in &cases {
        for opens in [false, true] {
            let mut socket = if opens {
                opened(&node, &Options::v5("liar"))
            } else {
                WebSocket::connect(node.mqtt(), "/mqtt")
            };
            // The mask of a frame that is refused for its length is never looked at.
            socket.send(&[&bytes[..], &[0; 4]].concat());
            assert_eq!(socket.closed(), Some(*code), "{name}");
        }
    }
    assert!(node.resident_bytes() < before + (64 << 20), "nothing is kept for lies");
    node.wait_metric(
        "windrose_connections_closed_total",
        &["listener=\"ws\"", "cause=\"protocol\""],
        2.0 * cases.len() as f64,
    );
    node.wait_log(&[
        "broke the protocol",
        "WebSocket: MQTT comes in binary frames, not in text",
        "\"listener\":\"ws\"",
    ]);
    bystander.send(&frame(FIN | BINARY, &[0xc0, 0]));
    assert_eq!(bystander.receive(), Some((FIN | BINARY, vec![0xd0, 0])));
}

#[test]
fn a_bad_handshake_is_answered_with_what_is_wrong() {
    let node = start("");
    let good = request("/mqtt");
    let cases = [
        (request("/other"), 404, "/mqtt"),
        (good.replace("GET", "PUT"), 405, "GET"),
        (good.replace("Version: 13", "Version: 7"), 426, "13"),
        (good.replace("Upgrade: websocket\r\n", ""), 426, "Upgrade: websocket"),
        (good.replace("Protocol: mqtt", "Protocol: soap"), 400, "Sec-WebSocket-Protocol: mqtt"),
        (good.replace("Sec-WebSocket-Protocol: mqtt\r\n", ""), 400, "Sec-WebSocket-Protocol: mqtt"),
        (good.replace("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="), 400, "16 bytes"),
        (good.replace("e2e\r\n", &format!("e2e\r\nCookie: {}\r\n", "x".repeat(20_000))), 431, "16 KiB"),
        ("\x10\x0c\0\x04MQTT\x04\x02\0\0\0\0".to_owned(), 400, "HTTP"),
    ];
    for (request, status, help) in &cases {
        let answer = ask(node.mqtt(), request);
        assert_eq!(answer.status(), *status, "{request}");
        assert!(answer.text().contains(help), "{answer:?}");
        assert_eq!(answer.header("sec-websocket-accept"), None);
    }
    node.wait_metric(
        "windrose_connections_refused_total",
        &["listener=\"ws\"", "cause=\"websocket\""],
        cases.len() as f64,
    );
    opened(&node, &Options::v5("a good one"));
}

#[test]
fn a_close_frame_is_answered_and_is_no_good_bye() {
    let node = start("");
    let mut watcher = Client::connect(node.mqtts(), &Options::v5("watcher"));
    watcher.subscribe("wills/#", 0);
    let mut socket = opened(&node, &Options::v5("leaver").will("wills/leaver", "gone"));
    socket.send(&frame(FIN | CLOSE, &[&4001_u16.to_be_bytes()[..], b"that is all"].concat()));
    assert_eq!(socket.closed(), Some(4001));
    assert_eq!(watcher.message(), ("wills/leaver".to_owned(), "gone".to_owned()));

    let mut socket = opened(&node, &Options::v5("polite").will("wills/polite", "gone"));
    socket.send(&[frame(FIN | BINARY, &[0xe0, 0]), frame(FIN | CLOSE, &[])].concat());
    socket.closed();
    mosquitto_pub(node.mqtts(), &["-t", "wills/none", "-m", "last"]).fine();
    assert_eq!(
        watcher.message(),
        ("wills/none".to_owned(), "last".to_owned()),
        "no will of who said good-bye"
    );
}

#[test]
fn a_drain_says_good_bye_in_both_languages() {
    let mut node = start("");
    let mut socket = opened(&node, &Options::v5("drained"));
    node.signal("TERM");
    let (first, words) = socket.receive().expect("a DISCONNECT");
    assert_eq!((first, words[0], words[2]), (FIN | BINARY, 0xe0, 0x8b), "{words:?}");
    assert_eq!(socket.closed(), Some(1000));
    assert!(node.wait_end(windrose_e2e::wait::SOON).success());
}

#[test]
fn frames_stay_whole_when_a_reader_is_slow() {
    let node = start("limits: {output_bytes: 65536, session_queue_bytes: 16777216}\n");
    let mut reader = opened(&node, &Options::v3("slow"));
    reader.send(&frame(FIN | BINARY, &packet(0x82, &[&[0, 1][..], &string("big/#"), &[1]].concat())));
    assert_eq!(reader.data(5), [0x90, 3, 0, 1, 1]);
    let mut sender = Client::connect(node.mqtts(), &Options::v3("sender"));
    let payload: Vec<u8> = (0..200_000_u32).map(|index| (index % 253) as u8).collect();
    for _ in 0..40 {
        // Acknowledged: it is on its way, or waits.
        assert_eq!(sender.publish("big/one", &payload, 1), 0);
    }
    let length = 2 + "big/one".len() + 2 + payload.len();
    let whole = packet(0x32, &vec![0; length]).len();
    let all = reader.data(40 * whole);
    assert_eq!(all.len(), 40 * whole);
    for (index, packet) in all.chunks(whole).enumerate() {
        assert!(packet.ends_with(&payload), "message {index}");
    }
}

#[test]
fn paho_speaks_over_websocket() {
    let node = start("");
    let result = result(paho("websocket.py", node.mqtt(), &["/mqtt", ""]));
    assert_eq!(result["lengths"], serde_json::json!([0, 1, 125, 126, 5_000, 65_535, 65_536, 200_000]));
}
