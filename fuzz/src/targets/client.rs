//! The client's side of a session: a script of bytes from a server, publications, subscriptions, lost connections and time.

use super::{Script, event, packets, start, written};
use crate::signature::Signature;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{Filter, Now, Outcome, Tag};
use windrose_protocol::mqtt::codec::{Packet, Version};
use windrose_protocol::mqtt::{Client, ClientConfig, ClientOutput};

/// What a script may do, as its first byte modulo this.
const ACTS: u8 = 11;

fn config(choice: u8) -> ClientConfig {
    ClientConfig {
        version: if choice & 1 == 0 { Version::V5 } else { Version::V3 },
        client_id: "node".into(),
        username: None,
        password: None,
        session_expiry: Duration::from_secs(3600),
        keep_alive: 30,
        answer_timeout: Duration::from_secs(5),
        receive_maximum: 4,
        packet_bytes: 600,
        address_levels: 6,
        topic_aliases: 2,
        via: (choice & 2 != 0).then(|| "here".into()),
        others: choice & 4 != 0,
    }
}

struct Link {
    client: Client,
    now: Now,
    version: Version,
    /// Publications that nothing became of yet.
    owed: HashSet<u64>,
    messages: Vec<Tag>,
    closed: bool,
    out: Vec<u8>,
    signature: Signature,
}

impl Link {
    fn drain(&mut self) {
        while let Some(output) = self.client.poll_output() {
            self.signature.add(std::mem::discriminant(&output));
            match output {
                ClientOutput::Sent { token } | ClientOutput::Settled { token, .. } => {
                    assert!(self.owed.remove(&token), "something becomes of each publication once: {token}");
                }
                ClientOutput::Message { tag, .. } if tag != Tag::NONE => self.messages.push(tag),
                ClientOutput::Close { .. } => self.closed = true,
                _ => {}
            }
        }
        self.out.extend(written(self.client.transmit()));
    }

    /// The connection is gone; what was written on it is looked at.
    fn lose(&mut self) {
        let packets = packets(&std::mem::take(&mut self.out), self.version);
        check(&packets);
        for packet in packets {
            self.signature.add(std::mem::discriminant(&packet));
        }
        self.client.handle_eof(self.now);
        self.drain();
        assert!(self.out.is_empty(), "nothing is written without a connection");
    }

    fn connect(&mut self) {
        self.closed = false;
        self.client.handle_connected(self.now);
        self.drain();
    }
}

/// Something becomes of each publication once, and what is written is what a client may say, in order.
pub fn run(data: &[u8]) -> u64 {
    let mut script = Script(data);
    let Some(choice) = script.byte() else { return 0 };
    let config = config(choice);
    let version = config.version;
    let mut link = Link {
        client: Client::new(Arc::new(config)),
        now: start(),
        version,
        owed: HashSet::new(),
        messages: Vec::new(),
        closed: false,
        out: Vec::new(),
        signature: Signature::new(),
    };
    link.connect();
    let mut token = 0;
    while let Some(act) = script.byte() {
        match act % ACTS {
            0..=4 => {
                let Some(bytes) = script.bytes() else { break };
                link.client.handle_bytes(link.now, bytes);
            }
            5 => {
                token += 1;
                link.owed.insert(token);
                link.client.publish(link.now, token, event(script.byte().unwrap_or(0)));
            }
            6 => {
                if let Some(tag) = link.messages.pop() {
                    let outcome =
                        if act & 64 == 0 { Outcome::Accepted } else { Outcome::Busy { retry_after: None } };
                    link.client.settle(link.now, tag, &outcome);
                }
            }
            7 => {
                if let Ok(filter) = Filter::new("a/#") {
                    link.client.subscribe(link.now, &filter, 7);
                }
            }
            8 => {
                link.now = link.now.after(Duration::from_secs(script.byte().unwrap_or(0).into()));
                link.client.handle_timeout(link.now);
            }
            9 => {
                link.lose();
                link.connect();
            }
            _ => {
                if let Ok(filter) = Filter::new("a/#") {
                    link.client.unsubscribe(link.now, &filter);
                }
            }
        }
        link.drain();
        if link.closed {
            link.lose();
            link.connect();
        }
    }
    link.lose();
    link.signature.finish()
}

/// What a client may say, and in which order.
fn check(packets: &[Packet]) {
    for (index, packet) in packets.iter().enumerate() {
        match packet {
            Packet::Connect(_) => assert_eq!(index, 0, "CONNECT comes once"),
            Packet::Disconnect(_) => {
                assert_eq!(index + 1, packets.len(), "nothing follows DISCONNECT: {packets:?}")
            }
            Packet::Connack(_) | Packet::Suback(_) | Packet::Unsuback(_) | Packet::Pingresp => {
                panic!("a client says no {packet:?}")
            }
            _ => {}
        }
        assert!(index > 0 || matches!(packet, Packet::Connect(_)), "CONNECT is first: {packets:?}");
    }
}
