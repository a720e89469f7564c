//! What a codec that others wrote says of the same bytes, and that whatever is written is read back.

use crate::coap::codec::*;
use coap_lite::{MessageClass, MessageType, Packet};
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Given {
    kind: Kind,
    code: u8,
    id: u16,
    token: Vec<u8>,
    options: Vec<(u16, Vec<u8>)>,
    payload: Vec<u8>,
}

fn given() -> impl Strategy<Value = Given> {
    let kind = prop_oneof![Just(Kind::Con), Just(Kind::Non), Just(Kind::Ack), Just(Kind::Rst)];
    let number = prop_oneof![0..40u16, 0..1_000u16, any::<u16>()];
    let options = prop::collection::vec((number, prop::collection::vec(any::<u8>(), 0..300)), 0..6);
    let bytes = |most| prop::collection::vec(any::<u8>(), 0..most);
    (kind, 1..=u8::MAX, any::<u16>(), bytes(9), options, bytes(20)).prop_map(
        |(kind, code, id, token, options, payload)| Given { kind, code, id, token, options, payload },
    )
}

impl Given {
    fn encode(&self) -> Vec<u8> {
        let options: OptionsBuf = self.options.iter().map(|(number, value)| (*number, &value[..])).collect();
        let mut bytes = Vec::new();
        Message {
            kind: self.kind,
            code: Code(self.code),
            id: self.id,
            token: &self.token,
            options: options.as_options(),
            payload: &self.payload,
        }
        .encode(&mut bytes);
        bytes
    }
}

fn options(message: &Message<'_>) -> Vec<(u16, Vec<u8>)> {
    message.options.iter().map(|option| (option.number, option.value.to_vec())).collect()
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(given in given()) {
        let bytes = given.encode();
        let message = Message::parse(&bytes, 8).unwrap();
        let mut sorted = given.options.clone();
        sorted.sort_by_key(|(number, _)| *number);
        prop_assert_eq!((message.kind, message.code.0, message.id), (given.kind, given.code, given.id));
        prop_assert_eq!((message.token, message.payload), (&given.token[..], &given.payload[..]));
        prop_assert_eq!(options(&message), sorted);
    }

    #[test]
    fn others_read_what_we_write(given in given()) {
        let bytes = given.encode();
        // It keeps codes as an enumeration, of which it has only those that are registered.
        let packet = Packet::from_bytes(&bytes).unwrap();
        let kind = match packet.header.get_type() {
            MessageType::Confirmable => Kind::Con,
            MessageType::NonConfirmable => Kind::Non,
            MessageType::Acknowledgement => Kind::Ack,
            MessageType::Reset => Kind::Rst,
        };
        prop_assert_eq!((kind, packet.header.message_id), (given.kind, given.id));
        prop_assert_eq!((packet.get_token(), &packet.payload[..]), (&given.token[..], &given.payload[..]));
        let theirs: Vec<_> = packet
            .options()
            .flat_map(|(number, values)| values.iter().map(|value| (*number, value.clone())))
            .collect();
        prop_assert_eq!(theirs, options(&Message::parse(&bytes, 8).unwrap()));
        if let MessageClass::Request(_) = packet.header.code {
            prop_assert!(Code(given.code).is_request());
        }
    }

    /// Whatever the bytes: no panic, and what is accepted by both is the same.
    #[test]
    fn bytes_at_random_are_read_as_others_read_them(
        given in given(),
        cut in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = given.encode();
        bytes.truncate(cut.index(bytes.len() + 1));
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let ours = Message::parse(&bytes, 8);
        if let (Ok(ours), Ok(theirs)) = (&ours, Packet::from_bytes(&bytes)) {
            prop_assert_eq!(ours.payload, &theirs.payload[..]);
            let theirs: Vec<_> = theirs
                .options()
                .flat_map(|(number, values)| values.iter().map(|value| (*number, value.clone())))
                .collect();
            prop_assert_eq!(theirs, options(ours));
        }
        if let Ok(ours) = ours {
            let mut again = Vec::new();
            ours.encode(&mut again);
            prop_assert_eq!(Message::parse(&again, 8), Ok(ours));
        }
    }
}
