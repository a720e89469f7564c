//! What a machine of many endpoints wants, and what it has counted.

use super::{Lane, Remote};
use windrose_event::Intent;

/// What the machine wants.
#[derive(Debug)]
pub enum Output {
    /// Begin a connection to the engine: its intents and directives go by this lane from now on.
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
    /// The connection is over: its `Close` was said, or the engine ended it.
    Disconnect {
        /// Which.
        lane: Lane,
    },
    /// A peer sent what it must not. Counted already; for a line in the log, as far as there may be one.
    Mishap {
        /// Who.
        remote: Remote,
        /// The class, as in metrics.
        cause: &'static str,
        /// What was wrong.
        detail: &'static str,
    },
}

/// Counts since the machine began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Datagrams received, malformed ones too.
    pub received: u64,
    /// Datagrams sent.
    pub sent: u64,
    /// Requests received for the first time.
    pub requests: u64,
    /// Messages received again (RFC 7252 §4.2).
    pub duplicates: u64,
    /// Confirmable messages sent again (RFC 7252 §4.2).
    pub retransmissions: u64,
    /// Confirmable messages given up (RFC 7252 §4.2).
    pub timeouts: u64,
    /// Exchanges that were forgotten before their time, because there were too many.
    pub forgotten: u64,
    /// Responses that were larger than their source may be sent, of which it was told by 4.01 or not at all (RFC 9175 §2.4).
    pub withheld: u64,
    /// What peers sent that they must not, by cause: the position is that of [`Mishap::NAMES`].
    pub mishaps: [u64; Mishap::NAMES.len()],
}

impl Counts {
    /// Each cause of mishaps with its count.
    pub fn mishaps(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Mishap::NAMES.into_iter().zip(self.mishaps)
    }

    pub(super) fn note(&mut self, mishap: Mishap) {
        if let Some(count) = self.mishaps.get_mut(mishap as usize) {
            *count += 1;
        }
    }
}

/// The classes of what peers send that they must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mishap {
    /// It is no message (RFC 7252 §3).
    Malformed,
    /// It is of another version (RFC 7252 §3).
    Version,
    /// Its code is of a reserved class, or not one of its type's (RFC 7252 §4.2, §4.3).
    Code,
    /// It has a critical option that is not known (RFC 7252 §5.4.1).
    Option,
    /// It answers what was not asked (RFC 7252 §5.3.2).
    Token,
    /// It acknowledges or resets what was not sent (RFC 7252 §4.2).
    Unmatched,
}

impl Mishap {
    /// Their names in metrics and logs.
    pub const NAMES: [&'static str; 6] = ["malformed", "version", "code", "option", "token", "unmatched"];

    /// Its name in metrics and logs.
    pub fn name(self) -> &'static str {
        Self::NAMES.get(self as usize).copied().unwrap_or_default()
    }
}
