//! What a client connects with, and its CONNECT packet.

use super::wire::{Version, packet, property, string, varint};

/// What a client connects with.
#[derive(Clone, Debug)]
pub struct Options {
    /// The version spoken.
    pub version: Version,
    /// The client identifier.
    pub id: String,
    /// Whether an earlier session is ended (Clean Session, Clean Start).
    pub clean: bool,
    /// Session Expiry Interval, in seconds; MQTT 5 only.
    pub session_expiry: u32,
    /// Keep Alive, in seconds.
    pub keep_alive: u16,
    /// User name and password.
    pub credentials: Option<(String, String)>,
    /// Topic and payload of the will.
    pub will: Option<(String, String)>,
    /// Will Delay Interval, in seconds; MQTT 5 only.
    pub will_delay: u32,
    /// Receive Maximum; MQTT 5 only.
    pub receive_maximum: Option<u16>,
    /// Maximum Packet Size; MQTT 5 only.
    pub maximum_packet: Option<u32>,
}

impl Options {
    /// MQTT 5 with a new session that ends with the connection.
    pub fn v5(id: &str) -> Self {
        Self {
            version: Version::V5,
            id: id.to_owned(),
            clean: true,
            session_expiry: 0,
            keep_alive: 60,
            credentials: None,
            will: None,
            will_delay: 0,
            receive_maximum: None,
            maximum_packet: None,
        }
    }

    /// MQTT 3.1.1 with a clean session.
    pub fn v3(id: &str) -> Self {
        Self { version: Version::V3, ..Self::v5(id) }
    }

    /// With a session that outlives the connection, and is taken up again.
    pub fn persistent(self) -> Self {
        Self { clean: false, session_expiry: 3600, ..self }
    }

    /// With user name and password.
    pub fn credentials(self, user: &str, password: &str) -> Self {
        Self { credentials: Some((user.to_owned(), password.to_owned())), ..self }
    }

    /// With a will.
    pub fn will(self, topic: &str, payload: &str) -> Self {
        Self { will: Some((topic.to_owned(), payload.to_owned())), ..self }
    }

    /// The CONNECT packet.
    pub fn packet(&self) -> Vec<u8> {
        let v5 = self.version == Version::V5;
        let mut flags = 0;
        flags |= if self.clean { 0x02 } else { 0 };
        flags |= if self.will.is_some() { 0x04 | 0x08 } else { 0 };
        flags |= if self.credentials.is_some() { 0xc0 } else { 0 };
        let mut body = string("MQTT");
        body.extend([if v5 { 5 } else { 4 }, flags]);
        body.extend(self.keep_alive.to_be_bytes());
        if v5 {
            let mut properties = Vec::new();
            if self.session_expiry > 0 {
                properties.push(property::SESSION_EXPIRY);
                properties.extend(self.session_expiry.to_be_bytes());
            }
            if let Some(most) = self.receive_maximum {
                properties.push(property::RECEIVE_MAXIMUM);
                properties.extend(most.to_be_bytes());
            }
            if let Some(most) = self.maximum_packet {
                properties.push(property::MAXIMUM_PACKET_SIZE);
                properties.extend(most.to_be_bytes());
            }
            body.extend(varint(properties.len()));
            body.extend(properties);
        }
        body.extend(string(&self.id));
        if let Some((topic, payload)) = &self.will {
            if v5 {
                body.extend([5, property::WILL_DELAY]);
                body.extend(self.will_delay.to_be_bytes());
            }
            body.extend(string(topic));
            body.extend(string(payload));
        }
        if let Some((user, password)) = &self.credentials {
            body.extend(string(user));
            body.extend(string(password));
        }
        packet(0x10, &body)
    }
}
