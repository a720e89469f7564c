//! aiocoap, which nobody here wrote, lives with the node over every transport of CoAP.

use serde_json::{Value, json};
use windrose_e2e::Node;
use windrose_e2e::clients::{aiocoap, result};
use windrose_e2e::documents::open_coap;

/// What a thing tells of its life.
fn a_good_life(path: &str) -> Value {
    json!({
        "created": "2.01 Created",
        "changed": "2.04 Changed",
        "value": ["2.05 Content", 0, "two"],
        "valid": "2.03 Valid",
        "published": "2.04 Changed",
        "large": "2.01 Created",
        "same": true,
        "observed": ["two", "three", "four"],
        "links": [format!("/{path}"), format!("/{path}/large")],
        "deleted": "2.02 Deleted",
        "gone": "4.04 Not Found",
    })
}

fn start() -> Node {
    let others = "  - {name: coap-tcp, protocol: coap, transport: tcp, bind: \"127.0.0.1:${COAP}\"}\n  \
                  - {name: coap-ws, protocol: coap, transport: websocket, bind: \"127.0.0.1:${COAPS}\"}\nidentity:";
    Node::start(&open_coap("").replacen("identity:", others, 1))
}

#[test]
fn aiocoap_lives_over_udp() {
    let node = start();
    let life = result(aiocoap("life.py", &[&format!("coap://{}", node.coap()), "things/udp"]));
    assert_eq!(life, a_good_life("things/udp"));
}

#[test]
fn aiocoap_lives_over_tcp() {
    let node = start();
    let life = result(aiocoap("life.py", &[&format!("coap+tcp://{}", node.coap()), "things/tcp"]));
    assert_eq!(life, a_good_life("things/tcp"));
}

#[test]
fn aiocoap_lives_over_websocket() {
    let node = start();
    let life = result(aiocoap("life.py", &[&format!("coap+ws://{}", node.coaps()), "things/ws"]));
    assert_eq!(life, a_good_life("things/ws"));
}
