//! The node that all tests share, and what they all do with it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use windrose_e2e::Node;
use windrose_e2e::documents::open;
pub use windrose_e2e::mqtt::packet;
use windrose_e2e::mqtt::{Client, End, Options, Packet, Version, string};
use windrose_e2e::shared::Shared;
pub use windrose_e2e::shared::name;
use windrose_e2e::wait::SOON;

/// How long is waited for what must not come.
pub const QUIET: Duration = Duration::from_millis(300);

/// The node of all tests that run at the moment.
pub fn node() -> Arc<Node> {
    static SHARED: Shared = Shared::new();
    SHARED.node(&open(""))
}

/// A client with a clean session.
pub fn client(node: &Node) -> Client {
    Client::connect(node.mqtt(), &Options::v3(&name()))
}

/// A client that is subscribed to a filter.
pub fn subscriber(node: &Node, filter: &str, qos: u8) -> Client {
    let mut client = client(node);
    assert_eq!(client.subscribe(filter, qos), qos, "{filter} is granted");
    client
}

/// The server closes an open connection, without a word, when these bytes come.
pub fn assert_broken(node: &Node, bytes: &[u8]) {
    let mut client = client(node);
    client.send(bytes);
    assert_eq!(client.next(SOON), Err(End::Closed), "{bytes:02x?}");
}

/// The return code of the CONNACK, if any, before the server closes a new connection.
pub fn refused(address: SocketAddr, bytes: &[u8]) -> Option<u8> {
    let mut client = Client::open(address, Version::V3).expect("the listener listens");
    client.send(bytes);
    let code = match client.next(SOON) {
        Ok(Packet::Connack { code, present: false, .. }) => code,
        Err(End::Closed) => return None,
        other => panic!("not refused: {other:?}"),
    };
    assert_eq!(client.next(SOON), Err(End::Closed), "closed after CONNACK {code}");
    Some(code)
}

/// CONNECT of bytes: protocol name, level, flags, payload.
pub fn connect(protocol: &str, level: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    packet(0x10, &[string(protocol), vec![level, flags, 0, 60], payload.to_vec()].concat())
}

/// PUBLISH of bytes: flags, topic, packet identifier, payload.
pub fn publish(flags: u8, topic: impl AsRef<[u8]>, id: Option<u16>, payload: &[u8]) -> Vec<u8> {
    let id: Vec<u8> = id.into_iter().flat_map(u16::to_be_bytes).collect();
    packet(0x30 | flags, &[string(topic), id, payload.to_vec()].concat())
}

/// PUBACK (4), PUBREC (5), PUBREL (6) or PUBCOMP (7).
pub fn answer(kind: u8, id: u16) -> Vec<u8> {
    packet(kind << 4 | if kind == 6 { 2 } else { 0 }, &id.to_be_bytes())
}

/// The next PUBLISH, acknowledged: topic, payload, QoS, retain, DUP.
pub fn next(client: &mut Client) -> (String, String, u8, bool, bool) {
    match client.delivery(SOON) {
        Ok(Packet::Publish { topic, payload, qos, retain, again, .. }) => {
            (topic, String::from_utf8_lossy(&payload).into_owned(), qos, retain, again)
        }
        other => panic!("no message: {other:?}"),
    }
}

/// The next PUBLISH, not acknowledged: packet identifier, DUP, payload.
pub fn unanswered(client: &mut Client) -> (u16, bool, String) {
    match client.wait(SOON, |packet| matches!(packet, Packet::Publish { .. })) {
        Ok(Packet::Publish { id, again, payload, .. }) => {
            (id, again, String::from_utf8_lossy(&payload).into_owned())
        }
        other => panic!("no message: {other:?}"),
    }
}

/// Nothing is published to the client for a while.
pub fn assert_quiet(client: &mut Client, why: &str) {
    assert_eq!(client.delivery(QUIET).err(), Some(End::Timeout), "{why}");
}

/// Waits until there is a retained message of a topic, or none.
pub fn wait_retained(node: &Node, topic: &str, there: bool) {
    windrose_e2e::wait_until(&format!("retained {topic}: {there}"), || {
        let mut late = client(node);
        late.subscribe(topic, 0);
        late.delivery(QUIET).is_ok() == there
    });
}
