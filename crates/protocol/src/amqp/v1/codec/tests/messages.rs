//! Messages of all shapes.

use crate::amqp::v1::codec::*;

fn pair(key: &str, value: Value<'_>) -> MapWriter {
    let mut map = MapWriter::new();
    map.symbol(key, &value);
    map
}

#[test]
fn all_sections_are_told_apart() {
    let mut bytes = Vec::new();
    let header = Header {
        durable: true,
        priority: Some(9),
        ttl: Some(5_000),
        first_acquirer: true,
        delivery_count: 3,
    };
    header.write(&mut bytes);
    let before = bytes.len();
    let annotations = pair("x-opt-hop", Value::Uint(1));
    write_section_map(MapSection::DeliveryAnnotations, &annotations.map(), &mut bytes);
    let after = bytes.len();
    let kept = pair("x-opt-retain", Value::Boolean(true));
    write_section_map(MapSection::MessageAnnotations, &kept.map(), &mut bytes);
    let bare = bytes.len();
    let properties = Properties {
        message_id: Value::Uuid([7; 16]),
        user_id: Some(b"u"),
        to: Some("a/b"),
        subject: Some("s"),
        reply_to: Some("r"),
        correlation_id: Value::Ulong(u64::MAX),
        content_type: Some("text/plain"),
        content_encoding: Some("gzip"),
        absolute_expiry_time: Some(1),
        creation_time: Some(2),
        group_id: Some("g"),
        group_sequence: Some(3),
        reply_to_group_id: Some("rg"),
    };
    properties.write(&mut bytes);
    let application = pair("k", Value::String("v"));
    write_section_map(MapSection::ApplicationProperties, &application.map(), &mut bytes);
    write_data_head(5, &mut bytes);
    bytes.extend_from_slice(b"hello");
    bytes.extend_from_slice(b"\0\x53\x78\xc1\x01\x00");
    let message = Message::read(&bytes).unwrap();
    assert_eq!(message.header, Some(header));
    assert_eq!(message.delivery_annotations_at, before..after);
    assert_eq!(message.message_annotations.unwrap().get("x-opt-retain"), Some(Value::Boolean(true)));
    assert_eq!(message.bare, bare);
    assert_eq!(message.properties, Some(properties));
    assert_eq!(message.application_properties.unwrap().get("k"), Some(Value::String("v")));
    assert_eq!(message.body, Body::Data(b"hello"));
    assert!(message.footer.is_some());
    for end in 0..bytes.len() {
        // Cut between sections it is a message still; never is it one with half a section.
        if let Ok(cut) = Message::read(&bytes[..end]) {
            assert!(cut.footer.is_none());
        }
    }
}

#[test]
fn bodies_come_in_pieces_and_as_values() {
    let Body::Value(value) = Message::read(b"\0\x53\x77\xa1\x02hi").unwrap().body else { panic!() };
    assert_eq!(value, Value::String("hi"));
    let two = Message::read(b"\0\x53\x75\xa0\x02ab\0\x53\x75\xa0\x01c").unwrap();
    let Body::Pieces(pieces) = two.body else { panic!() };
    assert_eq!(pieces.iter().collect::<Vec<_>>(), [Value::Binary(b"ab"), Value::Binary(b"c")]);
    let lists = Message::read(b"\0\x53\x76\xc0\x02\x01\x41\0\x53\x76\x45").unwrap();
    let Body::Sequences(pieces) = lists.body else { panic!() };
    assert_eq!(pieces.iter().count(), 2);
    assert_eq!(Message::read(b"").unwrap().body, Body::None);
    let large = [&[0, 0x53, 0x75, 0xb0, 0, 0, 1, 0][..], &[7; 256]].concat();
    assert_eq!(Message::read(&large).unwrap().body, Body::Data(&[7; 256]));
}

#[test]
fn sections_out_of_order_twice_or_unknown_are_refused() {
    let data = b"\0\x53\x75\xa0\x00";
    let value = b"\0\x53\x77\x40";
    let header = b"\0\x53\x70\x45";
    let unknown = b"\0\x53\x79\x40";
    for parts in [
        &[&data[..], &header[..]][..],
        &[&header[..], header],
        &[&data[..], value],
        &[&value[..], value],
        &[&value[..], data],
        &[&unknown[..]],
        &[b"\0\x53\x75\xa1\x00"],
        &[b"\0\x53\x72\x45"],
        &[b"hello"],
    ] {
        assert_eq!(Message::read(&parts.concat()).unwrap_err().condition, condition::DECODE_ERROR);
    }
}
