//! Publications to the server, and its acknowledgements (MQTT 5 §3.3 to §3.7, §4.3, §4.4).

use super::{Client, ClientOutput, State};
use crate::mqtt::ReasonCode;
use crate::mqtt::codec::{Ack, CodecError, Packet, Properties, Publish, Version, can_say, seconds_left};
use crate::mqtt::reason::outcome;
use std::collections::VecDeque;
use std::sync::Arc;
use windrose_event::{Assurance, Cause, Event, Now, Outcome, Text, VIA};

/// A publication that was not sent yet.
pub(super) struct Waiting {
    token: u64,
    event: Arc<Event>,
}

/// A publication that the server has not acknowledged yet.
pub(super) struct Outgoing {
    packet_id: u16,
    /// The caller's name for it, as long as it waits for the answer.
    token: Option<u64>,
    event: Arc<Event>,
    assurance: Assurance,
    phase: Phase,
    /// Whether its packet was sent on this connection.
    sent: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// PUBLISH is sent: PUBACK or PUBREC is due.
    Published,
    /// PUBREL is sent: PUBCOMP is due.
    Releasing,
}

impl Client {
    /// Publishes an event, now or as soon as the server takes it. Answered once, by [`ClientOutput::Settled`] or
    /// [`ClientOutput::Sent`].
    pub fn publish(&mut self, now: Now, token: u64, event: Arc<Event>) {
        self.waiting.push_back(Waiting { token, event });
        self.send_waiting(now);
    }

    /// The caller no longer waits for a publication's answer. One that was not sent yet never is.
    pub fn abandon(&mut self, token: u64) {
        self.waiting.retain(|waiting| waiting.token != token);
        if let Some(outgoing) = self.outgoing.iter_mut().find(|outgoing| outgoing.token == Some(token)) {
            outgoing.token = None;
        }
    }

    /// Whether no publication waits or is unacknowledged.
    pub fn is_settled(&self) -> bool {
        self.waiting.is_empty() && self.outgoing.is_empty()
    }

    /// Sends what waits, as far as the server's Receive Maximum lets it (MQTT 5 §4.9).
    pub(super) fn send_waiting(&mut self, now: Now) {
        while self.state == State::Open
            && self.outgoing.len() < usize::from(self.server.receive_maximum)
            && let Some(Waiting { token, event }) = self.waiting.pop_front()
        {
            if event.is_expired(now.wall) {
                self.settled(token, Outcome::rejected(Cause::Expired));
                continue;
            }
            let assurance = self.granted(event.assurance);
            if assurance == Assurance::AtMostOnce {
                match self.write(now, &event, assurance, 0, false) {
                    true => self.put(ClientOutput::Sent { token }),
                    false => self.settled(token, too_large()),
                }
                continue;
            }
            let Some(packet_id) = self.next_identifier() else {
                self.waiting.push_front(Waiting { token, event });
                return;
            };
            if !self.write(now, &event, assurance, packet_id, false) {
                self.identifiers.remove(&packet_id);
                self.settled(token, too_large());
                continue;
            }
            let token = Some(token);
            let phase = Phase::Published;
            self.outgoing.push_back(Outgoing { packet_id, token, event, assurance, phase, sent: true });
        }
    }

    /// How surely the server takes an event (MQTT 5 §3.2.2.3.4, Maximum QoS).
    fn granted(&self, asked: Assurance) -> Assurance {
        match self.server.maximum_qos {
            0 => Assurance::AtMostOnce,
            1 => asked.min(Assurance::AtLeastOnce),
            _ => asked,
        }
    }

    /// The session is taken up again: what it has under way is sent again, in its order (MQTT 5 §4.4), as far as the
    /// server's Receive Maximum lets it.
    pub(super) fn send_again(&mut self, now: Now) {
        if self.outgoing.back().is_none_or(|last| last.sent) {
            return;
        }
        let most = usize::from(self.server.receive_maximum);
        let mut outgoing = std::mem::take(&mut self.outgoing);
        let mut under_way = 0;
        outgoing.retain_mut(|outgoing| {
            under_way += 1;
            if outgoing.sent || under_way > most {
                return true;
            }
            outgoing.sent = true;
            let Outgoing { packet_id, assurance, .. } = *outgoing;
            let taken = match outgoing.phase {
                Phase::Published => self.write(now, &outgoing.event, assurance, packet_id, true),
                Phase::Releasing => self.say(now, &Packet::Pubrel(Ack::success(packet_id))),
            };
            if !taken {
                self.identifiers.remove(&packet_id);
                self.settled_if_awaited(outgoing.token, too_large());
            }
            taken
        });
        self.outgoing = outgoing;
    }

    /// The transport is gone. What was not sent is in no doubt and goes back to the caller; so does what another server may
    /// take. The rest waits for the next connection.
    pub(super) fn give_back(&mut self) {
        for waiting in std::mem::take(&mut self.waiting) {
            self.settled(waiting.token, Outcome::unavailable());
        }
        let others = self.config.others;
        let stays = |outgoing: &Outgoing| match outgoing.assurance {
            Assurance::ExactlyOnce => true,
            _ => !others && outgoing.token.is_some(),
        };
        self.take_back(stays);
        self.outgoing.iter_mut().for_each(|outgoing| outgoing.sent = false);
    }

    /// The server does not know of the session: what it had under way may or may not have arrived.
    pub(super) fn lose_session(&mut self) {
        self.take_back(|_| false);
        self.forget_incoming();
    }

    fn take_back(&mut self, stays: impl Fn(&Outgoing) -> bool) {
        let (kept, gone): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.outgoing).into_iter().partition(stays);
        self.outgoing = kept;
        for outgoing in gone {
            self.identifiers.remove(&outgoing.packet_id);
            self.settled_if_awaited(outgoing.token, Outcome::unavailable());
        }
    }

    pub(super) fn puback(&mut self, now: Now, ack: &Ack) -> Result<(), CodecError> {
        self.acknowledged(now, ack, Assurance::AtLeastOnce, Phase::Published)
    }

    pub(super) fn pubrec(&mut self, now: Now, ack: &Ack) -> Result<(), CodecError> {
        if ack.code.is_error() {
            return self.acknowledged(now, ack, Assurance::ExactlyOnce, Phase::Published);
        }
        let known = self.outgoing.iter_mut().find(|outgoing| {
            outgoing.packet_id == ack.packet_id && outgoing.assurance == Assurance::ExactlyOnce
        });
        let code = match known {
            Some(outgoing) => {
                outgoing.phase = Phase::Releasing;
                ReasonCode::SUCCESS
            }
            None => ReasonCode::PACKET_IDENTIFIER_NOT_FOUND,
        };
        self.say(now, &Packet::Pubrel(Ack { packet_id: ack.packet_id, code, properties: None }));
        Ok(())
    }

    pub(super) fn pubcomp(&mut self, now: Now, ack: &Ack) -> Result<(), CodecError> {
        // The server does not know the identifier (0x92): it has completed the handshake before (MQTT 5 §4.3.3).
        let ack = Ack::success(ack.packet_id);
        self.acknowledged(now, &ack, Assurance::ExactlyOnce, Phase::Releasing)
    }

    /// The server is done with a publication. An acknowledgement of none is of one that was given up.
    fn acknowledged(
        &mut self,
        now: Now,
        ack: &Ack,
        assurance: Assurance,
        phase: Phase,
    ) -> Result<(), CodecError> {
        let known = self.outgoing.iter().position(|outgoing| outgoing.packet_id == ack.packet_id);
        let Some(index) = known else { return Ok(()) };
        let fits =
            |outgoing: &Outgoing| outgoing.sent && outgoing.assurance == assurance && outgoing.phase == phase;
        if !self.outgoing.get(index).is_some_and(fits) {
            return Err(CodecError::protocol("an acknowledgement is not the one that is due"));
        }
        if let Some(outgoing) = self.outgoing.remove(index) {
            self.identifiers.remove(&outgoing.packet_id);
            let properties = ack.properties.as_ref();
            let reason = properties.and_then(|properties| properties.reason_string.as_deref());
            self.settled_if_awaited(outgoing.token, outcome(ack.code, reason));
        }
        self.send_again(now);
        self.send_waiting(now);
        Ok(())
    }

    fn settled_if_awaited(&mut self, token: Option<u64>, outcome: Outcome) {
        if let Some(token) = token {
            self.settled(token, outcome);
        }
    }

    fn settled(&mut self, token: u64, outcome: Outcome) {
        self.put(ClientOutput::Settled { token, outcome });
    }

    /// Appends an event as PUBLISH. `false` if the server does not take a packet of that size, or MQTT cannot say it.
    fn write(&mut self, now: Now, event: &Event, assurance: Assurance, packet_id: u16, dup: bool) -> bool {
        let v5 = self.config.version == Version::V5;
        if !can_say(event, self.config.version) {
            return false;
        }
        let known = if v5 { self.aliases.get(event.address.text()).copied() } else { None };
        let alias = known.or_else(|| self.new_alias());
        let publish = Publish {
            dup,
            qos: assurance,
            retain: event.retain && self.server.retain_available,
            topic: if known.is_some() { Text::default() } else { event.address.text().clone() },
            packet_id,
            properties: v5.then(|| Box::new(self.properties(now, event, alias))),
            payload: event.payload.clone(),
        };
        if !self.say(now, &Packet::Publish(publish)) {
            return false;
        }
        if let Some(alias) = alias
            && known.is_none()
        {
            // Its own buffer: the event's would be kept for as long as the connection lives.
            self.aliases.insert(Text::from(event.address.as_str()), alias);
        }
        true
    }

    /// The next topic alias, as long as the server takes more (MQTT 5 §3.2.2.3.8).
    fn new_alias(&self) -> Option<u16> {
        let next = u16::try_from(self.aliases.len() + 1).ok()?;
        (next <= self.server.topic_aliases).then_some(next)
    }

    fn properties(&self, now: Now, event: &Event, alias: Option<u16>) -> Properties {
        let details = event.details.as_deref();
        let mut properties = Properties {
            message_expiry_interval: event.expires.map(|expires| seconds_left(expires, now.wall)),
            topic_alias: alias,
            user_properties: event.headers().to_vec(),
            ..Properties::default()
        };
        if let Some(details) = details {
            properties.payload_format_indicator = details.is_text.map(u8::from);
            properties.content_type.clone_from(&details.content_type);
            properties.response_topic = details.reply_to.as_ref().map(|address| address.text().clone());
            properties.correlation_data.clone_from(&details.correlation);
        }
        if let Some(node) = &self.config.via {
            properties.user_properties.push((Text::from_static(VIA), node.clone()));
        }
        properties
    }
}

fn too_large() -> Outcome {
    let detail = "the packet, or one of its properties, is larger than the server can take";
    // What is too large for the node ends its sender's connection. This may be for one server only.
    Outcome::rejected_because(Cause::ByService, detail)
}
