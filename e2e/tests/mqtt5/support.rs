//! The node that all tests share, and what they all do with it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use windrose_e2e::Node;
use windrose_e2e::documents::open;
use windrose_e2e::mqtt::{Client, End, Options, Packet, Properties, Version};
use windrose_e2e::shared::Shared;
pub use windrose_e2e::shared::name;
use windrose_e2e::wait::SOON;

/// How long is waited for what must not come.
pub const QUIET: Duration = Duration::from_millis(300);

/// What the shared node allows besides, announces and bounds.
const MORE: &str = r##"  - {who: anonymous, may: [subscribe], on: "$SYS/#"}
limits: {receive_maximum: 20, topic_aliases: 10, packet_bytes: 384KiB, session_expiry: 1h}
"##;

/// The node of all tests that run at the moment.
pub fn node() -> Arc<Node> {
    static SHARED: Shared = Shared::new();
    SHARED.node(&open(MORE))
}

/// A client with a session of its own.
pub fn client(node: &Node) -> Client {
    Client::connect(node.mqtt(), &Options::v5(&name()))
}

/// A client that is subscribed to a filter.
pub fn subscriber(node: &Node, filter: &str, options: u8) -> Client {
    let mut client = client(node);
    assert!(client.subscribe(filter, options) < 0x80, "{filter} is granted");
    client
}

/// Sends bytes on a connection that is open, and returns the code of the DISCONNECT before the server closes it.
pub fn broken(node: &Node, bytes: &[u8]) -> Option<u8> {
    let mut client = client(node);
    client.send(bytes);
    client.closed()
}

/// The server ends the connection when these bytes come, as malformed or as a breach of the protocol. Where the
/// specification does not say which of the two, and whether a DISCONNECT tells (§4.13), either is fine.
pub fn assert_wrong(node: &Node, bytes: &[u8], why: &str) {
    let said = broken(node, bytes);
    assert!(matches!(said, None | Some(0x81 | 0x82)), "{why} {bytes:02x?}: {said:x?}");
}

/// Sends bytes on a new connection and returns the code of the CONNACK, if any, before the server closes it.
pub fn refused(address: SocketAddr, bytes: &[u8]) -> Option<u8> {
    let mut client = Client::open(address, Version::V5).expect("the listener listens");
    client.send(bytes);
    let code = match client.next(SOON) {
        Ok(Packet::Connack { code, present, .. }) => {
            assert!(!present, "no session with a refusal");
            Some(code)
        }
        Err(End::Closed) => return None,
        other => panic!("not refused: {other:?}"),
    };
    assert_eq!(client.closed(), None, "nothing after a CONNACK that refuses");
    code
}

/// What CONNACK says to these options.
pub fn connack(node: &Node, options: &Options) -> (Client, bool, Properties) {
    match Client::try_connect(node.mqtt(), options) {
        Ok((client, present, 0, properties)) => (client, present, properties),
        other => panic!("{} is not accepted: {other:?}", options.id),
    }
}

/// The next PUBLISH, whole and acknowledged.
pub fn next(client: &mut Client) -> Message {
    match client.delivery(SOON) {
        Ok(Packet::Publish { topic, payload, qos, retain, again, id, properties }) => Message {
            topic,
            payload: String::from_utf8_lossy(&payload).into_owned(),
            qos,
            retain,
            again,
            id,
            properties,
        },
        other => panic!("no message: {other:?}"),
    }
}

/// A message from the server.
#[derive(Debug)]
#[allow(dead_code, reason = "each test looks at what it is about; all of it is shown when one fails")]
pub struct Message {
    pub topic: String,
    pub payload: String,
    pub qos: u8,
    pub retain: bool,
    pub again: bool,
    pub id: u16,
    pub properties: Properties,
}

/// Nothing is published to the client for a while.
pub fn assert_quiet(client: &mut Client, why: &str) {
    assert_eq!(client.delivery(QUIET).err(), Some(End::Timeout), "{why}");
}

/// The next PUBLISH, not acknowledged.
pub fn unanswered(client: &mut Client) -> (u16, bool, String) {
    match client.wait(SOON, |packet| matches!(packet, Packet::Publish { .. })) {
        Ok(Packet::Publish { id, again, payload, .. }) => {
            (id, again, String::from_utf8_lossy(&payload).into_owned())
        }
        other => panic!("no message: {other:?}"),
    }
}

/// Waits until there is a retained message of a topic, or none.
pub fn wait_retained(node: &Node, topic: &str, there: bool) {
    windrose_e2e::wait_until(&format!("retained {topic}: {there}"), || {
        let mut late = client(node);
        late.subscribe(topic, 0);
        late.delivery(QUIET).is_ok() == there
    });
}

/// PUBLISH with everything of the test's choice: flags, topic, packet identifier, properties, payload.
pub fn publish(flags: u8, topic: &str, id: Option<u16>, properties: &[u8], payload: &[u8]) -> Vec<u8> {
    use windrose_e2e::mqtt::{packet, property, string};
    let mut body = string(topic);
    body.extend(id.into_iter().flat_map(u16::to_be_bytes));
    body.extend(property::block(properties));
    body.extend_from_slice(payload);
    packet(0x30 | flags, &body)
}

/// PUBACK (4), PUBREC (5), PUBREL (6) or PUBCOMP (7) in its short form.
pub fn answer(kind: u8, id: u16) -> Vec<u8> {
    let flags = if kind == 6 { 2 } else { 0 };
    let [high, low] = id.to_be_bytes();
    vec![kind << 4 | flags, 2, high, low]
}

/// A CONNECT of bytes: protocol name, level, flags, properties, payload.
pub fn connect(protocol: &str, level: u8, flags: u8, properties: &[u8], payload: &[u8]) -> Vec<u8> {
    use windrose_e2e::mqtt::{packet, property, string};
    let body = [string(protocol), vec![level, flags, 0, 60], property::block(properties), payload.to_vec()];
    packet(0x10, &body.concat())
}
