//! MQTT 3.1 (`MQIsdp`), bridges, and what odd clients are allowed on listeners that say so.

use super::*;
use crate::mqtt::codec::Ack;
use windrose_event::{Cause, Rejection};

/// A server that was sent a CONNECT of MQTT 3.1.
fn answer(quirks: Quirks, change: impl FnOnce(&mut Connect)) -> Link {
    let mut link = Link::new(Version::V3, ServerConfig { quirks, ..config() });
    let mut connect = Connect { legacy: true, ..connect(Version::V3) };
    change(&mut connect);
    link.send(Packet::Connect(Box::new(connect)));
    link
}

fn open() -> Link {
    let mut link = answer(Quirks::default(), |_| {});
    link.opened();
    link.accept(accepted());
    link.read();
    link
}

/// MQTT 3.1 §3.1 and §3.2: CONNACK's first byte is reserved, so there is no Session Present.
#[test]
fn a_client_of_3_1_is_not_told_that_its_session_is_present() {
    let mut link = answer(Quirks::default(), |connect| connect.clean_start = false);
    let open = link.opened();
    assert_eq!((open.version, open.resume, open.keep), ("3.1", true, Duration::MAX));
    link.accept(Accepted { resumed: true, ..accepted() });
    assert_eq!(link.unread, [0x20, 2, 0, 0]);
    assert!(link.server.is_open());
}

/// MQTT 3.1 §3.1: a client identifier has 1 to 23 characters, else it is rejected with return code 2.
#[test]
fn a_client_identifier_of_3_1_has_1_to_23_characters() {
    let code = |quirks: Quirks, client_id: &str| {
        let mut link = answer(quirks, |connect| {
            connect.client_id = client_id.into();
            connect.clean_start = false;
        });
        if link.closed {
            assert!(link.intents().is_empty());
            return link.connack().code.0;
        }
        link.opened();
        0
    };
    let (none, most, more) = ("", "é".repeat(23), "x".repeat(24));
    let strict = Quirks::default();
    assert_eq!([code(strict, none), code(strict, &most), code(strict, &more)], [2, 0, 2]);
    let long = Quirks { long_client_id: true, ..strict };
    assert_eq!([code(long, none), code(long, &more)], [2, 0]);
    let empty = Quirks { empty_client_id: true, ..strict };
    assert_eq!([code(empty, none), code(empty, &more)], [0, 2]);
}

/// A session without a name ends with its connection, whatever its client asks for: nobody could take it up again.
#[test]
fn a_session_of_a_client_without_a_name_is_not_kept() {
    let quirks = Quirks { empty_client_id: true, ..Quirks::default() };
    let mut link = answer(quirks, |connect| {
        connect.client_id = "".into();
        connect.clean_start = false;
    });
    let open = link.opened();
    assert_eq!((open.session, open.keep), (None, Duration::ZERO));
}

/// MQTT 3.1.1 is not affected by what clients of 3.1 are allowed [MQTT-3.1.3-8].
#[test]
fn quirks_of_3_1_are_not_for_3_1_1() {
    let quirks = Quirks { empty_client_id: true, ..Quirks::default() };
    let mut link = answer(quirks, |connect| {
        connect.legacy = false;
        connect.clean_start = false;
        connect.client_id = "".into();
    });
    assert_eq!(link.connack().code, ReasonCode(2));
}

/// MQTT 3.1 §2.1: DUP and QoS may be set where later versions reserve them.
#[test]
fn flags_that_are_reserved_later_are_free_in_3_1() {
    let mut link = open();
    link.send_bytes(b"\x8a\x06\0\x01\0\x01a\x01");
    assert!(matches!(link.intent(), Intent::Subscribe { tag: Tag(1), .. }));
    link.send_bytes(b"\x6a\x02\0\x05");
    assert!(matches!(link.intent(), Intent::Release { tag: Tag(5) }));
    link.send_bytes(b"\x38\x03\0\x01t");
    assert_eq!(link.published().publication.assurance, Assurance::AtMostOnce);
    link.send_bytes(b"\xc2\x00");
    assert!(matches!(link.read_one(), Packet::Pingresp));
}

/// MQTT 3.1 §4.2: clients send again on the same connection, as often as they like.
#[test]
fn an_exactly_once_publication_of_3_1_may_come_again_and_again() {
    for (mut link, patient) in [(open(), true), (Link::open(Version::V3), false)] {
        for _ in 0..4 {
            link.send(Packet::Publish(publish(Assurance::ExactlyOnce, 7)));
        }
        assert_eq!(link.closed, !patient);
    }
    let mut link = Link::open(Version::V3);
    for _ in 0..4 {
        link.send(Packet::Publish(Publish { dup: true, ..publish(Assurance::ExactlyOnce, 7) }));
    }
    assert!(!link.closed, "a client of 3.1.1 may, as long as it says so");
}

/// MQTT 3.1 §3.9 has no return code for a refusal: what is refused is granted QoS 0 and never delivered.
#[test]
fn a_refused_subscription_of_3_1_has_no_code() {
    let mut link = open();
    link.send(Packet::Subscribe(Subscribe {
        packet_id: 3,
        properties: None,
        filters: vec![subscription("a"), subscription("b")],
    }));
    link.intent();
    let refused = Err(Rejection { cause: Cause::NotPermitted, detail: None });
    link.tell(Directive::Subscribed { tag: Tag(3), results: vec![Ok(Assurance::AtLeastOnce), refused] });
    assert_eq!(link.unread, [0x90, 4, 0, 3, 1, 0]);
}

/// The upper bit of the level is how a bridge makes itself known: nothing comes back to it, and RETAIN is kept.
#[test]
fn a_bridge_gets_nothing_of_its_own_back() {
    for legacy in [true, false] {
        let mut link = answer(Quirks::default(), |connect| (connect.legacy, connect.bridge) = (legacy, true));
        link.opened();
        link.accept(accepted());
        link.read();
        link.send(Packet::Subscribe(Subscribe {
            packet_id: 3,
            properties: None,
            filters: vec![subscription("a")],
        }));
        let Intent::Subscribe { requests, .. } = link.intent() else { panic!() };
        assert!(requests[0].no_local && requests[0].retain_as_published);
    }
}

/// `cap_keep_alive`: the policy's bound is for clients that cannot be told of it, too.
#[test]
fn the_keep_alive_of_old_clients_is_capped_where_the_listener_says_so() {
    let granted = |cap_keep_alive: bool, asked: u16| {
        let quirks = Quirks { cap_keep_alive, ..Quirks::default() };
        let most = Some(Duration::from_secs(30));
        let mut link = Link::new(Version::V3, ServerConfig { keep_alive_max: most, quirks, ..config() });
        link.send(Packet::Connect(Box::new(Connect { keep_alive: asked, ..connect(Version::V3) })));
        link.opened();
        link.accept(accepted());
        link.server.next_timeout().map(|due| due.since(link.now.moment).as_secs())
    };
    assert_eq!([granted(false, 0), granted(false, 60)], [None, Some(90)]);
    assert_eq!([granted(true, 0), granted(true, 60), granted(true, 10)], [Some(45), Some(45), Some(15)]);
}

/// An acknowledgement of 3.1 is one of 3.1.1.
#[test]
fn a_delivery_of_3_1_is_acknowledged_as_ever() {
    let mut link = open();
    link.send(Packet::Puback(Ack::success(9)));
    assert!(matches!(link.intent(), Intent::Settle { tag: Tag(9), .. }));
}
