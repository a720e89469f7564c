//! The server's side of one connection: bytes and directives in, bytes and intents out.
//!
//! It holds what belongs to the connection alone: sessions with their windows, links with their credit, and which
//! deliveries are unsettled. Queues, subscriptions and what waits in them are the engine's.
//!
//! **Mutate once, then drain [`Server::poll_output`] until it has nothing, before mutating again.**

mod answer;
mod attach;
mod close;
mod credit;
mod detach;
mod failure;
mod filters;
mod link;
mod open;
mod outcome;
mod receive;
mod runs;
mod sasl;
mod session;
mod settle;
mod supply;
mod suspended;
#[cfg(test)]
mod tests;
mod transfer;

use super::codec::MIN_MAX_FRAME_SIZE;
use crate::Transmit;
use crate::amqp::{Frames, Output, ServerConfig};
use answer::Question;
use failure::Failure;
use link::Consumer;
use session::Session;
use settle::Publication;
use slab::Slab;
use smallvec::SmallVec;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{Claim, Close, CloseCause, Directive, Intent, Moment, Now};

/// How long the peer's close may take after ours.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The peer's protocol header is to come.
    Header,
    /// SASL was agreed on: the peer is to pick a mechanism.
    Sasl,
    /// The peer is to answer a challenge of SASL.
    Challenged,
    /// SASL ended well: AMQP's own header is to come.
    Proved,
    /// Open is to come.
    Fresh,
    /// The engine is asked whether the peer is let in: with SASL, or with open. What comes is held.
    Asked,
    /// The connection is open.
    Open,
    /// We have closed it, and wait for the peer's close: what it still sends is passed by, so that it hears why.
    Closing,
    /// Nothing more is read or said.
    Closed,
}

/// The server's side of one connection.
pub struct Server {
    config: Arc<ServerConfig>,
    state: State,
    /// Whether SASL is spoken first.
    sasl: bool,
    /// Whether the engine has a session for the connection.
    admitted: bool,
    /// Whether nothing more is to be published for now.
    paused: bool,
    /// The largest frame that the peer takes.
    peer_frame_size: u32,
    /// The highest channel that it takes.
    peer_channel_max: u16,
    /// How long it waits for a frame; zero: for ever.
    peer_idle: Duration,
    last_heard: Moment,
    last_sent: Moment,
    /// Until the engine is asked.
    claim: Option<Box<Claim>>,
    /// The peer's name for itself, once it is open.
    container: Box<str>,
    /// A partial frame, or what came before the engine's answer.
    partial: Vec<u8>,
    outputs: VecDeque<Output>,
    transmit: Transmit,
    frames: Frames,
    /// By the peer's channel.
    sessions: BTreeMap<u16, Box<Session>>,
    /// Publications that the engine has not settled, by their tag less one.
    publications: Slab<Publication>,
    /// Consumers of the engine's, by their number.
    consumers: Slab<Consumer>,
    /// What the engine is asked about exchanges and queues, by tag less one.
    questions: Slab<Question>,
    /// Links that were detached and may be attached again.
    suspended: Option<Box<suspended::Suspended>>,
    /// Bytes of messages that are not complete.
    partial_bytes: usize,
    /// Links of all sessions.
    links: u32,
    /// Tells links apart that have the same handle one after the other.
    next_key: u32,
    /// Links whose credit came with what was read: the engine hears of it after what they settled, which goes before.
    grants: SmallVec<[(u16, u32); 2]>,
    /// Sessions that have something to say that is put off, so that more can be said with it.
    dirty: SmallVec<[u16; 4]>,
    close_cause: Option<Box<CloseCause>>,
}

impl Server {
    /// A machine for a transport that came up at `since`. The eight bytes of the protocol's header come first.
    pub fn new(config: Arc<ServerConfig>, claim: Claim, since: Moment) -> Self {
        Self {
            config,
            state: State::Header,
            sasl: false,
            admitted: false,
            paused: false,
            peer_frame_size: MIN_MAX_FRAME_SIZE,
            peer_channel_max: u16::MAX,
            peer_idle: Duration::ZERO,
            last_heard: since,
            last_sent: since,
            claim: Some(Box::new(claim)),
            container: Box::default(),
            partial: Vec::new(),
            outputs: VecDeque::new(),
            transmit: Transmit::default(),
            frames: Frames::default(),
            sessions: BTreeMap::new(),
            publications: Slab::new(),
            consumers: Slab::new(),
            questions: Slab::new(),
            suspended: None,
            partial_bytes: 0,
            links: 0,
            next_key: 0,
            grants: SmallVec::new(),
            dirty: SmallVec::new(),
            close_cause: None,
        }
    }

    /// A whole read from the peer. What is understood goes to the end of `outputs`.
    pub fn handle_bytes_into(&mut self, now: Now, bytes: &[u8], outputs: &mut VecDeque<Output>) {
        if !self.outputs.is_empty() {
            // Not drained before: what it said then comes first.
            outputs.append(&mut self.outputs);
        }
        std::mem::swap(&mut self.outputs, outputs);
        self.receive(now, bytes);
        for (channel, handle) in std::mem::take(&mut self.grants) {
            self.grant(channel, handle);
        }
        std::mem::swap(&mut self.outputs, outputs);
    }

    /// A word of the engine.
    pub fn handle_directive(&mut self, now: Now, directive: Directive) {
        if matches!(self.state, State::Closing | State::Closed) {
            return;
        }
        match directive {
            Directive::Settle { tag, outcome, .. } => self.settled(tag, &outcome),
            Directive::Supply(supply) => self.supply(now, supply),
            Directive::Accept(accepted) => {
                self.accept(now, &accepted);
                self.parse_partial(now);
            }
            Directive::Refuse(refusal) => self.refuse(&refusal),
            Directive::Challenge { data } => {
                self.challenge(now, data);
                self.parse_partial(now);
            }
            Directive::Arranged { tag, result } => self.arranged(tag, result),
            Directive::Consuming { consumer, result } => self.consuming(consumer, result),
            Directive::Drained { consumer, limit } => self.drained(consumer, limit),
            Directive::Canceled { consumer, because } => self.canceled(consumer, because),
            Directive::Close(reason) => self.closed_by_engine(&reason),
            // Answers to questions that this machine never asks.
            Directive::Reidentified { .. }
            | Directive::Released { .. }
            | Directive::Subscribed { .. }
            | Directive::Unsubscribed { .. }
            | Directive::Deliver(_)
            | Directive::Release { .. }
            | Directive::Value { .. }
            | Directive::Enrolled { .. }
            | Directive::Listed { .. }
            | Directive::Synced { .. }
            | Directive::Reply { .. }
            | Directive::Pulled { .. } => {}
        }
    }

    /// [`Server::next_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.next_timeout().is_none_or(|due| due > now.moment) {
            return;
        }
        match self.state {
            State::Open => {}
            State::Closing => return self.close_transport(),
            _ => return self.end(CloseCause::NoOpen),
        }
        if self.silence().is_some_and(|due| due <= now.moment) {
            return self.idle_too_long();
        }
        self.heartbeat(now);
    }

    /// Credit is gone: no link gets more of it for now. It is read from all the same: what it settles is heard.
    pub fn handle_pause(&mut self, _now: Now) -> bool {
        self.paused = true;
        true
    }

    /// It may publish again.
    pub fn handle_resume(&mut self, now: Now) {
        self.last_heard = now.moment;
        if std::mem::take(&mut self.paused) {
            self.refresh_credit();
        }
    }

    /// The transport ended.
    pub fn handle_eof(&mut self, _now: Now) {
        if self.state == State::Closing {
            return self.close_transport();
        }
        self.end(CloseCause::Lost);
    }

    /// What carries the bytes says that the peer broke its rules.
    pub fn handle_violation(&mut self, _now: Now, problem: &'static str) {
        if self.state == State::Closing {
            return self.close_transport();
        }
        self.end(CloseCause::Protocol(problem.into()));
    }

    /// Ends the connection after what has been said is written, and tells the engine if it knows of the session.
    fn end(&mut self, cause: CloseCause) {
        if matches!(self.state, State::Closing | State::Closed) {
            return;
        }
        if self.admitted || self.state == State::Asked || self.state == State::Challenged {
            self.intend(Intent::Close(Close { cause: cause.clone(), with_will: false, keep: None }));
        }
        self.state = State::Closed;
        self.partial = Vec::new();
        self.sessions = BTreeMap::new();
        self.publications = Slab::new();
        self.consumers = Slab::new();
        self.questions = Slab::new();
        self.grants = SmallVec::new();
        self.dirty = SmallVec::new();
        self.close_cause = Some(Box::new(cause));
        self.outputs.push_back(Output::Close);
    }

    /// Ends the connection for the engine, and waits for the peer's close (part 2 §2.4.3).
    fn end_and_wait(&mut self, cause: CloseCause) {
        let was_open = self.state == State::Open;
        self.end(cause);
        if was_open && matches!(self.outputs.back(), Some(Output::Close)) {
            self.outputs.pop_back();
            self.state = State::Closing;
        }
    }

    fn close_transport(&mut self) {
        self.state = State::Closed;
        self.outputs.push_back(Output::Close);
    }

    fn intend(&mut self, intent: Intent) {
        self.outputs.push_back(Output::Intent(intent));
    }

    /// What it wants next.
    #[inline]
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front();
        if output.is_none() && self.outputs.capacity() > 0 {
            // An idle connection owns no memory that it does not need.
            self.outputs = VecDeque::new();
        }
        output
    }

    /// Whether [`Server::poll_output`] has something.
    #[inline]
    pub fn has_output(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// What waits to be written. Ask for it when it is to be written, and not before: what may be said in one word is put
    /// off until then.
    pub fn transmit(&mut self) -> &mut Transmit {
        if !self.dirty.is_empty() {
            self.flush();
        }
        &mut self.transmit
    }

    /// How many bytes wait to be written, roughly; not zero if any do.
    pub fn waiting(&self) -> usize {
        self.transmit.len() + 32 * self.dirty.len()
    }

    /// When it wants [`Server::handle_timeout`].
    pub fn next_timeout(&self) -> Option<Moment> {
        match self.state {
            // However long the engine takes, it is not the peer that is late.
            State::Asked | State::Closed => None,
            State::Closing => Some(self.last_heard + CLOSE_TIMEOUT),
            State::Open => [self.silence(), self.next_heartbeat()].into_iter().flatten().min(),
            _ => Some(self.last_heard + self.config.connect_timeout),
        }
    }

    /// Frames since the last time.
    pub fn take_frames(&mut self) -> Frames {
        std::mem::take(&mut self.frames)
    }

    /// How it ended the connection, if it did.
    pub fn close_cause(&self) -> Option<&CloseCause> {
        self.close_cause.as_deref()
    }
}
