//! `as: json`: services get JSON of what things send in CBOR, and things get replies in CBOR.

use windrose_e2e::coap::{self, code, option};
use windrose_e2e::documents::{open, open_coap};
use windrose_e2e::mqtt::{Client, Options, Packet, property};
use windrose_e2e::wait::SOON;
use windrose_e2e::{Answer, Node, Sink};

const TOPIC: &str = "devices/meter-1/telemetry";

const ROUTE: &str = r#"
pools:
  service: {protocol: http, members: ["http://127.0.0.1:${SINK}/events"]}
routes:
  - {name: telemetry, match: "devices/+/telemetry", deliver: {pool: service}, as: json}
"#;

fn cbor() -> Vec<u8> {
    property::text(property::CONTENT_TYPE, "application/cbor")
}

#[test]
fn a_service_gets_json_of_cbor_and_its_reply_comes_back_as_cbor() {
    let sink = Sink::start();
    let node = Node::start_with(&sink, &open(ROUTE));
    sink.answer(Answer::Full(200, "Content-Type: application/json\r\n", "{\"limit\":80}".to_owned()));
    let mut thing = Client::connect(node.mqtt(), &Options::v5("thing"));
    thing.subscribe("devices/meter-1/answers", 1);
    thing.subscribe(TOPIC, 1);
    let properties = [cbor(), property::text(property::RESPONSE_TOPIC, "devices/meter-1/answers")].concat();
    let id = thing.publish_with(TOPIC, b"\xa1\x63kwh\xf9\x42\x00", 1, false, &properties);
    let request = sink.wait_for_text("{\"kwh\":3.0}").request;
    assert_eq!(request.header("content-type"), Some("application/json"));
    for expected in
        [(TOPIC, &b"\xa1\x63kwh\xf9\x42\x00"[..]), ("devices/meter-1/answers", b"\xa1\x65limit\x18\x50")]
    {
        let Ok(Packet::Publish { topic, payload, properties, .. }) = thing.delivery(SOON) else {
            panic!("no delivery of {expected:?}");
        };
        assert_eq!((topic.as_str(), payload.as_slice()), expected);
        assert_eq!(properties.text(property::CONTENT_TYPE).as_deref(), Some("application/cbor"));
    }
    assert_eq!(thing.answer(4, id, SOON).0, 0);
}

#[test]
fn a_sender_hears_that_its_cbor_is_none() {
    let sink = Sink::start();
    let node = Node::start_with(&sink, &open(ROUTE));
    let mut thing = Client::connect(node.mqtt(), &Options::v5("thing"));
    let id = thing.publish_with(TOPIC, b"\xa1\x01\x02", 1, false, &cbor());
    let (code, properties) = thing.answer(4, id, SOON);
    assert_eq!(code, 0x99, "payload format invalid");
    let reason = properties.text(property::REASON_STRING).unwrap_or_default();
    assert!(reason.contains("a map has a key that is no text"), "{reason:?}");
    assert_eq!(sink.count(), 0);
    node.wait_log(&["event rejected", "bad_payload", TOPIC]);
}

#[test]
fn measurements_of_a_coap_thing_reach_the_service_as_json() {
    let sink = Sink::start();
    let node = Node::start_with(&sink, &open_coap(ROUTE));
    let mut thing = coap::Client::new(node.coap());
    // RFC 8428 §6: [{"n": "kwh", "v": 3}], first well-formed, then with a label that nobody has.
    let senml =
        |payload: &'static [u8]| coap::Message::post(TOPIC, payload).uint(option::CONTENT_FORMAT, 112);
    assert_eq!(thing.ask(senml(b"\x81\xa2\x00\x63kwh\x02\x03")).code, code::CHANGED);
    let request = sink.wait_for_text("[{\"n\":\"kwh\",\"v\":3}]").request;
    assert_eq!(request.header("content-type"), Some("application/senml+json"));
    let refused = thing.ask(senml(b"\x81\xa1\x18\x63\x01"));
    assert_eq!(refused.code, code::BAD_REQUEST);
    let why = String::from_utf8_lossy(&refused.payload).into_owned();
    assert!(why.contains("SenML knows no label 99"), "{why}");
    assert_eq!(sink.count(), 1);
}
