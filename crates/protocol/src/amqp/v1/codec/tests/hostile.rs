//! Bytes that are not what they say.

use crate::amqp::v1::codec::*;
use proptest::prelude::*;

fn nested(depth: usize, wrap: impl Fn(Vec<u8>) -> Vec<u8>) -> Vec<u8> {
    (0..depth).fold(vec![0x40], |inner, _| wrap(inner))
}

fn list(inner: Vec<u8>) -> Vec<u8> {
    [&[0xd0][..], &(inner.len() as u32 + 4).to_be_bytes(), &1_u32.to_be_bytes(), &inner].concat()
}

fn array(inner: Vec<u8>) -> Vec<u8> {
    [&[0xf0][..], &(inner.len() as u32 + 4).to_be_bytes(), &1_u32.to_be_bytes(), &inner].concat()
}

fn described(inner: Vec<u8>) -> Vec<u8> {
    [&[0x00][..], &inner, &[0x40]].concat()
}

#[test]
fn ten_thousand_levels_are_an_error_and_no_crash() {
    for wrap in [list, array, described] {
        assert!(measure(&nested(20, wrap)).is_ok());
        let deep = nested(10_000, wrap);
        assert!(measure(&deep).is_err());
        let message = [&[0x00, 0x53, 0x77][..], &deep].concat();
        assert!(Message::read(&message).is_err());
        assert!(Performative::read(&message).is_err());
        let _ = Reader::new(&deep).value();
    }
    // Ten thousand descriptors of an array's elements are read one after the other.
    let inner = [&b"\0\x53\x01".repeat(10_000)[..], &[0x50, 0x01]].concat();
    assert!(measure(&array(inner)).is_ok());
}

#[test]
fn counts_that_are_only_claimed_cost_nothing() {
    for bytes in [
        &b"\xf0\0\0\0\x05\xff\xff\xff\xff\x40"[..],
        b"\xf0\0\0\0\x05\xff\xff\xff\xff\x45",
        b"\xf0\0\0\0\x05\xff\xff\xff\xff\x50",
        b"\xd0\0\0\0\x04\xff\xff\xff\xff",
        b"\xb0\xff\xff\xff\xff",
        b"\xe0\x00",
        b"\xc0\x00",
        b"\xf0\0\0\0\0",
    ] {
        assert!(measure(bytes).is_err(), "{bytes:x?}");
        assert!(Reader::new(bytes).value().is_err(), "{bytes:x?}");
    }
}

#[test]
fn text_that_is_none_and_types_that_there_are_not_are_refused() {
    for bytes in [
        &b"\xa1\x01\xff"[..],
        b"\xa3\x02\xc3\xa9",
        b"\x73\0\0\xd8\0",
        b"\x56\x02",
        b"\x46",
        b"\xa2\x00",
        b"\xe0\x03\x01\x56\x02",
        b"\xe0\x04\x01\xa1\x01\xff",
        b"\xc0\x02\x01\x46",
        b"\xc1\x02\x01\x40",
        b"\xc0\x03\x01\x40\x40",
    ] {
        assert!(measure(bytes).is_err(), "{bytes:x?}");
    }
}

#[test]
fn frames_that_cannot_be_are_refused() {
    assert_eq!(frame_header(b"\0\0\0\x08\x02\0\0"), Ok(None));
    let header = frame_header(b"\0\0\0\x0c\x03\0\x01\x02????").unwrap().unwrap();
    assert_eq!((header.size, header.body, header.kind, header.channel), (12, 12, FrameKind::Amqp, 258));
    for bytes in [b"\0\0\0\x07\x02\0\0\0", b"\0\0\0\x08\x01\0\0\0", b"\0\0\0\x08\x03\0\0\0"] {
        assert_eq!(frame_header(bytes).unwrap_err().condition, condition::FRAMING_ERROR);
    }
}

proptest! {
    /// Whatever comes, it ends in a value or an error; and what is measured is read, to its end.
    #[test]
    fn any_bytes_are_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(length) = measure(&bytes) {
            let mut reader = Reader::new(&bytes);
            let value = reader.value();
            prop_assert!(value.is_ok());
            prop_assert_eq!(bytes.len() - reader.rest().len(), length);
            match value.unwrap() {
                Value::List(list) => prop_assert!(list.iter().all(|value| value.is_ok())),
                Value::Map(map) => prop_assert!(map.iter().all(|pair| pair.is_ok())),
                Value::Array(array) => prop_assert!(array.iter().all(|value| value.is_ok())),
                value => {
                    let mut out = Vec::new();
                    put_value(&mut out, &value);
                    prop_assert!(measure(&out).is_ok());
                }
            }
        }
        let _ = Performative::read(&bytes);
        let _ = SaslFrame::read(&bytes);
        let _ = Message::read(&bytes);
    }
}
