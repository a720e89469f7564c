//! What no client of AMQP should send: the answer is the protocol's own error, on the smallest scope, one line in the log and
//! one count; and the node serves everybody else as before.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use windrose_e2e::Node;
use windrose_e2e::clients::{amqp_python, result};
use windrose_e2e::documents::open_amqp;

/// A connection of bytes.
struct Raw(TcpStream);

impl Raw {
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the node listens");
        stream.set_read_timeout(Some(Duration::from_millis(100))).expect("a time limit");
        Self(stream)
    }

    /// The node may have closed it already: then nobody hears.
    fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes);
    }

    /// What the node says until `enough`, or until it closes the connection; whether it closed it.
    fn hear(&mut self, enough: impl Fn(&[u8]) -> bool) -> (Vec<u8>, bool) {
        let (start, mut heard, mut buffer) = (Instant::now(), Vec::new(), [0; 65_536]);
        while !enough(&heard) {
            assert!(start.elapsed() < Duration::from_secs(15), "in vain; heard {}", printable(&heard));
            match self.0.read(&mut buffer) {
                Ok(0) => return (heard, true),
                Ok(count) => heard.extend_from_slice(&buffer[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return (heard, true),
            }
        }
        (heard, false)
    }

    fn hear_end(&mut self) -> Vec<u8> {
        self.hear(|_| false).0
    }
}

fn printable(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Those who behave are served.
fn serves(node: &Node) {
    let cases = ["a_message_goes_through_a_queue_by_its_name"];
    let told = result(amqp_python("pika_cases.py", &[&node.amqp().to_string(), cases[0]]));
    assert_eq!(told[cases[0]], "ok");
}

// AMQP 0-9-1

fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![kind];
    frame.extend(channel.to_be_bytes());
    frame.extend((payload.len() as u32).to_be_bytes());
    frame.extend(payload);
    frame.push(0xce);
    frame
}

fn method(channel: u16, class: u16, method: u16, arguments: &[u8]) -> Vec<u8> {
    let mut payload = class.to_be_bytes().to_vec();
    payload.extend(method.to_be_bytes());
    payload.extend(arguments);
    frame(1, channel, &payload)
}

fn short(text: &str) -> Vec<u8> {
    let mut bytes = vec![text.len() as u8];
    bytes.extend(text.as_bytes());
    bytes
}

fn long(bytes: &[u8]) -> Vec<u8> {
    let mut text = (bytes.len() as u32).to_be_bytes().to_vec();
    text.extend(bytes);
    text
}

const OPEN_CHANNEL: &[u8] = &[1, 0, 1, 0, 0, 0, 5, 0, 20, 0, 10, 0, 0xce];

/// A connection that is open, with that heartbeat.
fn connect(address: SocketAddr, heartbeat: u16) -> Raw {
    let mut raw = Raw::open(address);
    raw.send(b"AMQP\x00\x00\x09\x01");
    raw.hear(|heard| contains(heard, b"PLAIN") && heard.ends_with(&[0xce]));
    let mut start_ok = long(b"");
    start_ok.extend(short("PLAIN"));
    start_ok.extend(long(b"\0guest\0guest"));
    start_ok.extend(short("en_US"));
    raw.send(&method(0, 10, 11, &start_ok));
    raw.hear(|heard| heard.starts_with(&[1, 0, 0]) && heard.ends_with(&[0xce]));
    let mut tune_ok = 10u16.to_be_bytes().to_vec();
    tune_ok.extend(8192u32.to_be_bytes());
    tune_ok.extend(heartbeat.to_be_bytes());
    raw.send(&method(0, 10, 31, &tune_ok));
    let mut open = short("/");
    open.extend(short(""));
    open.push(0);
    raw.send(&method(0, 10, 40, &open));
    let (heard, _) = raw.hear(|heard| contains(heard, &[0, 10, 0, 41]));
    assert!(contains(&heard, &[0, 10, 0, 41]), "open-ok: {}", printable(&heard));
    raw
}

/// The code that a connection is closed with, or zero if it is just closed.
fn close_code(heard: &[u8]) -> u16 {
    let close = [0, 10, 0, 50];
    let place = heard.windows(4).position(|window| window == close);
    place.and_then(|at| heard.get(at + 4..at + 6)).map_or(0, |code| u16::from_be_bytes([code[0], code[1]]))
}

fn deep_table() -> Vec<u8> {
    // Each table holds one entry, the next: from the innermost outwards.
    let mut table = Vec::new();
    for _ in 0..1_000 {
        let mut outer = short("n");
        outer.push(b'F');
        outer.extend(long(&table));
        table = outer;
    }
    long(&table)
}

#[test]
fn a_connection_of_0_9_1_ends_with_the_code_of_what_was_wrong() {
    let node = Node::start(&open_amqp("limits: {connect_timeout: 5s}\n"));
    let declare = |arguments: Vec<u8>| {
        let mut declare = vec![0, 0];
        declare.extend(short("q"));
        declare.push(0);
        declare.extend(arguments);
        [OPEN_CHANNEL.to_vec(), method(1, 50, 10, &declare)].concat()
    };
    let mut torn = method(1, 20, 10, &[0]);
    if let Some(last) = torn.last_mut() {
        *last = 0;
    }
    let publish = method(1, 60, 40, &[0, 0, 0, 0, 0]);
    let cases: Vec<(&str, Vec<u8>, &[u8], u16)> = vec![
        ("a frame without its end", torn, b"", 501),
        (
            "a frame of a size that was not agreed",
            [&[1u8, 0, 1, 0, 1, 0, 0][..], &[0; 70_000]].concat(),
            b"",
            501,
        ),
        ("a frame of an unknown kind", frame(7, 0, b"?"), b"", 501),
        ("an unknown class", [OPEN_CHANNEL.to_vec(), method(1, 999, 10, &[])].concat(), b"", 540),
        ("an unknown method", [OPEN_CHANNEL.to_vec(), method(1, 60, 999, &[])].concat(), b"", 540),
        ("a method cut short", [OPEN_CHANNEL.to_vec(), method(1, 50, 10, &[0])].concat(), b"", 502),
        ("a table that ends beyond its frame", declare(vec![0xff, 0xff, 0xff, 0xff]), b"", 502),
        ("tables in tables, a thousand", declare(deep_table()), b"", 502),
        ("a body before anything", [OPEN_CHANNEL.to_vec(), frame(3, 1, b"x")].concat(), b"", 505),
        ("a header before anything", [OPEN_CHANNEL.to_vec(), frame(2, 1, &[0; 14])].concat(), b"", 505),
        (
            "a method where content must come",
            [OPEN_CHANNEL.to_vec(), publish.clone(), publish].concat(),
            b"",
            505,
        ),
        ("a channel that is not open", method(3, 60, 40, &[0, 0, 0, 0, 0]), b"", 504),
        ("a channel twice", [OPEN_CHANNEL, OPEN_CHANNEL].concat(), b"", 504),
        ("a channel that was not agreed", method(5_000, 20, 10, &[0]), b"", 530),
        ("a channel's method on channel 0", method(0, 60, 40, &[0, 0, 0, 0, 0]), b"", 504),
        (
            "the connection's method on a channel",
            [OPEN_CHANNEL.to_vec(), method(1, 10, 40, &[1, b'/', 0, 0])].concat(),
            b"",
            503,
        ),
    ];
    for (what, bytes, _, code) in cases {
        let before = node.metric("windrose_connections_closed_total", &["cause=\"protocol\""]);
        let mut raw = connect(node.amqp(), 0);
        raw.send(&bytes);
        let (heard, closed) = raw.hear(|heard| close_code(heard) > 0);
        let seen = close_code(&heard);
        assert!(
            seen == code || closed && seen == 0,
            "{what}: {seen} instead of {code}: {}",
            printable(&heard)
        );
        assert_ne!(seen, 0, "{what}: no word was said");
        raw.send(&method(0, 10, 51, &[]));
        raw.hear_end();
        node.wait_metric("windrose_connections_closed_total", &["cause=\"protocol\""], before + 1.0);
    }
    serves(&node);
}

#[test]
fn silence_ends_a_connection_of_0_9_1() {
    let node = Node::start(&open_amqp("limits: {connect_timeout: 1s}\n"));
    let start = Instant::now();
    let mut raw = connect(node.amqp(), 1);
    let heard = raw.hear_end();
    assert!(contains(&heard, &frame(8, 0, b"")), "the node sends heartbeats itself: {}", printable(&heard));
    assert!(start.elapsed() >= Duration::from_secs(1), "it was given its time");
    // Those who say nothing at all, or not enough.
    for words in [&b""[..], b"AM", b"AMQP\x00\x00\x09\x01", b"AMQP\x00\x01\x00\x00", b"AMQP\x03\x01\x00\x00"]
    {
        let mut raw = Raw::open(node.amqp());
        raw.send(words);
        raw.hear_end();
    }
    serves(&node);
}

// AMQP 1.0

fn frame_1(kind: u8, channel: u16, body: &[u8]) -> Vec<u8> {
    let mut frame = (body.len() as u32 + 8).to_be_bytes().to_vec();
    frame.extend([2, kind]);
    frame.extend(channel.to_be_bytes());
    frame.extend(body);
    frame
}

/// A performative: a described list of these fields.
fn performative(code: u8, fields: &[&[u8]]) -> Vec<u8> {
    let content: Vec<u8> = fields.concat();
    let mut bytes = vec![0, 0x53, code, 0xd0];
    bytes.extend((content.len() as u32 + 4).to_be_bytes());
    bytes.extend((fields.len() as u32).to_be_bytes());
    bytes.extend(content);
    bytes
}

const NULL: &[u8] = &[0x40];
const HEADER: &[u8] = b"AMQP\x00\x01\x00\x00";

fn text(text: &str) -> Vec<u8> {
    let mut bytes = vec![0xa1, text.len() as u8];
    bytes.extend(text.as_bytes());
    bytes
}

fn open_1() -> Vec<u8> {
    frame_1(0, 0, &performative(0x10, &[&text("raw"), &text("host")]))
}

/// next-outgoing-id 0, windows of 2,048.
fn begin_1(channel: u16) -> Vec<u8> {
    let window = [0x70, 0, 0, 8, 0];
    frame_1(0, channel, &performative(0x11, &[NULL, &[0x43], &window, &window]))
}

/// A sender of the peer's to a queue.
fn attach_1(handle: u8, address: &str) -> Vec<u8> {
    let target = performative(0x29, &[&text(address)]);
    let source = performative(0x28, &[]);
    let name = text(&format!("link-{handle}"));
    let fields: [&[u8]; 10] =
        [&name, &[0x52, handle], &[0x42], NULL, NULL, &source, &target, NULL, NULL, &[0x43]];
    frame_1(0, 0, &performative(0x12, &fields))
}

fn transfer_1(handle: u8, id: u8, more: bool, payload: &[u8]) -> Vec<u8> {
    let fields: [&[u8]; 6] = [
        &[0x52, handle],
        &[0x52, id],
        &[0xa0, 1, id],
        &[0x43],
        &[0x42],
        if more { &[0x41] } else { &[0x42] },
    ];
    frame_1(0, 0, &[performative(0x14, &fields), payload.to_vec()].concat())
}

/// Lists in lists, so many.
fn deep_list(depth: usize) -> Vec<u8> {
    let mut value = vec![0x45];
    for _ in 0..depth {
        let mut outer = vec![0xd0];
        outer.extend((value.len() as u32 + 4).to_be_bytes());
        outer.extend(1u32.to_be_bytes());
        outer.extend(value);
        value = outer;
    }
    value
}

#[test]
fn a_connection_of_1_0_ends_with_the_condition_of_what_was_wrong() {
    let node = Node::start(&open_amqp("limits: {connect_timeout: 5s}\n"));
    let opened = |more: &[u8]| [open_1(), begin_1(0), more.to_vec()].concat();
    let deep = performative(0x10, &[&text("deep"), NULL, NULL, NULL, NULL, NULL, NULL, &deep_list(10_000)]);
    let cases: Vec<(&str, Vec<u8>, &[&str])> = vec![
        (
            "a frame shorter than its header",
            opened(&[0, 0, 0, 4, 2, 0, 0, 0]),
            &["amqp:connection:framing-error", "amqp:decode-error"],
        ),
        (
            "a data offset beyond the frame",
            opened(&[0, 0, 0, 8, 9, 0, 0, 0]),
            &["amqp:connection:framing-error", "amqp:decode-error"],
        ),
        (
            "a frame larger than was agreed",
            opened(&[0x7f, 0xff, 0xff, 0xff, 2, 0, 0, 0]),
            &["amqp:connection:framing-error", "amqp:frame-size-too-small", "amqp:resource-limit-exceeded"],
        ),
        (
            "an unknown performative",
            opened(&frame_1(0, 0, &performative(0x7f, &[]))),
            &["amqp:decode-error", "amqp:not-implemented", "amqp:connection:framing-error"],
        ),
        (
            "no performative at all",
            opened(&frame_1(0, 0, &[0x41])),
            &["amqp:decode-error", "amqp:connection:framing-error"],
        ),
        (
            "lists in lists, ten thousand",
            frame_1(0, 0, &deep),
            &["amqp:decode-error", "amqp:connection:framing-error", "amqp:resource-limit-exceeded"],
        ),
        (
            "a list that ends beyond its frame",
            opened(&frame_1(0, 0, &[0, 0x53, 0x11, 0xd0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1])),
            &["amqp:decode-error", "amqp:connection:framing-error"],
        ),
        ("a session twice", opened(&begin_1(0)), &["amqp:"]),
        ("an open twice", opened(&open_1()), &["amqp:"]),
        (
            "a frame of a session that is not there",
            opened(&frame_1(0, 7, &performative(0x17, &[]))),
            &["amqp:"],
        ),
        (
            "an end without a session",
            [open_1(), frame_1(0, 0, &performative(0x17, &[]))].concat(),
            &["amqp:"],
        ),
    ];
    for (what, bytes, conditions) in cases {
        let mut raw = Raw::open(node.amqp());
        raw.send(HEADER);
        raw.send(&bytes);
        let heard = raw.hear_end();
        let said = conditions.iter().any(|condition| contains(&heard, condition.as_bytes()));
        assert!(said, "{what}: none of {conditions:?}: {}", printable(&heard));
        // A close performative comes before the end.
        assert!(contains(&heard, &[0x53, 0x18]), "{what}: no close: {}", printable(&heard));
    }
    serves(&node);
}

#[test]
fn a_session_or_link_of_1_0_ends_alone() {
    let node = Node::start(&open_amqp("limits: {payload_bytes: 64KiB}\n"));
    let ends_with = |what: &str, attaches: bool, bytes: Vec<u8>, code: u8, condition: &str| {
        let mut raw = Raw::open(node.amqp());
        raw.send(&[HEADER.to_vec(), open_1(), begin_1(0)].concat());
        if attaches {
            raw.send(&attach_1(0, "bad-input"));
            // A link may be used once it has credit.
            raw.hear(|heard| contains(heard, &[0x53, 0x13]));
        }
        raw.send(&bytes);
        let said = |heard: &[u8]| contains(heard, &[0x53, code]) && contains(heard, condition.as_bytes());
        let (heard, closed) = raw.hear(said);
        assert!(!closed, "{what}: the connection was closed: {}", printable(&heard));
        // The connection goes on: another session is begun.
        raw.send(&begin_1(1));
        let (heard, closed) = raw.hear(|heard| contains(heard, &[0x53, 0x11]));
        assert!(!closed, "{what}: the connection was closed: {}", printable(&heard));
    };
    const DISPOSITION: u8 = 0x15;
    const DETACH: u8 = 0x16;
    const END: u8 = 0x17;
    let unattached = transfer_1(9, 0, false, b"x");
    ends_with("a handle that is not attached", false, unattached, END, "amqp:session:unattached-handle");
    ends_with("a handle twice", true, attach_1(0, "other"), END, "amqp:session:handle-in-use");
    let parts: Vec<Vec<u8>> = (0..40).map(|_| transfer_1(0, 0, true, &[0; 4_000])).collect();
    ends_with("a message that never ends", true, parts.concat(), DETACH, "amqp:link:message-size-exceeded");
    let none = transfer_1(0, 0, false, &[0xde, 0xad]);
    ends_with("a message that is none", true, none, DISPOSITION, "amqp:decode-error");
    serves(&node);
}

#[test]
fn more_links_than_may_be_are_refused_and_others_go_on() {
    let node = Node::start(&open_amqp("limits: {links: 16}\n"));
    let mut raw = Raw::open(node.amqp());
    let links: Vec<Vec<u8>> = (0..200).map(|handle| attach_1(handle, "many-links")).collect();
    raw.send(&[HEADER.to_vec(), open_1(), begin_1(0), links.concat()].concat());
    let (heard, _) = raw.hear(|heard| {
        contains(heard, b"amqp:resource-limit-exceeded") || contains(heard, b"amqp:connection:framing-error")
    });
    assert!(!heard.is_empty());
    serves(&node);
}

/// A queue that nobody reads is bounded: the newest is refused, and the node's memory stays.
#[test]
fn a_queue_that_nobody_reads_is_bounded() {
    let node = Node::start(&open_amqp("limits: {queue_events: 1000, queue_full: refuse-newest}\n"));
    let told = result(amqp_python("flood.py", &[&node.amqp().to_string(), "5000"]));
    assert_eq!(told["published"], 5_000);
    let (acks, nacks) = (told["acks"].as_u64().unwrap_or(0), told["nacks"].as_u64().unwrap_or(0));
    assert_eq!(acks + nacks, 5_000, "each was answered: {told}");
    assert!((1_000..3_000).contains(&acks), "about as many are taken as may wait: {told}");
    assert_eq!(told["waiting"], acks, "what was acknowledged is there: {told}");
}
