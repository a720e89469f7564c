//! The server's side of one connection: bytes and directives in, bytes and intents out.
//!
//! It holds what belongs to the connection: channels, their consumers and what these have not acknowledged, confirms that
//! are due, transactions. Exchanges, queues and what waits in them are the engine's.
//!
//! What a client sends is taken in order. Where the engine must answer first (a queue that is declared, a consumer that
//! begins), what comes after it is held, on whatever channel: so whoever does not wait for answers finds what it declared.
//!
//! **Mutate once, then drain [`Server::poll_output`] until it has nothing, before mutating again.**

mod acks;
mod arguments;
mod ask;
mod channel;
mod close;
mod confirm;
mod connection;
mod consume;
mod content;
mod deliver;
mod exchange;
mod failure;
mod heartbeat;
mod publish;
mod queue;
mod receive;
mod sasl;
#[cfg(test)]
mod tests;
mod tx;
mod unsettled;

use super::codec::{FRAME_MIN, Method, method_frame};
use crate::Transmit;
use crate::amqp::{Frames, Output, ServerConfig};
use ask::Pending;
use channel::Channel;
use consume::Consumers;
use heartbeat::Beat;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use unsettled::Unsettled;
use windrose_event::{Claim, CloseCause, Directive, Intent, Moment, Now, Text};

/// How long a client may take to answer connection.close, or to close the transport after it was answered.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Bytes that are held at most while the engine answers.
const HELD: usize = 16 * 1024 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The protocol's header is to come.
    Header,
    /// connection.start-ok is to come.
    Start,
    /// connection.secure-ok is to come.
    Secure,
    /// The engine is asked who this is.
    Asking,
    /// The client is known, and is to take note of what proves the server to it.
    Proved,
    /// connection.tune-ok is to come.
    Tune,
    /// connection.open is to come.
    Opening,
    /// Channels may be used.
    Open,
    /// connection.close was said; its answer is to come.
    Closing,
    /// The client said good-bye and was answered. What it wrote before it knew is thrown away, until it closes the transport.
    Leaving,
    /// Nothing more is read or said.
    Closed,
}

/// What the client said that it can do (RabbitMQ: client-properties, capabilities).
#[derive(Clone, Copy, Debug, Default)]
struct Capabilities {
    authentication_failure_close: bool,
    blocked: bool,
    consumer_cancel_notify: bool,
}

/// The server's side of one connection.
pub struct Server {
    config: Arc<ServerConfig>,
    state: State,
    /// Taken by connection.start-ok.
    claim: Option<Box<Claim>>,
    /// When the last bytes came; until the connection is open, when it began.
    heard: Moment,
    /// What is not taken yet: a part of a frame, or what is held. It begins at `start`.
    partial: Vec<u8>,
    start: usize,
    outputs: VecDeque<Output>,
    transmit: Transmit,
    frames: Frames,
    /// Frames said, in all.
    said: u64,
    /// The confirm that was said last: how many frames there were then, its channel and delivery tag.
    last_ack: (u64, u16, u64),
    /// The largest frame, as negotiated.
    frame_max: u32,
    channel_max: u16,
    beat: Beat,
    capabilities: Capabilities,
    /// As whom it is known by its own word: what `user-id` must be.
    user: Option<Text>,
    /// The method that is being taken, for whoever is told that it failed.
    method: (u16, u16),
    /// Open channels, by number.
    channels: Vec<(u16, Box<Channel>)>,
    /// How many channels began, which tells those of one number apart.
    epochs: u32,
    consumers: Consumers,
    /// Consumers of whom the engine has to be told something.
    stirred: Vec<u32>,
    unsettled: Unsettled,
    pending: Option<Box<Pending>>,
    close_cause: Option<Box<CloseCause>>,
}

impl Server {
    /// A machine for a transport that came up at `since`. The eight bytes of the protocol's header come first.
    pub fn new(config: Arc<ServerConfig>, claim: Claim, since: Moment) -> Self {
        let frame_max = config.frame_bytes.max(FRAME_MIN);
        Self {
            config,
            state: State::Header,
            claim: Some(Box::new(claim)),
            heard: since,
            partial: Vec::new(),
            start: 0,
            outputs: VecDeque::new(),
            transmit: Transmit::default(),
            frames: Frames::default(),
            said: 0,
            last_ack: (u64::MAX, 0, 0),
            frame_max,
            channel_max: 0,
            beat: Beat::default(),
            capabilities: Capabilities::default(),
            user: None,
            method: (0, 0),
            channels: Vec::new(),
            epochs: 0,
            consumers: Consumers::default(),
            stirred: Vec::new(),
            unsettled: Unsettled::default(),
            pending: None,
            close_cause: None,
        }
    }

    /// A whole read from the peer. What is understood goes to the end of `outputs`.
    pub fn handle_bytes_into(&mut self, now: Now, bytes: &[u8], outputs: &mut VecDeque<Output>) {
        outputs.append(&mut self.outputs);
        std::mem::swap(&mut self.outputs, outputs);
        self.handle_bytes(now, bytes);
        std::mem::swap(&mut self.outputs, outputs);
    }

    /// A word of the engine.
    pub fn handle_directive(&mut self, now: Now, directive: Directive) {
        if matches!(self.state, State::Leaving | State::Closed) {
            return;
        }
        match directive {
            // The three that come by the million, first.
            Directive::Settle { tag, outcome, heard } => self.settle(tag, &outcome, heard),
            Directive::Supply(supply) => self.supply(supply),
            Directive::Accept(accepted) => self.accepted(now, &accepted),
            Directive::Refuse(refusal) => self.refused(&refusal),
            Directive::Challenge { data } => self.challenge(data),
            Directive::Reidentified { .. } => self.secret_updated(),
            Directive::Arranged { result, .. } => self.arranged(result),
            Directive::Consuming { consumer, result } => self.consuming(consumer, result),
            Directive::Canceled { consumer, because } => self.canceled(consumer, because),
            Directive::Pulled { result, .. } => self.pulled(result),
            Directive::Close(reason) => self.closed_by_engine(&reason),
            // Answers to questions that this machine never asks.
            Directive::Released { .. }
            | Directive::Subscribed { .. }
            | Directive::Unsubscribed { .. }
            | Directive::Deliver(_)
            | Directive::Release { .. }
            | Directive::Value { .. }
            | Directive::Enrolled { .. }
            | Directive::Listed { .. }
            | Directive::Synced { .. }
            | Directive::Reply { .. }
            | Directive::Drained { .. } => {}
        }
        self.go_on(now);
        self.tell_stirred();
    }

    /// The transport ended.
    pub fn handle_eof(&mut self, _now: Now) {
        match self.state {
            State::Closed => {}
            // As was to be.
            State::Closing | State::Leaving => self.end_as_said(),
            _ => self.end(CloseCause::Lost),
        }
    }

    /// What carries the bytes says that the peer broke its rules.
    pub fn handle_violation(&mut self, _now: Now, problem: &'static str) {
        if self.state != State::Closed {
            self.end(CloseCause::Protocol(problem.into()));
        }
    }

    /// What it wants next.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front();
        if output.is_none() && self.outputs.capacity() > 0 {
            // An idle connection owns no memory that it does not need.
            self.outputs = VecDeque::new();
        }
        output
    }

    /// Whether [`Server::poll_output`] has something.
    pub fn has_output(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// How many bytes wait to be written.
    pub fn waiting(&self) -> usize {
        self.transmit.len()
    }

    /// What waits to be written.
    pub fn transmit(&mut self) -> &mut Transmit {
        &mut self.transmit
    }

    /// Frames since the last time.
    pub fn take_frames(&mut self) -> Frames {
        std::mem::take(&mut self.frames)
    }

    /// How it ended the connection, if it did.
    pub fn close_cause(&self) -> Option<&CloseCause> {
        self.close_cause.as_deref()
    }

    fn intend(&mut self, intent: Intent) {
        self.outputs.push_back(Output::Intent(intent));
    }

    /// Says a method.
    fn say<'a>(&mut self, channel: u16, method: impl Into<Method<'a>>) {
        method_frame(&method.into(), channel, self.transmit.buffer());
        self.count(1);
    }

    fn count(&mut self, frames: u32) {
        self.frames.sent += frames;
        self.said += u64::from(frames);
    }
}
