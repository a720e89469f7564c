//! The answer to CONNECT (MQTT 5 §3.2).

use super::{Server, State};
use crate::mqtt::ReasonCode;
use crate::mqtt::codec::{CodecError, Connack, Packet, Properties, Version};
use crate::mqtt::reason::{elsewhere, refused, refused_v3};
use std::time::Duration;
use windrose_event::{Accepted, CloseCause, Now, Refusal, Text};

/// The largest packet that a fixed header can announce (MQTT 5 §2.1.4): a bound of that is none.
const LARGEST_PACKET: u32 = 268_435_460;

impl Server {
    /// The engine opened the session.
    pub(super) fn accept(&mut self, now: Now, accepted: &Accepted) {
        self.receive_maximum = accepted.window.min(self.config.receive_maximum).max(1);
        if self.authentication.is_some() && !self.partial.is_empty() {
            return self.fail(CodecError::protocol("another packet than AUTH came before CONNACK"));
        }
        let mut properties = None;
        if self.version == Version::V5 {
            properties = Some(Box::new(Properties {
                session_expiry_interval: Some(seconds(accepted.keep)).filter(|keep| *keep != self.asked_keep),
                receive_maximum: (self.receive_maximum < u16::MAX).then_some(self.receive_maximum),
                maximum_packet_size: (self.config.packet_bytes < LARGEST_PACKET)
                    .then_some(self.config.packet_bytes),
                topic_alias_maximum: (self.config.topic_alias_maximum > 0)
                    .then_some(self.config.topic_alias_maximum),
                assigned_client_identifier: accepted.assigned.then(|| Text::from(&*accepted.session)),
                response_information: self.response_information(&accepted.session),
                retain_available: (!self.config.retain_available).then_some(0),
                maximum_qos: self.config.quirks.maximum_qos.map(|most| most as u8).filter(|&most| most < 2),
                server_keep_alive: self.keep_alive_capped.then_some(self.keep_alive),
                ..self.authentication.as_ref().map_or_else(Properties::default, |authentication| {
                    authentication.properties(accepted.data.clone())
                })
            }));
        }
        // MQTT 3.1 §3.2 has no Session Present: the byte is reserved.
        let session_present = accepted.resumed && !self.legacy;
        let connack = Connack { session_present, code: ReasonCode::SUCCESS, properties };
        if !self.say(Packet::Connack(connack)) {
            self.end(CloseCause::Protocol("CONNACK is larger than the client takes".into()), true, None);
            return;
        }
        self.state = State::Open;
        self.authenticated();
        // However long the answer took, the client has its whole keep alive from now on.
        self.last_heard = now.moment;
    }

    fn response_information(&self, session: &str) -> Option<Text> {
        let pattern = self.config.response_information.as_deref()?;
        self.asks_response_information.then(|| Text::from(pattern.replace("{session}", session).as_str()))
    }

    /// Whoever is sent away because there is no room is told of the server that has some (MQTT 5 §4.11).
    pub(super) fn sent_elsewhere(&self, code: ReasonCode) -> (ReasonCode, Option<Box<Properties>>) {
        match &self.config.server_reference {
            Some(server) if self.version == Version::V5 && elsewhere(code) => {
                let server_reference = Some(Text::from(&**server));
                let properties = Properties { server_reference, ..Properties::default() };
                (ReasonCode::USE_ANOTHER_SERVER, Some(Box::new(properties)))
            }
            _ => (code, None),
        }
    }

    /// The engine did not open the session. What it says of why is for the operator, not for the peer.
    pub(super) fn refuse(&mut self, refusal: &Refusal) {
        let code = match self.version {
            Version::V3 => refused_v3(refusal.cause),
            Version::V5 => refused(refusal.cause),
        };
        let (code, properties) = self.sent_elsewhere(code);
        self.say(Packet::Connack(Connack { session_present: false, code, properties }));
        self.close_transport(CloseCause::Ours);
    }
}

/// Whole seconds; the largest number stands for ever.
pub(super) fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}
