#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::amqp::v1::codec::{
    Body, MapSection, MapWriter, Message, Properties, Value, put_string, write_data_head, write_section_map,
};
use bytes::Bytes;
use std::sync::Arc;
use windrose_event::{
    Address, Assurance, Delivery, Details, Event, EventId, Filter, Identity, Origin, Original, Text,
    Timestamp,
};

fn event(payload: &'static [u8], details: Details) -> Event {
    let origin = Origin {
        identity: Identity::anonymous(),
        session: "s".into(),
        protocol: "mqtt",
        listener: "mqtt".into(),
    };
    Event {
        id: EventId::from_u128(1),
        time: Timestamp::from_micros(5_000_000),
        address: Address::new("a/b").unwrap(),
        origin: Arc::new(origin),
        assurance: Assurance::AtLeastOnce,
        retain: false,
        expires: Some(Timestamp::from_micros(9_000_000)),
        payload: Bytes::from_static(payload),
        details: Some(Box::new(details)),
    }
}

fn delivery(event: Event, again: bool) -> Delivery {
    Delivery {
        tag: windrose_event::Tag(1),
        event: Arc::new(event),
        assurance: Assurance::AtLeastOnce,
        again,
        retain: false,
        subscriptions: Default::default(),
    }
}

const NOW: Timestamp = Timestamp::from_micros(6_000_000);

fn whole((head, body): (Head, Bytes)) -> Vec<u8> {
    [&head[..], &body].concat()
}

#[test]
fn an_event_of_another_protocol_says_all_that_amqp_has_a_place_for() {
    let details = Details {
        content_type: Some("text/plain".into()),
        reply_to: Address::new("$reply/x").ok(),
        correlation: Some(Bytes::from_static(b"c7")),
        headers: vec![
            ("ce-type".into(), "t".into()),
            ("mood".into(), "good".into()),
            ("subject".into(), "s".into()),
        ],
        ..Details::default()
    };
    let bytes = whole(write_event(&event(b"hello", details), true, 2, NOW));
    let message = Message::read(&bytes).unwrap();
    let header = message.header.unwrap();
    assert_eq!((header.durable, header.ttl, header.delivery_count), (true, Some(3_000), 2));
    assert_eq!(message.message_annotations.unwrap().get("x-opt-retain"), Some(Value::Boolean(true)));
    let properties = message.properties.unwrap();
    assert_eq!((properties.to, properties.reply_to), (Some("a/b"), Some("$reply/x")));
    assert_eq!((properties.subject, properties.content_type), (Some("s"), Some("text/plain")));
    assert_eq!((properties.correlation_id, properties.creation_time), (Value::String("c7"), Some(5_000)));
    let application = message.application_properties.unwrap();
    assert_eq!(application.get("cloudEvents:type"), Some(Value::String("t")));
    assert_eq!(application.get("mood"), Some(Value::String("good")));
    assert_eq!(message.body, Body::Data(b"hello"));
}

#[test]
fn a_message_is_delivered_as_it_was_sent_and_says_when_that_failed_before() {
    let mut bytes = b"\0\x53\x70\xc0\x04\x02\x41\x50\x07".to_vec();
    let mut annotations = MapWriter::new();
    annotations.symbol("x-opt-mine", &Value::Char('x'));
    write_section_map(MapSection::MessageAnnotations, &annotations.map(), &mut bytes);
    bytes.extend_from_slice(b"\0\x53\x77\xc1\x05\x02\xa1\x01k\x41");
    let content = read(bytes.clone().into(), NOW, &[]).unwrap();
    assert!(content.durable && !content.retain);
    assert_eq!(content.payload, "{\"k\":true}");
    assert_eq!(content.details.content_type.as_deref(), Some("application/json"));
    let event = event(b"", *content.details);
    let first = whole(write(&delivery(event.clone(), false), 0, false, NOW));
    let header = Message::read(&first).unwrap().header.unwrap();
    assert_eq!((header.durable, header.priority, header.first_acquirer), (true, Some(7), true));
    assert_eq!(first[first.len() - 30..], bytes[bytes.len() - 30..], "all else is as it was");
    let again = whole(write(&delivery(event, true), 3, true, NOW));
    let message = Message::read(&again).unwrap();
    let header = message.header.unwrap();
    assert_eq!((header.durable, header.priority, header.delivery_count), (true, Some(7), 3));
    let annotations = message.message_annotations.unwrap();
    assert_eq!(annotations.get("x-opt-mine"), Some(Value::Char('x')));
    assert_eq!(annotations.get("x-opt-address"), Some(Value::String("a/b")));
    assert_eq!(again[again.len() - 10..], bytes[bytes.len() - 10..]);
}

#[test]
fn what_is_for_one_hop_goes_no_further() {
    let mut bytes = Vec::new();
    let mut annotations = MapWriter::new();
    annotations.symbol("x-hop", &Value::Boolean(true));
    write_section_map(MapSection::DeliveryAnnotations, &annotations.map(), &mut bytes);
    let rest = bytes.len();
    write_data_head(1, &mut bytes);
    bytes.push(b'x');
    let content = read(bytes.clone().into(), NOW, &[]).unwrap();
    assert_eq!(
        content.details.original,
        Some(Original { form: "amqp-1.0", bytes: bytes[rest..].to_vec().into() })
    );
    assert_eq!(content.payload, "x");
}

fn with(properties: Properties<'_>, application: &MapWriter) -> Content {
    let mut bytes = Vec::new();
    properties.write(&mut bytes);
    write_section_map(MapSection::ApplicationProperties, &application.map(), &mut bytes);
    bytes.extend_from_slice(b"\0\x53\x77");
    put_string(&mut bytes, "grüß");
    read(bytes.into(), NOW, &[Filter::new("+").unwrap()]).unwrap()
}

#[test]
fn properties_are_told_to_everybody() {
    let mut application = MapWriter::new();
    application.string("cloudEvents:id", &Value::String("1")).string("cloudEvents_type", &Value::String("t"));
    application.string("n", &Value::Int(7)).string("none", &Value::Null);
    let properties = Properties {
        to: Some("x"),
        subject: Some("s"),
        reply_to: Some("my.reply"),
        content_type: Some("text/plain"),
        absolute_expiry_time: Some(8_000),
        message_id: Value::Ulong(5),
        ..Properties::default()
    };
    let content = with(properties, &application);
    assert_eq!(content.payload, "grüß");
    assert_eq!((content.to.as_deref(), content.subject.as_deref()), (Some("x"), Some("s")));
    assert_eq!(content.expiry, Some(std::time::Duration::from_secs(2)));
    let details = *content.details;
    assert_eq!(details.is_text, Some(true));
    // A queue's name is a routing key: its address has levels.
    assert_eq!(details.reply_to.unwrap().as_str(), "my/reply");
    assert_eq!(details.correlation.unwrap(), "AMQP_ULONG:5", "the answer is to name the message");
    let headers: Vec<_> =
        details.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        headers,
        [("message-id", "AMQP_ULONG:5"), ("subject", "s"), ("ce-id", "1"), ("ce-type", "t"), ("n", "7")]
    );
}

#[test]
fn identifiers_come_back_as_what_they_were() {
    for id in [
        Value::Ulong(u64::MAX),
        Value::Uuid(*b"0123456789abcdef"),
        Value::String("x"),
        Value::Binary(b"\xff\0"),
    ] {
        let bytes = ids::bytes_of(&id).unwrap();
        assert_eq!(ids::value_of(&bytes), id);
    }
    assert_eq!(ids::value_of(b"AMQP_UUID:nonsense"), Value::String("AMQP_UUID:nonsense"));
}

#[test]
fn addresses_without_levels_that_have_dots_are_written_so_that_they_come_back() {
    let address = Address::new("a.b").unwrap();
    let written = crate::amqp::v1::node::written(&address);
    assert_eq!(crate::amqp::v1::node::place(&written, &[Filter::new("+").unwrap()]), Some(address));
    let plain = Address::new("$reply/0.1").unwrap();
    assert_eq!(crate::amqp::v1::node::written(&plain), "$reply/0.1");
    let _ = Text::default();
}

#[test]
fn headers_of_0_9_1_are_application_properties_with_their_types_and_back() {
    use crate::amqp::v091::codec as v091;
    let mut headers = v091::TableBuf::new();
    headers
        .put("n", v091::Value::I32(-5))
        .put("t", v091::Value::Text(b"text"))
        .put("b", v091::Value::Bool(true));
    headers.put("CC", v091::Value::Text(b"x"));
    let properties =
        v091::Properties { headers: Some(headers.table()), priority: Some(3), ..Default::default() };
    let mut bytes = b"\x00\x01q".to_vec();
    properties.write(&mut bytes);
    let original = Some(Original { form: Original::AMQP_0_9_1, bytes: bytes.into() });
    let classic =
        event(b"x", Details { original, headers: vec![("n".into(), "-5".into())], ..Details::default() });
    let written = whole(write_event(&classic, false, 0, NOW));
    let message = Message::read(&written).unwrap();
    assert_eq!(message.header.unwrap().priority, Some(3));
    let application = message.application_properties.unwrap();
    assert_eq!((application.len(), application.get("n")), (3, Some(Value::Int(-5))));
    assert_eq!(application.get("t"), Some(Value::String("text")));
    // And back: what came by 1.0 has its types in 0-9-1.
    let mut map = MapWriter::new();
    map.string("n", &Value::Int(-5)).string("u", &Value::Uuid([1; 16]));
    let mut modern = with(Properties::default(), &map);
    let modern = event(b"x", std::mem::take(&mut *modern.details));
    let mut out = Vec::new();
    crate::amqp::v091::message::write_properties(&modern, false, &mut out);
    let read = v091::Properties::read(&out).unwrap();
    assert_eq!(read.headers.unwrap().get("n"), Some(v091::Value::I32(-5)));
}
