//! Messages of ours: sent until they are acknowledged, one at a time.

use super::*;

fn id(bytes: &[u8]) -> [u8; 2] {
    [bytes[2], bytes[3]]
}

fn acknowledge(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let [high, low] = id(bytes);
    vec![kind, 0, high, low]
}

/// RFC 7252 §4.2: after 2 to 3 seconds, then after twice as long each time, four times; then it is given up.
#[test]
fn a_confirmable_message_is_repeated_at_growing_intervals_and_given_up() {
    let mut bench = Bench::new();
    let start = bench.now.moment;
    bench.send(true, 1).unwrap();
    let first = bench.sent();
    let mut times = Vec::new();
    let timed_out = loop {
        let next = bench.messaging.next_timeout().unwrap();
        let timed_out = bench.wait(next.since(bench.now.moment));
        let sent = bench.sent();
        if sent.is_empty() {
            break timed_out;
        }
        assert_eq!(sent, first, "the same bytes");
        times.push(bench.now.moment.since(start));
    };
    assert_eq!(timed_out, [1]);
    let timeout = times[0];
    assert!(seconds(2) <= timeout && timeout <= seconds(3), "{timeout:?}");
    assert_eq!(times, [timeout, timeout * 3, timeout * 7, timeout * 15]);
    assert_eq!(bench.now.moment.since(start), timeout * 31);
    assert_eq!((bench.messaging.counts().retransmissions, bench.messaging.counts().timeouts), (4, 1));
    bench.wait(seconds(300));
    assert_eq!(bench.messaging.held(), [0, 0, 0]);
    assert_eq!(bench.messaging.next_timeout(), None);
}

/// RFC 7252 §4.7: NSTART.
#[test]
fn messages_to_one_endpoint_wait_for_their_turn_and_others_do_not() {
    let mut bench = Bench::with(|settings| settings.waiting = 2);
    bench.send(true, 1).unwrap();
    bench.send(true, 2).unwrap();
    bench.send(true, 3).unwrap();
    assert_eq!(bench.send(true, 4), Err(Full));
    let first = bench.sent();
    assert_eq!(first.len(), 1);
    let other = Remote::Session(crate::coap::SessionId(9));
    bench
        .messaging
        .send(bench.now, other, true, Token::new(), Response::new(Code::CONTENT), Some(9))
        .unwrap();
    assert_eq!(bench.sent().len(), 1);
    assert_eq!(bench.receive(&acknowledge(0x60, &first[0])), Came::Acknowledged(1));
    let second = bench.sent();
    assert_eq!(second.len(), 1);
    assert_ne!(id(&first[0]), id(&second[0]));
    assert_eq!(bench.receive(&acknowledge(0x60, &first[0])), Came::Mishap(Mishap::Unmatched), "twice");
    assert_eq!(bench.receive(&acknowledge(0x70, &second[0])), Came::Reset(2));
    assert_eq!(bench.sent().len(), 1);
    let mut timed_out = bench.wait(seconds(100));
    timed_out.sort_unstable();
    assert_eq!(timed_out, [3, 9]);
}

/// RFC 7252 §4.3: a reset tells that a non-confirmable message is not wanted.
#[test]
fn a_reset_meets_the_last_messages_that_are_not_confirmable() {
    let mut bench = Bench::new();
    for about in 0..6 {
        bench.send(false, about).unwrap();
    }
    let sent = bench.sent();
    assert_eq!(bench.receive(&acknowledge(0x70, &sent[0])), Came::Mishap(Mishap::Unmatched), "long ago");
    assert_eq!(bench.receive(&acknowledge(0x70, &sent[3])), Came::Reset(3));
    assert_eq!(bench.receive(&acknowledge(0x70, &sent[3])), Came::Mishap(Mishap::Unmatched));
    assert_eq!(bench.receive(&acknowledge(0x60, &sent[4])), Came::Mishap(Mishap::Unmatched), "no reset");
    bench.wait(seconds(300));
    assert_eq!(bench.messaging.held(), [0, 0, 0]);
}

/// As a client: a response in the acknowledgement, or after it in a message of its own (RFC 7252 §5.2).
#[test]
fn responses_to_requests_of_ours_are_handed_up_once() {
    let mut bench = Bench::new();
    bench.send(true, 1).unwrap();
    let [high, low] = id(&bench.sent()[0]);
    assert_eq!(
        bench.receive(&[0x63, 0x45, high, low, b'o', b'b', b's']),
        Came::Response(None, Some(1), b"obs".to_vec())
    );
    bench.send(true, 2).unwrap();
    let request = bench.sent();
    assert_eq!(bench.receive(&acknowledge(0x60, &request[0])), Came::Acknowledged(2));
    let response = b"\x43\x45\x77\x77obs";
    let Came::Response(Some(ask), None, _) = bench.receive(response) else { panic!("a response") };
    bench.messaging.acknowledge(bench.now, ask);
    assert_eq!(bench.sent(), [b"\x60\x00\x77\x77"]);
    assert_eq!(bench.receive(response), Came::Nothing);
    assert_eq!(bench.sent(), [b"\x60\x00\x77\x77"], "acknowledged again");
}

#[test]
fn what_is_not_wanted_any_more_is_not_sent_again() {
    let mut bench = Bench::new();
    for about in 1..=3 {
        bench.send(true, about).unwrap();
    }
    bench.sent();
    bench.messaging.forget(bench.now, &bench.remote.clone(), |about| about < 3);
    assert_eq!(bench.sent().len(), 1, "the third one's turn");
    assert_eq!(bench.wait(seconds(100)), [3]);
    bench.send(true, 4).unwrap();
    bench.messaging.forget_endpoint(&bench.remote.clone());
    assert!(bench.wait(seconds(100)).is_empty());
    assert_eq!(bench.messaging.held(), [0, 0, 0]);
}

#[test]
fn message_identifiers_of_an_endpoint_do_not_repeat_soon() {
    let mut bench = Bench::new();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..65_536 {
        bench.send(false, 0).unwrap();
        assert!(seen.insert(id(&bench.sent()[0])));
    }
}

/// What waits behind a message that is never acknowledged would wait for hours.
#[test]
fn what_waits_for_a_silent_endpoint_is_given_up_with_what_it_waits_for() {
    let mut bench = Bench::new();
    for about in 1..=50 {
        bench.send(true, about).unwrap();
    }
    let timed_out = bench.wait(seconds(100));
    assert_eq!(timed_out, (1..=50).collect::<Vec<_>>());
    assert!(bench.sent().len() <= 5);
    bench.send(true, 51).unwrap();
    assert_eq!(bench.sent().len(), 1, "the next is tried anew");
}
