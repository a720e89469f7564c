//! A source that has not shown itself is never sent more than three times what it sent (RFC 9175 §2.4).

use super::*;

fn unshown(last: u8) -> Remote {
    Remote::udp(SocketAddr::from(([198, 51, 100, last], 5683)))
}

#[test]
fn a_large_answer_to_an_unknown_source_is_withheld_until_it_echoes() {
    let mut bench = Bench::new();
    let large = || Response::diagnostic(Code::CONTENT, vec![b'a'; 500]);
    let Came::Request(ask) = bench.receive_from(unshown(1), b"\x42\x01\x00\x01tk") else {
        panic!("a request")
    };
    bench.respond(ask, large());
    let sent = bench.sent();
    assert!(sent.is_empty(), "not even an Echo fits: {sent:?}");
    let request = [&b"\x42\x01\x00\x02tk\xb5"[..], b"devic\x0aabcdefghij"].concat();
    let Came::Request(ask) = bench.receive_from(unshown(1), &request) else { panic!("a request") };
    bench.respond(ask, large());
    let sent = bench.sent();
    let message = Message::parse(&sent[0], 8).unwrap();
    assert_eq!((message.kind, message.code, message.token), (Kind::Ack, Code::UNAUTHORIZED, &b"tk"[..]));
    let echo = message.options.get(option::ECHO).unwrap().to_vec();
    bench.messaging.handle_echo(bench.now, &unshown(2), &echo);
    assert_eq!(bench.messaging.source_credit(bench.now, &unshown(2)), 0, "another's");
    bench.messaging.handle_echo(bench.now, &unshown(1), &echo);
    assert_eq!(bench.messaging.source_credit(bench.now, &unshown(1)), usize::MAX);
    let Came::Request(ask) = bench.receive_from(unshown(1), b"\x42\x01\x00\x03tk") else {
        panic!("a request")
    };
    bench.respond(ask, large());
    assert!(bench.sent()[0].len() > 500);
    assert_eq!(bench.messaging.counts().withheld, 3);
}

#[test]
fn repetitions_do_not_add_up_beyond_three_times() {
    let mut bench = Bench::new();
    let (mut came, mut sent) = (0, 0);
    for round in 0..200_u8 {
        let bytes = [0x40, 1, 0, round % 3];
        came += bytes.len();
        if let Came::Request(ask) = bench.receive_from(unshown(1), &bytes) {
            bench.respond(ask, Response::diagnostic(Code::CONTENT, vec![b'a'; usize::from(round)]));
        }
        let confirmable = round % 2 == 0;
        let token = Token::from_slice(b"t");
        let content = Response::diagnostic(Code::CONTENT, vec![b'b'; 10]);
        let _ = bench.messaging.send(bench.now, unshown(1), confirmable, token, content, Some(1));
        bench.wait(seconds(1));
        sent += bench.sent().iter().map(Vec::len).sum::<usize>();
        assert!(sent <= 3 * came, "{sent} for {came}");
    }
    assert!(sent > 0);
}

#[test]
fn an_acknowledgement_of_ours_shows_a_source_and_its_own_address_needs_no_proof() {
    let mut bench = Bench::new();
    let remote = unshown(1);
    bench.receive_from(remote, b"\x50\x01\x00\x01aaaaaaaaaaaaaaaaaa");
    bench.receive_from(remote, &[0x50, 1, 0, 2, 0xff, 1, 2, 3, 4, 5, 6, 7, 8]);
    bench
        .messaging
        .send(bench.now, remote, true, Token::new(), Response::new(Code::CONTENT), Some(1))
        .unwrap();
    let sent = bench.sent();
    assert_eq!(bench.receive_from(remote, &[0x60, 0, sent[0][2], sent[0][3]]), Came::Acknowledged(1));
    assert_eq!(bench.messaging.source_credit(bench.now, &remote), usize::MAX);
    let own = Remote::Udp { peer: "198.51.100.7:1".parse().unwrap(), local: Some([198, 51, 100, 7].into()) };
    assert_eq!(bench.messaging.source_credit(bench.now, &own), usize::MAX);
    assert_eq!(
        bench.messaging.source_credit(bench.now, &Remote::Session(crate::coap::SessionId(1))),
        usize::MAX
    );
}

/// What is withheld of one endpoint is not replaced by what another was sent.
#[test]
fn a_repetition_of_what_was_withheld_is_answered_by_nothing_of_anybody_elses() {
    let mut bench = Bench::new();
    let ask = bench.request(b"\x42\x01\x00\x01me\xb1a");
    bench.respond(ask, Response::diagnostic(Code::CONTENT, "mine"));
    let Came::Request(ask) = bench.receive_from(unshown(1), b"\x42\x02\x00\x01tk") else {
        panic!("a request")
    };
    bench.respond(ask, Response::diagnostic(Code::BAD_REQUEST, "no more than twenty"));
    assert_eq!(bench.sent().len(), 1, "hers is withheld");
    assert_eq!(bench.receive_from(unshown(1), b"\x42\x02\x00\x01tk"), Came::Nothing);
    let sent = bench.sent();
    assert!(sent[0].starts_with(b"\x62\x80\x00\x01tk"), "her own answer, when it may be sent: {sent:?}");
}

/// RFC 7641 §4.5: an observer that has not shown itself is asked to with the first notification.
#[test]
fn the_first_notification_to_an_unknown_source_is_confirmable() {
    let mut bench = Bench::new();
    bench.receive_from(unshown(1), b"\x42\x01\x00\x01tk\xb7address");
    for (count, kind) in [(1, Kind::Con), (2, Kind::Non)] {
        let content = Response::diagnostic(Code::CONTENT, "23");
        bench.messaging.send(bench.now, unshown(1), false, Token::new(), content, Some(count)).unwrap();
        let sent = bench.sent();
        let message = Message::parse(&sent[0], 8).unwrap();
        assert_eq!(message.kind, kind);
        let [high, low] = message.id.to_be_bytes();
        bench.receive_from(unshown(1), &[0x60, 0, high, low]);
    }
}
