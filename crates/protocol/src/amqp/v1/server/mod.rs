//! The server's side of one connection: bytes and directives in, bytes and intents out.
//!
//! **Mutate once, then drain [`Server::poll_output`] until it has nothing, before mutating again.**

use crate::Transmit;
use crate::amqp::{Frames, Output, ServerConfig};
use std::collections::VecDeque;
use std::sync::Arc;
use windrose_event::{Claim, Close, CloseCause, Directive, Intent, Moment, Now};

/// The server's side of one connection.
pub struct Server {
    outputs: VecDeque<Output>,
    transmit: Transmit,
    close_cause: Option<Box<CloseCause>>,
}

impl Server {
    /// A machine for a transport that came up at `since`. The eight bytes of the protocol's header come first.
    pub fn new(config: Arc<ServerConfig>, claim: Claim, since: Moment) -> Self {
        let _ = (config, claim, since);
        Self { outputs: VecDeque::new(), transmit: Transmit::default(), close_cause: None }
    }

    /// A whole read from the peer. What is understood goes to the end of `outputs`.
    pub fn handle_bytes_into(&mut self, now: Now, bytes: &[u8], outputs: &mut VecDeque<Output>) {
        let _ = (now, bytes, outputs);
    }

    /// A word of the engine.
    pub fn handle_directive(&mut self, now: Now, directive: Directive) {
        let _ = (now, directive);
    }

    /// [`Server::next_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Now) {
        let _ = now;
    }

    /// Credit is gone: nothing more is to be published for now. Returns whether it is read from all the same.
    pub fn handle_pause(&mut self, now: Now) -> bool {
        let _ = now;
        false
    }

    /// It may publish again, and is read from again: its silence meanwhile was ours.
    pub fn handle_resume(&mut self, now: Now) {
        let _ = now;
    }

    /// The transport ended.
    pub fn handle_eof(&mut self, now: Now) {
        let _ = now;
        self.end(CloseCause::Lost);
    }

    /// What carries the bytes says that the peer broke its rules.
    pub fn handle_violation(&mut self, now: Now, problem: &'static str) {
        let _ = now;
        self.end(CloseCause::Protocol(problem.into()));
    }

    fn end(&mut self, cause: CloseCause) {
        let close = Close { cause: cause.clone(), with_will: false, keep: None };
        self.close_cause = Some(Box::new(cause));
        self.outputs.push_back(Output::Intent(Intent::Close(close)));
        self.outputs.push_back(Output::Close);
    }

    /// What it wants next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether [`Server::poll_output`] has something.
    pub fn has_output(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// What waits to be written.
    pub fn transmit(&mut self) -> &mut Transmit {
        &mut self.transmit
    }

    /// When it wants [`Server::handle_timeout`].
    pub fn next_timeout(&self) -> Option<Moment> {
        None
    }

    /// Frames since the last time.
    pub fn take_frames(&mut self) -> Frames {
        Frames::default()
    }

    /// How it ended the connection, if it did.
    pub fn close_cause(&self) -> Option<&CloseCause> {
        self.close_cause.as_deref()
    }
}
