//! Messages from the server, and the acknowledgements that we owe it (MQTT 5 §3.3 to §3.7, §4.3).

use super::{Client, ClientOutput, State};
use crate::mqtt::ReasonCode;
use crate::mqtt::codec::{Ack, CodecError, Packet, Publish, Version};
use crate::mqtt::reason::settled;
use crate::mqtt::server::{describe, says_truly};
use smallvec::SmallVec;
use windrose_event::{Address, Assurance, Cause, Now, Outcome, Publication, Tag};

/// A message that is not settled, or an exactly-once one that is not released.
pub(super) struct Incoming {
    /// What the caller knows it by: of our choosing, because answers may come after the server gave its identifier to
    /// another message.
    tag: Tag,
    /// The server's identifier; `None` if it came by a connection whose acknowledgement nobody waits for any more.
    packet_id: Option<u16>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// At least once: PUBACK is due when it is settled.
    Puback,
    /// Exactly once: PUBREC is due when it is settled.
    Pubrec,
    /// Exactly once: it is ours, PUBREL is awaited.
    Pubrel,
}

impl Client {
    pub(super) fn message(&mut self, now: Now, publish: Publish) -> Result<(), CodecError> {
        let Publish { dup, qos, retain, topic, packet_id, properties, payload } = publish;
        if properties.as_ref().is_some_and(|properties| properties.topic_alias.is_some()) {
            let problem = "a topic alias came, and none was allowed";
            return Err(CodecError { code: ReasonCode::TOPIC_ALIAS_INVALID, problem });
        }
        let address = Address::new(topic).map_err(|_| CodecError {
            code: ReasonCode::TOPIC_NAME_INVALID,
            problem: "a topic is no topic name",
        })?;
        if qos == Assurance::ExactlyOnce
            && let Some(known) = self.exactly_once(packet_id)
        {
            // Sent again: answered again if it is ours already, otherwise once it is settled (MQTT 5 §4.3.3).
            if known.phase == Phase::Pubrel {
                self.say(now, &Packet::Pubrec(Ack::success(packet_id)));
            }
            return Ok(());
        }
        let mut publication =
            Publication { address, payload, assurance: qos, retain, expiry: None, details: None };
        let mut subscriptions = SmallVec::new();
        if let Some(mut properties) = properties {
            subscriptions = std::mem::take(&mut properties.subscription_identifiers);
            describe(&mut publication, *properties)?;
        }
        let tag = match qos {
            Assurance::AtMostOnce => Tag::NONE,
            Assurance::AtLeastOnce => self.owe(packet_id, Phase::Puback)?,
            Assurance::ExactlyOnce => self.owe(packet_id, Phase::Pubrec)?,
        };
        let slashes = publication.address.as_bytes().iter().filter(|&&byte| byte == b'/').count();
        let refusal = if slashes >= usize::from(self.config.address_levels) {
            Some((Cause::BadAddress, "the topic has more levels than limits.address_levels"))
        } else if !says_truly(&publication) {
            Some((Cause::BadPayload, "the payload is said to be text and is not UTF-8"))
        } else {
            None
        };
        if let Some((cause, detail)) = refusal {
            self.settle(now, tag, &Outcome::rejected_because(cause, detail));
            return Ok(());
        }
        self.put(ClientOutput::Message { tag, publication, again: dup, subscriptions });
        Ok(())
    }

    /// Whether as many messages wait to be settled as were announced: read no more until it is not. Brokers send more
    /// than they may (Mosquitto 2.0 sends the next at PUBREC, and two at PUBCOMP), and are better held back than left.
    pub fn is_full(&self) -> bool {
        let is_due = |incoming: &&Incoming| incoming.packet_id.is_some() && incoming.phase != Phase::Pubrel;
        self.incoming.iter().filter(is_due).count() >= usize::from(self.config.receive_maximum)
    }

    /// Notes an acknowledgement that is due (MQTT 5 §3.3.4).
    fn owe(&mut self, packet_id: u16, phase: Phase) -> Result<Tag, CodecError> {
        if self.incoming.len() >= usize::from(u16::MAX) {
            let problem = "more is unacknowledged than there are packet identifiers";
            return Err(CodecError { code: ReasonCode::RECEIVE_MAXIMUM_EXCEEDED, problem });
        }
        let tag = loop {
            self.last_tag = self.last_tag.checked_add(1).unwrap_or(1);
            let tag = Tag(self.last_tag);
            if self.incoming.iter().all(|incoming| incoming.tag != tag) {
                break tag;
            }
        };
        self.incoming.push(Incoming { tag, packet_id: Some(packet_id), phase });
        Ok(tag)
    }

    /// What became of a message. One that could not be taken now is left unacknowledged and the connection ends: the
    /// server sends it again on the next one, as no acknowledgement can ask it to.
    pub fn settle(&mut self, now: Now, tag: Tag, outcome: &Outcome) {
        let was_full = self.is_full();
        self.settle_one(now, tag, outcome);
        if was_full && !self.is_full() {
            self.listen_again(now);
        }
    }

    fn settle_one(&mut self, now: Now, tag: Tag, outcome: &Outcome) {
        let Some(index) = self.incoming.iter().position(|incoming| incoming.tag == tag) else { return };
        let Some(Incoming { packet_id, phase, .. }) = self.incoming.get(index) else { return };
        let (packet_id, phase) = (*packet_id, *phase);
        if phase == Phase::Pubrel {
            return;
        }
        let ours = phase == Phase::Pubrec && outcome.is_accepted() && packet_id.is_some();
        if ours && let Some(incoming) = self.incoming.get_mut(index) {
            incoming.phase = Phase::Pubrel;
        } else {
            self.incoming.swap_remove(index);
            if outcome.is_accepted() && phase == Phase::Pubrec {
                self.put(ClientOutput::Released { tag });
            }
        }
        let Some(packet_id) = packet_id else { return };
        if self.state != State::Open {
            return;
        }
        if outcome.is_retriable() {
            let name = outcome.name();
            return self
                .close(format!("a message could not be taken ({name}): the server is to send it again"));
        }
        // 3.1.1 cannot say no: what is rejected is done with.
        let code = match self.config.version {
            Version::V5 => settled(outcome, true),
            _ => ReasonCode::SUCCESS,
        };
        let ack = Ack { packet_id, code, properties: None };
        self.say(now, &if phase == Phase::Puback { Packet::Puback(ack) } else { Packet::Pubrec(ack) });
    }

    pub(super) fn pubrel(&mut self, now: Now, ack: &Ack) {
        let packet_id = ack.packet_id;
        let known = self
            .incoming
            .iter()
            .position(|incoming| incoming.packet_id == Some(packet_id) && incoming.phase == Phase::Pubrel);
        let code = match known {
            Some(index) => {
                let tag = self.incoming.swap_remove(index).tag;
                self.put(ClientOutput::Released { tag });
                ReasonCode::SUCCESS
            }
            None => ReasonCode::PACKET_IDENTIFIER_NOT_FOUND,
        };
        self.say(now, &Packet::Pubcomp(Ack { packet_id, code, properties: None }));
    }

    /// The transport is gone: at-least-once messages are sent again as new ones, exactly-once ones are known again.
    pub(super) fn orphan(&mut self) {
        for incoming in self.incoming.iter_mut().filter(|incoming| incoming.phase == Phase::Puback) {
            incoming.packet_id = None;
        }
    }

    /// The server does not know of the session: its identifiers mean nothing any more.
    pub(super) fn forget_incoming(&mut self) {
        let (done, pending): (Vec<_>, Vec<_>) = std::mem::take(&mut self.incoming)
            .into_iter()
            .partition(|incoming| incoming.phase == Phase::Pubrel);
        self.incoming = pending;
        self.incoming.iter_mut().for_each(|incoming| incoming.packet_id = None);
        done.iter().for_each(|incoming| self.put(ClientOutput::Released { tag: incoming.tag }));
    }

    fn exactly_once(&self, packet_id: u16) -> Option<&Incoming> {
        self.incoming
            .iter()
            .find(|incoming| incoming.packet_id == Some(packet_id) && incoming.phase != Phase::Puback)
    }
}
