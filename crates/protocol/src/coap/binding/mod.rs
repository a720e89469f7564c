//! What requests and responses mean (`docs/coap-binding.md`): a request becomes intents, directives become responses and
//! notifications. Nothing here knows of message types, datagrams or streams.
//!
//! **Mutate once, then drain [`Binding::poll_output`] until it has nothing, before mutating again.**
//!
//! An endpoint is no connection of the engine's: there may be a million. Those that nobody knows share a few *lanes*; a
//! session of DTLS or a stream has one of its own, and so has every endpoint that observes, for its deliveries.

use super::codec::Code;
use super::{Lane, Remote, Request, Response, ServerConfig, SessionId, Token};
use std::collections::VecDeque;
use std::sync::Arc;
use windrose_event::{Claim, Directive, Intent, Moment, Now};

/// Who asks, and how the answer is paired with what it asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// Who.
    pub remote: Remote,
    /// Pairs the answer: free for another request once it is given.
    pub ask: u32,
    /// How many bytes of payload an answer may have now; what is larger is cut into blocks of 16 to 1,024 bytes
    /// (RFC 7959), or goes out whole if not even 16 fit.
    pub room: u32,
}

/// What the binding wants.
#[derive(Debug)]
pub enum Output {
    /// Answer a request. Each is answered once.
    Respond {
        /// Which.
        ask: u32,
        /// By what; `None`: by nothing, as the client wishes (RFC 7967).
        response: Option<Response>,
    },
    /// Notify an observer (RFC 7641 §4.2).
    Notify {
        /// Whom.
        remote: Remote,
        /// Of the request by which it observes.
        token: Token,
        /// Of what.
        response: Response,
        /// Whether it must acknowledge (RFC 7641 §4.5).
        confirmable: bool,
        /// Told with what became of the notification.
        notice: Notice,
    },
    /// Begin a connection to the engine.
    Connect {
        /// Its name, free until it is disconnected.
        lane: Lane,
        /// Whose it is alone; `None`: endpoints share it.
        remote: Option<Remote>,
    },
    /// Tell the engine.
    Intent {
        /// By which connection.
        lane: Lane,
        /// What.
        intent: Intent,
    },
    /// A connection to the engine is over.
    Disconnect {
        /// Which.
        lane: Lane,
    },
}

/// Which notification of which observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The lane, by a number that no other has.
    lane: u32,
    /// The observation, by a number that no other of its endpoint has.
    observation: u32,
    /// The delivery's tag.
    tag: u16,
}

/// What became of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The observer has it.
    Acknowledged,
    /// The observer does not want it (RFC 7641 §3.6): of those that need no acknowledgement, too.
    Reset,
    /// The observer is silent (RFC 7641 §4.5).
    TimedOut,
}

/// The meaning of one socket's requests, or of one stream's.
#[derive(Debug)]
pub struct Binding {
    config: Arc<ServerConfig>,
    outputs: VecDeque<Output>,
}

impl Binding {
    /// A binding without lanes.
    pub fn new(config: Arc<ServerConfig>, _seed: u64) -> Self {
        Self { config, outputs: VecDeque::new() }
    }

    /// Takes a request.
    pub fn handle_request(&mut self, _now: Now, asker: Asker, request: &Request<'_>) {
        let is_large = request.payload.len() > self.config.payload_bytes as usize;
        let code = if is_large { Code::REQUEST_ENTITY_TOO_LARGE } else { Code::NOT_IMPLEMENTED };
        let response = Some(Response::new(code));
        self.outputs.push_back(Output::Respond { ask: asker.ask, response });
    }

    /// Takes the engine's word.
    pub fn handle_directive(&mut self, _now: Now, _lane: Lane, _directive: Directive) {}

    /// Credit for what a lane publishes is gone, or back.
    pub fn handle_brake(&mut self, _now: Now, _lane: Lane, _paused: bool) {}

    /// A session begins: it is known by what it claims.
    pub fn handle_session(&mut self, _now: Now, _session: SessionId, _claim: Claim) {}

    /// A session has ended.
    pub fn handle_session_end(&mut self, _now: Now, _session: SessionId) {}

    /// What became of a notification.
    pub fn handle_notified(&mut self, _now: Now, _remote: Remote, _notice: Notice, _fate: Fate) {}

    /// Acts on [`Binding::next_timeout`].
    pub fn handle_timeout(&mut self, _now: Now) {}

    /// When [`Binding::handle_timeout`] is due.
    pub fn next_timeout(&self) -> Option<Moment> {
        None
    }

    /// The next output, if any.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}
