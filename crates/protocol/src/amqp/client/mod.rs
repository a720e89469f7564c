//! The client's side of AMQP, of either version: what pools speak to their members.
//!
//! The caller makes the transport: it says that one is up ([`Client::handle_connected`]), feeds it, and says that it is
//! gone ([`Client::handle_eof`]), as often as needed. What was published and not confirmed when a connection ends is given
//! back: another server may take it.
//!
//! **Mutate once, then drain [`Client::poll_output`] until it has nothing, before mutating again.**

mod config;
mod either;
#[cfg(test)]
mod tests;

pub use config::{ClientConfig, ClientVersion};
pub use either::Client;

use bytes::Bytes;
use windrose_event::{Outcome, Publication, Tag, Text};

/// What a client wants, or has to say.
#[derive(Debug)]
pub enum ClientOutput {
    /// The connection is open, and knows of no subscription.
    Opened,
    /// What became of a publication.
    Settled {
        /// The caller's name for it.
        token: u64,
        /// What the server said of it, or why it said nothing.
        outcome: Outcome,
    },
    /// Somebody answered to a publication.
    Replied {
        /// The caller's name for the publication.
        token: u64,
        /// The answer's media type.
        content_type: Option<Text>,
        /// The answer.
        payload: Bytes,
    },
    /// A message from the server. Answered by [`Client::settle`].
    Message {
        /// Pairs the answer.
        tag: Tag,
        /// The message.
        publication: Box<Publication>,
        /// Whether the server may have sent it before.
        again: bool,
        /// What it came for.
        cause: MessageCause,
    },
    /// The answer to [`Client::subscribe`].
    Subscribed {
        /// The subscription's number.
        identifier: u32,
        /// Whether the server granted it.
        granted: bool,
    },
    /// Write what waits, then close the transport, then call [`Client::handle_eof`].
    Close {
        /// Why, for the log. `None`: the next connection is to be made at once.
        problem: Option<String>,
    },
}

/// What a message came for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageCause {
    /// Some subscription.
    Subscriptions,
    /// The subscription of this number.
    Subscription(u32),
    /// A queue of [`ClientConfig::consume`].
    Queue,
}
