//! Sessions: windows of transfers on a channel, in both directions (part 2 §2.5).

use super::link::Link;
use super::runs::Run;
use super::settle::Deliveries;
use super::supply::Outbound;
use super::{Failure, Server};
use crate::amqp::v1::codec::{Begin, Flow, Performative, condition};
use smallvec::SmallVec;
use std::collections::{BTreeMap, VecDeque};

/// Transfers that a peer may send before it hears of more: links' credit bounds what it publishes, this bounds frames.
const INCOMING_WINDOW: u32 = 8_192;
/// What we say that we would send: peers use it for nothing.
const OUTGOING_WINDOW: u32 = 0x7fff_ffff;

/// A session.
pub(super) struct Session {
    /// Our channel.
    pub(super) local: u16,
    /// We have ended it, and the peer has not yet.
    pub(super) ending: bool,
    /// Whether it is among those that have something put off to say.
    pub(super) is_dirty: bool,
    /// Whether the peer is to be told of its window.
    pub(super) flow_due: bool,
    /// The transfer-id that comes next.
    pub(super) next_incoming: u32,
    /// Transfers that the peer may send still.
    pub(super) incoming_window: u32,
    /// The transfer-id of ours that goes next.
    pub(super) next_outgoing: u32,
    /// Transfers that the peer takes still.
    pub(super) outgoing_window: u32,
    /// The highest handle that it takes.
    pub(super) handle_max: u32,
    /// The delivery-id that came last.
    pub(super) last_delivery: Option<u32>,
    /// The delivery-id of ours that goes next.
    pub(super) next_delivery: u32,
    /// By the peer's handle.
    pub(super) links: BTreeMap<u32, Link>,
    /// Links whose flow is put off.
    pub(super) flows: SmallVec<[u32; 2]>,
    /// Deliveries of ours that the peer has not settled.
    pub(super) deliveries: Deliveries,
    /// What came of the engine that the window has no room for.
    pub(super) held: VecDeque<Outbound>,
    /// Dispositions that are put off: as the receiver, and as the sender.
    pub(super) told: Option<Run>,
    pub(super) settled: Option<Run>,
    /// Publications of links whose receiver settles second: the outcome is told, the peer has not settled.
    pub(super) seconds: BTreeMap<u32, (u32, u32)>,
    /// Whether a link was granted less than its credit, because the window is small.
    pub(super) capped: bool,
}

impl Server {
    /// Begin came.
    pub(super) fn begin(&mut self, channel: u16, begin: &Begin<'_>) -> Result<(), Failure> {
        if channel >= self.config.channels {
            let problem = "a channel is over channel-max";
            return Err(Failure::connection(condition::FRAMING_ERROR, problem));
        }
        if self.sessions.contains_key(&channel) {
            let problem = "a session was begun already on this channel";
            return Err(Failure::connection(condition::NOT_ALLOWED, problem));
        }
        if begin.remote_channel.is_some() {
            let problem = "begin answers one that was never sent";
            return Err(Failure::connection(condition::NOT_ALLOWED, problem));
        }
        let local = if channel <= self.peer_channel_max {
            channel
        } else {
            let taken = |local: u16| self.sessions.values().any(|session| session.local == local);
            let free = (0..=self.peer_channel_max).find(|local| !taken(*local));
            let problem = "there are more sessions than its channel-max has room for";
            free.ok_or(Failure::connection(condition::NOT_ALLOWED, problem))?
        };
        let session = Session {
            local,
            ending: false,
            is_dirty: false,
            flow_due: false,
            next_incoming: begin.next_outgoing_id,
            incoming_window: INCOMING_WINDOW,
            next_outgoing: 0,
            outgoing_window: begin.incoming_window,
            handle_max: begin.handle_max.unwrap_or(u32::MAX),
            last_delivery: None,
            next_delivery: 0,
            links: BTreeMap::new(),
            flows: SmallVec::new(),
            deliveries: Deliveries::default(),
            held: VecDeque::new(),
            told: None,
            settled: None,
            seconds: BTreeMap::new(),
            capped: false,
        };
        self.sessions.insert(channel, Box::new(session));
        let answer = Begin {
            remote_channel: Some(channel),
            next_outgoing_id: 0,
            incoming_window: INCOMING_WINDOW,
            outgoing_window: OUTGOING_WINDOW,
            handle_max: Some(self.config.links.saturating_sub(1)),
            ..Begin::default()
        };
        Performative::Begin(answer).write(local, self.transmit.buffer());
        self.frames.sent += 1;
        Ok(())
    }

    /// A session that the peer may use; `None`: we have ended it, and what comes is passed by.
    pub(super) fn session(&mut self, channel: u16) -> Result<Option<&mut Session>, Failure> {
        let session = self.sessions.get_mut(&channel).ok_or(Failure::no_session())?;
        Ok(Some(&mut **session).filter(|session| !session.ending))
    }

    /// Flow came: for the session, and for one of its links (part 2 §2.5.6, §2.6.7).
    pub(super) fn flow(&mut self, channel: u16, flow: &Flow<'_>) -> Result<(), Failure> {
        let Some(session) = self.session(channel)? else { return Ok(()) };
        // What is on its way to it counts against its window; before it has our begin it expects our first transfer.
        let expects = flow.next_incoming_id.unwrap_or(0);
        let on_its_way = session.next_outgoing.wrapping_sub(expects);
        session.outgoing_window = flow.incoming_window.saturating_sub(on_its_way);
        session.next_incoming = flow.next_outgoing_id;
        if !session.held.is_empty() {
            self.send_held(channel);
        }
        match flow.handle {
            Some(handle) => self.link_flow(channel, handle, flow)?,
            None if flow.echo => self.owe_flow(channel),
            None => {}
        }
        self.regrant(channel);
        Ok(())
    }

    /// The peer is to hear of its window, with what else there is to say.
    pub(super) fn owe_flow(&mut self, channel: u16) {
        if let Some(session) = self.sessions.get_mut(&channel) {
            session.flow_due = true;
            mark(&mut self.dirty, channel, session);
        }
    }
}

/// Remembers that a session has something put off to say.
#[inline]
pub(super) fn mark(dirty: &mut SmallVec<[u16; 4]>, channel: u16, session: &mut Session) {
    if !std::mem::replace(&mut session.is_dirty, true) {
        dirty.push(channel);
    }
}

impl Session {
    /// A transfer came. Whoever sends more than the window has room for does not keep to it (part 2 §2.5.6).
    #[inline]
    pub(super) fn count_incoming(&mut self) -> Result<(), Failure> {
        if self.incoming_window == 0 {
            let problem = "more transfers came than the session's window has room for";
            return Err(Failure::session(condition::WINDOW_VIOLATION, problem));
        }
        self.next_incoming = self.next_incoming.wrapping_add(1);
        self.incoming_window -= 1;
        self.flow_due |= self.incoming_window <= INCOMING_WINDOW / 2;
        Ok(())
    }

    /// Our handle for a link: the peer's own, if it has room for that.
    pub(super) fn local_handle(&self, handle: u32) -> Option<u32> {
        let taken = |local: u32| self.links.values().any(|link| link.local() == local);
        if handle <= self.handle_max && (self.handle_max == u32::MAX || !taken(handle)) {
            return Some(handle);
        }
        (0..=self.handle_max).take(self.links.len() + 1).find(|local| !taken(*local))
    }

    /// What a flow says of the session; with it the peer's window is whole again.
    pub(super) fn state(&mut self) -> Flow<'static> {
        self.incoming_window = INCOMING_WINDOW;
        self.flow_due = false;
        Flow {
            next_incoming_id: Some(self.next_incoming),
            incoming_window: self.incoming_window,
            next_outgoing_id: self.next_outgoing,
            outgoing_window: OUTGOING_WINDOW,
            ..Flow::default()
        }
    }
}
