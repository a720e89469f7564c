//! Enhanced authentication: AUTH before CONNACK and on an open connection.

use super::*;
use crate::mqtt::codec::Auth;
use windrose_event::{Refusal, RefusalCause, Secret};

const CONTINUE: ReasonCode = ReasonCode::CONTINUE_AUTHENTICATION;
const AGAIN: ReasonCode = ReasonCode::RE_AUTHENTICATE;

fn auth(code: ReasonCode, method: &str, data: &'static [u8]) -> Packet {
    let properties = with(|properties| {
        properties.authentication_method = Some(method.into());
        properties.authentication_data = Some(Bytes::from_static(data));
    });
    Packet::Auth(Auth { code, properties })
}

/// A client that asked for the method X, and the claim that the engine saw.
fn asking() -> (Link, Claim) {
    let mut link = Link::new(Version::V5, config());
    let properties = with(|properties| {
        properties.authentication_method = Some("X".into());
        properties.authentication_data = Some(Bytes::from_static(b"first"));
    });
    let password = Some(Bytes::from_static(b"secret"));
    link.send(Packet::Connect(Box::new(Connect { properties, password, ..connect(Version::V5) })));
    let open = link.opened();
    (link, open.claim)
}

fn challenged() -> Link {
    let (mut link, _) = asking();
    link.tell(Directive::Challenge { data: Some(Bytes::from_static(b"who?")) });
    link.read();
    link
}

fn open() -> Link {
    let (mut link, _) = asking();
    link.accept(accepted());
    link.read();
    link
}

#[track_caller]
fn said_auth(link: &mut Link, code: ReasonCode, data: &'static [u8]) {
    assert_eq!(link.read_one(), auth(code, "X", data));
}

#[track_caller]
fn responded(link: &mut Link) -> Option<Vec<u8>> {
    match link.intent() {
        Intent::Respond { response } => response.map(|response| response.reveal().to_vec()),
        other => panic!("{other:?} is no Respond"),
    }
}

#[track_caller]
fn assert_refused(link: &mut Link) {
    assert_eq!(link.connack().code, ReasonCode::PROTOCOL_ERROR);
    assert!(matches!(link.closed_with().cause, CloseCause::Protocol(_)));
}

/// [MQTT-4.12.0-2] [MQTT-4.12.0-3] [MQTT-4.12.0-5]: the server continues with AUTH 0x18, the client answers with AUTH 0x18,
/// and every packet names CONNECT's method.
#[test]
fn a_conversation_goes_to_and_fro_until_connack() {
    let (mut link, claim) = asking();
    assert_eq!(claim.method.as_deref(), Some("X"));
    assert_eq!(claim.response.as_ref().map(Secret::reveal), Some(&b"first"[..]));
    link.tell(Directive::Challenge { data: Some(Bytes::from_static(b"one")) });
    said_auth(&mut link, CONTINUE, b"one");
    link.send(auth(CONTINUE, "X", b"two"));
    assert_eq!(responded(&mut link).as_deref(), Some(&b"two"[..]));
    link.tell(Directive::Challenge { data: None });
    let Packet::Auth(asked) = link.read_one() else { panic!() };
    assert_eq!(asked.properties.and_then(|properties| properties.authentication_data), None);
    link.send(auth(CONTINUE, "X", b"three"));
    assert_eq!(responded(&mut link).as_deref(), Some(&b"three"[..]));
    assert!(!link.server.is_open());
    link.accept(Accepted { data: Some(Bytes::from_static(b"proof")), ..accepted() });
    let connack = link.connack();
    assert_eq!(connack.code, ReasonCode::SUCCESS);
    let properties = connack.properties.unwrap();
    assert_eq!(properties.authentication_method.as_deref(), Some("X"));
    assert_eq!(properties.authentication_data.as_deref(), Some(&b"proof"[..]));
    assert!(link.server.is_open());
}

/// [MQTT-4.12.0-1] [MQTT-4.12.0-4]: a method that is not known, or a proof that fails, ends in CONNACK and the connection.
#[test]
fn an_unknown_method_and_a_failed_proof_have_their_codes() {
    for (cause, code) in [
        (RefusalCause::UnknownMethod, ReasonCode::BAD_AUTHENTICATION_METHOD),
        (RefusalCause::BadCredentials, ReasonCode::BAD_USER_NAME_OR_PASSWORD),
        (RefusalCause::NotAllowed, ReasonCode::NOT_AUTHORIZED),
    ] {
        for mut link in [asking().0, challenged()] {
            link.tell(Directive::Refuse(Refusal { cause, detail: "no".into() }));
            assert_eq!(link.connack(), Connack { session_present: false, code, properties: None });
            assert!(link.closed);
        }
    }
}

/// [MQTT-4.12.0-6]: without a method in CONNECT the server sends no AUTH, and takes none [MQTT-4.12.0-7].
#[test]
fn without_a_method_there_is_no_auth() {
    for version in BOTH {
        let mut link = Link::open(version);
        link.tell(Directive::Challenge { data: None });
        assert!(link.read().is_empty() && !link.closed);
        link.send(auth(CONTINUE, "X", b""));
        link.assert_broken(ReasonCode::PROTOCOL_ERROR);
    }
}

/// [MQTT-3.1.2-30]: nothing but AUTH and DISCONNECT comes before CONNACK.
#[test]
fn nothing_but_auth_may_come_before_connack() {
    for packet in [Packet::Pingreq, Packet::Publish(publish(Assurance::AtMostOnce, 0))] {
        let mut link = challenged();
        link.send(packet.clone());
        assert_refused(&mut link);
        let (mut ahead, _) = asking();
        ahead.send(packet);
        ahead.accept(accepted());
        assert_refused(&mut ahead);
    }
    let mut link = challenged();
    link.send(Packet::Disconnect(Disconnect { code: ReasonCode::SUCCESS, properties: None }));
    assert_eq!(link.closed_with().cause, CloseCause::Goodbye);
    assert!(link.read().is_empty());
}

/// [MQTT-3.15.2-1], MQTT 5 §3.15.2: a reason code of the client's, the method of CONNECT, and in turn.
#[test]
fn auth_out_of_turn_is_a_protocol_error() {
    for packet in [
        auth(AGAIN, "X", b""),
        auth(ReasonCode::SUCCESS, "X", b""),
        auth(CONTINUE, "Y", b""),
        Packet::Auth(Auth { code: CONTINUE, properties: None }),
    ] {
        let mut link = challenged();
        link.send(packet);
        assert_refused(&mut link);
    }
    for packet in [auth(CONTINUE, "X", b""), auth(ReasonCode::SUCCESS, "X", b""), auth(AGAIN, "Y", b"")] {
        let mut link = open();
        link.send(packet);
        link.assert_broken(ReasonCode::PROTOCOL_ERROR);
    }
    let mut link = open();
    link.send(auth(AGAIN, "X", b""));
    link.send(auth(AGAIN, "X", b""));
    link.assert_broken(ReasonCode::PROTOCOL_ERROR);
}

/// A client that does not answer is not waited for longer than for CONNECT.
#[test]
fn an_answer_must_come_in_time() {
    let mut link = challenged();
    link.wait(Duration::from_millis(4_999));
    assert!(!link.closed);
    link.wait(Duration::from_millis(1));
    let close = link.closed_with();
    assert_eq!((close.cause, close.with_will), (CloseCause::NoOpen, false));
}

/// [MQTT-4.12.1-1]: AUTH 0x19 proves anew who it is, by the same method; everything else goes on meanwhile.
#[test]
fn a_client_may_prove_itself_anew() {
    let mut link = open();
    link.send(auth(AGAIN, "X", b"again"));
    let Intent::Reidentify(claim) = link.intent() else { panic!() };
    assert_eq!(claim.response.as_ref().map(Secret::reveal), Some(&b"again"[..]));
    assert_eq!((claim.session.as_deref(), &*claim.listener), (Some("car-7"), "mqtt"));
    assert!(claim.password.is_none(), "no secret is kept");
    link.send(Packet::Publish(publish(Assurance::AtLeastOnce, 1)));
    link.published();
    link.tell(Directive::Challenge { data: Some(Bytes::from_static(b"one")) });
    said_auth(&mut link, CONTINUE, b"one");
    link.send(Packet::Pingreq);
    assert!(matches!(link.read_one(), Packet::Pingresp));
    link.send(auth(CONTINUE, "X", b"two"));
    assert_eq!(responded(&mut link).as_deref(), Some(&b"two"[..]));
    link.tell(Directive::Reidentified { data: Some(Bytes::from_static(b"proof")) });
    said_auth(&mut link, ReasonCode::SUCCESS, b"proof");
    link.send(auth(AGAIN, "X", b"once more"));
    assert!(matches!(link.intent(), Intent::Reidentify(_)));
}

/// [MQTT-4.12.1-2]: a client that fails is sent away.
#[test]
fn a_client_that_fails_to_prove_itself_anew_is_sent_away() {
    let mut link = open();
    link.send(auth(AGAIN, "X", b""));
    link.intent();
    link.tell(Directive::Close(windrose_event::CloseReason::NotPermitted));
    let Packet::Disconnect(disconnect) = link.read_one() else { panic!() };
    assert_eq!(disconnect.code, ReasonCode::NOT_AUTHORIZED);
    assert!(link.closed);
}

/// [MQTT-3.1.2-24]: AUTH is never larger than the client takes.
#[test]
fn a_challenge_that_the_client_does_not_take_ends_the_connection() {
    let mut link = Link::new(Version::V5, config());
    let properties = with(|properties| {
        properties.authentication_method = Some("X".into());
        properties.maximum_packet_size = Some(30);
    });
    link.send(Packet::Connect(Box::new(Connect { properties, ..connect(Version::V5) })));
    link.opened();
    link.tell(Directive::Challenge { data: Some(Bytes::from(vec![7; 100])) });
    assert_eq!(link.connack().code, ReasonCode::PACKET_TOO_LARGE);
    assert!(matches!(link.closed_with().cause, CloseCause::Protocol(_)));
}
