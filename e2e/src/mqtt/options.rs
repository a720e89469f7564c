//! What a client connects with, and its CONNECT packet.

use super::property;
use super::wire::{Version, packet, string};

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
    /// QoS of the will.
    pub will_qos: u8,
    /// Whether the will is retained.
    pub will_retain: bool,
    /// Will Delay Interval, in seconds; MQTT 5 only.
    pub will_delay: u32,
    /// Receive Maximum; MQTT 5 only.
    pub receive_maximum: Option<u16>,
    /// Maximum Packet Size; MQTT 5 only.
    pub maximum_packet: Option<u32>,
    /// Further properties, as they stand on the wire; MQTT 5 only.
    pub properties: Vec<u8>,
    /// Further properties of the will.
    pub will_properties: Vec<u8>,
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
            will_qos: 1,
            will_retain: false,
            will_delay: 0,
            receive_maximum: None,
            maximum_packet: None,
            properties: Vec::new(),
            will_properties: Vec::new(),
        }
    }

    /// MQTT 3.1.1 with a clean session.
    pub fn v3(id: &str) -> Self {
        Self { version: Version::V3, ..Self::v5(id) }
    }

    /// MQTT 3.1 with a clean session.
    pub fn v31(id: &str) -> Self {
        Self { version: Version::V31, ..Self::v5(id) }
    }

    /// With a further property.
    pub fn property(mut self, property: Vec<u8>) -> Self {
        self.properties.extend(property);
        self
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
        let will = 0x04 | self.will_qos << 3 | u8::from(self.will_retain) << 5;
        flags |= if self.will.is_some() { will } else { 0 };
        flags |= if self.credentials.is_some() { 0xc0 } else { 0 };
        let (name, level) = match self.version {
            Version::V31 => ("MQIsdp", 3),
            Version::V3 => ("MQTT", 4),
            Version::V5 => ("MQTT", 5),
        };
        let mut body = string(name);
        body.extend([level, flags]);
        body.extend(self.keep_alive.to_be_bytes());
        if v5 {
            let mut properties = self.properties.clone();
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
            body.extend(property::block(&properties));
        }
        body.extend(string(&self.id));
        if let Some((topic, payload)) = &self.will {
            if v5 {
                let delay = property::four(property::WILL_DELAY, self.will_delay);
                body.extend(property::block(&[delay, self.will_properties.clone()].concat()));
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
