//! From the protocol's header to an open connection, and how connections end.

use super::*;
use windrose_event::{CloseReason, Refusal, RefusalCause};

fn start_ok<'a>(mechanism: &'a str, response: &'a [u8]) -> ConnectionStartOk<'a> {
    ConnectionStartOk { mechanism, response, locale: "en_US", ..ConnectionStartOk::default() }
}

fn started() -> Link {
    let mut link = Link::new(config());
    link.send_bytes(PROTOCOL_HEADER);
    link
}

#[test]
fn the_server_names_its_mechanisms_and_what_it_can_do() {
    let mut link = started();
    let bytes = {
        link.flush();
        std::mem::take(&mut link.unread)
    };
    let (frame, _) = frame(&bytes, FRAME_MIN).unwrap().unwrap();
    let Method::ConnectionStart(start) = Method::read(frame.payload).unwrap() else { panic!("not start") };
    assert_eq!((start.version_major, start.version_minor), (0, 9));
    assert_eq!(start.mechanisms, b"PLAIN AMQPLAIN SCRAM-SHA-256 ANONYMOUS");
    let Some(Value::Table(capabilities)) = start.server_properties.get("capabilities") else {
        panic!("no capabilities")
    };
    for name in ["publisher_confirms", "basic.nack", "consumer_cancel_notify", "exchange_exchange_bindings"] {
        assert_eq!(capabilities.get(name), Some(Value::Bool(true)), "{name}");
    }
}

#[test]
fn a_wrong_header_is_answered_by_the_right_one() {
    let mut link = Link::new(config());
    link.send_bytes(b"AMQP\x01\x01\x00\x09");
    link.flush();
    assert_eq!(link.unread, PROTOCOL_HEADER);
    assert!(link.closed);
}

#[test]
fn plain_and_amqplain_say_name_and_password() {
    let mut table = TableBuf::new();
    table.put_text("LOGIN", "bob").put_text("PASSWORD", "secret");
    let amqplain = table.table().as_bytes().to_vec();
    for (mechanism, response) in [("PLAIN", &b"\0bob\0secret"[..]), ("AMQPLAIN", &amqplain)] {
        let mut link = started();
        link.send(0, start_ok(mechanism, response));
        let Intent::Open(open) = link.intent() else { panic!("no open") };
        assert_eq!((open.protocol, open.version), ("amqp", "0-9-1"));
        assert_eq!(open.claim.username.as_deref(), Some("bob"));
        assert_eq!(open.claim.password.unwrap().reveal(), b"secret");
    }
}

#[test]
fn scram_is_a_conversation_and_its_last_word_is_said() {
    let mut link = started();
    link.send(0, start_ok("SCRAM-SHA-256", b"n,,n=bob,r=abc"));
    let Intent::Open(open) = link.intent() else { panic!("no open") };
    assert_eq!(open.claim.method.as_deref(), Some("SCRAM-SHA-256"));
    link.read();
    link.tell(Directive::Challenge { data: Some(Bytes::from_static(b"r=abcdef")) });
    assert!(link.read_one().contains("ConnectionSecure"));
    link.send(0, ConnectionSecureOk { response: b"proof" });
    assert!(matches!(link.intent(), Intent::Respond { response: Some(said) } if said.reveal() == b"proof"));
    link.accept(Some(Bytes::from_static(b"v=x")));
    assert!(link.read_one().contains("ConnectionSecure"), "what proves the server");
    link.send(0, ConnectionSecureOk { response: b"" });
    assert!(link.read_one().contains("ConnectionTune"));
}

#[test]
fn anonymous_claims_nothing_and_unknown_mechanisms_are_refused() {
    let mut link = started();
    link.send(0, start_ok("ANONYMOUS", b"me"));
    let Intent::Open(open) = link.intent() else { panic!("no open") };
    assert!(open.claim.is_anonymous());
    for mechanism in ["GSSAPI", "EXTERNAL", "", "PLAIN AMQPLAIN"] {
        let mut link = started();
        link.send(0, start_ok(mechanism, b""));
        assert!(link.exception().contains("reply_code: 403"), "{mechanism}");
        assert!(link.closed && link.intents.is_empty());
    }
    let mut link = started();
    link.send(0, start_ok("PLAIN", b"no zeros"));
    assert!(link.exception().contains("reply_code: 403"));
}

#[test]
fn whoever_is_not_let_in_is_told_if_it_can_be() {
    for can in [true, false] {
        let mut capabilities = TableBuf::new();
        capabilities.put("authentication_failure_close", Value::Bool(can));
        let mut properties = TableBuf::new();
        properties.put("capabilities", Value::Table(capabilities.table()));
        let mut link = started();
        link.read();
        link.send(
            0,
            ConnectionStartOk { client_properties: properties.table(), ..start_ok("PLAIN", b"\0a\0b") },
        );
        let refusal = Refusal { cause: RefusalCause::BadCredentials, detail: "secret detail".into() };
        link.tell(Directive::Refuse(refusal));
        let heard = link.read();
        assert_eq!(heard.len(), usize::from(can));
        assert!(!format!("{heard:?}").contains("secret detail"));
        assert!(link.closed);
    }
}

#[test]
fn limits_are_negotiated_downwards_only() {
    for (channel_max, frame_max, what) in [
        (11, 4_096, "channel_max = 11 is higher"),
        (0, 4_096, "channel_max = no_limit (0) is higher"),
        (1, 4_095, "frame_max = 4095 is lower"),
        (1, 8_193, "frame_max = 8193 is higher"),
    ] {
        let mut link = started();
        link.send(0, start_ok("PLAIN", b"\0a\0b"));
        link.accept(None);
        link.send(0, ConnectionTuneOk { channel_max, frame_max, heartbeat: 0 });
        let exception = link.exception();
        assert!(exception.contains("reply_code: 530") && exception.contains(what), "{exception}");
    }
}

#[test]
fn there_is_one_virtual_host() {
    let mut link = started();
    link.send(0, start_ok("PLAIN", b"\0a\0b"));
    link.accept(None);
    link.send(0, ConnectionTuneOk { channel_max: 1, frame_max: 4_096, heartbeat: 0 });
    link.send(0, ConnectionOpen { virtual_host: "other" });
    let exception = link.exception();
    assert!(
        exception.contains("reply_code: 530") && exception.contains("NOT_ALLOWED - vhost other not found")
    );
}

#[test]
fn what_comes_ahead_of_the_answer_is_held() {
    let mut link = started();
    let mut bytes = Vec::new();
    method_frame(&start_ok("PLAIN", b"\0a\0b").into(), 0, &mut bytes);
    method_frame(&ConnectionTuneOk { channel_max: 1, frame_max: 4_096, heartbeat: 0 }.into(), 0, &mut bytes);
    method_frame(&ConnectionOpen { virtual_host: "/" }.into(), 0, &mut bytes);
    method_frame(&ChannelOpen {}.into(), 1, &mut bytes);
    link.send_bytes(&bytes);
    link.read();
    link.accept(None);
    let heard = link.read();
    assert!(
        is(&heard[0], "ConnectionTune")
            && is(&heard[1], "ConnectionOpenOk")
            && is(&heard[2], "ChannelOpenOk")
    );
}

#[test]
fn both_sides_close_with_a_handshake() {
    let mut link = Link::channel();
    link.send(0, ConnectionClose { reply_code: 200, reply_text: "bye", class_id: 0, method_id: 0 });
    assert!(link.read_one().contains("ConnectionCloseOk"));
    assert!(matches!(link.intent(), Intent::Close(close) if close.cause == CloseCause::Goodbye));
    assert!(!link.closed, "it may be writing still");
    link.publish(to("q"), &Properties::default(), b"x");
    assert!(link.intents.is_empty() && link.read().is_empty());
    link.server.handle_eof(link.now);
    link.drain();
    assert!(link.closed && link.intents.is_empty());

    let mut link = Link::channel();
    link.send(0, ChannelOpen {});
    assert!(link.exception().contains("reply_code: 503"));
    assert!(!link.closed && link.intents.is_empty(), "the client may answer");
    link.send(1, QueueDeclare::default());
    assert!(link.intents.is_empty(), "nothing is taken any more");
    link.send(0, ConnectionCloseOk {});
    assert!(matches!(link.intent(), Intent::Close(close) if matches!(close.cause, CloseCause::Protocol(_))));
    assert!(link.closed);
}

#[test]
fn a_client_that_does_not_answer_close_is_left() {
    let mut link = Link::channel();
    link.send(0, ChannelOpen {});
    assert!(!link.closed);
    link.wait(LAST_WORDS);
    assert!(link.closed);
}

#[test]
fn the_node_says_why_it_ends_a_connection() {
    let mut link = Link::channel();
    link.tell(Directive::Close(CloseReason::ShuttingDown));
    assert!(link.exception().contains("reply_code: 320"));
    assert!(link.closed && link.intents.is_empty());
    link.tell(Directive::Close(CloseReason::ShuttingDown));
    assert!(link.read().is_empty());
}

#[test]
fn a_new_secret_is_taken() {
    let mut link = Link::open();
    link.send(0, ConnectionUpdateSecret { new_secret: b"new", reason: "expired" });
    assert!(link.read_one().contains("ConnectionUpdateSecretOk"));
}
