//! CoAP's messages: the first byte is the longest token that is taken, the rest is a datagram.

use crate::signature::Signature;
use windrose_protocol::coap::codec::{Block, Message, MessageError, OptionsBuf, option, read_uint};

/// What is read can be written again and means the same; nothing is read beyond what is there.
pub fn run(data: &[u8]) -> u64 {
    let mut signature = Signature::new();
    let Some((&token_bytes, bytes)) = data.split_first() else { return 0 };
    match Message::parse(bytes, token_bytes.into()) {
        Err(MessageError::Malformed(header, problem)) => {
            assert!(bytes.len() >= 4);
            assert_eq!(bytes[1], header.code.0);
            signature.add((header.kind, problem as u8));
        }
        Err(MessageError::TooShort) => assert!(bytes.len() < 4),
        Err(MessageError::Version) => assert_ne!(bytes[0] >> 6, 1),
        Ok(message) => {
            signature.add((
                message.kind,
                message.code.class(),
                message.token.len(),
                message.payload.len().min(2),
            ));
            assert!(message.token.len() <= token_bytes.into());
            check(&message, &mut signature);
            let mut said = Vec::new();
            message.encode(&mut said);
            assert_eq!(Message::parse(&said, token_bytes.into()), Ok(message), "it means another thing");
            // Only lengths that could be shorter make it shorter.
            assert!(said.len() <= bytes.len());
        }
    }
    signature.finish()
}

fn check(message: &Message<'_>, signature: &mut Signature) {
    let given: Vec<_> = message.options.iter().map(|option| (option.number, option.value)).collect();
    assert!(given.is_sorted_by_key(|(number, _)| *number));
    let length: usize = given.iter().map(|(_, value)| value.len()).sum();
    assert!(length <= message.options.as_bytes().len());
    for (_, value) in &given {
        let _ = (read_uint(value), Block::parse(value).map(|block| (block.size(), block.offset())));
    }
    let last = given.last().map(|(number, value)| (option::form(*number).map(|_| *number), value.is_empty()));
    signature.add((last, given.len().min(3)));
    if let Some(number) = message.options.unknown_critical() {
        assert!(option::is_critical(number) && given.iter().any(|(given, _)| *given == number));
        signature.add(option::form(number));
    }
    // However they are put in, the same ones come out.
    let forth: OptionsBuf = given.iter().copied().collect();
    assert!(forth.as_options().iter().map(|option| (option.number, option.value)).eq(given.iter().copied()));
    let back: OptionsBuf = given.iter().rev().copied().collect();
    let numbers =
        |options: &OptionsBuf| options.as_options().iter().map(|option| option.number).collect::<Vec<_>>();
    assert_eq!(numbers(&forth), numbers(&back));
}
