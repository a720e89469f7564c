//! The end of a connection: keep alive, DISCONNECT from either side, what only servers say.

use super::*;
use crate::mqtt::codec::Auth;
use windrose_event::CloseReason;

fn disconnect(code: u8, expiry: Option<u32>) -> Packet {
    let properties = expiry.and_then(|expiry| with(|all| all.session_expiry_interval = Some(expiry)));
    Packet::Disconnect(Disconnect { code: ReasonCode(code), properties })
}

#[test]
fn a_ping_is_answered_at_once() {
    for version in BOTH {
        let mut link = Link::open(version);
        link.send(Packet::Pingreq);
        assert_eq!(link.read_one(), Packet::Pingresp);
        assert!(link.intents().is_empty());
    }
}

#[test]
fn silence_for_one_and_a_half_keep_alives_ends_the_connection() {
    for version in BOTH {
        let mut link = Link::open_with(version, config(), |connect| connect.keep_alive = 10);
        link.wait(Duration::from_secs(14));
        link.send(Packet::Pingreq);
        link.read();
        link.wait(Duration::from_secs(14));
        assert!(!link.closed, "any packet is a sign of life");
        assert_eq!(link.server.next_timeout(), Some(link.now.moment + Duration::from_secs(1)));
        link.send_bytes(&[0xc0]);
        link.wait(Duration::from_secs(1));
        match version {
            Version::V3 => assert!(link.read().is_empty()),
            Version::V5 => {
                let Packet::Disconnect(disconnect) = link.read_one() else { panic!() };
                assert_eq!(disconnect.code, ReasonCode::KEEP_ALIVE_TIMEOUT);
            }
        }
        let close = link.closed_with();
        assert_eq!(close.cause, CloseCause::KeepAlive);
        assert!(close.with_will);
        assert_eq!(link.server.next_timeout(), None);
    }
}

#[test]
fn a_session_that_took_long_to_open_has_its_whole_keep_alive() {
    let mut link = Link::new(Version::V3, config());
    link.send(Packet::Connect(Box::new(Connect { keep_alive: 1, ..connect(Version::V3) })));
    link.opened();
    assert_eq!(link.server.next_timeout(), None, "the engine owns the time it takes");
    link.wait(Duration::from_secs(4));
    link.accept(accepted());
    link.wait(Duration::from_millis(1_400));
    assert!(!link.closed);
}

#[test]
fn without_a_keep_alive_silence_is_golden() {
    let mut link = Link::open_with(Version::V5, config(), |connect| connect.keep_alive = 0);
    assert_eq!(link.server.next_timeout(), None);
    link.wait(Duration::from_secs(1_000_000));
    assert!(!link.closed);
}

#[test]
fn the_policy_bounds_the_keep_alive_and_says_so_in_mqtt_5() {
    let granted = |version, asked: u16| {
        let bounded = ServerConfig { keep_alive_max: Some(Duration::from_secs(30)), ..config() };
        let mut link = Link::new(version, bounded);
        link.send(Packet::Connect(Box::new(Connect { keep_alive: asked, ..connect(version) })));
        link.opened();
        link.accept(accepted());
        let said = link.connack().properties.and_then(|properties| properties.server_keep_alive);
        (link.server.next_timeout().unwrap().since(link.now.moment).as_millis(), said)
    };
    assert_eq!(granted(Version::V5, 0), (45_000, Some(30)));
    assert_eq!(granted(Version::V5, 60), (45_000, Some(30)));
    assert_eq!(granted(Version::V5, 20), (30_000, None));
    assert_eq!(granted(Version::V3, 60), (90_000, None), "3.1.1 cannot be told, so its word holds");
}

#[test]
fn good_bye_leaves_no_will() {
    for version in BOTH {
        let mut link = Link::open(version);
        link.send(disconnect(0, None));
        assert!(link.read().is_empty());
        let close = link.closed_with();
        assert_eq!((close.cause, close.with_will, close.keep), (CloseCause::Goodbye, false, None));
        assert_eq!(link.server.close_cause(), Some(&CloseCause::Goodbye));
        link.lose();
        link.send(Packet::Pingreq);
        assert!(link.intents().is_empty() && link.read().is_empty(), "nothing more is heard or said");
    }
}

#[test]
fn disconnect_with_will_or_with_an_error_publishes_the_will() {
    for code in [0x04, 0x80, 0x83, 0x98] {
        let mut link = Link::open(Version::V5);
        link.send(disconnect(code, None));
        assert!(link.closed_with().with_will, "{code:#x}");
    }
}

#[test]
fn disconnect_may_change_how_long_a_session_is_kept() {
    let kept = |asked: u32, said: Option<u32>| {
        let mut link = Link::open_with(Version::V5, config(), |connect| {
            connect.properties = with(|properties| properties.session_expiry_interval = Some(asked));
        });
        link.send(disconnect(0, said));
        link.closed_with().keep
    };
    assert_eq!(kept(100, None), None);
    assert_eq!(kept(100, Some(0)), Some(Duration::ZERO));
    assert_eq!(kept(100, Some(7)), Some(Duration::from_secs(7)));
    assert_eq!(kept(100, Some(u32::MAX)), Some(Duration::MAX));
    assert_eq!(kept(0, Some(0)), Some(Duration::ZERO));
}

#[test]
fn disconnect_may_not_keep_a_session_that_connect_did_not() {
    let mut link = Link::open(Version::V5);
    link.send(disconnect(0, Some(1)));
    link.assert_broken(ReasonCode::PROTOCOL_ERROR);
}

#[test]
fn what_only_servers_say_is_a_protocol_error() {
    let suback = Suback { packet_id: 1, properties: None, codes: vec![ReasonCode::SUCCESS] };
    for packet in [
        Packet::Connack(Connack { session_present: false, code: ReasonCode::SUCCESS, properties: None }),
        Packet::Suback(suback.clone()),
        Packet::Unsuback(suback),
        Packet::Pingresp,
    ] {
        for version in BOTH {
            let mut link = Link::open(version);
            link.send(packet.clone());
            link.assert_broken(ReasonCode::PROTOCOL_ERROR);
        }
    }
    let elsewhere = with(|properties| properties.server_reference = Some("elsewhere".into()));
    for packet in [
        disconnect(ReasonCode::SESSION_TAKEN_OVER.0, None),
        Packet::Disconnect(Disconnect { code: ReasonCode::SUCCESS, properties: elsewhere }),
    ] {
        let mut link = Link::open(Version::V5);
        link.send(packet);
        link.assert_hung_up();
    }
    let mut link = Link::open(Version::V5);
    link.send(Packet::Auth(Auth { code: ReasonCode(0x18), properties: None }));
    link.assert_broken(ReasonCode::PROTOCOL_ERROR);
}

#[test]
fn malformed_packets_end_the_connection() {
    let malformed = ReasonCode::MALFORMED_PACKET;
    for (bytes, code) in [
        (&b"\x36\x05\0\x01t\0\x01"[..], malformed),
        (b"\x80\0", malformed),
        (b"\x00", ReasonCode::PROTOCOL_ERROR),
    ] {
        for version in BOTH {
            let mut link = Link::open(version);
            link.send_bytes(bytes);
            link.assert_broken(code);
        }
    }
    for bytes in [&b"\xc0\xff\xff\xff\xff"[..], b"\xc0\x80\0", b"\xc0\x01x"] {
        for version in BOTH {
            let mut link = Link::open(version);
            link.send_bytes(bytes);
            link.assert_hung_up();
        }
    }
}

#[test]
fn reason_strings_are_for_those_who_asked_for_them() {
    let said = |asked: Option<u8>| {
        let mut link = Link::open_with(Version::V5, config(), |connect| {
            connect.properties = with(|properties| properties.request_problem_information = asked);
        });
        link.send(Packet::Pingresp);
        let Packet::Disconnect(disconnect) = link.read_one() else { panic!() };
        reason_string(&disconnect.properties).is_some()
    };
    assert!(said(Some(1)));
    assert!(!said(None), "a code alone, unless a sentence is asked for");
    assert!(!said(Some(0)));
}

#[test]
fn what_came_before_a_mistake_is_taken_and_what_comes_after_is_not() {
    for version in BOTH {
        let mut link = Link::open(version);
        let mut bytes = Vec::new();
        encode(&Packet::Publish(publish(Assurance::AtLeastOnce, 1)), version, &mut bytes);
        let good = bytes.clone();
        bytes.extend_from_slice(&[0x00, 0]);
        bytes.extend_from_slice(&good);
        link.send_bytes(&bytes);
        assert!(matches!(link.intents()[..], [Intent::Publish(_), Intent::Close(_)]));
        assert!(link.closed);
    }
}

#[test]
fn a_lost_transport_publishes_the_will() {
    for version in BOTH {
        let mut link = Link::open(version);
        link.lose();
        let close = link.closed_with();
        assert_eq!((close.cause, close.with_will, close.keep), (CloseCause::Lost, true, None));
        link.lose();
        assert!(link.intents().is_empty(), "it is told once");
    }
    let mut early = Link::new(Version::V5, config());
    early.lose();
    assert!(early.closed && early.intents().is_empty(), "no session, nothing to tell");
    assert_eq!(early.server.close_cause(), Some(&CloseCause::Lost));
}

#[test]
fn who_breaks_the_rules_under_mqtt_is_lost_with_a_reason() {
    for version in BOTH {
        let mut link = Link::open(version);
        link.server.handle_violation(link.now, "WebSocket: a reserved bit");
        link.drain();
        let close = link.closed_with();
        let cause = CloseCause::Protocol("WebSocket: a reserved bit".into());
        assert_eq!((close.cause, close.with_will, close.keep), (cause, true, None));
        assert!(link.read().is_empty(), "there is no MQTT to say it with");
        link.lose();
        assert!(link.intents().is_empty(), "it is told once");
    }
}

#[test]
fn the_engine_s_reasons_have_their_codes_in_mqtt_5() {
    let cases = [
        (CloseReason::TakenOver, ReasonCode::SESSION_TAKEN_OVER),
        (CloseReason::ShuttingDown, ReasonCode::SERVER_SHUTTING_DOWN),
        (CloseReason::NotPermitted, ReasonCode::NOT_AUTHORIZED),
        (CloseReason::Quota, ReasonCode::QUOTA_EXCEEDED),
        (CloseReason::Revoked, ReasonCode::ADMINISTRATIVE_ACTION),
        (CloseReason::Quarantined, ReasonCode::ADMINISTRATIVE_ACTION),
        (CloseReason::Expired, ReasonCode::NOT_AUTHORIZED),
        (CloseReason::Failed("the disk is full".into()), ReasonCode::UNSPECIFIED_ERROR),
    ];
    for (reason, code) in cases {
        let mut link = Link::open(Version::V5);
        link.tell(Directive::Close(reason.clone()));
        let Packet::Disconnect(disconnect) = link.read_one() else { panic!() };
        assert_eq!(disconnect.code, code);
        let says_why = matches!(
            reason,
            CloseReason::Failed(_) | CloseReason::Revoked | CloseReason::Quarantined | CloseReason::Expired
        );
        assert_eq!(reason_string(&disconnect.properties).is_some(), says_why);
        assert!(link.closed && link.intents().is_empty(), "the engine knows");
        let mut old = Link::open(Version::V3);
        old.tell(Directive::Close(reason));
        assert!(old.closed && old.read().is_empty() && old.intents().is_empty());
    }
}

#[test]
fn a_client_that_nobody_listened_to_was_not_silent() {
    let mut link = Link::open_with(Version::V5, config(), |connect| connect.keep_alive = 10);
    link.now = link.now.after(Duration::from_secs(600));
    link.server.handle_resume(link.now);
    link.wait(Duration::from_secs(14));
    assert!(!link.closed, "its keep alive counts from when it is read again");
}

#[test]
fn what_is_settled_in_the_turn_of_a_good_bye_is_still_acknowledged() {
    for version in BOTH {
        let mut link = Link::open(version);
        let mut bytes = Vec::new();
        encode(&Packet::Publish(publish(Assurance::AtLeastOnce, 1)), version, &mut bytes);
        encode(&Packet::Publish(publish(Assurance::AtLeastOnce, 2)), version, &mut bytes);
        encode(&disconnect(0, None), version, &mut bytes);
        link.send_bytes(&bytes);
        assert!(matches!(link.intents()[..], [Intent::Publish(_), Intent::Publish(_), Intent::Close(_)]));
        link.tell(Directive::Settle { tag: Tag(1), outcome: Outcome::Accepted, heard: true });
        assert_eq!(link.read_one(), Packet::Puback(Ack::success(1)));
        link.tell(Directive::Settle { tag: Tag(2), outcome: Outcome::TimedOut, heard: true });
        link.tell(Directive::Close(CloseReason::ShuttingDown));
        assert!(link.read().is_empty() && link.intents().is_empty(), "and nothing else is said");
        let mut broken = Link::open(version);
        broken.send(Packet::Publish(publish(Assurance::AtLeastOnce, 1)));
        broken.send(Packet::Pingresp);
        broken.read();
        broken.tell(Directive::Settle { tag: Tag(1), outcome: Outcome::Accepted, heard: true });
        assert!(broken.read().is_empty(), "whoever broke the protocol is told nothing more");
    }
}
