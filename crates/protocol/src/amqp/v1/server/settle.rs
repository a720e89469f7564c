//! Settling: what the engine says of publications, and what the peer says of deliveries (part 2 §2.6.12).

use super::answer::disposition_of;
use super::link::Link;
use super::outcome::{Said, said};
use super::runs::Run;
use super::session::mark;
use super::{Failure, Server};
use crate::amqp::v1::codec::{DeliveryState, Disposition, Performative, Role, condition};
use smallvec::SmallVec;
use std::collections::VecDeque;
use windrose_event::{ConsumerId, Intent, Outcome, Tag};

/// A delivery's tag, as its sender wrote it: up to 32 bytes (part 2 §2.8.7).
pub(super) type DeliveryTag = SmallVec<[u8; 12]>;

/// A publication that the engine has not settled.
pub(super) struct Publication {
    pub(super) channel: u16,
    pub(super) handle: u32,
    /// The link's key: another link may have its handle since.
    pub(super) key: u32,
    pub(super) id: u32,
    /// Whether the peer settles last.
    pub(super) second: bool,
    /// Whether the peer has settled it, and wants to hear no more.
    pub(super) silent: bool,
    pub(super) tag: DeliveryTag,
}

impl Server {
    /// The engine settles a publication.
    pub(super) fn settled(&mut self, tag: Tag, outcome: &Outcome) {
        let index = usize::from(tag.0).wrapping_sub(1);
        let Some(publication) = self.publications.try_remove(index) else { return };
        if self.publications.is_empty() && self.publications.capacity() > 32 {
            self.publications = slab::Slab::new();
        }
        let Publication { channel, handle, key, id, second, silent, tag } = publication;
        let link = match self.sessions.get_mut(&channel) {
            Some(session) => match session.links.get_mut(&handle) {
                Some(Link::In(link)) if link.key == key => Some((session.local, link)),
                _ => None,
            },
            None => None,
        };
        let Some((local, link)) = link else {
            if let Some(suspended) = &mut self.suspended {
                suspended.settled(key, &tag, said(outcome, u8::MAX).0);
            }
            return;
        };
        let holds = second && !silent;
        if !holds {
            link.unsettled = link.unsettled.saturating_sub(1);
        }
        let wants_flow = !self.paused && !link.flow_due && link.wants_flow();
        let (said, error) = said(outcome, link.outcomes);
        if wants_flow {
            link.flow_due = true;
        }
        let Some(session) = self.sessions.get_mut(&channel) else { return };
        if wants_flow {
            session.flows.push(handle);
        }
        mark(&mut self.dirty, channel, session);
        if silent {
            return;
        }
        if holds {
            session.seconds.insert(id, (handle, key));
        }
        if error.is_some() {
            let state = Some(DeliveryState::Rejected(error));
            let disposition = Disposition {
                role: Role::Receiver,
                first: id,
                settled: !second,
                state,
                ..Disposition::default()
            };
            Performative::Disposition(disposition).write(local, self.transmit.buffer());
            self.frames.sent += 1;
        } else if let Some(run) = Run::put(&mut session.told, id, !second, said) {
            run.write(Role::Receiver, local, self.transmit.buffer());
            self.frames.sent += 1;
        }
    }

    /// Disposition came.
    pub(super) fn disposition(&mut self, channel: u16, disposition: &Disposition<'_>) -> Result<(), Failure> {
        let last = disposition.last.unwrap_or(disposition.first);
        let span = last.wrapping_sub(disposition.first);
        if self.session(channel)?.is_none() {
            return Ok(());
        }
        if span > u32::MAX / 2 {
            let problem = "a disposition's last delivery is before its first";
            return Err(Failure::session(condition::INVALID_FIELD, problem));
        }
        match disposition.role {
            Role::Receiver => self.disposed(channel, disposition, span),
            Role::Sender if disposition.settled => self.settled_by_sender(channel, disposition.first, span),
            Role::Sender => {}
        }
        Ok(())
    }

    /// A receiver says what it did with deliveries of ours.
    fn disposed(&mut self, channel: u16, disposition: &Disposition<'_>, span: u32) {
        let state = disposition.state.filter(DeliveryState::is_terminal);
        if state.is_none() && !disposition.settled {
            // It tells how far it has got: there is nothing to do about that.
            return;
        }
        let Some(session) = self.sessions.get_mut(&channel) else { return };
        let local = session.local;
        let (links, deliveries, settled) = (&session.links, &mut session.deliveries, &mut session.settled);
        let (transmit, frames, outputs) = (&mut self.transmit, &mut self.frames, &mut self.outputs);
        let consumers = &mut self.consumers;
        let mut group: Option<(u32, SmallVec<[Tag; 4]>)> = None;
        let mut dispose = |consumer: u32, tags: SmallVec<[Tag; 4]>| {
            let what = match &state {
                Some(state) => disposition_of(state),
                // Settled without a word: what the source says becomes of such.
                None => consumers.get(consumer as usize).and_then(|entry| links.get(&entry.handle)).map_or(
                    windrose_event::Disposition::Accepted,
                    |link| match link {
                        Link::Out(link) => link.default_outcome,
                        _ => windrose_event::Disposition::Accepted,
                    },
                ),
            };
            if let Some(entry) = consumers.get_mut(consumer as usize) {
                entry.unsettled = entry.unsettled.saturating_sub(tags.len() as u32);
            }
            let consumer = ConsumerId(consumer);
            outputs.push_back(crate::amqp::Output::Intent(Intent::Dispose {
                consumer,
                tags,
                disposition: what,
            }));
        };
        deliveries.take(disposition.first, span, |slot| {
            match &mut group {
                Some((consumer, tags)) if *consumer == slot.consumer => tags.push(slot.tag),
                _ => {
                    if let Some((consumer, tags)) = group.take() {
                        dispose(consumer, tags);
                    }
                    group = Some((slot.consumer, SmallVec::from_slice(&[slot.tag])));
                }
            }
            // Whoever does not settle first waits for us to (part 2 §2.8.3).
            if !disposition.settled
                && let Some(state) = &state
                && let Some(run) = Run::put(settled, slot.id, true, Said::of(state))
            {
                run.write(Role::Sender, local, transmit.buffer());
                frames.sent += 1;
            }
        });
        if let Some((consumer, tags)) = group {
            dispose(consumer, tags);
        }
        if session.settled.is_some() {
            mark(&mut self.dirty, channel, session);
        }
    }

    /// A sender settles its deliveries: those whose outcome it has heard, and those whose outcome it does not want.
    fn settled_by_sender(&mut self, channel: u16, first: u32, span: u32) {
        let Some(session) = self.sessions.get_mut(&channel) else { return };
        let mut owed: SmallVec<[u32; 4]> = SmallVec::new();
        let links = &mut session.links;
        session.seconds.retain(|id, (handle, key)| {
            if id.wrapping_sub(first) > span {
                return true;
            }
            if let Some(Link::In(link)) = links.get_mut(handle)
                && link.key == *key
            {
                link.unsettled = link.unsettled.saturating_sub(1);
                if link.wants_flow() && !owed.contains(handle) {
                    owed.push(*handle);
                }
            }
            false
        });
        for (_, publication) in &mut self.publications {
            if publication.channel == channel && publication.id.wrapping_sub(first) <= span {
                publication.silent = true;
            }
        }
        if !self.paused {
            for handle in owed {
                self.owe_link_flow(channel, handle);
            }
        }
    }
}

/// A delivery that the peer has not settled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) id: u32,
    pub(super) consumer: u32,
    /// The engine's tag; none: it is settled.
    pub(super) tag: Tag,
}

/// Deliveries that the peer has not settled, in the order of their ids. Most are settled in that order; those that are not
/// leave a gap, and gaps are closed when there are more of them than of the others.
#[derive(Default)]
pub(super) struct Deliveries {
    slots: VecDeque<Slot>,
    gaps: usize,
}

impl Deliveries {
    #[inline]
    pub(super) fn push(&mut self, slot: Slot) {
        self.slots.push_back(slot);
    }

    /// Where the delivery with an id is, or the first after it.
    fn position(&self, id: u32) -> usize {
        let Some(front) = self.slots.front() else { return 0 };
        let ahead = id.wrapping_sub(front.id);
        if ahead > u32::MAX / 2 {
            return 0;
        }
        match self.slots.get(ahead as usize) {
            Some(slot) if slot.id == id => ahead as usize,
            _ => self.slots.partition_point(|slot| slot.id.wrapping_sub(front.id) < ahead),
        }
    }

    /// Takes out those from `first` on, `span` ids far.
    #[inline]
    pub(super) fn take(&mut self, first: u32, span: u32, mut with: impl FnMut(Slot)) {
        let position = self.position(first);
        for slot in self.slots.iter_mut().skip(position) {
            if slot.id.wrapping_sub(first) > span {
                break;
            }
            if slot.tag != Tag::NONE {
                with(*slot);
                slot.tag = Tag::NONE;
                self.gaps += 1;
            }
        }
        self.close_gaps();
    }

    /// Forgets a consumer's.
    pub(super) fn forget(&mut self, consumer: u32) {
        self.slots.retain(|slot| slot.consumer != consumer && slot.tag != Tag::NONE);
        self.gaps = 0;
        self.close_gaps();
    }

    fn close_gaps(&mut self) {
        while self.slots.front().is_some_and(|slot| slot.tag == Tag::NONE) {
            self.slots.pop_front();
            self.gaps -= 1;
        }
        if self.gaps > 64 && self.gaps * 2 > self.slots.len() {
            self.slots.retain(|slot| slot.tag != Tag::NONE);
            self.gaps = 0;
        }
        if self.slots.is_empty() && self.slots.capacity() > 64 {
            self.slots = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_are_found_whatever_was_settled_before() {
        let mut deliveries = Deliveries::default();
        // Ids go round.
        let start = u32::MAX - 100;
        for n in 0..1_000 {
            deliveries.push(Slot { id: start.wrapping_add(n), consumer: n % 2, tag: Tag(n as u16 + 1) });
        }
        let mut take = |first: u32, span: u32| {
            let mut taken = Vec::new();
            deliveries.take(start.wrapping_add(first), span, |slot| taken.push(slot.tag.0 - 1));
            taken
        };
        assert_eq!(take(3, 0), [3]);
        assert_eq!(take(3, 0), [0_u16; 0]);
        assert_eq!(take(0, 5), [0, 1, 2, 4, 5]);
        for n in (10..900).rev() {
            assert_eq!(take(n, 0), [n as u16]);
        }
        assert_eq!(take(0, 902), [6, 7, 8, 9, 900, 901, 902]);
        deliveries.forget(1);
        let mut left = 0;
        deliveries.take(start, 2_000, |slot| left += u32::from(slot.consumer == 0));
        assert_eq!(left, 48);
        assert!(deliveries.slots.capacity() <= 64);
    }
}
