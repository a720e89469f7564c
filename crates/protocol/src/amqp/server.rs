//! The server's side of one AMQP connection, of whichever version its first eight bytes say.
//!
//! **Mutate once, then drain [`Server::poll_output`] until it has nothing, before mutating again.**

use super::{ServerConfig, v1, v091};
use crate::Transmit;
use std::collections::VecDeque;
use std::sync::Arc;
use windrose_event::{Claim, Close, CloseCause, Directive, Intent, Moment, Now};

/// What a machine wants.
#[derive(Debug)]
pub enum Output {
    /// Tell the engine.
    Intent(Intent),
    /// Write what waits, then close the transport.
    Close,
}

/// Counts of frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frames {
    /// From the peer, malformed ones too.
    pub received: u32,
    /// To the peer.
    pub sent: u32,
}

/// The server's side of one connection.
pub struct Server(State);

enum State {
    /// Fewer than eight bytes came.
    Fresh(Box<Fresh>),
    V1(Box<v1::Server>),
    V091(Box<v091::Server>),
    /// What came is no AMQP that we speak; the peer is told which we do.
    Over {
        transmit: Transmit,
        outputs: VecDeque<Output>,
        cause: CloseCause,
    },
}

struct Fresh {
    config: Arc<ServerConfig>,
    claim: Claim,
    header: Vec<u8>,
    since: Moment,
    transmit: Transmit,
}

/// What an old server answers that is asked for another version (AMQP 0-9-1 §4.2.2); clients of 1.0 understand it as well.
const ANSWER: &[u8; 8] = b"AMQP\x00\x00\x09\x01";

impl Server {
    /// A machine for a transport that came up `now`. `claim` says what the transport knows of the peer.
    pub fn new(config: Arc<ServerConfig>, claim: Claim, now: Now) -> Self {
        let transmit = Transmit::default();
        Self(State::Fresh(Box::new(Fresh { config, claim, header: Vec::new(), since: now.moment, transmit })))
    }

    /// A whole read from the peer. What is understood goes to the end of `outputs`; drain [`Server::poll_output`] besides.
    pub fn handle_bytes_into(&mut self, now: Now, bytes: &[u8], outputs: &mut VecDeque<Output>) {
        match &mut self.0 {
            State::V1(machine) => machine.handle_bytes_into(now, bytes, outputs),
            State::V091(machine) => machine.handle_bytes_into(now, bytes, outputs),
            State::Over { .. } => {}
            State::Fresh(fresh) => {
                fresh.header.extend_from_slice(bytes);
                if fresh.header.len() < 8 && b"AMQP".starts_with(&fresh.header[..fresh.header.len().min(4)]) {
                    return;
                }
                self.begin(now, outputs);
            }
        }
    }

    fn begin(&mut self, now: Now, outputs: &mut VecDeque<Output>) {
        let over = |cause| State::Over { transmit: Transmit::default(), outputs: VecDeque::new(), cause };
        let fresh = match std::mem::replace(&mut self.0, over(CloseCause::Lost)) {
            State::Fresh(fresh) => fresh,
            other => return self.0 = other,
        };
        let Fresh { config, claim, header, since, .. } = *fresh;
        match header.get(4..8).filter(|_| header.starts_with(b"AMQP")) {
            Some([0 | 2 | 3, 1, 0, 0]) => {
                let mut machine = Box::new(v1::Server::new(config, claim, since));
                machine.handle_bytes_into(now, &header, outputs);
                self.0 = State::V1(machine);
            }
            Some([0, 0, 9, 1]) => {
                let mut machine = Box::new(v091::Server::new(config, claim, since));
                machine.handle_bytes_into(now, &header, outputs);
                self.0 = State::V091(machine);
            }
            _ => {
                let cause = CloseCause::Protocol("its first bytes are no header of AMQP 1.0 or 0-9-1".into());
                let mut transmit = Transmit::default();
                transmit.buffer().extend_from_slice(ANSWER);
                self.0 = State::Over { transmit, outputs: VecDeque::from([Output::Close]), cause };
            }
        }
    }

    /// A word of the engine.
    pub fn handle_directive(&mut self, now: Now, directive: Directive) {
        match &mut self.0 {
            State::V1(machine) => machine.handle_directive(now, directive),
            State::V091(machine) => machine.handle_directive(now, directive),
            State::Fresh(_) | State::Over { .. } => {}
        }
    }

    /// [`Server::next_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Now) {
        match &mut self.0 {
            State::V1(machine) => machine.handle_timeout(now),
            State::V091(machine) => machine.handle_timeout(now),
            State::Fresh(fresh) if fresh.since + fresh.config.connect_timeout <= now.moment => {
                self.end(CloseCause::NoOpen);
            }
            State::Fresh(_) | State::Over { .. } => {}
        }
    }

    /// Credit is gone: nothing more is to be published for now. Returns whether it is read from all the same, because it
    /// knows that it has no credit; otherwise it is not, until [`Server::handle_resume`].
    pub fn handle_pause(&mut self, now: Now) -> bool {
        match &mut self.0 {
            State::V1(machine) => machine.handle_pause(now),
            State::V091(machine) => machine.handle_pause(now),
            State::Fresh(_) | State::Over { .. } => false,
        }
    }

    /// It may publish again, and is read from again: its silence meanwhile was ours.
    pub fn handle_resume(&mut self, now: Now) {
        match &mut self.0 {
            State::V1(machine) => machine.handle_resume(now),
            State::V091(machine) => machine.handle_resume(now),
            State::Fresh(_) | State::Over { .. } => {}
        }
    }

    /// The transport ended.
    pub fn handle_eof(&mut self, now: Now) {
        match &mut self.0 {
            State::V1(machine) => machine.handle_eof(now),
            State::V091(machine) => machine.handle_eof(now),
            State::Fresh(_) => self.end(CloseCause::Lost),
            State::Over { .. } => {}
        }
    }

    /// What carries the bytes says that the peer broke its rules.
    pub fn handle_violation(&mut self, now: Now, problem: &'static str) {
        match &mut self.0 {
            State::V1(machine) => machine.handle_violation(now, problem),
            State::V091(machine) => machine.handle_violation(now, problem),
            State::Fresh(_) => self.end(CloseCause::Protocol(problem.into())),
            State::Over { .. } => {}
        }
    }

    fn end(&mut self, cause: CloseCause) {
        let close = Close { cause: cause.clone(), with_will: false, keep: None };
        let outputs = VecDeque::from([Output::Intent(Intent::Close(close)), Output::Close]);
        self.0 = State::Over { transmit: Transmit::default(), outputs, cause };
    }

    /// What it wants next.
    pub fn poll_output(&mut self) -> Option<Output> {
        match &mut self.0 {
            State::V1(machine) => machine.poll_output(),
            State::V091(machine) => machine.poll_output(),
            State::Fresh(_) => None,
            State::Over { outputs, .. } => outputs.pop_front(),
        }
    }

    /// Whether [`Server::poll_output`] has something.
    pub fn has_output(&self) -> bool {
        match &self.0 {
            State::V1(machine) => machine.has_output(),
            State::V091(machine) => machine.has_output(),
            State::Fresh(_) => false,
            State::Over { outputs, .. } => !outputs.is_empty(),
        }
    }

    /// What waits to be written.
    pub fn transmit(&mut self) -> &mut Transmit {
        match &mut self.0 {
            State::V1(machine) => machine.transmit(),
            State::V091(machine) => machine.transmit(),
            State::Fresh(fresh) => &mut fresh.transmit,
            State::Over { transmit, .. } => transmit,
        }
    }

    /// How many bytes wait to be written, roughly; not zero if any do. [`Server::transmit`] is for when they are written: what
    /// may be said in one word is put off until then.
    pub fn waiting(&self) -> usize {
        match &self.0 {
            State::V1(machine) => machine.waiting(),
            State::V091(machine) => machine.waiting(),
            State::Fresh(fresh) => fresh.transmit.len(),
            State::Over { transmit, .. } => transmit.len(),
        }
    }

    /// When it wants [`Server::handle_timeout`].
    pub fn next_timeout(&self) -> Option<Moment> {
        match &self.0 {
            State::V1(machine) => machine.next_timeout(),
            State::V091(machine) => machine.next_timeout(),
            State::Fresh(fresh) => Some(fresh.since + fresh.config.connect_timeout),
            State::Over { .. } => None,
        }
    }

    /// Frames since the last time.
    pub fn take_frames(&mut self) -> Frames {
        match &mut self.0 {
            State::V1(machine) => machine.take_frames(),
            State::V091(machine) => machine.take_frames(),
            State::Fresh(_) | State::Over { .. } => Frames::default(),
        }
    }

    /// How it ended the connection, if it did.
    pub fn close_cause(&self) -> Option<&CloseCause> {
        match &self.0 {
            State::V1(machine) => machine.close_cause(),
            State::V091(machine) => machine.close_cause(),
            State::Fresh(_) => None,
            State::Over { cause, .. } => Some(cause),
        }
    }
}
