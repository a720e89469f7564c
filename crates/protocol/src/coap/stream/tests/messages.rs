//! Messages: their lengths, and what they say (RFC 8323 §3, §4, §6, §7).

use super::*;
use proptest::prelude::*;

#[test]
fn requests_are_answered_by_their_tokens_however_they_are_cut_up() {
    let mut peer = Peer::open();
    let bytes = [post(b"one", b"x"), post(b"", &[7; 300]), post(&[9; 20], b"x")].concat();
    for byte in bytes.chunks(1) {
        peer.bytes(byte);
    }
    let tags: Vec<_> = peer
        .intents
        .iter()
        .map(|intent| match intent {
            Intent::Publish(publish) => publish.tag,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(tags.len(), 3);
    for tag in tags.into_iter().rev() {
        peer.settle(tag);
    }
    let tokens: Vec<_> = peer.said().into_iter().map(|said| (said.code, said.token)).collect();
    let expected = [vec![9; 20], Vec::new(), b"one".to_vec()].map(|token| (Code::CHANGED, token));
    assert_eq!(tokens, expected);
    assert_eq!(peer.stream.partial.capacity(), 0, "an idle stream owns no buffer");
}

#[test]
fn a_message_as_it_stands_in_the_specification() {
    // RFC 8323 §3.2: the length counts options, payload marker and payload.
    let mut peer = Peer::open();
    peer.bytes(&[0x41, 0x02, 0x7f, 0xb1, b'a', 0xff, b'x']);
    let tag = peer.published().tag;
    peer.settle(tag);
    assert_eq!(peer.written(), [0x01, 0x44, 0x7f]);
}

#[test]
fn a_message_that_is_too_large_is_not_waited_for() {
    let mut peer = Peer::open();
    peer.bytes(&[0xf0, 0xff, 0xff, 0xff, 0xff, 0x02]);
    assert_eq!(peer.one_said().code, Code::ABORT);
    assert!(peer.closed);
    let mut exact = Peer::open();
    exact.bytes(&post(b"", &vec![7; 10_000 - 7]));
    assert!(!exact.closed);
}

#[test]
fn what_comes_before_the_session_is_open_waits_within_a_bound() {
    let mut peer = Peer::new();
    peer.bytes(&CSM);
    for _ in 0..10 {
        peer.bytes(&post(b"t", &[7; 5_000]));
    }
    assert!(!peer.closed);
    assert!(matches!(&peer.intents[..], [Intent::Open(_)]));
    peer.accept();
    assert_eq!(peer.intents.len(), 11);
    let mut flood = Peer::new();
    flood.bytes(&CSM);
    for _ in 0..20 {
        flood.bytes(&post(b"t", &[7; 5_000]));
    }
    assert_eq!(flood.said().last().map(|said| said.code), Some(Code::ABORT));
    assert!(flood.closed);
}

#[test]
fn what_is_malformed_ends_the_connection() {
    for bytes in
        [&[0x0f, 0x02][..], &[0x10, 0x02, 0xff], &[0x10, 0x02, 0xf0], &[0x10, 0x02, 0x15], &[0x0d, 0x02, 200]]
    {
        let mut peer = Peer::open();
        peer.bytes(&[bytes, &[0; 300]].concat());
        assert_eq!(peer.said()[0].code, Code::ABORT, "{bytes:?}");
        assert!(peer.closed);
    }
}

#[test]
fn critical_options_that_are_not_known_are_named() {
    let mut peer = Peer::open();
    peer.bytes(&framed(Code::GET, b"t", &[(option::URI_PATH, b"a"), (9, b"oscore")], b""));
    let said = peer.one_said();
    assert_eq!((said.code, &said.token[..]), (Code::BAD_OPTION, &b"t"[..]));
    assert!(String::from_utf8(said.payload).unwrap().contains('9'));
}

#[test]
fn observation_goes_without_acknowledgements() {
    let mut peer = Peer::open();
    peer.bytes(&framed(Code::GET, b"obs", &[(option::OBSERVE, b""), (option::URI_PATH, b"a")], b""));
    let (tag, identifier) = match peer.intents.pop() {
        Some(Intent::Subscribe { tag, requests }) => (tag, requests[0].identifier.unwrap()),
        other => panic!("{other:?}"),
    };
    peer.direct(Directive::Subscribed { tag, results: vec![Ok(Assurance::AtLeastOnce)] });
    let Some(Intent::Read { tag, .. }) = peer.intents.pop() else { panic!("nothing is read") };
    peer.direct(Directive::Value { tag, value: Ok(None) });
    assert!(peer.one_said().has(option::OBSERVE));
    peer.direct(Directive::Deliver(Delivery {
        tag: Tag(5),
        event: event(b"news"),
        assurance: Assurance::AtLeastOnce,
        again: false,
        retain: false,
        subscriptions: smallvec![identifier],
    }));
    let told = peer.one_said();
    assert_eq!((told.code, &told.token[..], &told.payload[..]), (Code::CONTENT, &b"obs"[..], &b"news"[..]));
    assert!(matches!(&peer.intents[..], [Intent::Settle { tag: Tag(5), outcome: Outcome::Accepted }]));
    peer.intents.clear();
    peer.bytes(&framed(Code::GET, b"obs", &[(option::OBSERVE, &[1]), (option::URI_PATH, b"a")], b""));
    assert!(peer.intents.iter().any(|intent| matches!(intent, Intent::Unsubscribe { .. })));
}

/// Asks for a value of 5,000 bytes; the answer.
fn get(peer: &mut Peer, block: Option<Block>) -> Said {
    let value = block.map(Block::value);
    let mut options = vec![(option::URI_PATH, &b"a"[..])];
    options.extend(value.as_ref().map(|value| (option::BLOCK2, value.as_bytes())));
    peer.bytes(&framed(Code::GET, b"g", &options, b""));
    let Some(Intent::Read { tag, .. }) = peer.intents.pop() else { panic!("nothing is read") };
    peer.direct(Directive::Value { tag, value: Ok(Some(event(&[1; 5_000]))) });
    peer.one_said()
}

fn block_of(said: &Said) -> Option<Block> {
    said.options.as_options().get(option::BLOCK2).and_then(Block::parse)
}

#[test]
fn answers_are_as_large_as_the_peer_takes() {
    let mut peer = Peer::open();
    let first = get(&mut peer, None);
    assert_eq!(
        block_of(&first),
        Some(Block { number: 0, more: true, exponent: 6 }),
        "1,152 bytes by default"
    );
    peer.bytes(&framed(Code::CSM, b"", &[(2, &[0x20, 0x00]), (4, b"")], b""));
    assert_eq!(get(&mut peer, None).payload.len(), 5_000, "8,192 bytes now");
    peer.bytes(&framed(Code::CSM, b"", &[(2, &[0x0c, 0x00]), (4, b"")], b""));
    let several = get(&mut peer, Some(Block { number: 0, more: false, exponent: 7 }));
    assert_eq!(block_of(&several), Some(Block { number: 0, more: true, exponent: 7 }), "RFC 8323 §6");
    assert_eq!(several.payload.len(), 2_048);
    let rest = get(&mut peer, Some(Block { number: 4, more: false, exponent: 7 }));
    assert_eq!((block_of(&rest).unwrap().more, rest.payload.len()), (false, 904));
    peer.bytes(&framed(Code::CSM, b"", &[(2, &[200])], b""));
    assert_eq!(get(&mut peer, None).payload.len(), 64);
}

#[test]
fn several_blocks_at_once_are_taken_only_if_that_was_agreed() {
    let block = |number: u32, more| Block { number, more, exponent: 7 }.value();
    let part = |number, more, length| {
        let value = block(number, more);
        framed(
            Code::PUT,
            b"p",
            &[(option::URI_PATH, b"a"), (option::BLOCK1, value.as_bytes())],
            &vec![7; length],
        )
    };
    let mut peer = Peer::open();
    peer.bytes(&part(0, true, 2_048));
    assert_eq!(peer.one_said().code, Code::BAD_REQUEST);
    peer.bytes(&framed(Code::CSM, b"", &[(2, &[0x20, 0x00]), (4, b"")], b""));
    peer.bytes(&part(0, true, 2_048));
    assert_eq!(peer.one_said().code, Code::CONTINUE);
    peer.bytes(&part(2, false, 1_500));
    let Some(Intent::Read { tag, .. }) = peer.intents.pop() else { panic!("nothing is read") };
    peer.direct(Directive::Value { tag, value: Ok(None) });
    assert_eq!(peer.published().publication.payload.len(), 3_548);
}

#[test]
fn messages_of_a_websocket_have_no_length_and_a_frame_each() {
    let mut peer = Peer::with(Framing::WebSocket, |_| {});
    let csm = peer.stream.transmit.frame_len();
    let bytes = peer.written();
    assert_eq!((csm, bytes[0] >> 4, bytes[1]), (bytes.len(), 0, Code::CSM.0));
    peer.stream.handle_message(peer.now, &[0x00, 0xe1], true);
    peer.drain();
    peer.accept();
    peer.intents.clear();
    let request = message(Framing::WebSocket, Code::POST, b"t", &[(option::URI_PATH, b"a")], &[b'x'; 100]);
    let (head, tail) = request.split_at(5);
    for (bytes, is_last) in [(head, false), (tail, true), (&request, true)] {
        peer.stream.handle_message(peer.now, bytes, is_last);
        peer.drain();
    }
    assert_eq!(peer.intents.len(), 2);
    for _ in 0..2 {
        let tag = peer.published().tag;
        peer.settle(tag);
    }
    assert_eq!(peer.stream.transmit.frame_len(), 3, "the first of two");
    assert_eq!(peer.stream.transmit.len(), 6);
    peer.stream.transmit.advance(2);
    assert_eq!(peer.stream.transmit.frame_len(), 1);
    peer.stream.transmit.advance(1);
    assert_eq!(read(&peer.written(), Framing::WebSocket).code, Code::CHANGED);
    peer.stream.handle_message(peer.now, &[0; 10_001], false);
    assert!(peer.stream.close_cause().is_some(), "too large");
}

proptest! {
    #[test]
    fn no_bytes_break_the_machine(
        parts in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                (any::<u8>(), prop::collection::vec((0u16..300, prop::collection::vec(any::<u8>(), 0..4)), 0..6))
                    .prop_map(|(code, options)| {
                        let options: Vec<_> = options.iter().map(|(number, value)| (*number, &value[..])).collect();
                        framed(Code(code), b"t", &options, b"payload")
                    }),
            ],
            0..30,
        ),
        cut in 1usize..50,
    ) {
        let mut peer = Peer::open();
        let bytes = parts.concat();
        for part in bytes.chunks(cut) {
            peer.bytes(part);
            prop_assert!(peer.stream.partial.len() <= 10_050);
            peer.advance(Duration::from_secs(1));
        }
    }
}
