//! The codec of AMQP 1.0: the first byte chooses what the rest is, a value, a performative, a message or a SASL frame.

use crate::signature::Signature;
use windrose_protocol::amqp::v1::codec::{
    Message, Performative, Reader, SaslFrame, Value, measure, put_value,
};

/// What is read can be written again and means the same; what is measured is read to its end.
pub fn run(data: &[u8]) -> u64 {
    let mut signature = Signature::new();
    let Some((&first, bytes)) = data.split_first() else { return 0 };
    signature.add(first % 4);
    let problem = match first % 4 {
        0 => value(bytes, &mut signature),
        1 => performative(bytes, &mut signature),
        2 => Message::read(bytes)
            .map(|message| {
                let body = std::mem::discriminant(&message.body);
                signature.add((body, message.header.is_some(), message.properties.is_some()));
                assert!(message.bare <= bytes.len() && message.delivery_annotations_at.end <= bytes.len());
            })
            .map_err(|error| error.problem),
        _ => SaslFrame::read(bytes)
            .map(|frame| {
                signature.add(std::mem::discriminant(&frame));
                let mut said = Vec::new();
                frame.write(&mut said);
                let again = SaslFrame::read(&said[8..]);
                assert_eq!(again, Ok(frame), "a frame means another thing when it is said again");
            })
            .map_err(|error| error.problem),
    };
    signature.add(problem);
    signature.finish()
}

fn value(bytes: &[u8], signature: &mut Signature) -> Result<(), &'static str> {
    let length = measure(bytes).map_err(|error| error.problem)?;
    let mut reader = Reader::new(bytes);
    let value = reader.value().expect("what is measured can be read");
    assert_eq!(bytes.len() - reader.rest().len(), length);
    signature.add(std::mem::discriminant(&value));
    match value {
        Value::List(list) => assert_eq!(list.iter().filter(Result::is_ok).count(), list.len()),
        Value::Map(map) => assert_eq!(map.iter().filter(Result::is_ok).count(), map.len()),
        Value::Array(array) => assert_eq!(array.iter().filter(Result::is_ok).count(), array.len()),
        _ => {}
    }
    let mut said = Vec::new();
    put_value(&mut said, &value);
    assert_eq!(measure(&said), Ok(said.len()));
    let mut again = Vec::new();
    put_value(&mut again, &Reader::new(&said).value().expect("what we write can be read"));
    assert_eq!(said, again, "a value means another thing when it is said again");
    Ok(())
}

fn performative(bytes: &[u8], signature: &mut Signature) -> Result<(), &'static str> {
    let (performative, _) = Performative::read(bytes).map_err(|error| error.problem)?;
    signature.add(std::mem::discriminant(&performative));
    let mut said = Vec::new();
    performative.write(0, &mut said);
    let (same, rest) = Performative::read(&said[8..]).expect("what we write can be read");
    assert!(rest.is_empty());
    let mut again = Vec::new();
    same.write(0, &mut again);
    assert_eq!(said, again, "{performative:?} means another thing when it is said again");
    Ok(())
}
