//! CONNECT and its answer (MQTT 5 §3.1, §3.2).

use super::{Client, ClientConfig, ClientOutput, Server, State};
use crate::Transmit;
use crate::mqtt::ReasonCode;
use crate::mqtt::codec::{CodecError, Connack, Connect, Disconnect, Packet, Properties, Version};
use windrose_event::Now;

impl Server {
    /// What holds if CONNACK says nothing.
    pub(super) fn unsaid(config: &ClientConfig) -> Self {
        Self {
            receive_maximum: u16::MAX,
            maximum_packet_size: u32::MAX,
            maximum_qos: 2,
            retain_available: true,
            topic_aliases: 0,
            subscription_identifiers: config.version == Version::V5,
            keep_alive: config.keep_alive,
        }
    }

    fn said(config: &ClientConfig, properties: &Properties) -> Self {
        let unsaid = Self::unsaid(config);
        Self {
            receive_maximum: properties.receive_maximum.unwrap_or(unsaid.receive_maximum),
            maximum_packet_size: properties.maximum_packet_size.unwrap_or(unsaid.maximum_packet_size),
            maximum_qos: properties.maximum_qos.unwrap_or(unsaid.maximum_qos),
            retain_available: properties.retain_available != Some(0),
            topic_aliases: properties.topic_alias_maximum.unwrap_or(0).min(config.topic_aliases),
            subscription_identifiers: properties.subscription_identifiers_available != Some(0),
            keep_alive: properties.server_keep_alive.unwrap_or(unsaid.keep_alive),
        }
    }
}

impl Client {
    /// A transport is up: says CONNECT.
    pub fn handle_connected(&mut self, now: Now) {
        self.state = State::Connecting;
        self.server = Server::unsaid(&self.config);
        self.transmit = Transmit::default();
        self.last_heard = now.moment;
        let config = &self.config;
        let expiry = u32::try_from(config.session_expiry.as_secs()).unwrap_or(u32::MAX);
        let properties = (config.version == Version::V5).then(|| {
            Box::new(Properties {
                session_expiry_interval: (expiry > 0).then_some(expiry),
                receive_maximum: (config.receive_maximum < u16::MAX).then_some(config.receive_maximum),
                maximum_packet_size: Some(config.packet_bytes),
                ..Properties::default()
            })
        });
        let connect = Connect {
            version: config.version,
            legacy: false,
            bridge: false,
            clean_start: !self.cleared,
            keep_alive: config.keep_alive,
            client_id: config.client_id.clone(),
            will: None,
            username: config.username.clone(),
            password: config.password.clone(),
            properties,
        };
        self.say(now, &Packet::Connect(Box::new(connect)));
    }

    pub(super) fn connack(&mut self, now: Now, connack: Connack) -> Result<(), CodecError> {
        let properties = connack.properties.map(|properties| *properties).unwrap_or_default();
        if connack.code != ReasonCode::SUCCESS {
            let said = properties.reason_string.as_ref().map(|reason| format!(" ({reason})"));
            let version = if self.config.version == Version::V5 { "reason" } else { "return" };
            self.close(format!(
                "the server refused the connection with {version} code {:#04x}{}",
                connack.code.0,
                said.unwrap_or_default()
            ));
            return Ok(());
        }
        if connack.session_present && !self.cleared {
            return Err(CodecError::protocol("CONNACK has a session where a new one was asked for"));
        }
        if !self.cleared && self.config.version != Version::V5 {
            // 3.1.1 §3.1.2.4: a clean session ends with its connection. This one has cleared what was there before; the
            // next is kept.
            self.cleared = true;
            self.state = State::Open;
            let code = ReasonCode::SUCCESS;
            self.say(now, &Packet::Disconnect(Disconnect { code, properties: None }));
            self.end(None);
            return Ok(());
        }
        self.cleared = true;
        self.server = Server::said(&self.config, &properties);
        self.state = State::Open;
        self.put(ClientOutput::Opened { resumed: connack.session_present });
        if connack.session_present {
            self.send_again(now);
        } else {
            self.lose_session();
        }
        self.send_waiting(now);
        Ok(())
    }
}
