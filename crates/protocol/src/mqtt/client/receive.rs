//! From bytes to packets, and each packet to who acts on it (MQTT 5 §2.1).

use super::{Client, State};
use crate::mqtt::ReasonCode;
use crate::mqtt::codec::{CodecError, FixedHeader, Packet, decode_body, fixed_header, kind};
use windrose_event::Now;

impl Client {
    /// Takes a whole read.
    pub fn handle_bytes(&mut self, now: Now, bytes: &[u8]) {
        if self.partial.is_empty() {
            let taken = self.parse(now, bytes);
            self.keep_rest(bytes.get(taken..).unwrap_or_default());
            return;
        }
        let mut whole = std::mem::take(&mut self.partial);
        whole.extend_from_slice(bytes);
        let taken = self.parse(now, &whole);
        if taken > 0 {
            self.keep_rest(whole.get(taken..).unwrap_or_default());
        } else if self.is_reading() {
            self.partial = whole;
        }
    }

    fn is_reading(&self) -> bool {
        matches!(self.state, State::Connecting | State::Open)
    }

    fn keep_rest(&mut self, rest: &[u8]) {
        if self.is_reading() && !rest.is_empty() {
            self.partial.extend_from_slice(rest);
        }
    }

    /// Takes every complete packet; returns how many bytes those were.
    fn parse(&mut self, now: Now, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while self.is_reading() {
            let rest = bytes.get(taken..).unwrap_or_default();
            match self.take(now, rest) {
                Ok(Some(length)) => taken += length,
                Ok(None) => break,
                Err(error) => self.fail(now, error),
            }
        }
        taken
    }

    fn take(&mut self, now: Now, bytes: &[u8]) -> Result<Option<usize>, CodecError> {
        let Some(header) = fixed_header(bytes)? else { return Ok(None) };
        let end = header.length + header.remaining;
        if self.state == State::Connecting && header.first != kind::CONNACK << 4 {
            return Err(CodecError::protocol("the first packet is not CONNACK"));
        }
        if end > self.config.packet_bytes as usize {
            let problem = "a packet is larger than the Maximum Packet Size that was announced";
            return Err(CodecError { code: ReasonCode::PACKET_TOO_LARGE, problem });
        }
        let Some(body) = bytes.get(header.length..end) else { return Ok(None) };
        self.last_heard = now.moment;
        self.packet(now, header, body)?;
        Ok(Some(end))
    }

    fn packet(&mut self, now: Now, header: FixedHeader, body: &[u8]) -> Result<(), CodecError> {
        match decode_body(header, body, self.config.version)? {
            Packet::Connack(connack) if self.state == State::Connecting => self.connack(now, connack),
            Packet::Connack(_) => Err(CodecError::protocol("CONNACK came twice")),
            Packet::Publish(publish) => self.message(now, publish),
            Packet::Puback(ack) => self.puback(now, &ack),
            Packet::Pubrec(ack) => self.pubrec(now, &ack),
            Packet::Pubrel(ack) => {
                self.pubrel(now, &ack);
                Ok(())
            }
            Packet::Pubcomp(ack) => self.pubcomp(now, &ack),
            Packet::Suback(suback) => self.suback(&suback),
            Packet::Unsuback(unsuback) => self.unsuback(&unsuback),
            Packet::Pingresp => {
                self.pinged = None;
                Ok(())
            }
            Packet::Disconnect(disconnect) => {
                let reason = disconnect.properties.and_then(|properties| properties.reason_string);
                let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
                self.close(format!(
                    "the server ended it with reason code {:#04x}{reason}",
                    disconnect.code.0
                ));
                Ok(())
            }
            Packet::Auth(_) => {
                Err(CodecError::protocol("AUTH came without an authentication method in CONNECT"))
            }
            Packet::Connect(_) | Packet::Subscribe(_) | Packet::Unsubscribe(_) | Packet::Pingreq => {
                Err(CodecError::protocol("a packet came that only clients send"))
            }
        }
    }
}
