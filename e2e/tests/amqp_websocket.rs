//! AMQP 1.0 over WebSocket, as its binding says: the subprotocol `amqp`, binary frames, cut anywhere.

use windrose_e2e::Node;
use windrose_e2e::clients::{amqp_node, result};
use windrose_e2e::documents::OPEN;
use windrose_e2e::node::Setup;
use windrose_e2e::websocket::{BINARY, FIN, WebSocket, ask, frame, request};

fn start() -> Node {
    let listener =
        "  - {name: ws, protocol: amqp, transport: websocket, bind: \"127.0.0.1:${AMQP}\"}\nidentity:";
    Setup::new().start(&OPEN.replacen("identity:", listener, 1))
}

#[test]
fn rhea_sends_and_receives() {
    let node = start();
    let url = format!("ws://{}/amqp", node.amqp());
    for subprotocol in ["amqp", "AMQPWSB10"] {
        let said = result(amqp_node("over_websocket.js", node.amqp(), &[&url, subprotocol]));
        assert_eq!(
            (&said["received"], &said["whole"]),
            (&"hello".into(), &true.into()),
            "{subprotocol}: {said}"
        );
    }
    node.wait_metric("windrose_events_in_total", &["listener=\"ws\"", "protocol=\"amqp\""], 4.0);
}

#[test]
fn frames_need_not_be_cut_where_amqp_is() {
    let node = start();
    let mut socket = WebSocket::connect_as(node.amqp(), "/amqp", "amqp");
    for byte in b"AMQP\x00\x01\x00\x00" {
        socket.send(&frame(FIN | BINARY, &[*byte]));
    }
    // Nobody has said who it is: the layer of SASL is asked for (AMQP 1.0 §5.3.1).
    let (first, answer) = socket.receive().expect("a header");
    assert_eq!((first, answer.get(..4)), (FIN | BINARY, Some(&b"AMQP"[..])), "{answer:?}");
}

#[test]
fn who_offers_another_subprotocol_is_refused() {
    let node = start();
    let answer = ask(node.amqp(), &request("/amqp"));
    assert_eq!((answer.status(), answer.text().contains("amqp")), (400, true), "{answer:?}");
    let labels = ["listener=\"ws\"", "cause=\"websocket\""];
    node.wait_metric("windrose_connections_refused_total", &labels, 1.0);
}
