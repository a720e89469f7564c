//! CSM, Ping and Pong, Release, Abort (RFC 8323 §5).

use super::*;

#[test]
fn our_first_message_says_what_we_take() {
    let mut peer = Peer::new();
    let csm = peer.one_said();
    assert_eq!((csm.code, csm.uint(2), csm.has(4), csm.uint(6)), (Code::CSM, Some(10_000), true, Some(32)));
    assert!(peer.intents.is_empty());
    peer.bytes(&CSM);
    match &peer.intents[..] {
        [Intent::Open(open)] => assert_eq!(open.protocol, "coap"),
        other => panic!("{other:?}"),
    }
    assert!(peer.stream.is_open());
}

#[test]
fn a_first_message_that_is_no_csm_ends_the_connection() {
    for first in [post(b"t", b"x"), framed(Code::PING, b"", &[], b""), framed(Code::CONTENT, b"", &[], b"")] {
        let mut peer = Peer::new();
        peer.said();
        peer.bytes(&first);
        assert_eq!(peer.one_said().code, Code::ABORT);
        assert!(peer.closed && peer.intents.is_empty());
    }
    let mut silent = Peer::new();
    silent.advance(Duration::from_secs(10));
    assert!(silent.closed);
    assert_eq!(silent.stream.close_cause(), Some(&CloseCause::NoOpen));
}

#[test]
fn options_of_csm_that_are_not_understood_are_told_apart() {
    for (options, bad) in [
        (&[(4_u16, &b""[..]), (8, b"elective")][..], None),
        (&[(2, &[0x7f])], Some(2)),
        (&[(2, b"")], Some(2)),
        (&[(9, b"")], Some(9)),
    ] {
        let mut peer = Peer::new();
        peer.said();
        peer.bytes(&framed(Code::CSM, b"", options, b""));
        let Some(bad) = bad else {
            assert!(peer.stream.is_open());
            continue;
        };
        let abort = peer.one_said();
        assert_eq!((abort.code, abort.uint(2)), (Code::ABORT, Some(bad)));
        assert!(!abort.payload.is_empty(), "it says why");
        assert!(peer.closed);
    }
}

#[test]
fn pings_are_answered_and_custody_waits_for_what_came_before() {
    let mut peer = Peer::open();
    peer.bytes(&framed(Code::PING, b"p1", &[], b""));
    let pong = peer.one_said();
    assert_eq!((pong.code, &pong.token[..], pong.has(2)), (Code::PONG, &b"p1"[..], false));
    peer.bytes(&post(b"one", b"x"));
    let first = peer.published().tag;
    peer.bytes(&framed(Code::PING, b"p2", &[(2, b"")], b""));
    peer.bytes(&post(b"two", b"x"));
    let second = peer.published().tag;
    assert!(peer.said().is_empty());
    peer.settle(second);
    assert_eq!(peer.one_said().token, b"two");
    peer.settle(first);
    let said = peer.said();
    assert_eq!((said[0].code, &said[0].token[..]), (Code::CHANGED, &b"one"[..]));
    assert_eq!((said[1].code, &said[1].token[..], said[1].has(2)), (Code::PONG, &b"p2"[..], true));
    peer.bytes(&framed(Code::PING, b"p3", &[(2, b"")], b""));
    assert!(peer.one_said().has(2), "nothing is under way");
    peer.bytes(&post(b"three", b"x"));
    for _ in 0..40 {
        peer.bytes(&framed(Code::PING, b"p", &[(2, b"")], b""));
    }
    assert_eq!(peer.said().len(), 24, "pings that wait are bounded");
}

#[test]
fn a_silent_peer_is_asked_for_a_sign_of_life() {
    let mut peer = Peer::open();
    peer.advance(Duration::from_secs(60));
    assert_eq!(peer.one_said().code, Code::PING);
    peer.bytes(&framed(Code::PONG, b"", &[], b""));
    peer.advance(Duration::from_secs(59));
    assert!(peer.said().is_empty());
    peer.advance(Duration::from_secs(1));
    assert_eq!(peer.one_said().code, Code::PING);
    peer.advance(Duration::from_secs(30));
    assert!(peer.closed);
    assert_eq!(peer.stream.close_cause(), Some(&CloseCause::KeepAlive));
    assert!(matches!(&peer.intents[..], [Intent::Close(close)] if close.cause == CloseCause::KeepAlive));
    assert_eq!(peer.stream.next_timeout(), None);
}

#[test]
fn a_peer_that_leaves_gets_its_answers_first() {
    let mut peer = Peer::open();
    peer.bytes(&post(b"t", b"x"));
    let tag = peer.published().tag;
    peer.bytes(&framed(Code::RELEASE, b"", &[], b""));
    assert!(!peer.closed);
    peer.settle(tag);
    assert_eq!(peer.one_said().code, Code::CHANGED);
    assert!(peer.closed);
    assert!(matches!(&peer.intents[..], [Intent::Close(close)] if close.cause == CloseCause::Goodbye));
    let mut idle = Peer::open();
    idle.bytes(&framed(Code::RELEASE, b"", &[], b""));
    assert!(idle.closed && idle.said().is_empty());
}

#[test]
fn an_abort_ends_the_connection_without_a_word() {
    let mut peer = Peer::open();
    peer.bytes(&framed(Code::ABORT, b"", &[], b"enough"));
    assert!(peer.closed && peer.said().is_empty());
    peer.bytes(&post(b"t", b"x"));
    assert!(peer.said().is_empty(), "nothing more is read");
}

#[test]
fn the_node_says_why_it_ends_the_connection() {
    let mut peer = Peer::open();
    peer.bytes(&post(b"t", b"x"));
    peer.intents.clear();
    peer.direct(Directive::Close(CloseReason::ShuttingDown));
    let said = peer.said();
    assert_eq!(
        said.iter().map(|said| said.code).collect::<Vec<_>>(),
        [Code::SERVICE_UNAVAILABLE, Code::RELEASE]
    );
    assert!(peer.closed && peer.intents.is_empty());

    let mut stranger = Peer::new();
    stranger.bytes(&[&CSM[..], &post(b"t", b"x")].concat());
    stranger.said();
    let detail = "for the log only".to_owned();
    stranger.direct(Directive::Refuse(Refusal { cause: RefusalCause::AnonymousDenied, detail }));
    let said = stranger.said();
    assert_eq!(said.iter().map(|said| said.code).collect::<Vec<_>>(), [Code::UNAUTHORIZED, Code::ABORT]);
    assert!(stranger.closed);
}

#[test]
fn signals_that_are_not_known_and_empty_messages_are_ignored() {
    let mut peer = Peer::open();
    peer.bytes(&framed(Code::new(7, 31), b"", &[], b""));
    peer.bytes(&[0x00, 0x00]);
    peer.bytes(&framed(Code::CONTENT, b"unknown", &[], b"x"));
    assert!(peer.said().is_empty() && !peer.closed);
    peer.bytes(&framed(Code::new(1, 1), b"", &[], b""));
    assert_eq!(peer.one_said().code, Code::ABORT);
}

#[test]
fn a_transport_that_ends_is_told_to_the_engine() {
    let mut peer = Peer::open();
    peer.stream.handle_eof(peer.now);
    peer.drain();
    assert!(matches!(&peer.intents[..], [Intent::Close(close)] if close.cause == CloseCause::Lost));
    let mut fresh = Peer::new();
    fresh.stream.handle_eof(fresh.now);
    fresh.drain();
    assert!(fresh.closed && fresh.intents.is_empty());
}
