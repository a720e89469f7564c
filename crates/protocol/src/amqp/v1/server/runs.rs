//! Dispositions and flows that are put off until all is written: what can be said of many in one word is.

use super::Server;
use super::link::Link;
use super::outcome::Said;
use crate::amqp::v1::codec::{Disposition, Flow, Performative, Role};

/// Deliveries next to one another that the same is said of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    first: u32,
    last: u32,
    settled: bool,
    said: Said,
}

impl Run {
    fn new(id: u32, settled: bool, said: Said) -> Self {
        Self { first: id, last: id, settled, said }
    }

    /// Puts one more delivery to those of which something is put off; returns what then has to be said first.
    #[inline]
    pub(super) fn put(run: &mut Option<Self>, id: u32, settled: bool, said: Said) -> Option<Self> {
        if let Some(run) = run
            && run.settled == settled
            && run.said == said
        {
            if run.last.wrapping_add(1) == id {
                run.last = id;
                return None;
            }
            if id.wrapping_add(1) == run.first {
                run.first = id;
                return None;
            }
        }
        run.replace(Self::new(id, settled, said))
    }

    pub(super) fn write(self, role: Role, channel: u16, out: &mut Vec<u8>) {
        let disposition = Disposition {
            role,
            first: self.first,
            last: (self.last != self.first).then_some(self.last),
            settled: self.settled,
            state: Some(self.said.state()),
            batchable: false,
        };
        Performative::Disposition(disposition).write(channel, out);
    }
}

impl Server {
    /// Says what was put off.
    pub(super) fn flush(&mut self) {
        for channel in std::mem::take(&mut self.dirty) {
            self.flush_session(channel);
        }
    }

    /// Says what was put off on one session.
    pub(super) fn flush_session(&mut self, channel: u16) {
        let Some(session) = self.sessions.get_mut(&channel) else { return };
        session.is_dirty = false;
        let local = session.local;
        let out = self.transmit.buffer();
        let mut sent = 0;
        if let Some(run) = session.told.take() {
            run.write(Role::Receiver, local, out);
            sent += 1;
        }
        if let Some(run) = session.settled.take() {
            run.write(Role::Sender, local, out);
            sent += 1;
        }
        for handle in std::mem::take(&mut session.flows) {
            let state = session.state();
            let flow = match session.links.get_mut(&handle) {
                Some(Link::In(link)) => {
                    link.flow_due = false;
                    if !self.paused {
                        link.credit = link.credit.max(link.window.saturating_sub(link.unsettled));
                    }
                    Flow {
                        handle: Some(link.local),
                        delivery_count: Some(link.delivery_count),
                        link_credit: Some(link.credit),
                        ..state
                    }
                }
                Some(Link::Out(link)) => {
                    link.flow_due = false;
                    Flow {
                        handle: Some(link.local),
                        delivery_count: Some(link.delivery_count),
                        link_credit: Some(link.credit),
                        available: Some(0),
                        drain: link.drain,
                        ..state
                    }
                }
                _ => continue,
            };
            Performative::Flow(flow).write(local, out);
            sent += 1;
        }
        if session.flow_due {
            let state = session.state();
            Performative::Flow(state).write(local, out);
            sent += 1;
        }
        self.frames.sent += sent;
    }
}
