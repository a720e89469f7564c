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
    assert_eq!(bench.messaging.credit(bench.now, &unshown(2)), 0, "another's");
    bench.messaging.handle_echo(bench.now, &unshown(1), &echo);
    assert_eq!(bench.messaging.credit(bench.now, &unshown(1)), usize::MAX);
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
    assert_eq!(bench.messaging.credit(bench.now, &remote), usize::MAX);
    let own = Remote::Udp { peer: "198.51.100.7:1".parse().unwrap(), local: Some([198, 51, 100, 7].into()) };
    assert_eq!(bench.messaging.credit(bench.now, &own), usize::MAX);
    assert_eq!(bench.messaging.credit(bench.now, &Remote::Session(crate::coap::SessionId(1))), usize::MAX);
}
