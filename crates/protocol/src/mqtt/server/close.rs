//! The end of a connection, from either side (MQTT 5 §3.14, §4.13).

use super::{Server, State};
use crate::mqtt::ReasonCode;
use crate::mqtt::codec::{CodecError, Connack, Disconnect, Packet, Properties, Version, encode};
use crate::mqtt::reason::closed;
use std::time::Duration;
use windrose_event::{CloseCause, CloseReason, Text};

impl Server {
    /// DISCONNECT from the client.
    pub(super) fn disconnect(&mut self, disconnect: Disconnect) -> Result<(), CodecError> {
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
        let answerable = self.state != State::Fresh
            || matches!(
                error.code,
                ReasonCode::UNSUPPORTED_PROTOCOL_VERSION
                    | ReasonCode::BAD_AUTHENTICATION_METHOD
                    | ReasonCode::TOPIC_NAME_INVALID
                    | ReasonCode::PACKET_TOO_LARGE
            );
        match self.state {
            State::Open => self.say_disconnect(error.code, Some(error.problem)),
            State::Fresh | State::Opening if answerable && self.version == Version::V5 => {
                let reason_string = Some(Text::from_static(error.problem));
                let properties = Some(Box::new(Properties { reason_string, ..Properties::default() }));
                self.say_connack(Connack { session_present: false, code: error.code, properties });
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
                _ => None,
            };
            self.say_disconnect(closed(reason), detail);
        }
        self.close_transport(CloseCause::Ours);
    }

    /// DISCONNECT to the client; 3.1.1 has none from a server.
    pub(super) fn say_disconnect(&mut self, code: ReasonCode, detail: Option<&str>) {
        if self.version == Version::V3 {
            return;
        }
        let properties = detail.map(|detail| {
            Box::new(Properties { reason_string: Some(Text::from(detail)), ..Properties::default() })
        });
        let packet = |properties| Packet::Disconnect(Disconnect { code, properties });
        let out = self.transmit.buffer();
        let before = out.len();
        encode(&packet(properties), Version::V5, out);
        if out.len() - before > self.maximum_packet_size as usize {
            out.truncate(before);
            encode(&packet(None), Version::V5, out);
        }
    }
}
