//! Sockets of CoAP over UDP: which address answers, what a reload and a drain do to them, and what is told of strangers.

use std::net::Ipv4Addr;
use std::time::Duration;
use windrose_e2e::coap::{Client, Kind, Message, code};
use windrose_e2e::documents::{DELIVERED, open_coap};
use windrose_e2e::{Answer, Node, Sink, wait_until};

/// Its socket is bound to all addresses.
fn everywhere() -> String {
    open_coap("").replace("127.0.0.1:${COAP}\"", "0.0.0.0:${COAP}\", plaintext: allow")
}

#[test]
fn answers_come_from_the_address_that_was_asked() {
    let node = Node::start(&everywhere());
    for last in [1, 7, 200] {
        let address = (Ipv4Addr::new(127, 0, 0, last), node.coap().port()).into();
        // The client's socket is connected: from elsewhere it would hear nothing.
        let mut thing = Client::new(address);
        assert_eq!(thing.ask(Message::post("a/b", "1")).code, code::CHANGED);
    }
}

#[test]
fn a_reload_adds_and_takes_away_sockets() {
    let node = Node::start(&open_coap(""));
    let mut thing = Client::new(node.coap());
    assert_eq!(thing.ask(Message::put("a", "1")).code, code::CREATED);
    let without = open_coap("").lines().filter(|line| !line.contains("coap")).collect::<Vec<_>>().join("\n");
    reload(&node, &without);
    thing.start(Message::get("a"));
    thing.expect_nothing(Duration::from_millis(500));
    reload(&node, &open_coap("limits: {payload_bytes: 1000}\n"));
    let mut other = Client::new(node.coap());
    assert_eq!(other.ask(Message::get("a")).text(), "1");
}

fn reload(node: &Node, document: &str) {
    let reloads = || node.metric("windrose_reloads_total", &["outcome=\"accepted\""]);
    let before = reloads();
    node.write_document(document);
    wait_until("the reload", || reloads() > before);
}

#[test]
fn a_drain_answers_what_is_under_way_and_refuses_what_is_new() {
    let sink = Sink::start();
    sink.answer(Answer::OK.after(Duration::from_secs(2)));
    let mut node = Node::start_with(&sink, &open_coap(DELIVERED));
    let mut thing = Client::new(node.coap());
    let posted = thing.start(Message::post("devices/meter-1/telemetry", "81"));
    sink.wait_for_text("81");
    node.signal("TERM");
    node.wait_log(&["draining"]);
    let mut late = Client::new(node.coap());
    assert_eq!(late.ask(Message::post("devices/meter-2/telemetry", "82")).code, code::UNAVAILABLE);
    assert_eq!(thing.response(&posted).code, code::CHANGED);
    assert_eq!(node.wait_end(Duration::from_secs(10)).code(), Some(0));
    assert_eq!(sink.count(), 1, "what was refused went nowhere");
}

#[test]
fn what_strangers_send_is_counted_and_told_once() {
    let node = Node::start(&open_coap(""));
    let thing = Client::new(node.coap());
    for _ in 0..50 {
        // A token of nine bytes that are not there.
        thing.send_bytes(&[0x49, 0x02, 0x12, 0x34]);
    }
    let reset = thing.expect();
    assert_eq!((reset.kind, reset.id), (Kind::Rst, 0x1234));
    thing.send_bytes(&[0; 6_000]);
    node.wait_metric("windrose_coap_mishaps_total", &["cause=\"malformed\""], 50.0);
    node.wait_metric("windrose_datagrams_lost_total", &["cause=\"too_large\""], 1.0);
    node.wait_log(&["datagram refused", "malformed"]);
    let told = node.log().count(|line| line.contains("datagram refused"));
    assert!(told < 25, "{told} lines");
}
