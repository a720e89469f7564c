//! Values of every type, there and back.

use crate::amqp::v1::codec::*;

/// The bytes of a value in every encoding that it has, and the shortest of them, which is what we write.
#[test]
fn every_encoding_is_read_and_the_shortest_is_written() {
    let table: &[(&[u8], &[u8], Value<'_>)] = &[
        (b"\x40", b"\x40", Value::Null),
        (b"\x56\x01", b"\x41", Value::Boolean(true)),
        (b"\x56\x00", b"\x42", Value::Boolean(false)),
        (b"\x50\xff", b"\x50\xff", Value::Ubyte(255)),
        (b"\x60\x01\x02", b"\x60\x01\x02", Value::Ushort(258)),
        (b"\x70\0\0\0\0", b"\x43", Value::Uint(0)),
        (b"\x70\0\0\0\x07", b"\x52\x07", Value::Uint(7)),
        (b"\x70\0\0\x01\0", b"\x70\0\0\x01\0", Value::Uint(256)),
        (b"\x80\0\0\0\0\0\0\0\0", b"\x44", Value::Ulong(0)),
        (b"\x80\0\0\0\0\0\0\0\x09", b"\x53\x09", Value::Ulong(9)),
        (b"\x80\xff\0\0\0\0\0\0\0", b"\x80\xff\0\0\0\0\0\0\0", Value::Ulong(0xff << 56)),
        (b"\x51\xfe", b"\x51\xfe", Value::Byte(-2)),
        (b"\x61\xff\xfe", b"\x61\xff\xfe", Value::Short(-2)),
        (b"\x71\xff\xff\xff\xfe", b"\x54\xfe", Value::Int(-2)),
        (b"\x71\x7f\xff\xff\xff", b"\x71\x7f\xff\xff\xff", Value::Int(i32::MAX)),
        (b"\x81\xff\xff\xff\xff\xff\xff\xff\xfe", b"\x55\xfe", Value::Long(-2)),
        (b"\x81\x7f\0\0\0\0\0\0\0", b"\x81\x7f\0\0\0\0\0\0\0", Value::Long(0x7f << 56)),
        (b"\x72\x3f\xc0\0\0", b"\x72\x3f\xc0\0\0", Value::Float(1.5)),
        (b"\x82\x3f\xf8\0\0\0\0\0\0", b"\x82\x3f\xf8\0\0\0\0\0\0", Value::Double(1.5)),
        (b"\x74abcd", b"\x74abcd", Value::Decimal32(*b"abcd")),
        (b"\x84abcdefgh", b"\x84abcdefgh", Value::Decimal64(*b"abcdefgh")),
        (b"\x94abcdefghijklmnop", b"\x94abcdefghijklmnop", Value::Decimal128(*b"abcdefghijklmnop")),
        (b"\x98abcdefghijklmnop", b"\x98abcdefghijklmnop", Value::Uuid(*b"abcdefghijklmnop")),
        (b"\x73\0\x01\xf6\0", b"\x73\0\x01\xf6\0", Value::Char('\u{1f600}')),
        (b"\x83\0\0\0\0\0\0\0\x01", b"\x83\0\0\0\0\0\0\0\x01", Value::Timestamp(1)),
        (b"\xb0\0\0\0\x02\0\xff", b"\xa0\x02\0\xff", Value::Binary(b"\0\xff")),
        (b"\xb1\0\0\0\x02\xc3\xa9", b"\xa1\x02\xc3\xa9", Value::String("\u{e9}")),
        (b"\xb3\0\0\0\x01a", b"\xa3\x01a", Value::Symbol("a")),
    ];
    for (long, short, value) in table {
        for bytes in [long, short] {
            assert_eq!(measure(bytes), Ok(bytes.len()), "{value:?}");
            assert_eq!(Reader::new(bytes).value().as_ref(), Ok(value));
            for end in 0..bytes.len() {
                assert!(measure(&bytes[..end]).is_err(), "{value:?} cut");
                assert!(Reader::new(&bytes[..end]).value().is_err(), "{value:?} cut");
            }
        }
        let mut out = Vec::new();
        put_value(&mut out, value);
        assert_eq!(out, *short);
    }
}

#[test]
fn compound_values_are_read_value_by_value() {
    let list = b"\xd0\0\0\0\x09\0\0\0\x03\x41\xa1\x01x\x43";
    assert_eq!(measure(list), Ok(list.len()));
    let Value::List(read) = Reader::new(list).value().unwrap() else { panic!() };
    let all: Vec<_> = read.iter().map(Result::unwrap).collect();
    assert_eq!(all, [Value::Boolean(true), Value::String("x"), Value::Uint(0)]);
    let mut out = Vec::new();
    put_value(&mut out, &Value::List(read));
    assert_eq!(out, b"\xc0\x06\x03\x41\xa1\x01x\x43", "the short form");

    let map = b"\xc1\x08\x04\xa3\x01a\x41\xa1\x01b";
    assert!(measure(map).is_err(), "it says two pairs and has less");
    let map = b"\xc1\x09\x04\xa3\x01a\x41\xa1\x01b\x42";
    let Value::Map(read) = Reader::new(map).value().unwrap() else { panic!() };
    assert_eq!(
        (read.len(), read.get("a"), read.get("b")),
        (2, Some(Value::Boolean(true)), Some(Value::Boolean(false)))
    );
    assert_eq!(read.get("c"), None);
}

#[test]
fn arrays_of_any_element_are_read_and_written_again() {
    let table: &[(&[u8], &[Value<'_>])] = &[
        (b"\xe0\x07\x02\xa3\x01a\x02bc", &[Value::Symbol("a"), Value::Symbol("bc")]),
        (b"\xe0\x04\x02\x50\x01\x02", &[Value::Ubyte(1), Value::Ubyte(2)]),
        (b"\xf0\0\0\0\x07\0\0\0\x02\x56\0\x01", &[Value::Boolean(false), Value::Boolean(true)]),
        (b"\xe0\x02\x03\x41", &[Value::Boolean(true); 3]),
        // Of described elements: the descriptor stands once.
        (b"\xe0\x08\x02\0\x53\x24\xa3\x00\x01x", &[Value::Symbol(""), Value::Symbol("x")]),
    ];
    for (bytes, values) in table {
        assert_eq!(measure(bytes), Ok(bytes.len()), "{values:?}");
        let value = Reader::new(bytes).value().unwrap();
        let Value::Array(array) = value else { panic!() };
        let read: Vec<_> = array.iter().map(Result::unwrap).collect();
        assert_eq!(read, *values);
        let mut out = Vec::new();
        put_value(&mut out, &value);
        assert_eq!(Reader::new(&out).value(), Ok(value));
    }
    // Arrays of lists.
    let lists = b"\xe0\x08\x02\xc0\x02\x01\x41\x02\x01\x42";
    assert_eq!(measure(lists), Ok(lists.len()));
    let Value::Array(array) = Reader::new(lists).value().unwrap() else { panic!() };
    assert_eq!(array.iter().count(), 2);
}

#[test]
fn described_values_are_known_by_code_and_by_name() {
    let by_code = b"\x00\x53\x24\x45";
    let by_long_code = b"\x00\x80\0\0\0\0\0\0\0\x24\x45";
    let by_name = b"\x00\xa3\x12amqp:accepted:list\x45";
    for bytes in [&by_code[..], by_long_code, by_name] {
        assert_eq!(measure(bytes), Ok(bytes.len()));
        assert_eq!(DeliveryState::read(Reader::new(bytes)), Ok(DeliveryState::Accepted));
        let Value::Described(described) = Reader::new(bytes).value().unwrap() else { panic!() };
        assert_eq!(described.descriptor(), Descriptor::Code(0x24));
        assert_eq!(described.value(), Ok(Value::List(List::default())));
    }
    assert_eq!(Reader::new(b"\x00\xa3\x01x\x40").descriptor(), Ok(Descriptor::Name("x")));
    assert_eq!(Reader::new(b"\x00\x41\x40").descriptor(), Ok(Descriptor::Other));
}

#[test]
fn lists_that_are_written_leave_out_what_is_null_at_their_end() {
    let mut out = Vec::new();
    let mut list = ListWriter::new(&mut out);
    list.null();
    list.null();
    list.finish();
    assert_eq!(out, b"\x45");
    let text = "x".repeat(300);
    for (text, fields) in [("a", 2), (&*text, 2)] {
        let mut out = b"before".to_vec();
        let mut list = ListWriter::new(&mut out);
        list.null();
        list.string(Some(text));
        list.null();
        list.finish();
        let bytes = &out[6..];
        assert_eq!(measure(bytes), Ok(bytes.len()));
        let Value::List(read) = Reader::new(bytes).value().unwrap() else { panic!() };
        let read: Vec<_> = read.iter().map(Result::unwrap).collect();
        assert_eq!((read.len(), read[1]), (fields, Value::String(text)));
    }
}
