//! The end of a connection, from either side (MQTT 5 §3.14, §4.13).

use super::{Server, State};
use crate::mqtt::ReasonCode;
use crate::mqtt::codec::{CodecError, Connack, Disconnect, Packet, Properties, Version, encode, kind};
use crate::mqtt::reason::{closed, is_clients};
use std::time::Duration;
use windrose_event::{CloseCause, CloseReason, Text};

impl Server {
    /// DISCONNECT from the client.
    pub(super) fn disconnect(&mut self, disconnect: Disconnect) -> Result<(), CodecError> {
        if !is_clients(kind::DISCONNECT, disconnect.code)
            || disconnect.properties.as_ref().is_some_and(|properties| properties.server_reference.is_some())
        {
            // It is going: there is nothing to tell it.
            return Err(CodecError::silent("DISCONNECT says what only servers say"));
        }
        let expiry = disconnect.properties.and_then(|properties| properties.session_expiry_interval);
        if expiry.is_some_and(|seconds| seconds > 0) && self.expires_at_once {
            return Err(CodecError::protocol("DISCONNECT keeps a session that CONNECT did not"));
        }
        let keep = expiry.map(|seconds| match seconds {
            u32::MAX => Duration::MAX,
            seconds => Duration::from_secs(seconds.into()),
        });
        let with_will = disconnect.code != ReasonCode::SUCCESS;
        self.end(CloseCause::Goodbye, with_will, keep);
        Ok(())
    }

    /// The client broke the protocol.
    pub(super) fn fail(&mut self, error: CodecError) {
        match (self.state, self.version) {
            _ if !error.is_told() => {}
            (State::Open, _) => self.say_disconnect(error.code, Some(error.problem)),
            (State::Fresh, _) if !self.version_known => {}
            (State::Fresh, Version::V3) if error.code == ReasonCode::UNSUPPORTED_PROTOCOL_VERSION => {
                // 3.1.1 §3.2.2.3: unacceptable protocol version.
                self.say(Packet::Connack(Connack {
                    session_present: false,
                    code: ReasonCode(1),
                    properties: None,
                }));
            }
            (State::Fresh | State::Opening | State::Challenged, Version::V5) => {
                let properties = self.explanation(error.problem);
                self.say(Packet::Connack(Connack { session_present: false, code: error.code, properties }));
            }
            _ => {}
        }
        self.end(CloseCause::Protocol(error.problem.into()), true, None);
    }

    /// The engine ends the connection.
    pub(super) fn closed_by_engine(&mut self, reason: &CloseReason) {
        if self.state == State::Open {
            let detail = match reason {
                CloseReason::Failed(detail) => Some(&**detail),
                CloseReason::Revoked => Some("it is no longer let in"),
                CloseReason::Quarantined => Some("its identity seems to be in use twice"),
                CloseReason::Expired => Some("what proved its identity has expired"),
                _ => None,
            };
            match self.sent_elsewhere(closed(reason)) {
                (code, properties @ Some(_)) => {
                    self.say(Packet::Disconnect(Disconnect { code, properties }));
                }
                (code, None) => self.say_disconnect(code, detail),
            }
        }
        self.close_transport(CloseCause::Ours);
    }

    /// Appends a packet, without its reason string if the client takes it no otherwise; `false` if it does not take it at
    /// all (MQTT 5 §3.1.2.11.4, Maximum Packet Size).
    pub(super) fn say(&mut self, mut packet: Packet) -> bool {
        loop {
            let out = self.transmit.buffer();
            let before = out.len();
            encode(&packet, self.version, out);
            if out.len() - before <= self.maximum_packet_size as usize {
                self.packets.sent += 1;
                return true;
            }
            out.truncate(before);
            if !packet.drop_reason() {
                return false;
            }
        }
    }

    /// A reason string for CONNACK or DISCONNECT, for a client that asked for such.
    fn explanation(&self, problem: &str) -> Option<Box<Properties>> {
        self.explains.then(|| {
            Box::new(Properties { reason_string: Some(Text::from(problem)), ..Properties::default() })
        })
    }

    /// DISCONNECT to the client; 3.1.1 has none from a server.
    pub(super) fn say_disconnect(&mut self, code: ReasonCode, detail: Option<&str>) {
        if self.version == Version::V3 {
            return;
        }
        let properties = detail.and_then(|detail| self.explanation(detail));
        self.say(Packet::Disconnect(Disconnect { code, properties }));
    }
}
