//! PUBLISH from the client, and the acknowledgements that we owe it (MQTT 5 §3.3 to §3.7, §4.3).

use super::Server;
use super::connect::{describe, says_truly};
use super::unsettled::Handshake;
use crate::mqtt::ReasonCode;
use crate::mqtt::codec::{Ack, CodecError, Packet, Properties, PublishView, Version, kind};
use crate::mqtt::reason::{is_clients, settled};
use bytes::Bytes;
use windrose_event::{Assurance, Cause, CloseCause, Intent, Outcome, Publication, Rejection, Tag, Text};

impl Server {
    pub(super) fn publish(&mut self, publish: PublishView<'_>) -> Result<(), CodecError> {
        let named = publish.address()?;
        let properties = publish.properties;
        let alias = properties.as_ref().and_then(|properties| properties.topic_alias);
        let address = match (alias, named) {
            (Some(alias), named) => {
                self.aliases.get_or_insert_default().resolve(alias, named, self.config.topic_alias_maximum)?
            }
            (None, Some(address)) => address,
            (None, None) => return Err(CodecError::malformed("PUBLISH has neither a topic nor an alias")),
        };
        if publish.payload.len() > self.config.payload_bytes as usize {
            let problem = "a payload is larger than limits.payload_bytes";
            return Err(CodecError { code: ReasonCode::PACKET_TOO_LARGE, problem });
        }
        if properties.as_ref().is_some_and(|properties| !properties.subscription_identifiers.is_empty()) {
            return Err(CodecError::protocol("PUBLISH from a client has a subscription identifier"));
        }
        self.check_offered(publish.qos, publish.retain)?;
        let mut publication = Publication {
            address,
            payload: Bytes::copy_from_slice(publish.payload),
            assurance: self.capped(publish.qos),
            retain: publish.retain,
            expiry: None,
            details: None,
        };
        if let Some(properties) = properties {
            describe(&mut publication, *properties)?;
        }
        self.owe(publish.packet_id, publish.qos, publish.dup, publication.payload.len() as u32)?;
        let tag = Tag(publish.packet_id);
        let refusal = if !self.is_shallow(&publication.address) {
            Some((Cause::BadAddress, "the topic has more levels than limits.address_levels"))
        } else if !says_truly(&publication) {
            Some((Cause::BadPayload, "the payload is said to be text and is not UTF-8"))
        } else {
            None
        };
        if let Some((cause, detail)) = refusal {
            self.intend(Intent::Refused { address: publication.address, cause, detail });
            if publish.qos != Assurance::AtMostOnce {
                self.settle(tag, &Outcome::rejected_because(cause, detail), false);
            }
            return Ok(());
        }
        self.intend(Intent::Publish(windrose_event::Publish { tag, again: publish.dup, publication }));
        Ok(())
    }

    /// Notes an acknowledgement that is due, within Receive Maximum (MQTT 5 §3.3.4).
    fn owe(&mut self, id: u16, qos: Assurance, dup: bool, length: u32) -> Result<(), CodecError> {
        if qos == Assurance::AtMostOnce {
            return Ok(());
        }
        if qos == Assurance::ExactlyOnce
            && let Some(known) = self.unsettled.handshake(id)
        {
            // Sent again: counted once. MQTT 5 §4.4 forbids that on the same connection, and MQTT 3.1 told clients to: it
            // is borne with as long as they say so by DUP. Whoever does not, repeats itself without knowing it.
            let again = known.length == length;
            if known.again && again && !dup && !self.legacy {
                let problem = "an exactly-once publication came a third time on one connection, without DUP";
                return Err(CodecError::protocol(problem));
            }
            *known = Handshake { received: false, again, length };
            return Ok(());
        }
        if self.version == Version::V5 && self.unsettled.len() >= usize::from(self.receive_maximum) {
            let problem = "more is unacknowledged than Receive Maximum allows";
            return Err(CodecError { code: ReasonCode::RECEIVE_MAXIMUM_EXCEEDED, problem });
        }
        match qos {
            Assurance::ExactlyOnce => self.unsettled.owe_pubrec(id, length),
            _ => self.unsettled.owe_puback(id),
        }
        Ok(())
    }

    /// The engine settled a publication. One that this connection has not brought yet is an exactly-once publication of
    /// an earlier connection of the session: its sender must send it again (MQTT 5 §4.4) and is answered then. An answer
    /// ahead of that would be a second one for a packet identifier that may have a new meaning when it arrives.
    pub(super) fn settle(&mut self, tag: Tag, outcome: &Outcome, heard: bool) {
        let is_puback = self.unsettled.take_puback(tag.0);
        if !is_puback && self.unsettled.handshake(tag.0).is_none_or(|handshake| handshake.received) {
            return;
        }
        if matches!(outcome, Outcome::Rejected(Rejection { cause: Cause::TooLarge, .. })) {
            let problem = "a publication is larger than the node takes";
            self.fail(CodecError { code: ReasonCode::PACKET_TOO_LARGE, problem });
            return;
        }
        let (code, detail) = match self.version {
            Version::V5 => (settled(outcome, heard || !is_puback), detail(outcome)),
            Version::V3 if outcome.is_retriable() => {
                // 3.1.1 cannot say no: without an acknowledgement, the thing sends again on its next connection.
                self.end(CloseCause::Ours, true, None);
                return;
            }
            Version::V3 => (ReasonCode::SUCCESS, None),
        };
        let packet = if is_puback { kind::PUBACK } else { kind::PUBREC };
        if packet == kind::PUBREC && code.is_error() {
            self.unsettled.end_handshake(tag.0);
        } else if packet == kind::PUBREC
            && let Some(handshake) = self.unsettled.handshake(tag.0)
        {
            handshake.received = true;
        }
        let properties = detail.filter(|_| self.problem_information).map(|detail| {
            Box::new(Properties { reason_string: Some(Text::from(detail)), ..Properties::default() })
        });
        self.write_ack(packet, Ack { packet_id: tag.0, code, properties });
    }

    /// The engine forgot an exactly-once publication. One that it did not know is answered alike: its sender lost our
    /// PUBCOMP and recovers (MQTT 5 §3.7.2.1), which is no error.
    pub(super) fn released(&mut self, tag: Tag) {
        if self.unsettled.handshake(tag.0).is_some_and(|handshake| handshake.received) {
            self.unsettled.end_handshake(tag.0);
        }
        self.write_ack(kind::PUBCOMP, Ack::success(tag.0));
    }

    /// An acknowledgement from the client: of a delivery, or PUBREL.
    pub(super) fn acknowledged(&mut self, packet: u8, ack: &Ack) -> Result<(), CodecError> {
        if !is_clients(packet, ack.code) {
            return Err(CodecError::protocol("an acknowledgement has a reason code that is not its own"));
        }
        let tag = Tag(ack.packet_id);
        let outcome = || match ack.code.is_error() {
            false => Outcome::Accepted,
            true => Outcome::Rejected(Rejection { cause: Cause::ByService, detail: None }),
        };
        self.intend(match packet {
            kind::PUBREL => Intent::Release { tag },
            kind::PUBCOMP => Intent::Complete { tag },
            kind::PUBREC if !ack.code.is_error() => Intent::Receive { tag },
            _ => Intent::Settle { tag, outcome: outcome() },
        });
        Ok(())
    }

    /// Writes an acknowledgement. It is never too large for the client: CONNACK was larger.
    pub(super) fn write_ack(&mut self, packet: u8, ack: Ack) {
        if self.version == Version::V3 || (ack.code == ReasonCode::SUCCESS && ack.properties.is_none()) {
            let [high, low] = ack.packet_id.to_be_bytes();
            let flags = if packet == kind::PUBREL { 2 } else { 0 };
            self.transmit.buffer().extend_from_slice(&[packet << 4 | flags, 2, high, low]);
            self.packets.sent += 1;
            return;
        }
        self.say(match packet {
            kind::PUBACK => Packet::Puback(ack),
            kind::PUBREC => Packet::Pubrec(ack),
            kind::PUBREL => Packet::Pubrel(ack),
            _ => Packet::Pubcomp(ack),
        });
    }
}

/// What the reason string says. Which rules there are is for the operator: the reason code is enough for the peer.
fn detail(outcome: &Outcome) -> Option<&str> {
    match outcome {
        Outcome::Rejected(Rejection { cause: Cause::NotPermitted, .. }) => None,
        Outcome::Rejected(rejection) => rejection.detail.as_deref(),
        Outcome::TimedOut => Some("the service did not answer in time"),
        Outcome::Unavailable { .. } => Some("the service is not available"),
        Outcome::Busy { .. } => Some("the service is busy"),
        Outcome::Accepted => None,
    }
}
