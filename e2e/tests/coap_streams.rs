//! CoAP on connections (RFC 8323): TCP, TLS and WebSocket, on one port with others.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use windrose_e2e::certs::Authority;
use windrose_e2e::clients::{Said, request};
use windrose_e2e::libcoap::{Build, coap_client as client};
use windrose_e2e::node::Setup;
use windrose_e2e::wait_until;
use windrose_e2e::websocket::{BINARY, FIN, WebSocket, frame};

const HEAD: &str = r##"
node: {name: e2e, shards: 2}
admin: {bind: "127.0.0.1:${ADMIN}"}
identity: {anonymous: allow}
access:
  - {who: anonymous, may: [publish, subscribe, read], on: "#"}
"##;

const UDP: &str = "  - {name: udp, protocol: coap, bind: \"127.0.0.1:${COAP}\"}\n";
const TCP: &str = "  - {name: tcp, protocol: coap, transport: tcp, bind: \"127.0.0.1:${COAP}\"}\n";
const WS: &str = "  - {name: ws, protocol: coap, transport: websocket, bind: \"127.0.0.1:${COAP}\"}\n";
const REST: &str = "  - {name: rest, protocol: http, bind: \"127.0.0.1:${COAP}\"}\n";

fn listeners(list: &[&str]) -> String {
    format!("{HEAD}listeners:\n{}", list.concat())
}

/// libcoap's client.
fn coap_client(arguments: &[&str]) -> Said {
    client(Build::OpenSsl, arguments)
}

/// What the peer says within a while, at least so many bytes.
fn heard(stream: &mut TcpStream, least: usize) -> Vec<u8> {
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let (mut bytes, mut scratch) = (Vec::new(), [0; 512]);
    while bytes.len() < least {
        match stream.read(&mut scratch) {
            Ok(length) if length > 0 => bytes.extend_from_slice(&scratch[..length]),
            end => panic!("{end:?} after {bytes:02x?}"),
        }
    }
    bytes
}

#[test]
fn udp_tcp_websocket_and_rest_share_a_port() {
    let node = Setup::new().start(&listeners(&[UDP, TCP, WS, REST]));
    let put = coap_client(&["-m", "put", "-e", "23", &format!("coap+tcp://{}/a/b", node.coap())]);
    put.fine();
    // The same last value, by every way.
    for scheme in ["coap", "coap+tcp"] {
        let got = coap_client(&[&format!("{scheme}://{}/a/b", node.coap())]).fine();
        assert_eq!(got.out.trim(), "23", "{scheme}");
    }
    assert_eq!(request(&[&format!("http://{}/v1/events/a/b", node.coap())]).body, "23");
    let mut socket = WebSocket::connect_as(node.coap(), "/.well-known/coap", "coap");
    // Its capabilities come first (RFC 8323 §5.3), in a frame without a length (§4.2).
    let (_, csm) = socket.receive().expect("a frame");
    assert_eq!(csm[..2], [0x00, 0xe1]);
    socket.send(&frame(FIN | BINARY, &[0x00, 0xe1]));
    socket.send(&frame(FIN | BINARY, &[0x01, 0x01, 0x77, 0xb1, b'a', 0x01, b'b']));
    let (_, content) = socket.receive().expect("a frame");
    assert_eq!((content[1], content[2], content.ends_with(b"23")), (0x45, 0x77, true), "{content:02x?}");
}

#[test]
fn a_stream_that_begins_like_text_is_no_http() {
    let node = Setup::new().start(&listeners(&[TCP, REST]));
    // A CSM with five bytes of options (an elective one of three bytes, and Block-Wise-Transfer) begins with `P`.
    let mut stream = TcpStream::connect(node.coap()).unwrap();
    stream.write_all(&[0x50, 0xe1, 0x43, 1, 2, 3, 0x00]).unwrap();
    // Its own, then a Pong.
    stream.write_all(&[0x01, 0xe2, 0x07]).unwrap();
    let said = heard(&mut stream, 5);
    assert_eq!(said[1], 0xe1, "{said:02x?}");
    wait_until("the session", || node.metric("windrose_connections", &["listener=\"tcp\""]) == 1.0);
    assert_eq!(request(&[&format!("http://{}/v1/nowhere", node.coap())]).status, 404);
}

#[test]
fn tls_agrees_on_coap() {
    let authority = Authority::new("servers");
    let server = authority.server(&["localhost", "127.0.0.1"]);
    let node = Setup::new()
        .file("ca.pem", &authority.certificate)
        .file("server.pem", &server.certificate)
        .file("server.key", &server.key)
        .start(&format!(
            "{HEAD}tls: {{site: {{certificate: server.pem, key: server.key}}}}\n\
             listeners:\n  - {{name: coaps, protocol: coap, transport: tcp, bind: \"127.0.0.1:${{COAPS}}\", tls: site}}\n"
        ));
    let ca = node.folder().path().join("ca.pem");
    let url = format!("coaps+tcp://{}/a", node.coaps());
    let arguments = ["-R", ca.to_str().unwrap(), "-m", "put", "-e", "5", &url];
    coap_client(&arguments).fine();
    assert_eq!(coap_client(&["-R", ca.to_str().unwrap(), &url]).fine().out.trim(), "5");
}
