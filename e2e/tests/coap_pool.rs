//! Pools of services that speak CoAP: each event is a POST, and the response is the sender's answer.

use std::net::UdpSocket;
use std::time::{Duration, Instant};
use windrose_e2e::Node;
use windrose_e2e::coap_service::CoapService;
use windrose_e2e::documents::open;
use windrose_e2e::mqtt::{Client, Options, Packet, property};
use windrose_e2e::node::Setup;
use windrose_e2e::wait::{SOON, wait_until};

const TOPIC: &str = "devices/car-7/telemetry";

fn node(members: &[String], more: &str) -> Node {
    let members: Vec<_> = members.iter().map(|url| format!("{url:?}")).collect();
    let document = format!(
        "pools:\n  service: {{protocol: coap, members: [{}], timeout: 5s, backoff: 50ms{more}}}\nroutes:\n  \
         - {{name: telemetry, match: \"devices/#\", deliver: {{pool: service}}, deadline: 15s}}\n",
        members.join(", ")
    );
    Setup::new().start(&open(&document))
}

fn url(service: &CoapService, path: &str) -> String {
    format!("coap://{}/{path}", service.address())
}

#[test]
fn an_event_reaches_the_service_and_is_accepted_when_that_has_answered() {
    let service = CoapService::start();
    let node = node(&[url(&service, "events?key=1")], "");
    let mut thing = Client::connect(node.mqtt(), &Options::v5("thing"));
    let properties =
        [property::text(property::CONTENT_TYPE, "application/json"), property::user("room", "7")].concat();
    let id = thing.publish_with(TOPIC, "{\"kwh\":3}", 1, false, &properties);
    assert_eq!(thing.answer(4, id, SOON).0, 0);
    let request = service.wait_for(&["kwh"]);
    assert_eq!((request["path"].as_str(), request["format"].as_u64()), (Some("events"), Some(50)));
    assert_eq!(request["payload"], "{\"kwh\":3}");
    let query: Vec<_> =
        request["query"].as_array().unwrap().iter().filter_map(|part| part.as_str()).collect();
    for part in ["key=1", "room=7", "ce-subject=devices/car-7/telemetry", "ce-type=io.windrose.event"] {
        assert!(query.contains(&part), "{part}: {query:?}");
    }
}

#[test]
fn large_payloads_and_answers_go_block_by_block() {
    let service = CoapService::start();
    let node = node(&[url(&service, "large")], "");
    let mut thing = Client::connect(node.mqtt(), &Options::v5("thing"));
    thing.subscribe("answers", 1);
    let body = "y".repeat(20_000);
    let reply_to = property::text(property::RESPONSE_TOPIC, "answers");
    let id = thing.publish_with(TOPIC, &body, 1, false, &reply_to);
    let Ok(Packet::Publish { payload, .. }) = thing.delivery(SOON) else { panic!("no answer was published") };
    assert_eq!(payload, vec![b'x'; 5_000]);
    assert_eq!(thing.answer(4, id, SOON).0, 0);
    assert_eq!(service.wait_for(&["large"])["payload"].as_str(), Some(&*body));
}

#[test]
fn what_the_service_says_is_the_senders_answer() {
    let service = CoapService::start();
    let refusing = node(&[url(&service, "no")], "");
    let mut thing = Client::connect(refusing.mqtt(), &Options::v5("thing"));
    let id = thing.publish_only(TOPIC, "81", 1);
    let (code, properties) = thing.answer(4, id, SOON);
    let reason = properties.text(property::REASON_STRING).unwrap_or_default();
    assert_eq!(code, 0x83);
    assert!(reason.contains("CoAP 4.04 Not Found: no such meter"), "{reason:?}");
    service.wait_for(&["\"81\""]);
    assert_eq!(service.count(), 1, "a refusal is final");

    let busy = node(&[url(&service, "busy")], "");
    let mut thing = Client::connect(busy.mqtt(), &Options::v5("thing"));
    assert_eq!(thing.publish(TOPIC, "82", 1), 0, "it was tried again");
    let count = |payload: &str| service.process().out.count(|line| line.contains(payload));
    wait_until("it was sent twice", || count("\"82\"") == 2);

    let slow = node(&[url(&service, "slow")], "");
    let mut thing = Client::connect(slow.mqtt(), &Options::v5("thing"));
    let start = Instant::now();
    assert_eq!(thing.publish(TOPIC, "83", 1), 0);
    assert!(start.elapsed() >= Duration::from_secs(3), "acknowledged before the separate response came");
    service.wait_for(&["\"83\""]);
    assert_eq!(count("\"83\""), 1, "repetitions are taken once");
}

#[test]
fn another_member_takes_what_one_that_is_not_there_does_not() {
    let mut gone = CoapService::start();
    let there = CoapService::start();
    let node = node(&[url(&gone, "events"), url(&there, "events")], ", balance: round-robin");
    gone.stop();
    let mut thing = Client::connect(node.mqtt(), &Options::v5("thing"));
    for payload in ["1", "2", "3", "4"] {
        assert_eq!(thing.publish(TOPIC, payload, 1), 0);
    }
    wait_until("all four are at the member that is there", || there.count() == 4);
    node.wait_log(&["no answer from a member", "nobody listens there"]);
}

#[test]
fn a_service_that_says_nothing_is_sent_its_request_again_and_then_given_up() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    silent.set_read_timeout(Some(SOON)).unwrap();
    let node = node(&[format!("coap://{}/", silent.local_addr().unwrap())], "");
    let mut thing = Client::connect(node.mqtt(), &Options::v5("thing"));
    let id = thing.publish_only(TOPIC, "81", 1);
    let mut datagrams = [[0; 2_000]; 2].map(|mut buffer| {
        let length = silent.recv(&mut buffer).expect("the request, and its repetition");
        buffer[..length].to_vec()
    });
    let [first, second] = &mut datagrams;
    assert_eq!(first, second);
    let (code, _) = thing.answer(4, id, Duration::from_secs(30));
    assert_eq!(code, 0x80, "timed out");
    node.wait_log(&["no answer from a member", "it said nothing in time"]);
}
