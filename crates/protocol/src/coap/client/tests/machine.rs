//! The client of one server, message by message.

use crate::coap::Response;
use crate::coap::client::{Client, ClientConfig, Failure, Outgoing};
use crate::coap::codec::{Code, Kind, Message};
use std::time::Duration;
use windrose_event::{Moment, Now};

struct Pair {
    client: Client,
    now: Now,
}

impl Pair {
    fn new() -> Self {
        let config = ClientConfig { payload_bytes: 10_000, in_flight: 2 };
        Self { client: Client::new(&config, 3), now: Now::default() }
    }

    fn ask(&mut self, payload: &'static str) {
        let request = Outgoing { code: Code::POST, payload: payload.into(), ..Outgoing::default() };
        let deadline = self.now.moment + Duration::from_secs(30);
        self.client.request(self.now, request, deadline);
    }

    #[allow(clippy::type_complexity)]
    /// What was sent since the last time: kind, code, message identifier, token, payload.
    fn sent(&mut self) -> Vec<(Kind, Code, u16, Vec<u8>, Vec<u8>)> {
        let read = |bytes| {
            let message = Message::parse(bytes, 8).unwrap();
            (message.kind, message.code, message.id, message.token.to_vec(), message.payload.to_vec())
        };
        let sent = self.client.datagrams().iter().map(|(_, bytes)| read(bytes)).collect();
        self.client.datagrams().clear(0);
        sent
    }

    fn hear(&mut self, kind: Kind, code: Code, id: u16, token: &[u8]) {
        let mut bytes = Vec::new();
        Message { code, token, ..Message::empty(kind, id) }.encode(&mut bytes);
        self.client.handle_datagram(self.now, &bytes);
    }

    fn advance(&mut self, by: Duration) {
        let end = self.now.moment + by;
        while let Some(due) = self.client.next_timeout().filter(|due| *due <= end) {
            self.now.moment = due.max(self.now.moment + Duration::from_micros(1));
            self.client.handle_timeout(self.now);
        }
        self.now.moment = end;
    }
}

#[test]
fn a_request_is_repeated_until_it_is_answered_and_at_most_so_many_are_under_way() {
    let mut pair = Pair::new();
    ["a", "b", "c"].into_iter().for_each(|payload| pair.ask(payload));
    let first = pair.sent();
    assert_eq!(first.iter().map(|sent| &sent.4[..]).collect::<Vec<_>>(), [b"a", b"b"]);
    assert!(first.iter().all(|sent| (sent.0, sent.1) == (Kind::Con, Code::POST)));
    pair.advance(Duration::from_secs(4));
    assert_eq!(pair.sent().len(), 2, "both again");
    pair.hear(Kind::Ack, Code::CHANGED, first[0].2, &first[0].3);
    assert_eq!(pair.client.poll_output().map(|(_, result)| result), Some(Ok(Response::new(Code::CHANGED))));
    let third = pair.sent();
    assert_eq!((third.len(), &third[0].4[..]), (1, &b"c"[..]));
    pair.hear(Kind::Ack, Code::CHANGED, first[0].2, &first[0].3);
    assert!(pair.client.poll_output().is_none(), "answered once");
}

#[test]
fn a_separate_response_is_acknowledged_as_often_as_it_comes_and_ends_the_repetition() {
    for acknowledged in [true, false] {
        let mut pair = Pair::new();
        pair.ask("a");
        let request = pair.sent().remove(0);
        if acknowledged {
            pair.hear(Kind::Ack, Code::EMPTY, request.2, &[]);
            pair.advance(Duration::from_secs(10));
            assert!(pair.sent().is_empty(), "it is there");
        }
        for _ in 0..2 {
            pair.hear(Kind::Con, Code::CONTENT, 77, &request.3);
            let answer = pair.sent().remove(0);
            assert_eq!((answer.0, answer.1, answer.2), (Kind::Ack, Code::EMPTY, 77));
        }
        assert_eq!(pair.client.poll_output().map(|(_, result)| result.is_ok()), Some(true));
        assert!(pair.client.poll_output().is_none());
        pair.advance(Duration::from_secs(29));
        assert!(pair.sent().is_empty());
    }
}

#[test]
fn what_was_not_asked_is_rejected() {
    let mut pair = Pair::new();
    pair.ask("a");
    let request = pair.sent().remove(0);
    pair.hear(Kind::Con, Code::CONTENT, 5, b"12345678");
    pair.hear(Kind::Con, Code::GET, 6, b"");
    pair.hear(Kind::Non, Code::CONTENT, 7, b"12345678");
    let rejected: Vec<_> = pair.sent().iter().map(|sent| (sent.0, sent.2)).collect();
    assert_eq!(rejected, [(Kind::Rst, 5), (Kind::Rst, 6)]);
    assert!(pair.client.poll_output().is_none());
    pair.hear(Kind::Rst, Code::EMPTY, request.2, &[]);
    assert_eq!(pair.client.poll_output().map(|(_, result)| result), Some(Err(Failure::Reset)));
}

#[test]
fn silence_is_a_time_out_at_the_deadline() {
    let mut pair = Pair::new();
    pair.ask("a");
    pair.advance(Duration::from_secs(29));
    assert!(pair.client.poll_output().is_none());
    let sent = pair.sent();
    assert!((3..=5).contains(&sent.len()), "{sent:?}");
    pair.advance(Duration::from_secs(2));
    assert_eq!(pair.client.poll_output().map(|(_, result)| result), Some(Err(Failure::TimedOut)));
    pair.advance(Duration::from_secs(200));
    assert!(pair.sent().is_empty());
    assert_eq!(pair.now.moment.since(Moment::default()), Duration::from_secs(231));
}
