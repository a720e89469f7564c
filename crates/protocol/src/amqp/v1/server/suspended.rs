//! Links that were detached and not closed: what became of their deliveries is kept for whoever attaches them again
//! (part 2 §2.6.13).

use super::Server;
use super::link::Link;
use super::outcome::Said;
use super::runs::Run;
use super::session::mark;
use super::settle::DeliveryTag;
use crate::amqp::v1::codec::{Attach, MapWriter, Role, put_binary};
use std::collections::BTreeMap;

/// Links of which that is kept, of one connection.
const MOST_LINKS: usize = 64;

/// Links on which the peer sent, by name.
#[derive(Default)]
pub(super) struct Suspended {
    links: BTreeMap<Box<str>, Deliveries>,
}

/// Deliveries that were unsettled when their link was detached.
struct Deliveries {
    /// The link's key, as publications know it.
    key: u32,
    /// By delivery-tag; what became of it, once that is known.
    states: BTreeMap<DeliveryTag, Option<Said>>,
    /// Whether the link is attached again.
    attached: bool,
}

impl Suspended {
    /// The engine settled a publication whose link is gone.
    pub(super) fn settled(&mut self, key: u32, tag: &DeliveryTag, said: Said) {
        let link = self.links.values_mut().find(|link| link.key == key);
        if let Some(state) = link.and_then(|link| link.states.get_mut(tag)) {
            *state = Some(said);
        }
    }

    /// A link is attached again: what it is told of its unsettled deliveries.
    pub(super) fn resume(&mut self, attach: &Attach<'_>, _key: u32) -> Option<MapWriter> {
        let link = self.links.get_mut(attach.name)?;
        link.attached = true;
        if attach.unsettled.is_none() {
            // It knows nothing of them any more.
            self.links.remove(attach.name);
            return None;
        }
        let mut map = MapWriter::new();
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for (tag, state) in &link.states {
            key.clear();
            value.clear();
            put_binary(&mut key, tag);
            match state {
                Some(said) => said.state().write(&mut value),
                None => value.push(0x40),
            }
            map.raw(&key, &value);
        }
        Some(map)
    }
}

impl Server {
    /// A link is detached and may be attached again.
    pub(super) fn suspend(&mut self, link: &Link) {
        let Link::In(link) = link else { return };
        let states: BTreeMap<_, _> = self
            .publications
            .iter()
            .filter(|(_, publication)| publication.key == link.key && !publication.silent)
            .map(|(_, publication)| (publication.tag.clone(), None))
            .collect();
        if states.is_empty() {
            return;
        }
        let suspended = self.suspended.get_or_insert_default();
        if suspended.links.len() < MOST_LINKS {
            let deliveries = Deliveries { key: link.key, states, attached: false };
            suspended.links.insert(link.name.clone(), deliveries);
        }
    }

    /// A delivery is sent again that was unsettled: what became of it is said, if that is known, or will be once it is.
    /// `false`: nothing is known of it.
    pub(super) fn resumed(&mut self, channel: u16, handle: u32, tag: &DeliveryTag, id: u32) -> bool {
        let Some(session) = self.sessions.get_mut(&channel) else { return false };
        let Some(Link::In(link)) = session.links.get_mut(&handle) else { return false };
        let Some(suspended) = &mut self.suspended else { return false };
        let Some(deliveries) = suspended.links.get_mut(&link.name).filter(|known| known.attached) else {
            return false;
        };
        let Some(state) = deliveries.states.remove(tag) else { return false };
        let key = deliveries.key;
        if deliveries.states.is_empty() {
            suspended.links.remove(&link.name);
            if suspended.links.is_empty() {
                self.suspended = None;
            }
        }
        match state {
            Some(said) => {
                if let Some(run) = Run::put(&mut session.told, id, true, said) {
                    run.write(Role::Receiver, session.local, self.transmit.buffer());
                    self.frames.sent += 1;
                }
                mark(&mut self.dirty, channel, session);
            }
            None => {
                let mut all = self.publications.iter_mut().map(|(_, publication)| publication);
                let Some(publication) = all.find(|one| one.key == key && one.tag == *tag) else {
                    return false;
                };
                (publication.channel, publication.handle, publication.key, publication.id) =
                    (channel, handle, link.key, id);
                link.unsettled += 1;
            }
        }
        true
    }
}
