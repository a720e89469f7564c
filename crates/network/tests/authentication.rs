//! Enhanced authentication on loopback sockets, by a registry with a method of two steps.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use windrose_event::{
    Claim, Conversation, Identity, NoAuthority, Pending, Principal, Refusal, RefusalCause, Registry, Secret,
    Step, Text, Verdict,
};
use windrose_identity::TokenSigner;
use windrose_network::{Node, NodeParts};
use windrose_policy::compile;
use windrose_protocol::mqtt::ReasonCode;
use windrose_protocol::mqtt::codec::{Auth, Connect, Packet, Properties, Version, decode, encode};

/// A registry whose one method, `TWO-STEP`, asks for a number and wants its double.
struct TwoSteps;

impl Registry for TwoSteps {
    fn identify_at_once(&self, _: &Claim) -> Option<Verdict> {
        Some(Ok(Identity::anonymous()))
    }

    fn identify(&self, _: Box<Claim>) -> Pending<Verdict> {
        Box::pin(std::future::ready(Ok(Identity::anonymous())))
    }

    fn converse(&self, claim: &Claim) -> Option<Box<dyn Conversation>> {
        (claim.method.as_deref()? == "TWO-STEP").then(|| Box::new(Double { asked: None }) as _)
    }
}

struct Double {
    asked: Option<u8>,
}

impl Conversation for Double {
    fn step(&mut self, response: Option<&Secret>) -> Step {
        let said = response.and_then(|response| response.reveal().first().copied());
        match (self.asked, said) {
            // Whoever says 0 is asked for ever.
            (_, Some(0)) => Step::Challenge(None),
            (None, Some(number)) => {
                self.asked = Some(number);
                Step::Challenge(Some(Bytes::copy_from_slice(&[number])))
            }
            (Some(number), Some(double)) if double == number * 2 => {
                let principal = Principal::Device { id: "d".into(), owner: None };
                let data = Some(Bytes::from_static(b"right"));
                Step::Known { identity: Identity { principal, ..Identity::anonymous() }, data }
            }
            _ => {
                let detail = "that is not the double".to_owned();
                Step::Refused(Refusal { cause: RefusalCause::BadCredentials, detail })
            }
        }
    }
}

async fn node() -> Node {
    let text = "
listeners: [{name: mqtt, protocol: mqtt, bind: \"127.0.0.1:0\"}]
node: {shards: 1}
identity: {anonymous: allow}
";
    let snapshot = compile("test.yaml", text, &|_| None).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let read = Arc::new(|_: &std::path::Path| Err(std::io::Error::other("nothing is read here")));
    let parts = NodeParts {
        snapshot: Arc::new(snapshot),
        registry: Arc::new(TwoSteps),
        enrolment: Arc::new(NoAuthority),
        signer: Arc::new(TokenSigner::new("windrose")),
        read,
        seed: 1,
        journal: None,
    };
    Node::start(parts).await.expect("the node starts")
}

struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Client {
    async fn new(node: &Node) -> Self {
        let address = node.addresses().remove(0).1;
        Self { stream: TcpStream::connect(address).await.unwrap(), unread: Vec::new() }
    }

    /// A client that has sent CONNECT.
    async fn connecting(node: &Node, method: &str, data: u8) -> Self {
        let mut client = Self::new(node).await;
        let connect = Connect {
            version: Version::V5,
            legacy: false,
            bridge: false,
            clean_start: true,
            keep_alive: 0,
            client_id: "c".into(),
            will: None,
            username: None,
            password: None,
            properties: properties(method, data),
        };
        client.send(Packet::Connect(Box::new(connect))).await;
        client
    }

    async fn send(&mut self, packet: Packet) {
        let mut bytes = Vec::new();
        encode(&packet, Version::V5, &mut bytes);
        self.stream.write_all(&bytes).await.unwrap();
    }

    async fn auth(&mut self, code: u8, data: u8) {
        self.send(Packet::Auth(Auth { code: ReasonCode(code), properties: properties("TWO-STEP", data) }))
            .await;
    }

    /// The next packet; `None` once the connection is closed.
    async fn read(&mut self) -> Option<Packet> {
        loop {
            if let Some((packet, taken)) = decode(&self.unread, Version::V5).unwrap() {
                self.unread.drain(..taken);
                return Some(packet);
            }
            let wait = Duration::from_secs(10);
            let read = tokio::time::timeout(wait, self.stream.read_buf(&mut self.unread)).await;
            if read.expect("an answer in time").unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// The code and data of the next packet.
    async fn told(&mut self) -> (u8, Option<Bytes>) {
        let (code, properties) = match self.read().await {
            Some(Packet::Connack(connack)) => (connack.code, connack.properties),
            Some(Packet::Auth(auth)) => (auth.code, auth.properties),
            Some(Packet::Disconnect(disconnect)) => (disconnect.code, disconnect.properties),
            other => panic!("{other:?}"),
        };
        (code.0, properties.and_then(|properties| properties.authentication_data))
    }
}

fn properties(method: &str, data: u8) -> Option<Box<Properties>> {
    Some(Box::new(Properties {
        authentication_method: Some(Text::from(method)),
        authentication_data: Some(Bytes::copy_from_slice(&[data])),
        ..Properties::default()
    }))
}

fn right() -> Option<Bytes> {
    Some(Bytes::from_static(b"right"))
}

/// [MQTT-4.12.0-1] [MQTT-4.12.0-2] [MQTT-4.12.1-1] [MQTT-4.12.1-2]
#[tokio::test]
async fn a_client_proves_itself_and_does_so_again() {
    let node = node().await;
    let mut client = Client::connecting(&node, "TWO-STEP", 4).await;
    assert_eq!(client.told().await, (0x18, Some(Bytes::from_static(&[4]))));
    client.auth(0x18, 8).await;
    assert_eq!(client.told().await, (0x00, right()));
    client.auth(0x19, 5).await;
    assert_eq!(client.told().await, (0x18, Some(Bytes::from_static(&[5]))));
    client.auth(0x18, 10).await;
    assert_eq!(client.told().await, (0x00, right()));
    client.auth(0x19, 5).await;
    client.told().await;
    client.auth(0x18, 11).await;
    assert_eq!(client.told().await, (0x87, None), "it failed, and is sent away");
    assert_eq!(client.read().await, None);
    node.stop().await;
}

/// [MQTT-4.12.0-1] [MQTT-4.12.0-4]
#[tokio::test]
async fn a_client_that_cannot_prove_itself_is_refused() {
    let node = node().await;
    let mut unknown = Client::connecting(&node, "THREE-STEP", 4).await;
    assert_eq!(unknown.told().await.0, 0x8c);
    let mut wrong = Client::connecting(&node, "TWO-STEP", 4).await;
    wrong.told().await;
    wrong.auth(0x18, 9).await;
    assert_eq!(wrong.told().await.0, 0x86);
    assert_eq!(wrong.read().await, None);
    let mut endless = Client::connecting(&node, "TWO-STEP", 0).await;
    let mut challenges = 0;
    while endless.told().await.0 == 0x18 {
        challenges += 1;
        endless.auth(0x18, 0).await;
    }
    assert_eq!(challenges, windrose_event::MOST_CHALLENGES, "a conversation has an end");
    node.stop().await;
}
