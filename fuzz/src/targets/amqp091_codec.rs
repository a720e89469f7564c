//! The format of AMQP 0-9-1: frames, and methods, properties and tables in them.

use crate::signature::Signature;
use windrose_protocol::amqp::v091::codec::{
    ContentHeader, FRAME_MIN, FrameKind, Method, Properties, Table, TableBuf, Value, frame,
};

/// What is read can be written again and means the same; a frame is of the bytes that came, and none of its beginnings is
/// one.
pub fn run(data: &[u8]) -> u64 {
    let mut signature = Signature::new();
    let mut rest = data;
    loop {
        let (found, length) = match frame(rest, FRAME_MIN) {
            Ok(Some(found)) => found,
            Ok(None) => break,
            Err(error) => {
                signature.add(error.problem);
                break;
            }
        };
        assert!(length <= rest.len() && found.payload.len() + 8 == length);
        assert!(matches!(frame(&rest[..length - 1], FRAME_MIN), Ok(None)), "a part is no frame");
        signature.add(std::mem::discriminant(&found.kind));
        match found.kind {
            FrameKind::Method => method(found.payload, &mut signature),
            FrameKind::Header => header(found.payload, &mut signature),
            FrameKind::Body | FrameKind::Heartbeat => {}
        }
        rest = &rest[length..];
    }
    signature.finish()
}

fn method(payload: &[u8], signature: &mut Signature) {
    let method = match Method::read(payload) {
        Ok(method) => method,
        Err(error) => return signature.add((error.code.0, error.problem)),
    };
    signature.add(method.id());
    let mut again = Vec::new();
    method.write(&mut again);
    let read = Method::read(&again).expect("what was written is read");
    assert_eq!(format!("{read:?}"), format!("{method:?}"));
    if let Method::QueueDeclare(declare) = method {
        table(declare.arguments, signature);
    }
}

fn header(payload: &[u8], signature: &mut Signature) {
    let Ok(header) = ContentHeader::read(payload) else { return signature.add("short") };
    let properties = match Properties::read(header.properties) {
        Ok(properties) => properties,
        Err(error) => return signature.add(error.problem),
    };
    let mut again = Vec::new();
    properties.write(&mut again);
    assert_eq!(again, header.properties, "there is one way to write properties");
    signature.add(&header.properties[..2]);
    properties.headers.into_iter().for_each(|headers| table(headers, signature));
}

/// Every value is written again as it was; so are the tables and arrays in it, which were looked through.
fn table(table: Table<'_>, signature: &mut Signature) {
    let mut again = TableBuf::new();
    for (name, value) in table.iter() {
        signature.add(std::mem::discriminant(&value));
        again.put(name, value);
        match value {
            Value::Table(inner) => self::table(inner, signature),
            Value::Array(inner) => inner.iter().for_each(|value| {
                signature.add(std::mem::discriminant(&value));
            }),
            _ => {}
        }
    }
    assert_eq!(again.table().iter().count(), table.iter().count());
    Table::read(again.table().as_bytes()).expect("what was written is read");
}
