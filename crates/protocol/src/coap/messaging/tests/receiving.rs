//! Messages of peers: taken once, answered alike.

use super::*;

/// RFC 7252 §4.2, §5.2.1.
#[test]
fn a_request_is_answered_in_its_acknowledgement_and_its_repetition_alike() {
    let mut bench = Bench::new();
    let ask = bench.request(b"\x42\x02\x12\x34tk\xb1a\xff1");
    assert_eq!(bench.receive(b"\x42\x02\x12\x34tk\xb1a\xff1"), Came::Nothing, "its answer is under way");
    assert!(bench.sent().is_empty());
    bench.respond(ask, Response::new(Code::CHANGED));
    assert_eq!(bench.sent(), [b"\x62\x44\x12\x34tk"]);
    for _ in 0..3 {
        assert_eq!(bench.receive(b"\x42\x02\x12\x34tk\xb1a\xff1"), Came::Nothing);
        assert_eq!(bench.sent(), [b"\x62\x44\x12\x34tk"]);
    }
    assert_eq!(bench.messaging.counts().duplicates, 4);
    assert_eq!(bench.messaging.held(), [1, 0, 0]);
}

#[test]
fn a_long_answer_to_what_has_an_effect_is_kept_and_one_to_get_is_made_again() {
    let mut bench = Bench::new();
    let response = || Response::diagnostic(Code::CHANGED, vec![b'a'; 100]);
    let ask = bench.request(b"\x40\x02\x00\x01");
    bench.respond(ask, response());
    let sent = bench.sent();
    assert_eq!(bench.receive(b"\x40\x02\x00\x01"), Came::Nothing);
    assert_eq!(bench.sent(), sent);
    let ask = bench.request(b"\x40\x01\x00\x02");
    bench.respond(ask, response());
    let sent = bench.sent();
    let ask = bench.request(b"\x40\x01\x00\x02");
    bench.respond(ask, response());
    assert_eq!(bench.sent(), sent);
    assert_eq!(bench.messaging.held(), [2, 0, 0]);
}

/// RFC 7252 §5.2.2: an empty acknowledgement before the peer would send again, then a response of its own.
#[test]
fn a_slow_answer_is_announced_and_then_sent_until_it_is_acknowledged() {
    let mut bench = Bench::new();
    let ask = bench.request(b"\x41\x02\x00\x09t");
    assert!(bench.wait(seconds(2)).is_empty());
    assert_eq!(bench.sent(), [b"\x60\x00\x00\x09"]);
    assert_eq!(bench.receive(b"\x41\x02\x00\x09t"), Came::Nothing);
    assert_eq!(bench.sent(), [b"\x60\x00\x00\x09"], "a repetition is acknowledged again");
    bench.respond(ask, Response::new(Code::CHANGED));
    let sent = bench.sent();
    let [response] = &sent[..] else { panic!("{sent:?}") };
    let message = Message::parse(response, 8).unwrap();
    assert_eq!((message.kind, message.code, message.token), (Kind::Con, Code::CHANGED, &b"t"[..]));
    assert!(bench.wait(seconds(4)).is_empty());
    assert_eq!(bench.sent(), std::slice::from_ref(response), "repeated");
    let [high, low] = message.id.to_be_bytes();
    assert_eq!(bench.receive(&[0x60, 0, high, low]), Came::Nothing);
    assert!(bench.wait(seconds(60)).is_empty());
    assert!(bench.sent().is_empty());
    assert_eq!(bench.receive(b"\x41\x02\x00\x09t"), Came::Nothing);
    assert_eq!(bench.sent(), [b"\x60\x00\x00\x09"]);
}

/// RFC 7252 §4.3, §5.2.3.
#[test]
fn a_request_that_is_not_confirmable_is_answered_likewise_and_once() {
    let mut bench = Bench::new();
    let ask = bench.request(b"\x51\x02\x00\x09t");
    assert!(bench.wait(seconds(3)).is_empty());
    bench.respond(ask, Response::new(Code::CHANGED));
    let sent = bench.sent();
    let [response] = &sent[..] else { panic!("{sent:?}") };
    let message = Message::parse(response, 8).unwrap();
    assert_eq!((message.kind, message.token), (Kind::Non, &b"t"[..]));
    assert_eq!(bench.receive(b"\x51\x02\x00\x09t"), Came::Nothing);
    assert!(bench.sent().is_empty());
}

/// RFC 7252 §4.2: what cannot be processed is reset, and its repetition, too.
#[test]
fn what_is_rejected_is_reset_or_ignored() {
    let mut bench = Bench::new();
    let Came::Response(Some(ask), None, _) = bench.receive(b"\x41\x45\x00\x07t") else {
        panic!("a response")
    };
    bench.messaging.reject(bench.now, ask);
    assert_eq!(bench.sent(), [b"\x70\x00\x00\x07"]);
    assert_eq!(bench.receive(b"\x41\x45\x00\x07t"), Came::Nothing);
    assert_eq!(bench.sent(), [b"\x70\x00\x00\x07"]);
    assert_eq!(bench.receive(b"\x51\x45\x00\x08t"), Came::Response(None, None, b"t".to_vec()));
    assert_eq!(bench.receive(b"\x51\x45\x00\x08t"), Came::Nothing);
    let ask = bench.request(b"\x51\x01\x00\x09t");
    bench.messaging.reject(bench.now, ask);
    assert!(bench.sent().is_empty());
}

#[test]
fn endpoints_do_not_share_message_identifiers() {
    let mut bench = Bench::new();
    bench.request(b"\x40\x02\x00\x01");
    let port = Remote::udp("192.0.2.1:5684".parse().unwrap());
    assert!(matches!(bench.receive_from(port, b"\x40\x02\x00\x01"), Came::Request(_)));
    let local = Remote::Udp { peer: "192.0.2.1:5683".parse().unwrap(), local: Some([192, 0, 2, 9].into()) };
    assert!(matches!(bench.receive_from(local, b"\x40\x02\x00\x01"), Came::Request(_)));
    assert!(matches!(
        bench.receive_from(Remote::Session(crate::coap::SessionId(1)), b"\x40\x02\x00\x01"),
        Came::Request(_)
    ));
    assert_eq!(bench.receive(b"\x40\x02\x00\x01"), Came::Nothing);
}

/// RFC 7252 §4.8.2.
#[test]
fn a_message_identifier_means_something_new_after_its_lifetime() {
    let mut bench = Bench::new();
    for (bytes, lifetime) in [(b"\x40\x02\x00\x01", 247), (b"\x50\x02\x00\x01", 145)] {
        let ask = bench.request(bytes);
        bench.respond(ask, Response::new(Code::CHANGED));
        bench.wait(seconds(lifetime) - Duration::from_millis(1));
        assert_eq!(bench.receive(bytes), Came::Nothing);
        bench.now = bench.now.after(Duration::from_millis(1));
        let ask = bench.request(bytes);
        bench.respond(ask, Response::new(Code::CHANGED));
        bench.wait(seconds(300));
        assert_eq!(bench.messaging.held(), [0, 0, 0]);
        assert_eq!(bench.messaging.next_timeout(), None);
    }
}
