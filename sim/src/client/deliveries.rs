//! What the node delivers to a client.

use super::publications::read_payload;
use super::{Client, Context};
use crate::trace::{Note, PacketNote, PubId};
use windrose_event::Assurance;
use windrose_protocol::mqtt::ReasonCode;
use windrose_protocol::mqtt::codec::{Ack, Packet, Publish, Version};

impl Client {
    pub(super) fn delivery(&mut self, cx: &mut Context<'_>, publish: &Publish) {
        let Some((id, _)) = read_payload(&publish.payload) else {
            return self.broken(cx, "a delivery has a payload that nobody published".into());
        };
        let Publish { packet_id, dup, qos, .. } = *publish;
        let note = PacketNote { packet_id, dup, publication: Some(id), ..self.note("PUBLISH") };
        cx.oracle.note(cx.now, Note::Got(note));
        if qos != Assurance::AtMostOnce && !self.take(cx, packet_id, id) {
            return;
        }
        let ack = Ack::success(packet_id);
        match qos {
            Assurance::AtMostOnce => self.tell(cx, id, publish),
            Assurance::AtLeastOnce => {
                self.tell(cx, id, publish);
                self.answer(
                    cx,
                    Packet::Puback(ack),
                    PacketNote { packet_id, publication: Some(id), ..self.note("PUBACK") },
                );
            }
            Assurance::ExactlyOnce => {
                match self.received.insert(packet_id, id) {
                    None => self.tell(cx, id, publish),
                    Some(known) if known != id => {
                        let what = format!("identifier {packet_id} is still that of publication {}", known.0);
                        cx.oracle.fail(what, Some(id), &[self.profile.id]);
                    }
                    Some(_) if !dup => cx.oracle.fail("sent again without DUP", Some(id), &[self.profile.id]),
                    Some(_) => {}
                }
                self.answer(
                    cx,
                    Packet::Pubrec(ack),
                    PacketNote { packet_id, publication: Some(id), ..self.note("PUBREC") },
                );
            }
        }
    }

    /// Counts a delivery against the client's Receive Maximum. `false`: the node must not have sent it.
    fn take(&mut self, cx: &mut Context<'_>, packet_id: u16, id: PubId) -> bool {
        let most = match self.profile.version {
            Version::V3 => usize::from(u16::MAX),
            Version::V5 => usize::from(self.profile.receive_maximum),
        };
        let Some(connection) = &mut self.connection else { return false };
        let what = if !connection.taking.insert(packet_id) {
            format!("identifier {packet_id} is used again before its acknowledgement")
        } else if connection.taking.len() > most {
            format!("{} deliveries are unacknowledged, Receive Maximum is {most}", connection.taking.len())
        } else {
            return true;
        };
        cx.oracle.fail(what, Some(id), &[self.profile.id]);
        false
    }

    fn tell(&mut self, cx: &mut Context<'_>, id: PubId, publish: &Publish) {
        match publish.retain {
            true => cx.oracle.recalled(self.profile.id, id, &publish.topic),
            false => cx.oracle.delivered(self.profile.id, id, &publish.topic, publish.qos, publish.dup),
        }
    }

    /// PUBREL.
    pub(super) fn release(&mut self, cx: &mut Context<'_>, packet_id: u16) {
        let publication = self.received.remove(&packet_id);
        cx.oracle.note(cx.now, Note::Got(PacketNote { packet_id, publication, ..self.note("PUBREL") }));
        let mut ack = Ack::success(packet_id);
        if publication.is_none() && self.profile.version == Version::V5 {
            // Its PUBCOMP was lost: the node is told that there is nothing left to forget.
            ack.code = ReasonCode::PACKET_IDENTIFIER_NOT_FOUND;
        }
        let note = PacketNote { packet_id, code: ack.code.0, publication, ..self.note("PUBCOMP") };
        self.answer(cx, Packet::Pubcomp(ack), note);
    }

    /// Acknowledges in order, when the application gets round to it.
    fn answer(&mut self, cx: &mut Context<'_>, packet: Packet, note: PacketNote) {
        let at = cx.now + cx.rng.micros(0, self.profile.acknowledges_within);
        if let Some(connection) = &mut self.connection {
            let at = connection.acks.back().map_or(at, |(last, _, _)| at.max(*last));
            connection.acks.push_back((at, packet, note));
        }
    }

    /// Writes the acknowledgements that are due.
    pub(super) fn acknowledge(&mut self, cx: &mut Context<'_>) {
        while let Some(connection) = self.connection.as_mut().filter(|connection| !connection.closes)
            && connection.acks.front().is_some_and(|(at, _, _)| *at <= cx.now)
            && let Some((_, packet, note)) = connection.acks.pop_front()
        {
            if matches!(packet, Packet::Puback(_) | Packet::Pubcomp(_)) {
                connection.taking.remove(&note.packet_id);
            }
            self.send(cx, &packet, note);
        }
    }
}
