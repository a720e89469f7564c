//! CONNECT and CONNACK.

use super::*;
use crate::mqtt::codec::LastWill;
use windrose_event::{Refusal, RefusalCause};

fn last_will() -> LastWill {
    LastWill {
        qos: Assurance::AtLeastOnce,
        retain: true,
        topic: "devices/car-7/status".into(),
        payload: Bytes::from_static(b"gone"),
        properties: None,
    }
}

/// What a server says to a CONNECT.
fn answer(version: Version, change: impl FnOnce(&mut Connect)) -> Link {
    let mut link = Link::new(version, config());
    let mut connect = connect(version);
    change(&mut connect);
    link.send(Packet::Connect(Box::new(connect)));
    link
}

/// The code of a refusal that needed no engine.
#[track_caller]
fn refused(version: Version, change: impl FnOnce(&mut Connect)) -> ReasonCode {
    let mut link = answer(version, change);
    assert!(link.closed && link.intents().is_empty());
    assert!(matches!(link.server.close_cause(), Some(CloseCause::Protocol(_))));
    link.connack().code
}

#[test]
fn connect_asks_the_engine_for_a_session() {
    let mut link = answer(Version::V5, |connect| {
        connect.clean_start = false;
        connect.username = Some("car".into());
        connect.password = Some(Bytes::from_static(b"secret"));
        connect.properties = with(|properties| {
            properties.session_expiry_interval = Some(90);
            properties.receive_maximum = Some(10);
        });
    });
    let open = link.opened();
    assert_eq!((open.protocol, open.version), ("mqtt", "5.0"));
    assert_eq!(open.session.as_deref(), Some("car-7"));
    assert_eq!(open.claim.session.as_deref(), Some("car-7"));
    assert_eq!(&*open.claim.listener, "mqtt", "what the transport said is kept");
    assert_eq!(open.claim.username, Some("car".into()));
    assert!(open.claim.password.is_some());
    assert!(open.resume && open.will.is_none());
    assert_eq!((open.keep, open.window), (Duration::from_secs(90), 10));
    assert!(!link.server.is_open() && link.read().is_empty(), "nothing is said before the engine");
    link.accept(Accepted { keep: open.keep, resumed: true, ..accepted() });
    assert!(link.server.is_open());
    assert!(link.connack().session_present);
}

#[test]
fn sessions_are_kept_as_long_as_each_version_says() {
    let keep = |version, clean_start, expiry| {
        let mut link = answer(version, |connect| {
            connect.clean_start = clean_start;
            connect.properties = with(|properties| properties.session_expiry_interval = expiry);
        });
        let open = link.opened();
        (open.resume, open.keep)
    };
    assert_eq!(keep(Version::V3, true, None), (false, Duration::ZERO));
    assert_eq!(keep(Version::V3, false, None), (true, Duration::MAX));
    assert_eq!(keep(Version::V5, true, None), (false, Duration::ZERO));
    assert_eq!(keep(Version::V5, false, None), (true, Duration::ZERO));
    assert_eq!(keep(Version::V5, true, Some(7)), (false, Duration::from_secs(7)));
    assert_eq!(keep(Version::V5, true, Some(u32::MAX)), (false, Duration::MAX));
}

#[test]
fn connack_says_what_was_granted() {
    let mut link = answer(Version::V5, |connect| {
        connect.client_id = "".into();
        connect.properties = with(|properties| properties.session_expiry_interval = Some(u32::MAX));
    });
    assert_eq!(link.opened().session, None);
    let keep = Duration::from_secs(3_600);
    link.accept(Accepted { session: "made-up".into(), assigned: true, keep, window: 3, ..accepted() });
    let connack = link.connack();
    assert_eq!((connack.code, connack.session_present), (ReasonCode::SUCCESS, false));
    let expected = Properties {
        session_expiry_interval: Some(3_600),
        receive_maximum: Some(3),
        maximum_packet_size: Some(4_096),
        topic_alias_maximum: Some(3),
        assigned_client_identifier: Some("made-up".into()),
        ..Properties::default()
    };
    assert_eq!(connack.properties.as_deref(), Some(&expected));
}

#[test]
fn connack_says_nothing_of_what_is_as_asked() {
    let mut link = answer(Version::V5, |_| {});
    link.intents();
    link.accept(accepted());
    let properties = link.connack().properties.unwrap();
    assert_eq!(properties.session_expiry_interval, None);
    assert_eq!(properties.server_keep_alive, None);
    assert_eq!(properties.assigned_client_identifier, None);
}

#[test]
fn an_old_client_gets_an_old_connack() {
    let mut link = answer(Version::V3, |connect| connect.clean_start = false);
    assert_eq!(link.opened().window, u16::MAX);
    link.accept(Accepted { resumed: true, ..accepted() });
    assert_eq!(link.unread, [0x20, 2, 1, 0]);
    assert_eq!(link.server.version(), "3.1.1");
}

#[test]
fn refusals_have_the_codes_of_their_version() {
    let cases = [
        (RefusalCause::BadCredentials, 4, ReasonCode::BAD_USER_NAME_OR_PASSWORD),
        (RefusalCause::AnonymousDenied, 5, ReasonCode::NOT_AUTHORIZED),
        (RefusalCause::NotAllowed, 5, ReasonCode::NOT_AUTHORIZED),
        (RefusalCause::BadSession, 2, ReasonCode::CLIENT_IDENTIFIER_NOT_VALID),
        (RefusalCause::Quota, 3, ReasonCode::QUOTA_EXCEEDED),
        (RefusalCause::ShuttingDown, 3, ReasonCode::SERVER_UNAVAILABLE),
        (RefusalCause::Unavailable, 3, ReasonCode::SERVER_UNAVAILABLE),
    ];
    for (cause, old, new) in cases {
        for (version, code) in [(Version::V3, ReasonCode(old)), (Version::V5, new)] {
            let mut link = answer(version, |_| {});
            link.intents();
            link.tell(Directive::Refuse(Refusal { cause, detail: "for the operator alone".into() }));
            let expected = Connack { session_present: false, code, properties: None };
            assert_eq!(link.connack(), expected, "{cause:?}");
            assert!(link.closed && link.intents().is_empty(), "the engine knows");
            assert_eq!(link.server.close_cause(), Some(&CloseCause::Ours));
        }
    }
}

#[test]
fn an_empty_client_identifier_needs_a_clean_session_in_3_1_1() {
    let nameless = |connect: &mut Connect| {
        connect.client_id = "".into();
        connect.clean_start = false;
    };
    assert_eq!(refused(Version::V3, nameless), ReasonCode(2));
    assert_eq!(answer(Version::V5, nameless).opened().session, None);
}

#[test]
fn authentication_data_needs_a_method() {
    let code = refused(Version::V5, |connect| {
        let data = Some(Bytes::from_static(b"data"));
        connect.properties = with(|properties| properties.authentication_data = data);
    });
    assert_eq!(code, ReasonCode::PROTOCOL_ERROR);
}

#[test]
fn a_will_travels_with_all_it_says() {
    let mut link = answer(Version::V5, |connect| {
        let properties = with(|properties| {
            properties.will_delay_interval = Some(30);
            properties.message_expiry_interval = Some(60);
            properties.payload_format_indicator = Some(1);
            properties.content_type = Some("text/plain".into());
            properties.response_topic = Some("replies".into());
            properties.correlation_data = Some(Bytes::from_static(b"7"));
            properties.user_properties = vec![("a".into(), "1".into()), ("a".into(), "2".into())];
        });
        connect.will = Some(LastWill { properties, ..last_will() });
    });
    let will = link.opened().will.unwrap();
    assert_eq!(will.delay, Duration::from_secs(30));
    let publication = will.publication;
    assert_eq!(publication.address.as_str(), "devices/car-7/status");
    assert_eq!(&publication.payload[..], b"gone");
    assert!(publication.retain);
    assert_eq!(publication.assurance, Assurance::AtLeastOnce);
    assert_eq!(publication.expiry, Some(Duration::from_secs(60)));
    let details = publication.details.unwrap();
    assert_eq!(details.is_text, Some(true));
    assert_eq!(details.content_type, Some("text/plain".into()));
    assert_eq!(details.reply_to.unwrap().as_str(), "replies");
    assert_eq!(details.correlation, Some(Bytes::from_static(b"7")));
    assert_eq!(details.headers, [("a".into(), "1".into()), ("a".into(), "2".into())]);
}

#[test]
fn a_will_that_could_not_be_published_is_refused() {
    let will = |change: fn(&mut LastWill)| {
        let mut will = last_will();
        change(&mut will);
        will
    };
    let cases = [
        (will(|will| will.topic = "a/+".into()), ReasonCode::TOPIC_NAME_INVALID),
        (will(|will| will.topic = "".into()), ReasonCode::TOPIC_NAME_INVALID),
        (will(|will| will.topic = "1/2/3/4/5/6/7/8/9".into()), ReasonCode::TOPIC_NAME_INVALID),
        (will(|will| will.payload = vec![0; 1_025].into()), ReasonCode::PACKET_TOO_LARGE),
    ];
    for (will, code) in cases {
        assert_eq!(refused(Version::V5, |connect| connect.will = Some(will.clone())), code);
        let mut old = answer(Version::V3, |connect| connect.will = Some(will));
        assert!(old.closed && old.read().is_empty() && old.intents().is_empty());
    }
    let cases = [
        (with(|properties| properties.response_topic = Some("a/#".into())), ReasonCode::PROTOCOL_ERROR),
        (
            with(|properties| properties.payload_format_indicator = Some(1)),
            ReasonCode::PAYLOAD_FORMAT_INVALID,
        ),
    ];
    for (properties, code) in cases {
        let will = LastWill { payload: vec![0xff].into(), properties, ..last_will() };
        assert_eq!(refused(Version::V5, |connect| connect.will = Some(will)), code);
    }
}

/// What a server says to these first bytes, and whether it closes.
fn first(bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut link = Link::new(Version::V5, config());
    link.send_bytes(bytes);
    assert!(link.intents().is_empty());
    (link.unread.clone(), link.closed)
}

#[test]
fn unknown_versions_are_answered_in_words_that_they_understand() {
    let old = (vec![0x20, 2, 0, 1], true);
    assert_eq!(first(b"\x10\x0c\0\x04MQTT\x03\x02\0\0\0\0"), old);
    assert_eq!(first(b"\x10\x0e\0\x06MQIsdp\x04\x02\0\0\0\0"), old);
    assert_eq!(first(b"\x10\x0d\0\x05HTTPS\x01\x02\0\0\0\0"), (vec![], true), "it would not understand");
    for bytes in [&b"\x10\x0d\0\x04MQTT\x06\x02\0\0\0\0\0"[..], b"\x10\x0e\0\x06MQIsdp\x02\x02\0\0\0\0"] {
        let (said, closed) = first(bytes);
        let Ok(Some((Packet::Connack(connack), _))) = decode(&said, Version::V5) else {
            panic!("{said:02x?}")
        };
        assert_eq!(connack.code, ReasonCode::UNSUPPORTED_PROTOCOL_VERSION);
        assert!(closed);
    }
}

#[test]
fn a_connect_that_breaks_a_rule_is_told_so_in_mqtt_5() {
    // Receive Maximum zero.
    let (said, closed) = first(b"\x10\x11\0\x04MQTT\x05\x02\0\0\x03\x21\0\0\0\x01c");
    assert!(closed);
    let Ok(Some((Packet::Connack(connack), _))) = decode(&said, Version::V5) else { panic!("{said:02x?}") };
    assert_eq!(connack.code, ReasonCode::PROTOCOL_ERROR);
    // The reserved flag.
    let (said, _) = first(b"\x10\x0e\0\x04MQTT\x05\x03\0\0\0\0\x01c");
    assert_eq!(said[3], ReasonCode::MALFORMED_PACKET.0);
    assert_eq!(first(b"\x10\x0d\0\x04MQTT\x04\x03\0\0\0\x01c"), (vec![], true), "3.1.1 closes");
}

#[test]
fn whoever_does_not_begin_with_connect_is_hung_up_on() {
    for bytes in
        [&b"\xc0\0"[..], b"\x30\x03\0\x01t", b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b"\x10\0", b"\x31\x05"]
    {
        assert_eq!(first(bytes), (vec![], true), "{bytes:02x?}");
    }
}

#[test]
fn a_connect_that_is_too_large_is_refused_before_it_is_there() {
    for (head, said) in
        [(&b"\x10\x80\x80\x80\x01\0\x04MQTT\x05"[..], true), (b"\x10\x80\x80\x80\x01\0\x04MQTT\x04", false)]
    {
        let mut link = Link::new(Version::V5, config());
        link.send_bytes(&head[..head.len() - 1]);
        assert!(!link.closed, "the version is waited for");
        link.send_bytes(&head[head.len() - 1..]);
        assert!(link.closed);
        if said {
            assert_eq!(link.connack().code, ReasonCode::PACKET_TOO_LARGE);
        }
        assert!(link.read().is_empty());
    }
}

#[test]
fn connect_must_come_in_time() {
    let mut link = Link::new(Version::V5, config());
    assert_eq!(link.server.next_timeout(), Some(link.now.moment + Duration::from_secs(5)));
    link.wait(Duration::from_millis(4_999));
    link.send_bytes(b"\x10\x0d\0\x04MQTT");
    assert!(!link.closed);
    link.wait(Duration::from_millis(1));
    assert!(link.closed && link.intents().is_empty() && link.read().is_empty());
    assert_eq!(link.server.close_cause(), Some(&CloseCause::NoOpen));
}

#[test]
fn a_second_connect_is_a_protocol_error() {
    for version in BOTH {
        let mut link = Link::open(version);
        link.send(Packet::Connect(Box::new(connect(version))));
        link.assert_broken(ReasonCode::PROTOCOL_ERROR);
    }
}

#[test]
fn what_comes_ahead_of_connack_is_taken_after_it() {
    for version in BOTH {
        let mut link = answer(version, |_| {});
        link.opened();
        link.send(Packet::Publish(publish(Assurance::AtLeastOnce, 1)));
        link.send(Packet::Pingreq);
        assert!(link.intents().is_empty() && link.read().is_empty());
        link.accept(accepted());
        assert_eq!(link.published().tag, Tag(1));
        assert!(matches!(link.read()[..], [Packet::Connack(_), Packet::Pingresp]));
    }
}

#[test]
fn what_comes_ahead_of_a_refusal_is_not_taken() {
    let mut link = answer(Version::V5, |_| {});
    link.opened();
    link.send(Packet::Publish(publish(Assurance::AtLeastOnce, 1)));
    link.tell(Directive::Refuse(Refusal { cause: RefusalCause::NotAllowed, detail: "no".into() }));
    assert!(link.intents().is_empty() && link.closed);
}

#[test]
fn too_much_ahead_of_connack_ends_the_connection() {
    let mut link = answer(Version::V5, |_| {});
    link.opened();
    for _ in 0..100 {
        link.send_bytes(&[0xc0, 0].repeat(512));
    }
    assert_eq!(link.connack().code, ReasonCode::QUOTA_EXCEEDED);
    assert!(matches!(link.closed_with().cause, CloseCause::Protocol(_)));
}

#[test]
fn a_connection_lost_while_it_opens_tells_the_engine_once() {
    let mut link = answer(Version::V5, |_| {});
    link.opened();
    link.lose();
    assert_eq!(link.closed_with().cause, CloseCause::Lost);
    link.accept(accepted());
    assert!(link.read().is_empty() && link.intents().is_empty() && !link.server.is_open());
}

#[test]
fn a_connack_that_the_client_does_not_take_ends_the_connection() {
    let mut link = answer(Version::V5, |connect| {
        connect.properties = with(|properties| properties.maximum_packet_size = Some(8));
    });
    link.opened();
    link.accept(accepted());
    assert!(link.read().is_empty());
    assert!(matches!(link.closed_with().cause, CloseCause::Protocol(_)));
}

#[test]
fn reasons_are_left_out_for_a_client_that_takes_little() {
    let mut link = answer(Version::V5, |connect| {
        connect.properties = with(|properties| {
            properties.maximum_packet_size = Some(12);
            properties.request_problem_information = Some(1);
            properties.authentication_data = Some(Bytes::from_static(b"data"));
        });
    });
    let code = ReasonCode::PROTOCOL_ERROR;
    assert_eq!(link.connack(), Connack { session_present: false, code, properties: None });
}
