//! What is at a connection's end of the engine: a machine of a protocol, or code.

use super::sockets::SocketId;
use crate::exchange::ExchangeQueue;
use std::rc::Rc;
use windrose_event::{CloseCause, Moment, Now};
use windrose_protocol::coap::{self, Lane};
use windrose_protocol::{Transmit, amqp, mqtt};

/// The code at a connection's end of the engine.
pub(super) enum Endpoint {
    Mqtt(Box<mqtt::Server>),
    Amqp(Box<amqp::Server>),
    Exchange(Rc<ExchangeQueue>),
    /// CoAP on a connection of its own.
    Stream(Box<coap::Stream>),
    /// A lane of the machine of a socket.
    Lane(SocketId, Lane),
}

/// The same word for each kind of machine; nothing, or the last, for what has none of its own.
macro_rules! machine {
    ($endpoint:expr, $machine:ident => $word:expr, $otherwise:expr) => {
        match $endpoint {
            Endpoint::Mqtt($machine) => $word,
            Endpoint::Amqp($machine) => $word,
            Endpoint::Stream($machine) => $word,
            Endpoint::Exchange(_) | Endpoint::Lane(..) => $otherwise,
        }
    };
}

impl Endpoint {
    pub(super) fn next_timeout(&self) -> Option<Moment> {
        machine!(self, machine => machine.next_timeout(), None)
    }

    pub(super) fn close_cause(&self) -> Option<&CloseCause> {
        machine!(self, machine => machine.close_cause(), None)
    }

    pub(super) fn handle_timeout(&mut self, now: Now) {
        machine!(self, machine => machine.handle_timeout(now), ());
    }

    /// Whether there is a machine that is told that the transport ended, or that the peer broke its rules.
    pub(super) fn handle_end(&mut self, now: Now, problem: Option<&'static str>) -> bool {
        match problem {
            None => machine!(self, machine => machine.handle_eof(now), return false),
            Some(problem) => {
                machine!(self, machine => machine.handle_violation(now, problem), return false)
            }
        }
        true
    }

    /// What waits to be written.
    pub(super) fn transmit(&mut self) -> Option<&mut Transmit> {
        machine!(self, machine => Some(machine.transmit()), None)
    }

    /// Packets, messages or frames that came and went since the last time.
    pub(super) fn take_packets(&mut self) -> (u32, u32) {
        match self {
            Self::Mqtt(machine) => {
                let packets = machine.take_packets();
                (packets.received, packets.sent)
            }
            Self::Amqp(machine) => {
                let frames = machine.take_frames();
                (frames.received, frames.sent)
            }
            Self::Stream(machine) => {
                let messages = machine.take_messages();
                (messages.received, messages.sent)
            }
            Self::Exchange(_) | Self::Lane(..) => (0, 0),
        }
    }
}
