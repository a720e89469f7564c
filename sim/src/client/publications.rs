//! What a client publishes, and what the node says of it.

use super::{Client, Context, Message};
use crate::trace::{LinkId, Note, PacketNote, PubId};
use std::time::Duration;
use windrose_event::{Assurance, Text};
use windrose_protocol::mqtt::codec::{Ack, Packet, Publish, Version};

/// How long an application waits before it publishes again what was not accepted.
const SECOND_THOUGHTS: Duration = Duration::from_millis(200);

/// Bytes that wait to be written before an application stops publishing.
const ENOUGH: usize = 4_096;

/// Marks the payload of a message that the service refuses for good.
const POISON: u8 = 1;

/// A publication without its last acknowledgement.
#[derive(Debug)]
pub(super) struct Outgoing {
    packet_id: u16,
    id: PubId,
    pub(super) message: Message,
    /// Whether PUBREC came: what is left is PUBREL.
    released: bool,
    /// The connection that it was last sent by.
    sent_by: Option<LinkId>,
}

impl Outgoing {
    pub(super) fn is_released(&self) -> bool {
        self.released
    }
}

/// The publication that a payload names, and whether it is poison.
pub fn read_payload(payload: &[u8]) -> Option<(PubId, bool)> {
    let (&id, rest) = payload.split_first_chunk::<4>()?;
    Some((PubId(u32::from_be_bytes(id)), rest.first() == Some(&POISON)))
}

fn payload(id: PubId, message: Message) -> Vec<u8> {
    let mut payload = id.0.to_be_bytes().to_vec();
    payload.push(if message.poison { POISON } else { 0 });
    payload.resize(5 + message.size, b'.');
    payload
}

impl Client {
    /// Whether another publication may be begun.
    pub(super) fn can_publish(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| {
            connection.open
                && !connection.closes
                && connection.out.len() < ENOUGH
                && self.outgoing.len() < self.profile.window.min(connection.room)
                && self.outgoing.iter().all(|outgoing| outgoing.sent_by == Some(connection.link))
        })
    }

    /// Sends again what an earlier connection left, then what the application has.
    pub(super) fn publish(&mut self, cx: &mut Context<'_>) {
        self.send_again(cx);
        while self.can_publish() && self.publishes_at.is_some_and(|at| at <= cx.now) {
            let Some(message) = self.todo.pop_front() else { break };
            self.publishes_at = Some(cx.now + cx.rng.micros(0, self.profile.pace));
            self.publish_new(cx, message);
        }
    }

    fn send_again(&mut self, cx: &mut Context<'_>) {
        let Some(connection) = self.connection.as_ref().filter(|it| it.open && !it.closes) else { return };
        let (link, room) = (connection.link, connection.room);
        let sent = self.outgoing.iter().filter(|outgoing| outgoing.sent_by == Some(link)).count();
        let left: Vec<usize> = (sent..self.outgoing.len().min(room)).collect();
        for index in left {
            self.outgoing[index].sent_by = Some(link);
            let Outgoing { packet_id, id, message, released, .. } = self.outgoing[index];
            if released {
                self.pubrel(cx, packet_id, id);
            } else {
                self.send_publish(cx, packet_id, id, message, true);
            }
        }
    }

    fn publish_new(&mut self, cx: &mut Context<'_>, message: Message) {
        let id = cx.oracle.publish(message.topic, message.poison, message.retain);
        let mut packet_id = 0;
        if cx.oracle.topic_of(id).qos != Assurance::AtMostOnce {
            // The lowest that is free: identifiers are used again as soon as the protocol allows.
            packet_id = 1;
            while self.outgoing.iter().any(|outgoing| outgoing.packet_id == packet_id) {
                packet_id += 1;
            }
            let sent_by = self.link();
            self.outgoing.push_back(Outgoing { packet_id, id, message, released: false, sent_by });
        }
        self.send_publish(cx, packet_id, id, message, false);
    }

    fn send_publish(&mut self, cx: &mut Context<'_>, packet_id: u16, id: PubId, message: Message, dup: bool) {
        cx.oracle.written(id);
        let topic = cx.oracle.topic_of(id);
        let publish = Packet::Publish(Publish {
            dup,
            qos: topic.qos,
            retain: message.retain,
            topic: Text::from(topic.name.as_str()),
            packet_id,
            properties: None,
            payload: payload(id, message).into(),
        });
        let note = PacketNote { packet_id, dup, publication: Some(id), ..self.note("PUBLISH") };
        self.send(cx, &publish, note);
    }

    fn pubrel(&mut self, cx: &mut Context<'_>, packet_id: u16, id: PubId) {
        let note = PacketNote { packet_id, publication: Some(id), ..self.note("PUBREL") };
        self.send(cx, &Packet::Pubrel(Ack::success(packet_id)), note);
    }

    /// PUBACK or PUBREC.
    pub(super) fn settled(&mut self, cx: &mut Context<'_>, name: &'static str, packet_id: u16, code: u8) {
        let link = self.link();
        let expected = if name == "PUBACK" { Assurance::AtLeastOnce } else { Assurance::ExactlyOnce };
        let index = self.outgoing.iter().position(|outgoing| {
            outgoing.packet_id == packet_id && outgoing.sent_by == link && !outgoing.released
        });
        let publication = index.map(|index| self.outgoing[index].id);
        let note = PacketNote { packet_id, code, publication, ..self.note(name) };
        cx.oracle.note(cx.now, Note::Got(note));
        let (Some(index), Some(id)) = (index, publication) else {
            return self.broken(cx, format!("{name} {packet_id} answers nothing that was sent"));
        };
        if cx.oracle.topic_of(id).qos != expected {
            return cx.oracle.fail(format!("answered with {name}"), Some(id), &[]);
        }
        cx.oracle.acknowledged(id, code, self.profile.version == Version::V5);
        if code >= 0x80 {
            if let Some(refused) = self.outgoing.remove(index)
                && !refused.message.poison
            {
                self.todo.push_front(refused.message);
                self.publishes_at = Some(cx.now + SECOND_THOUGHTS);
            }
        } else if expected == Assurance::AtLeastOnce {
            self.outgoing.remove(index);
        } else {
            self.outgoing[index].released = true;
            self.pubrel(cx, packet_id, id);
        }
    }

    /// PUBCOMP.
    pub(super) fn completed(&mut self, cx: &mut Context<'_>, packet_id: u16, code: u8) {
        let link = self.link();
        let index = self.outgoing.iter().position(|outgoing| {
            outgoing.packet_id == packet_id && outgoing.sent_by == link && outgoing.released
        });
        let publication = index.map(|index| self.outgoing[index].id);
        let note = PacketNote { packet_id, code, publication, ..self.note("PUBCOMP") };
        cx.oracle.note(cx.now, Note::Got(note));
        match index {
            Some(index) => drop(self.outgoing.remove(index)),
            None => self.broken(cx, format!("PUBCOMP {packet_id} answers nothing that was sent")),
        }
    }
}
