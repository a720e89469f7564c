//! What is written is read again as it was.

use super::*;
use crate::Transmit;
use bytes::Bytes;
use std::io::IoSlice;

fn all_types(nested: &TableBuf, array: &ArrayBuf) -> TableBuf {
    let mut table = TableBuf::new();
    for (name, value) in [
        ("bool", Value::Bool(true)),
        ("i8", Value::I8(-8)),
        ("u8", Value::U8(200)),
        ("i16", Value::I16(-16_000)),
        ("u16", Value::U16(60_000)),
        ("i32", Value::I32(-2_000_000_000)),
        ("u32", Value::U32(4_000_000_000)),
        ("i64", Value::I64(i64::MIN)),
        ("f32", Value::F32(1.5)),
        ("f64", Value::F64(-2.25)),
        ("decimal", Value::Decimal(2, -314)),
        ("text", Value::Text("grüße".as_bytes())),
        ("bytes", Value::Bytes(&[0, 255])),
        ("timestamp", Value::Timestamp(1_700_000_000)),
        ("array", Value::Array(array.array())),
        ("table", Value::Table(nested.table())),
        ("void", Value::Void),
    ] {
        table.put(name, value);
    }
    table
}

#[test]
fn tables_of_every_type_are_read_as_they_were_written() {
    let mut nested = TableBuf::new();
    nested.put_text("a", "b");
    let mut array = ArrayBuf::new();
    array.push(Value::I32(1)).push(Value::Table(nested.table())).push(Value::Void);
    let written = all_types(&nested, &array);
    let table = Table::read(written.table().as_bytes()).unwrap();
    assert_eq!(table.iter().count(), 17);
    assert_eq!(table.get("i64"), Some(Value::I64(i64::MIN)));
    assert_eq!(table.get("decimal"), Some(Value::Decimal(2, -314)));
    assert_eq!(table.get("text").and_then(Value::as_str), Some("grüße"));
    assert_eq!(table.get("u32").and_then(Value::as_integer), Some(4_000_000_000));
    let Some(Value::Array(array)) = table.get("array") else { panic!("no array") };
    assert_eq!(array.iter().count(), 3);
    let Some(Value::Table(nested)) = array.iter().nth(1) else { panic!("no table") };
    assert_eq!(nested.get("a").and_then(Value::as_str), Some("b"));
    assert_eq!(table.get("nothing"), None);
}

#[test]
fn every_property_is_read_as_it_was_written_and_none_is_two_bytes() {
    let mut headers = TableBuf::new();
    headers.put("x", Value::I64(7));
    let properties = Properties {
        content_type: Some(b"application/json"),
        content_encoding: Some(b"gzip"),
        headers: Some(headers.table()),
        delivery_mode: Some(2),
        priority: Some(9),
        correlation_id: Some(&[0xff, 0]),
        reply_to: Some(b"replies"),
        expiration: Some(b"1000"),
        message_id: Some(b"m"),
        timestamp: Some(1_700_000_000),
        kind: Some(b"t"),
        user_id: Some(b"u"),
        app_id: Some(b"a"),
        cluster_id: Some(b"c"),
    };
    let mut bytes = Vec::new();
    properties.write(&mut bytes);
    assert_eq!(Properties::read(&bytes).unwrap(), properties);
    let mut none = Vec::new();
    Properties::default().write(&mut none);
    assert_eq!(none, [0, 0]);
    assert_eq!(Properties::read(&none).unwrap(), Properties::default());
}

#[test]
fn bits_share_an_octet_and_reserved_fields_are_skipped() {
    let method = Method::from(QueueDeclare {
        queue: "q",
        durable: true,
        auto_delete: true,
        ..QueueDeclare::default()
    });
    let mut out = Vec::new();
    method_frame(&method, 7, &mut out);
    assert_eq!(out, [1, 0, 7, 0, 0, 0, 13, 0, 50, 0, 10, 0, 0, 1, b'q', 0b01010, 0, 0, 0, 0, 206]);
    let (read, length) = frame(&out, FRAME_MIN).unwrap().unwrap();
    assert_eq!((read.kind, read.channel, length), (FrameKind::Method, 7, out.len()));
    assert_eq!(Method::read(read.payload).unwrap(), method);
}

#[test]
fn bodies_go_in_frames_no_larger_than_the_limit() {
    for length in [0_usize, 1, 4_088, 4_089, 20_000] {
        let body = Bytes::from((0..length).map(|byte| byte as u8).collect::<Vec<_>>());
        let mut transmit = Transmit::default();
        let frames = body_frames(3, &body, FRAME_MIN, &mut transmit);
        assert_eq!(frames as usize, length.div_ceil(4_088));
        let mut bytes = Vec::new();
        let mut slices = [IoSlice::new(&[]); 64];
        let filled = transmit.io_slices(&mut slices);
        slices[..filled].iter().for_each(|slice| bytes.extend_from_slice(slice));
        let (mut rest, mut joined) = (&bytes[..], Vec::new());
        while !rest.is_empty() {
            let (frame, length) = frame(rest, FRAME_MIN).unwrap().unwrap();
            assert_eq!((frame.kind, frame.channel), (FrameKind::Body, 3));
            joined.extend_from_slice(frame.payload);
            rest = &rest[length..];
        }
        assert_eq!(joined, body);
    }
}

#[test]
fn long_names_are_cut_at_a_character() {
    let long = "é".repeat(200);
    let mut out = Vec::new();
    Method::from(BasicCancel { consumer_tag: &long, no_wait: false }).write(&mut out);
    let Method::BasicCancel(cancel) = Method::read(&out).unwrap() else { panic!("another method") };
    assert_eq!(cancel.consumer_tag, "é".repeat(127));
}
