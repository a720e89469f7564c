//! Deliveries to the peer (part 2 §2.6.12, §2.6.14).

use super::Server;
use super::link::Link;
use super::settle::Slot;
use crate::Transmit;
use crate::amqp::Output;
use crate::amqp::v1::codec::{FRAME_HEADER, FrameKind, Transfer, finish_frame, start_frame};
use crate::amqp::v1::message::{self, Head};
use bytes::Bytes;
use windrose_event::{Disposition, Intent, Now, Supply, Tag};

/// Bytes of a frame besides what of the message is in it, at most.
const OVERHEAD: usize = FRAME_HEADER + 64;

/// A delivery that is not wholly sent.
pub(super) struct Outbound {
    pub(super) consumer: u32,
    handle: u32,
    id: u32,
    settled: bool,
    head: Head,
    body: Bytes,
    /// Bytes that are sent, of head and body.
    sent: usize,
}

impl Outbound {
    /// Whether some of it is sent.
    pub(super) fn has_begun(&self) -> bool {
        self.sent > 0
    }

    fn len(&self) -> usize {
        self.head.len() + self.body.len()
    }

    /// Writes frames until all is sent or the window is used up; returns how many.
    fn write(&mut self, channel: u16, frame: usize, window: u32, transmit: &mut Transmit) -> u32 {
        let most = frame.saturating_sub(OVERHEAD).max(1);
        let mut frames = 0;
        while frames < window {
            let left = self.len() - self.sent;
            let part = left.min(most);
            let more = part < left;
            let out = transmit.frame(OVERHEAD, part);
            let start = start_frame(out, FrameKind::Amqp, channel);
            let first = self.sent == 0;
            let tag = self.id.to_be_bytes();
            let transfer = Transfer {
                handle: self.handle,
                delivery_id: first.then_some(self.id),
                delivery_tag: first.then_some(&tag),
                message_format: first.then_some(0),
                settled: Some(self.settled),
                more,
                ..Transfer::default()
            };
            transfer.write(out);
            let in_head = self.head.get(self.sent..).unwrap_or_default();
            let in_head = in_head.get(..part).unwrap_or(in_head);
            out.extend_from_slice(in_head);
            let beyond = part - in_head.len();
            finish_frame(out, start, beyond);
            let from = (self.sent + in_head.len()).saturating_sub(self.head.len());
            if beyond > 0 {
                transmit.payload(&self.body.slice(from..from + beyond));
            }
            self.sent += part;
            frames += 1;
            if !more {
                break;
            }
        }
        frames
    }
}

impl Server {
    /// An event for one of the peer's links.
    pub(super) fn supply(&mut self, now: Now, supply: Supply) {
        let Some(consumer) = self.consumers.get_mut(supply.consumer.0 as usize) else { return };
        if consumer.canceled {
            return;
        }
        let channel = consumer.channel;
        let Some(session) = self.sessions.get_mut(&channel) else { return };
        let link = match session.links.get_mut(&consumer.handle) {
            Some(Link::Out(link)) if link.key == consumer.key => link,
            // It was detached: what it had not disposed of went back.
            _ => return,
        };
        let tag = supply.delivery.tag;
        link.supplied += 1;
        let (head, body) = message::write(&supply.delivery, supply.failures, link.wild, now.wall);
        if (head.len() + body.len()) as u64 > link.max_message_size {
            if tag != Tag::NONE {
                let disposition = Disposition::Modified { failed: true, undeliverable_here: true };
                let tags = smallvec::smallvec![tag];
                let intent = Intent::Dispose { consumer: supply.consumer, tags, disposition };
                self.outputs.push_back(Output::Intent(intent));
            }
            // It takes as many as before still.
            let handle = consumer.handle;
            return self.grant(channel, handle);
        }
        link.delivery_count = link.delivery_count.wrapping_add(1);
        link.credit = link.credit.saturating_sub(1);
        let id = session.next_delivery;
        session.next_delivery = id.wrapping_add(1);
        if tag != Tag::NONE {
            consumer.unsettled += 1;
            session.deliveries.push(Slot { id, consumer: supply.consumer.0, tag });
        }
        let mut outbound = Outbound {
            consumer: supply.consumer.0,
            handle: link.local,
            id,
            settled: tag == Tag::NONE,
            head,
            body,
            sent: 0,
        };
        if !session.held.is_empty() {
            return session.held.push_back(outbound);
        }
        let frame = self.peer_frame_size as usize;
        let frames = outbound.write(session.local, frame, session.outgoing_window, &mut self.transmit);
        session.next_outgoing = session.next_outgoing.wrapping_add(frames);
        session.outgoing_window -= frames;
        self.frames.sent += frames;
        if frames == 0 || outbound.sent < outbound.len() {
            session.held.push_back(outbound);
        }
    }

    /// The window has room again for what was held.
    pub(super) fn send_held(&mut self, channel: u16) {
        let frame = self.peer_frame_size as usize;
        let Some(session) = self.sessions.get_mut(&channel) else { return };
        while session.outgoing_window > 0
            && let Some(outbound) = session.held.front_mut()
        {
            let frames = outbound.write(session.local, frame, session.outgoing_window, &mut self.transmit);
            session.next_outgoing = session.next_outgoing.wrapping_add(frames);
            session.outgoing_window -= frames;
            self.frames.sent += frames;
            if outbound.sent < outbound.len() {
                break;
            }
            session.held.pop_front();
        }
        if session.held.is_empty() {
            session.held = Default::default();
        }
    }
}
