//! What requests and responses mean (`docs/coap-binding.md`): a request becomes intents, directives become responses and
//! notifications. Nothing here knows of message types, datagrams or streams.
//!
//! **Mutate once, then drain [`Binding::poll_output`] until it has nothing, before mutating again.**
//!
//! An endpoint is no connection of the engine's: there may be a million. Those that nobody knows share a few *lanes*; a
//! session of DTLS or a stream has one of its own, and so has every endpoint that observes, for its deliveries.

mod ask;
mod assembly;
mod body;
mod discover;
mod engine;
mod est;
mod lanes;
mod observe;
mod outcome;
mod owner;
mod patch;
mod pending;
mod probe;
mod reply;
mod request;
mod serve;
#[cfg(test)]
mod tests;
mod value;
mod write;

use super::{Lane, Remote, Request, Response, ServerConfig, SessionId, Token};
use ask::Waits;
use assembly::Assemblies;
use body::Bodies;
use lanes::Lanes;
use owner::Owners;
use probe::Probes;
use reply::Reply;
use std::collections::VecDeque;
use std::sync::Arc;
use windrose_event::{Claim, Intent, Moment, Now};

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
    /// Notify an observer (RFC 7641 §4.2), or ping it: an empty message, which is to be reset (RFC 7252 §4.3).
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
    /// How large a notification may be, in bytes: that of a response is told with its request.
    message_bytes: u32,
    /// Whether they go by a stream, where a message has no bound but that one.
    is_stream: bool,
    /// Whether several blocks of 1,024 bytes may go at once (RFC 8323 §6).
    bert: bool,
    lanes: Lanes,
    /// Who has a lane of its own.
    owners: Owners,
    /// Bodies of requests that come block by block.
    assemblies: Assemblies,
    /// Bodies of responses that go block by block.
    bodies: Bodies,
    /// Until when answers of things are awaited.
    waits: Waits,
    /// Observers that are asked for signs of life.
    probes: Probes,
    /// Nobody anonymous is let in until then: the registry was asked a moment ago.
    refused: Option<(Moment, Response)>,
    /// Whether the node shuts down.
    is_draining: bool,
    /// Where the sequence numbers of observations begin (RFC 7641 §4.4).
    sequence: u32,
    outputs: VecDeque<Output>,
    /// Reused from request to request.
    path: Vec<u8>,
}

impl Binding {
    /// A binding without lanes.
    pub fn new(config: Arc<ServerConfig>, seed: u64) -> Self {
        Self {
            message_bytes: config.datagram_bytes.into(),
            config,
            is_stream: false,
            bert: false,
            lanes: Lanes::default(),
            owners: Owners::default(),
            assemblies: Assemblies::default(),
            bodies: Bodies::default(),
            waits: Waits::default(),
            probes: Probes::default(),
            refused: None,
            is_draining: false,
            sequence: seed as u32 & 0xffff,
            outputs: VecDeque::new(),
            path: Vec::new(),
        }
    }

    /// The node's policy has changed; lanes and observations go on.
    pub fn apply(&mut self, config: Arc<ServerConfig>) {
        if !self.is_stream {
            self.message_bytes = config.datagram_bytes.into();
        }
        self.config = config;
    }

    /// The transport loses nothing: notifications may be as large as the peer takes, and blocks may go several at a time
    /// (RFC 8323 §5.3.1, §6).
    pub(in crate::coap) fn set_stream(&mut self, message_bytes: u32, bert: bool) {
        self.message_bytes = message_bytes;
        self.is_stream = true;
        self.bert = bert;
    }

    /// Opens a session's lane before it asks for anything.
    pub(in crate::coap) fn open_own_lane(&mut self, now: Now, remote: Remote) {
        // It is its own as long as the session lasts: there is nothing to refuse.
        let _ = self.own_lane(now, remote);
    }

    /// Takes a request.
    pub fn handle_request(&mut self, now: Now, asker: Asker, request: &Request<'_>) {
        let mut reply = Reply::new(asker);
        let mut path = std::mem::take(&mut self.path);
        path.clear();
        let served = request::read(request, &mut path).and_then(|asked| {
            reply.quiet = asked.quiet;
            self.serve(now, asker.remote, &mut reply, request, &asked, &path)
        });
        self.path = path;
        if let Err(response) = served {
            self.respond(reply, response);
        }
    }

    /// A session begins: it is known by what it claims.
    pub fn handle_session(&mut self, _now: Now, session: SessionId, claim: Claim) {
        self.owners.begin(session, claim);
    }

    /// Acts on [`Binding::next_timeout`].
    pub fn handle_timeout(&mut self, now: Now) {
        self.assemblies.handle_timeout(now.moment);
        self.bodies.handle_timeout(now.moment);
        self.give_up_waiting(now);
        self.ping_observers(now);
        self.close_idle(now);
    }

    /// When [`Binding::handle_timeout`] is due.
    pub fn next_timeout(&self) -> Option<Moment> {
        [
            self.assemblies.next_timeout(),
            self.bodies.next_timeout(),
            self.waits.next_timeout(),
            self.probes.next_timeout(),
            self.lanes.next_timeout().filter(|_| !self.is_stream),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The next output, if any.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}
