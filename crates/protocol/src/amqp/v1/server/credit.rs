//! Credit of links (part 2 §2.6.7): ours to senders, receivers' to the engine.

use super::link::Link;
use super::{Failure, Server};
use crate::amqp::v1::codec::Flow;
use windrose_event::{ConsumerId, Intent};

/// A window of as many transfers is no bound: what waits to be written is bounded otherwise.
const AMPLE: u32 = 65_536;

impl Server {
    /// A flow that is about a link came.
    pub(super) fn link_flow(&mut self, channel: u16, handle: u32, flow: &Flow<'_>) -> Result<(), Failure> {
        let Some(session) = self.session(channel)? else { return Ok(()) };
        let answer = match session.links.get_mut(&handle) {
            None => return Err(Failure::unattached()),
            Some(Link::Detaching(_)) => false,
            Some(Link::Asked(asked)) => {
                if let Some(credit) = flow.link_credit {
                    asked.credit = Some((credit, flow.drain));
                }
                false
            }
            Some(Link::In(link)) => {
                // A sender may give up credit: then its count runs ahead (part 2 §2.6.7).
                if let Some(count) = flow.delivery_count {
                    let given_up = count.wrapping_sub(link.delivery_count);
                    if given_up <= link.credit {
                        link.delivery_count = count;
                        link.credit -= given_up;
                    }
                }
                flow.echo || link.wants_flow()
            }
            Some(Link::Out(link)) => {
                if let Some(credit) = flow.link_credit {
                    link.take_credit(flow.delivery_count, credit);
                }
                link.drain = flow.drain;
                if !self.grants.contains(&(channel, handle)) {
                    self.grants.push((channel, handle));
                }
                flow.echo
            }
        };
        if answer {
            self.owe_link_flow(channel, handle);
        }
        Ok(())
    }

    /// Tells the engine how many deliveries a receiver takes.
    pub(super) fn grant(&mut self, channel: u16, handle: u32) {
        let Some(session) = self.sessions.get_mut(&channel) else { return };
        let links = session.links.len() as u32;
        let Some(Link::Out(link)) = session.links.get_mut(&handle) else { return };
        let mut credit = link.credit;
        if session.outgoing_window < AMPLE {
            // What the window has no room for would wait here: it waits better where others can take it.
            let share = match session.outgoing_window {
                0 => 0,
                window => (window / links.max(1)).max(1),
            };
            session.capped |= credit > share;
            credit = credit.min(share);
        }
        let limit = link.supplied + u64::from(credit);
        if limit == link.granted && !link.drain {
            return;
        }
        link.granted = limit;
        let (consumer, drain) = (ConsumerId(link.consumer), link.drain);
        self.intend(Intent::Grant { consumer, limit, drain });
    }

    /// The window has other room than before: so have links that were granted less than they take.
    pub(super) fn regrant(&mut self, channel: u16) {
        let Some(session) = self.sessions.get_mut(&channel) else { return };
        if !std::mem::take(&mut session.capped) {
            return;
        }
        let handles = session.links.keys().map(|handle| (channel, *handle));
        self.grants.extend(handles);
    }

    /// Nothing more waits: a receiver's credit is used up (part 2 §2.6.7, drain).
    pub(super) fn drained(&mut self, id: ConsumerId, limit: u64) {
        let Some((channel, handle)) = self.link_of(id) else { return };
        let Some(session) = self.sessions.get_mut(&channel) else { return };
        let Some(Link::Out(link)) = session.links.get_mut(&handle) else { return };
        link.granted = limit;
        if !link.drain {
            // It has changed its mind since.
            return self.grant(channel, handle);
        }
        link.delivery_count = link.delivery_count.wrapping_add(link.credit);
        link.credit = 0;
        self.owe_link_flow(channel, handle);
        // The answer says that it is one to a drain; the next does not.
        self.flush_session(channel);
        if let Some(Link::Out(link)) =
            self.sessions.get_mut(&channel).and_then(|session| session.links.get_mut(&handle))
        {
            link.drain = false;
        }
    }

    /// The link that a consumer is of, if it is still attached.
    pub(super) fn link_of(&self, id: ConsumerId) -> Option<(u16, u32)> {
        let consumer = self.consumers.get(id.0 as usize)?;
        let session = self.sessions.get(&consumer.channel)?;
        match session.links.get(&consumer.handle)? {
            Link::Out(link) if link.key == consumer.key => Some((consumer.channel, consumer.handle)),
            _ => None,
        }
    }

    /// Publishing goes on: senders hear of credit that was kept from them.
    pub(super) fn refresh_credit(&mut self) {
        let mut waiting = Vec::new();
        for (channel, session) in &self.sessions {
            for (handle, link) in &session.links {
                if matches!(link, Link::In(link) if link.wants_flow()) {
                    waiting.push((*channel, *handle));
                }
            }
        }
        for (channel, handle) in waiting {
            self.owe_link_flow(channel, handle);
        }
    }
}
