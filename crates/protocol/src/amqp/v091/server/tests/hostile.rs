//! What breaks the protocol, on the smallest scope.

use super::*;

fn closes(act: impl FnOnce(&mut Link)) -> String {
    let mut link = Link::channel();
    act(&mut link);
    assert!(!link.closed, "the client may answer, unless nothing can be made out any more");
    link.exception()
}

fn raw(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend_from_slice(&channel.to_be_bytes());
    bytes.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes.push(206);
    bytes
}

const HEADER: &[u8] = &[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0];

#[test]
fn frames_that_are_none_end_the_connection() {
    let mut larger = raw(3, 1, &[]);
    larger[3..7].copy_from_slice(&u32::MAX.to_be_bytes());
    let mut endless = raw(8, 0, &[]);
    endless[7] = 0;
    for bytes in [raw(7, 1, &[]), larger, endless] {
        let mut link = Link::channel();
        link.send_bytes(&bytes);
        assert!(link.exception().contains("reply_code: 501"), "{bytes:?}");
        assert!(
            matches!(link.intent(), Intent::Close(close) if matches!(close.cause, CloseCause::Protocol(_)))
        );
        assert!(!link.closed, "it may be reading why");
        link.wait(LAST_WORDS);
        assert!(link.closed && link.intents.is_empty());
    }
    assert!(closes(|link| link.send_bytes(&raw(8, 1, &[]))).contains("reply_code: 501"));
    assert!(closes(|link| link.send_bytes(&raw(8, 0, &[1]))).contains("reply_code: 501"));
}

/// Each channel is amid a message that may be sent, but all together they are more than the node holds for one client.
#[test]
fn messages_that_are_never_complete_end_the_connection_when_they_are_many() {
    let mut link = Link::open_with(ServerConfig { channels: 1_000, ..config() }, 60);
    let header = [&HEADER[..4], &100_000_u64.to_be_bytes(), &[0, 0]].concat();
    let mut ended = None;
    for number in 1..1_000 {
        link.open_channel(number);
        link.send(number, to("k"));
        link.send_bytes(&raw(2, number, &header));
        for _ in 0..12 {
            link.send_bytes(&raw(3, number, &[0; 8_000]));
        }
        if let Some(heard) = link.read().into_iter().next() {
            assert!(format!("{heard:?}").contains("reply_code: 506"), "{heard:?}");
            ended = Some(number);
            break;
        }
    }
    assert!(ended.is_some_and(|channels| (100..200).contains(&channels)), "some 16 MiB are held: {ended:?}");
}

#[test]
fn content_out_of_order_ends_the_connection() {
    let method = |link: &mut Link| link.send(1, to("k"));
    type Act<'a> = &'a dyn Fn(&mut Link);
    let cases: [(&str, Act<'_>); 7] = [
        ("a header alone", &|link| link.send_bytes(&raw(2, 1, HEADER))),
        ("a body alone", &|link| link.send_bytes(&raw(3, 1, b"x"))),
        ("a method instead of a header", &|link| {
            method(link);
            link.send(1, BasicQos::default());
        }),
        ("a body instead of a header", &|link| {
            method(link);
            link.send_bytes(&raw(3, 1, b"x"));
        }),
        ("two headers", &|link| {
            method(link);
            link.send_bytes(&raw(2, 1, HEADER));
            link.send_bytes(&raw(2, 1, HEADER));
        }),
        ("more than was said", &|link| {
            method(link);
            link.send_bytes(&raw(2, 1, HEADER));
            link.send_bytes(&raw(3, 1, b"123456"));
        }),
        ("a header of another class", &|link| {
            method(link);
            link.send_bytes(&raw(2, 1, &[0, 61, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0]));
        }),
    ];
    for (what, act) in cases {
        assert!(closes(act).contains("reply_code: 505"), "{what}");
    }
    let twice = closes(|link| {
        method(link);
        method(link);
    });
    assert!(twice.contains("reply_code: 505"));
}

#[test]
fn methods_out_of_order_end_the_connection() {
    for (bytes, code) in [
        (raw(1, 0, &[0, 10, 0, 40, 0, 0, 0]), 503),
        (raw(1, 0, &[0, 20, 0, 10, 0]), 503),
        (raw(1, 1, &[0, 10, 0, 50, 0, 0, 0, 0, 0, 0, 0]), 503),
        (raw(1, 1, &[0, 60, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), 503),
        (raw(1, 1, &[0, 99, 0, 10]), 540),
        (raw(1, 1, &[0, 60, 0, 99]), 540),
        (raw(1, 1, &[0, 50, 0, 10, 0]), 502),
        (raw(1, 1, &[]), 502),
        (raw(1, 1, &[0, 50, 0, 10, 0, 0, 1, b'q', 0, 0, 0, 0, 3, 1, b'a', b'?']), 502),
    ] {
        let exception = closes(|link| link.send_bytes(&bytes));
        assert!(exception.contains(&format!("reply_code: {code}")), "{bytes:?}: {exception}");
    }
}

#[test]
fn channels_before_the_connection_is_open_are_refused() {
    let mut link = Link::new(config());
    link.send_bytes(PROTOCOL_HEADER);
    link.send(1, ChannelOpen {});
    assert!(link.exception().contains("reply_code: 503"));
    assert!(link.closed, "nobody is there to be waited for");
}

#[test]
fn a_claimed_length_is_not_made_room_for() {
    let mut config = config();
    config.payload_bytes = u32::MAX;
    let mut link = Link::open_with(config, 0);
    link.open_channel(1);
    link.send(1, to("k"));
    link.send_bytes(&raw(2, 1, &[0, 60, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0]));
    link.send_bytes(&raw(3, 1, &[1; 100]));
    assert!(link.intents.is_empty() && link.read().is_empty());
}

#[test]
fn what_is_held_has_a_bound() {
    let mut link = Link::channel();
    link.send(1, QueueDeclare { queue: "q", ..QueueDeclare::default() });
    let some = vec![0; 1 << 20];
    for _ in 0..17 {
        link.send_bytes(&some);
    }
    assert!(link.exception().contains("reply_code: 506"));
}

#[test]
fn nothing_is_said_after_the_end() {
    let (mut link, consumer) = Link::consumer(0, false);
    link.server.handle_eof(link.now);
    link.drain();
    assert!(link.closed);
    link.supply(consumer, 1, event("q", b"x"), false);
    link.settle(1, Outcome::Accepted, true);
    link.arranged(Ok(Arranged::default()));
    link.send_bytes(&[1; 100]);
    link.wait(Duration::from_secs(1_000));
    assert!(link.read().is_empty());
}
