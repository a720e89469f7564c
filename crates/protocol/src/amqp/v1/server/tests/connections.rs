//! Connections: headers, SASL, open, signs of life, close.

use super::*;
use windrose_event::{CloseCause, CloseReason, Refusal, RefusalCause};

fn sasl(peer: &mut Peer, frame: SaslFrame<'_>) {
    let mut out = Vec::new();
    frame.write(&mut out);
    peer.bytes(&out);
}

fn begun() -> Peer {
    let mut peer = Peer::new(config());
    peer.bytes(SASL_HEADER);
    assert_eq!(peer.take(8), SASL_HEADER);
    let mechanisms = peer.frame("mechanisms(");
    assert!(!mechanisms.contains("external"), "there is no certificate: {mechanisms}");
    peer
}

#[test]
fn plain_tells_who_it_is() {
    let mut peer = begun();
    let response = Some(&b"\0anna\0secret"[..]);
    sasl(&mut peer, SaslFrame::Init { mechanism: "PLAIN", initial_response: response, hostname: None });
    let Intent::Open(open) = peer.intent() else { panic!() };
    assert_eq!((open.protocol, open.version), ("amqp", "1.0"));
    assert_eq!(open.claim.username.as_deref(), Some("anna"));
    assert_eq!(open.claim.password.unwrap().reveal(), b"secret");
    peer.accept(None);
    assert!(peer.frame("outcome").contains("ok"));
    peer.bytes(AMQP_HEADER);
    assert_eq!(peer.take(8), AMQP_HEADER);
    peer.say(Performative::Open(Open { container_id: "c", ..Open::default() }));
    assert_eq!(peer.intents().len(), 0, "the engine has a session already");
    peer.frame("open(");
}

#[test]
fn everything_may_be_sent_at_once_and_byte_by_byte() {
    for bytewise in [false, true] {
        let mut all = SASL_HEADER.to_vec();
        SaslFrame::Init { mechanism: "ANONYMOUS", initial_response: None, hostname: None }.write(&mut all);
        all.extend_from_slice(AMQP_HEADER);
        Performative::Open(Open { container_id: "c", ..Open::default() }).write(0, &mut all);
        Performative::Begin(Begin { incoming_window: 9, outgoing_window: 9, ..Begin::default() })
            .write(3, &mut all);
        let target = Some(Terminus::Target(Target { address: Some("a/b"), ..Target::default() }));
        let attach = Attach { name: "l", target, initial_delivery_count: Some(7), ..Attach::default() };
        Performative::Attach(attach).write(3, &mut all);
        let mut peer = Peer { bytewise, ..Peer::new(config()) };
        peer.bytes(&all);
        let Intent::Open(open) = peer.intent() else { panic!() };
        assert!(open.claim.is_anonymous());
        peer.accept(None);
        assert_eq!(peer.take(8), SASL_HEADER);
        peer.frame("mechanisms(");
        peer.frame("outcome");
        assert_eq!(peer.take(8), AMQP_HEADER);
        peer.frame("open(");
        assert!(peer.frame("begin(").contains("remote_channel: some(3)"));
        peer.frame("attach(");
        let flow = peer.frame("flow(");
        assert!(flow.contains("delivery_count: some(7)") && flow.contains("link_credit: some(10)"), "{flow}");
    }
}

#[test]
fn scram_is_a_conversation() {
    let mut peer = begun();
    let first = Some(&b"n,,n=anna,r=x"[..]);
    sasl(&mut peer, SaslFrame::Init { mechanism: "SCRAM-SHA-256", initial_response: first, hostname: None });
    let Intent::Open(open) = peer.intent() else { panic!() };
    assert_eq!(open.claim.method.as_deref(), Some("SCRAM-SHA-256"));
    assert_eq!(open.claim.response.unwrap().reveal(), b"n,,n=anna,r=x");
    peer.tell(Directive::Challenge { data: Some(Bytes::from_static(b"r=xy,s=z,i=1")) });
    assert!(peer.frame("challenge(").contains("challenge("));
    sasl(&mut peer, SaslFrame::Response(b"c=biws"));
    let Intent::Respond { response } = peer.intent() else { panic!() };
    assert_eq!(response.unwrap().reveal(), b"c=biws");
    peer.accept(Some(Bytes::from_static(b"v=1")));
    assert!(peer.frame("outcome").contains("additional_data: some("));
}

#[test]
fn external_is_offered_to_whoever_has_a_certificate() {
    let certificate =
        neutral::CertificateClaim { subject: "CN=car".into(), ..neutral::CertificateClaim::default() };
    let claim = Claim { certificate: Some(Arc::new(certificate)), ..Claim::default() };
    let mut peer = Peer::with(config(), claim);
    peer.bytes(SASL_HEADER);
    peer.take(8);
    assert!(peer.frame("mechanisms(").contains("mechanisms("));
    sasl(&mut peer, SaslFrame::Init { mechanism: "EXTERNAL", initial_response: None, hostname: None });
    let Intent::Open(open) = peer.intent() else { panic!() };
    assert!(open.claim.certificate.is_some());
}

#[test]
fn who_is_not_let_in_hears_so() {
    let refusal = || Refusal { cause: RefusalCause::BadCredentials, detail: "secret".into() };
    let mut peer = begun();
    sasl(&mut peer, SaslFrame::Init { mechanism: "ANONYMOUS", initial_response: None, hostname: None });
    peer.intent();
    peer.tell(Directive::Refuse(refusal()));
    assert!(peer.frame("outcome").contains("auth"));
    assert!(peer.intents().is_empty() && peer.closed);

    let mut peer = Peer::new(config());
    peer.bytes(AMQP_HEADER);
    peer.say(Performative::Open(Open { container_id: "c", ..Open::default() }));
    peer.intent();
    peer.tell(Directive::Refuse(refusal()));
    peer.take(8);
    peer.frame("open(");
    let close = peer.frame("close(");
    assert!(close.contains("amqp:unauthorized-access") && !close.contains("secret"));
    assert!(peer.intents().is_empty() && peer.closed);

    let mut peer = begun();
    sasl(&mut peer, SaslFrame::Init { mechanism: "EXTERNAL", initial_response: None, hostname: None });
    assert!(peer.frame("outcome").contains("auth"), "it has no certificate");
    assert!(peer.intents().is_empty() && peer.closed);
}

#[test]
fn another_header_is_answered_by_ours() {
    for header in [TLS_HEADER, b"AMQP\x00\x00\x09\x01", b"HTTP/1.1"] {
        let mut peer = Peer::new(config());
        peer.bytes(header);
        assert_eq!(peer.take(8), SASL_HEADER);
        assert!(peer.intents().is_empty() && peer.closed);
    }
}

#[test]
fn silence_ends_a_connection_and_empty_frames_keep_it() {
    let mut peer = Peer::new(config());
    peer.open_now(Open { container_id: "c", idle_time_out: Some(10_000), ..Open::default() });
    for _ in 0..30 {
        peer.after(Duration::from_secs(5));
        peer.frame("empty");
        peer.bytes(b"\0\0\0\x08\x02\0\0\0");
    }
    assert!(peer.intents().is_empty());
    for _ in 0..11 {
        peer.after(Duration::from_secs(5));
        peer.frame("empty");
    }
    peer.after(Duration::from_secs(5));
    assert!(peer.frame("close(").contains("amqp:resource-limit-exceeded"));
    let Intent::Close(close) = peer.intent() else { panic!() };
    assert_eq!(close.cause, CloseCause::KeepAlive);
    assert!(peer.closed);
}

#[test]
fn an_idle_time_out_that_nobody_can_keep_to_is_refused() {
    let mut peer = Peer::new(config());
    peer.bytes(AMQP_HEADER);
    peer.say(Performative::Open(Open { container_id: "c", idle_time_out: Some(1), ..Open::default() }));
    peer.take(8);
    peer.frame("open(");
    assert!(peer.frame("close(").contains("amqp:not-allowed"));
}

#[test]
fn who_does_not_open_is_sent_away() {
    let mut peer = Peer::new(config());
    peer.bytes(AMQP_HEADER);
    peer.after(Duration::from_secs(5));
    assert!(peer.intents().is_empty() && peer.closed);
    assert_eq!(peer.server.close_cause(), Some(&CloseCause::NoOpen));
}

#[test]
fn close_is_answered_and_errors_wait_for_the_answer() {
    let mut peer = Peer::open();
    peer.say(Performative::Close(Close::default()));
    peer.frame("close(");
    let Intent::Close(close) = peer.intent() else { panic!() };
    assert_eq!((close.cause, peer.closed), (CloseCause::Goodbye, true));

    let mut peer = Peer::open();
    peer.bytes(b"\0\0\0\x07\x02\0\0\0");
    assert!(peer.frame("close(").contains("amqp:connection:framing-error"));
    let Intent::Close(_) = peer.intent() else { panic!() };
    assert!(!peer.closed, "it shall read why");
    let mut peer = Peer::open();
    peer.say(Performative::Open(Open { container_id: "again", ..Open::default() }));
    assert!(peer.frame("close(").contains("amqp:illegal-state"));
    peer.intent();
    peer.send(0, b"on its way");
    assert!(peer.intents().is_empty() && !peer.closed);
    peer.say(Performative::Close(Close::default()));
    assert!(peer.intents().is_empty() && peer.closed);
    peer.nothing();
}

#[test]
fn a_peer_that_never_answers_our_close_is_not_waited_for() {
    let mut peer = Peer::open();
    peer.tell(Directive::Close(CloseReason::Revoked));
    assert!(peer.frame("close(").contains("amqp:unauthorized-access"));
    assert!(peer.intents().is_empty() && !peer.closed);
    peer.after(Duration::from_secs(5));
    assert!(peer.intents().is_empty() && peer.closed);
}

#[test]
fn who_is_sent_away_hears_where_to() {
    let mut peer = Peer::open();
    peer.tell(Directive::Close(CloseReason::ShuttingDown));
    let close = peer.frame("close(");
    assert!(close.contains("amqp:connection:redirect"), "{close}");
}

#[test]
fn frames_larger_than_agreed_are_refused_before_they_are_here() {
    let mut peer = Peer::open();
    peer.bytes(b"\0\xff\xff\xff\x02\0\0\0");
    assert!(peer.frame("close(").contains("amqp:connection:framing-error"));
}

#[test]
fn an_idle_connection_is_small() {
    assert!(size_of::<Server>() < 900, "{}", size_of::<Server>());
    assert!(size_of::<super::super::session::Session>() < 400);
}
