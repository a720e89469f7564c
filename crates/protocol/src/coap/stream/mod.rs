//! CoAP on a stream (RFC 8323): TCP, TLS or WebSocket. One machine for one connection; what requests mean is the same as on
//! datagrams.
//!
//! **Mutate once, then drain [`Stream::poll_output`] until it has nothing, before mutating again.** A mutation may bring
//! [`Stream::next_timeout`] forward.

mod frame;
mod signal;
#[cfg(test)]
mod tests;

pub use frame::Framing;

use super::binding::{self, Asker, Binding, Fate};
use super::codec::{Code, Options};
use super::things::Things;
use super::{Lane, Remote, Request, Response, ServerConfig, SessionId, Token};
use crate::Transmit;
use bytes::Bytes;
use frame::{Frame, FrameError};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{Claim, Close, CloseCause, CloseReason, Directive, Intent, Moment, Now};

/// The message that every peer takes, before it says how large it may be (RFC 8323 §5.3.1).
const BASE_MESSAGE: u32 = 1_152;

/// The part of a message that is not payload, at most: head, options of a response, payload marker.
const OVERHEAD: u32 = 96;

/// How many bytes may come before the session is open, besides one message.
const AHEAD: usize = 64 * 1_024;

/// A stream is one endpoint: its own.
const REMOTE: Remote = Remote::Session(SessionId(0));
const LANE: Lane = Lane(0);

/// What the machine is told of the node's policy.
#[derive(Clone, Debug)]
pub struct StreamConfig {
    /// What is alike on datagrams.
    pub server: Arc<ServerConfig>,
    /// The largest message that is taken, in bytes; announced (RFC 8323 §5.3.1).
    pub message_bytes: u32,
    /// How long the peer's first message may take from the transport's start.
    pub connect_timeout: Duration,
    /// How long the peer may be silent before it is asked for a sign of life; half as long it may take to answer.
    pub idle: Option<Duration>,
}

/// Counts of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Messages {
    /// From the peer.
    pub received: u32,
    /// To the peer.
    pub sent: u32,
}

/// What the machine wants.
#[derive(Debug)]
pub enum StreamOutput {
    /// Tell the engine.
    Intent(Intent),
    /// Write what waits, then close the transport.
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing but CSM may come (RFC 8323 §5.3).
    Fresh,
    /// Messages go both ways.
    Open,
    /// The peer is leaving: what is under way is answered still (RFC 8323 §5.5).
    Released,
    /// Nothing more is read or said.
    Closed,
}

/// The server's side of one connection.
#[derive(Debug)]
pub struct Stream {
    config: Arc<StreamConfig>,
    framing: Framing,
    state: State,
    binding: Binding,
    claim: Option<Box<Claim>>,
    /// A partial message.
    partial: Vec<u8>,
    transmit: Transmit,
    outputs: VecDeque<StreamOutput>,
    /// Requests that are not answered, by their number: later ones have larger numbers.
    asks: BTreeMap<u32, Token>,
    next_ask: u32,
    /// Pings whose answers tell that all before them is done (RFC 8323 §5.4.1), with the first request that came later.
    custody: VecDeque<(u32, Token)>,
    /// The largest message that the peer takes.
    peer_message_bytes: u32,
    /// When something came last; until CSM, when the transport began.
    last_heard: Moment,
    /// Whether a sign of life was asked for since.
    pinged: bool,
    messages: Messages,
    /// Bytes that came before the session was open; `None`: it is.
    ahead: Option<usize>,
    close_cause: Option<Box<CloseCause>>,
    /// Why the engine ended the session, while what waited is answered.
    farewell: Option<(Code, &'static str)>,
}

impl Stream {
    /// A machine for a transport that came up `now`. `claim` says what the transport knows of the peer.
    pub fn new(config: Arc<StreamConfig>, claim: Claim, framing: Framing, now: Now) -> Self {
        let mut stream = Self {
            binding: Binding::new(config.server.clone(), 0),
            framing,
            state: State::Fresh,
            claim: Some(Box::new(claim)),
            partial: Vec::new(),
            transmit: Transmit::default(),
            outputs: VecDeque::new(),
            asks: BTreeMap::new(),
            next_ask: 0,
            custody: VecDeque::new(),
            peer_message_bytes: BASE_MESSAGE,
            last_heard: now.moment,
            pinged: false,
            messages: Messages::default(),
            ahead: Some(0),
            close_cause: None,
            farewell: None,
            config,
        };
        stream.binding.set_stream(BASE_MESSAGE, false);
        stream.say_csm();
        stream
    }

    /// Takes a whole read of a transport where messages begin with their lengths.
    pub fn handle_bytes(&mut self, now: Now, bytes: &[u8]) {
        if self.state == State::Closed {
            return;
        }
        if self.partial.is_empty() {
            let taken = self.parse(now, bytes);
            if self.state != State::Closed {
                self.partial.extend_from_slice(bytes.get(taken..).unwrap_or_default());
            }
            return;
        }
        self.partial.extend_from_slice(bytes);
        let partial = std::mem::take(&mut self.partial);
        let taken = self.parse(now, &partial);
        if self.state != State::Closed && taken < partial.len() {
            self.partial = partial;
            self.partial.drain(..taken);
        }
    }

    /// Takes a part of a message of a WebSocket, the last one or not.
    pub fn handle_message(&mut self, now: Now, bytes: &[u8], is_last: bool) {
        if self.state == State::Closed {
            return;
        }
        if self.partial.len() + bytes.len() > self.config.message_bytes as usize {
            return self.fail(FrameError::TooLarge);
        }
        if !is_last {
            return self.partial.extend_from_slice(bytes);
        }
        if self.partial.is_empty() {
            return self.take(now, bytes);
        }
        self.partial.extend_from_slice(bytes);
        let message = std::mem::take(&mut self.partial);
        self.take(now, &message);
    }

    /// Takes a whole read like [`Stream::handle_bytes`], and puts what there is to poll into `outputs`, which must be empty.
    pub fn handle_bytes_into(&mut self, now: Now, bytes: &[u8], outputs: &mut VecDeque<StreamOutput>) {
        if !self.outputs.is_empty() {
            // Not drained before: what it said then comes first.
            outputs.append(&mut self.outputs);
        }
        std::mem::swap(&mut self.outputs, outputs);
        self.handle_bytes(now, bytes);
        std::mem::swap(&mut self.outputs, outputs);
    }

    /// Takes the engine's word.
    pub fn handle_directive(&mut self, now: Now, directive: Directive) {
        if self.state == State::Closed {
            return;
        }
        match &directive {
            Directive::Accept(_) => self.ahead = None,
            Directive::Close(CloseReason::ShuttingDown) => {
                self.farewell = Some((Code::RELEASE, "the node is shutting down"));
            }
            Directive::Close(_) => self.farewell = Some((Code::ABORT, "the session has ended")),
            Directive::Refuse(_) => self.farewell = Some((Code::ABORT, "the session is not opened")),
            _ => {}
        }
        self.binding.handle_directive(now, LANE, directive);
        self.carry(now);
    }

    /// Acts on [`Stream::next_timeout`].
    pub fn handle_timeout(&mut self, now: Now) {
        if self.state == State::Closed {
            return;
        }
        self.binding.handle_timeout(now);
        self.carry(now);
        if self.own_timeout().is_none_or(|due| due > now.moment) {
            return;
        }
        match self.state {
            State::Fresh => self.end(CloseCause::NoOpen),
            State::Open | State::Released if self.pinged => self.end(CloseCause::KeepAlive),
            State::Open | State::Released => {
                self.pinged = true;
                self.say(Code::PING, &[], Options::default(), &Bytes::new());
            }
            State::Closed => {}
        }
    }

    /// The transport is read again after it was not: a peer that nobody listened to was not silent.
    pub fn handle_resume(&mut self, now: Now) {
        self.last_heard = now.moment;
    }

    /// The transport has ended without a word.
    pub fn handle_eof(&mut self, _now: Now) {
        if self.state != State::Closed {
            self.end(CloseCause::Lost);
        }
    }

    /// The peer broke the rules of what carries CoAP, such as WebSocket's.
    pub fn handle_violation(&mut self, _now: Now, problem: &'static str) {
        if self.state != State::Closed {
            self.end(CloseCause::Protocol(problem.into()));
        }
    }

    /// Whether there is something to poll.
    pub fn has_output(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// The next output, if any.
    pub fn poll_output(&mut self) -> Option<StreamOutput> {
        let output = self.outputs.pop_front();
        if output.is_none() && self.outputs.capacity() > 0 {
            // An idle connection owns no memory that it does not need.
            self.outputs = VecDeque::new();
        }
        output
    }

    /// Messages since this was last asked.
    pub fn take_messages(&mut self) -> Messages {
        std::mem::take(&mut self.messages)
    }

    /// What waits to be written.
    pub fn transmit(&mut self) -> &mut Transmit {
        &mut self.transmit
    }

    /// When [`Stream::handle_timeout`] is due.
    pub fn next_timeout(&self) -> Option<Moment> {
        if self.state == State::Closed {
            return None;
        }
        [self.own_timeout(), self.binding.next_timeout()].into_iter().flatten().min()
    }

    /// Whether messages go both ways.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open | State::Released)
    }

    /// How the connection ended, once it has.
    pub fn close_cause(&self) -> Option<&CloseCause> {
        self.close_cause.as_deref()
    }

    /// Signs of life: CSM's time, then silence, then that of the answer to a ping.
    fn own_timeout(&self) -> Option<Moment> {
        match self.state {
            State::Fresh => Some(self.last_heard + self.config.connect_timeout),
            State::Open | State::Released => {
                let idle = self.config.idle?;
                Some(self.last_heard + if self.pinged { idle + idle / 2 } else { idle })
            }
            State::Closed => None,
        }
    }

    /// Takes the messages that have come whole; how many bytes they have.
    fn parse(&mut self, now: Now, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while self.state != State::Closed
            && let Some(rest) = bytes.get(taken..)
        {
            let message = match frame::length(rest, self.config.message_bytes) {
                Ok(length) => length.and_then(|length| rest.get(..length)),
                Err(error) => {
                    self.fail(error);
                    break;
                }
            };
            let Some(message) = message else { break };
            taken += message.len();
            self.take(now, message);
        }
        taken
    }

    /// Takes one message.
    fn take(&mut self, now: Now, bytes: &[u8]) {
        self.last_heard = now.moment;
        self.pinged = false;
        self.messages.received = self.messages.received.saturating_add(1);
        if let Some(ahead) = &mut self.ahead {
            *ahead += bytes.len();
            if *ahead > self.config.message_bytes as usize + AHEAD {
                return self.abort("too much came before the session was open", None);
            }
        }
        let frame = match frame::parse(bytes, self.framing, self.config.server.token_bytes) {
            Ok(frame) => frame,
            Err(error) => return self.fail(error),
        };
        match frame.code {
            Code::EMPTY => {}
            code if code.is_signal() => self.signal(now, &frame),
            _ if self.state == State::Fresh => self.abort("CSM must be the first message", None),
            code if code.is_request() => self.request(now, &frame),
            // Nothing was asked of this peer: a response is for nobody (RFC 7252 §5.3.2).
            code if code.is_response() => {}
            _ => self.abort("a message has a code of a reserved class", None),
        }
        self.carry(now);
    }

    /// A request: its answer bears its number.
    fn request(&mut self, now: Now, frame: &Frame<'_>) {
        let ask = self.next_ask;
        self.next_ask = self.next_ask.wrapping_add(1);
        let token = Token::from(frame.token);
        if let Some(number) = frame.options.unknown_critical() {
            let problem = format!("option {number} is not known, or not as it may be");
            return self.answer(&token, &Response::diagnostic(Code::BAD_OPTION, problem));
        }
        self.asks.insert(ask, token);
        let room = self.peer_message_bytes.saturating_sub(OVERHEAD + frame.token.len() as u32);
        let request = Request {
            code: frame.code,
            token: frame.token,
            options: frame.options,
            payload: frame.payload,
            confirmable: true,
        };
        if Things::is_meant(&request) {
            self.asks.remove(&ask);
            let problem = "things register by datagrams: coap:// or coaps://";
            let token = Token::from(frame.token);
            return self.answer(&token, &Response::diagnostic(Code::NOT_IMPLEMENTED, problem));
        }
        self.binding.handle_request(now, Asker { remote: REMOTE, ask, room }, &request);
    }

    /// Carries what the binding wants to the peer and to the engine.
    fn carry(&mut self, now: Now) {
        while let Some(output) = self.binding.poll_output() {
            match output {
                binding::Output::Respond { ask, response } => {
                    if let (Some(token), Some(response)) = (self.asks.remove(&ask), response) {
                        self.answer(&token, &response);
                    }
                }
                binding::Output::Notify { remote, token, response, notice, .. } => {
                    self.answer(&token, &response);
                    // The transport delivers what is written, or ends; how much waits to be written is looked at elsewhere.
                    self.binding.handle_notified(now, remote, notice, Fate::Acknowledged);
                }
                // The transport itself is the connection that the engine knows of.
                binding::Output::Connect { .. } => {}
                binding::Output::Intent { intent, .. } => {
                    self.outputs.push_back(StreamOutput::Intent(intent));
                }
                binding::Output::Disconnect { .. } => {
                    let (code, detail) =
                        self.farewell.take().unwrap_or((Code::ABORT, "the session has ended"));
                    let detail = Bytes::from_static(detail.as_bytes());
                    self.say(code, &[], Options::default(), &detail);
                    self.close_transport(CloseCause::Ours);
                }
            }
        }
        self.say_pongs();
        if self.state == State::Released && self.asks.is_empty() {
            self.end(CloseCause::Goodbye);
        }
    }

    /// Says a response, or as much of it as the peer takes (RFC 8323 §5.3.1): an error without its words, or that it does
    /// not fit.
    fn answer(&mut self, token: &[u8], response: &Response) {
        let options = response.options.as_options();
        let length = 12 + token.len() + options.as_bytes().len() + response.payload.len();
        if length <= self.peer_message_bytes as usize {
            self.say(response.code, token, options, &response.payload);
        } else if response.code.is_success() {
            self.say(Code::INTERNAL_SERVER_ERROR, token, Options::default(), &Bytes::new());
        } else {
            self.say(response.code, token, options, &Bytes::new());
        }
    }

    fn say(&mut self, code: Code, token: &[u8], options: Options<'_>, payload: &Bytes) {
        if self.state != State::Closed {
            let length = frame::write(&mut self.transmit, self.framing, code, token, options, payload);
            if self.framing == Framing::WebSocket {
                self.transmit.end_message(length);
            }
            self.messages.sent = self.messages.sent.saturating_add(1);
        }
    }

    /// The bytes that came are no messages.
    fn fail(&mut self, error: FrameError) {
        match error {
            FrameError::TooLarge => self.abort("a message is larger than was announced by CSM", None),
            FrameError::Malformed(problem) => self.abort(problem.describe(), None),
        }
    }

    /// Ends the connection after what has been said is written, and tells the engine if it knows of the session.
    fn end(&mut self, cause: CloseCause) {
        if self.is_open() {
            let close = Close { cause: cause.clone(), with_will: false, keep: None };
            self.outputs.push_back(StreamOutput::Intent(Intent::Close(close)));
        }
        self.close_transport(cause);
    }

    fn close_transport(&mut self, cause: CloseCause) {
        self.state = State::Closed;
        self.close_cause = Some(Box::new(cause));
        self.partial = Vec::new();
        self.custody = VecDeque::new();
        self.asks = BTreeMap::new();
        self.outputs.push_back(StreamOutput::Close);
    }
}
