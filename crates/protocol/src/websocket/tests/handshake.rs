//! The opening handshake.

use crate::websocket::{Carried, HeadError, head};
use proptest::prelude::*;

/// The request of RFC 6455 §1.2, for MQTT.
const GOOD: &str = "GET /mqtt?token=1 HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: WebSocket\r\n\
    Connection: keep-alive, UPGRADE\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Origin: http://example.com\r\nSec-WebSocket-Protocol: chat, mqtt\r\nSec-WebSocket-Version: 13\r\n\r\n";

fn response(request: &str) -> String {
    let answer = head(request.as_bytes()).unwrap().unwrap().into_answer(Carried::MQTT);
    let response = answer.map_or_else(|refused| refused.response(), |accepted| accepted.response);
    String::from_utf8(response).unwrap()
}

#[test]
fn the_answer_is_the_one_of_the_specification() {
    let whole = format!("{GOOD}frames");
    let request = head(whole.as_bytes()).unwrap().unwrap();
    assert_eq!((request.len(), request.path(), request.wants_websocket()), (GOOD.len(), "/mqtt", true));
    let accepted = request.into_answer(Carried::MQTT).unwrap();
    assert_eq!(accepted.subprotocol, "mqtt");
    assert_eq!(
        String::from_utf8(accepted.response).unwrap(),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
    );
}

#[test]
fn every_part_of_the_request_is_waited_for() {
    for length in 0..GOOD.len() {
        assert!(head(&GOOD.as_bytes()[..length]).unwrap().is_none(), "{length}");
    }
}

#[test]
fn each_protocol_has_subprotocols_of_its_own() {
    let head = |text: &str| head(text.as_bytes()).unwrap().unwrap();
    assert!(head(GOOD).into_answer(Carried::COAP).unwrap_err().problem.contains("Protocol: coap"));
    let coap = head(&GOOD.replace("chat, mqtt", "mqtt, coap")).into_answer(Carried::COAP).unwrap();
    assert_eq!(coap.subprotocol, "coap");
}

#[test]
fn an_old_subprotocol_is_taken_when_it_is_the_only_one() {
    let old = GOOD.replace("chat, mqtt", "mqttv3.1");
    assert!(response(&old).contains("Sec-WebSocket-Protocol: mqttv3.1\r\n"));
    let both = GOOD.replace("chat, mqtt", "mqttv3.1\r\nSec-WebSocket-Protocol: mqtt");
    assert!(response(&both).contains("Sec-WebSocket-Protocol: mqtt\r\n"));
}

#[test]
fn a_bad_request_is_told_what_is_wrong() {
    let cases = [
        ("GET /", "POST /", "405 Method Not Allowed", "Allow: GET"),
        ("HTTP/1.1", "HTTP/1.0", "400 Bad Request", "HTTP/1.1"),
        ("Host: server.example.com\r\n", "", "400 Bad Request", "Host"),
        ("Upgrade: WebSocket\r\n", "", "426 Upgrade Required", "Upgrade: websocket"),
        ("UPGRADE", "close", "400 Bad Request", "Connection"),
        ("Version: 13", "Version: 8", "426 Upgrade Required", "Sec-WebSocket-Version: 13"),
        ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZQ==", "400 Bad Request", "16 bytes"),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", "400 Bad Request", "Sec-WebSocket-Key"),
        ("chat, mqtt", "chat, MQTT", "400 Bad Request", "Sec-WebSocket-Protocol: mqtt"),
        ("Sec-WebSocket-Protocol: chat, mqtt\r\n", "", "400 Bad Request", "Sec-WebSocket-Protocol: mqtt"),
        ("Origin: http://example.com", "Content-Length: 3", "400 Bad Request", "no body"),
    ];
    for (part, instead, status, help) in cases {
        let request = GOOD.replace(part, instead);
        assert_ne!(request, GOOD);
        let response = response(&request);
        assert!(response.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{response}");
        assert!(response.contains(help), "{response}");
    }
}

#[test]
fn what_is_not_http_is_refused_at_once() {
    for bytes in [&b"\x10\x0c\x00\x04MQTT"[..], b"\x16\x03\x01", b"GET /\x00 HTTP/1.1\r\n", b"HELLO\n\n"] {
        assert_eq!(head(bytes).unwrap_err(), HeadError::NotHttp, "{bytes:?}");
    }
}

#[test]
fn a_head_without_end_is_refused() {
    let endless = format!("GET / HTTP/1.1\r\nCookie: {}", "x".repeat(20_000));
    assert_eq!(head(endless.as_bytes()).unwrap_err(), HeadError::TooLarge);
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(65));
    assert_eq!(head(many.as_bytes()).unwrap_err(), HeadError::TooLarge);
}

proptest! {
    #[test]
    fn nonsense_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..500), at in 0..GOOD.len()) {
        let _ = head(&bytes);
        let mut spoiled = GOOD.as_bytes().to_vec();
        spoiled.splice(at..(at + bytes.len().min(9)).min(GOOD.len()), bytes.into_iter().take(9));
        if let Ok(Some(head)) = head(&spoiled) {
            prop_assert!(head.len() <= spoiled.len());
            let _ = head.into_answer(Carried::MQTT).map_err(|refused| refused.response());
        }
    }
}
