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
    /// What peers sent that they must not, by cause: the position is that of [`Counts::MISHAPS`].
    pub mishaps: [u64; Counts::MISHAPS.len()],
}

impl Counts {
    /// The causes of mishaps, as in metrics.
    pub const MISHAPS: [&'static str; 8] = [
        "malformed",
        "version",
        "reserved_code",
        "bad_option",
        "unknown_token",
        "unmatched",
        "exchanges_full",
        "amplification",
    ];

    /// Each cause with its count.
    pub fn mishaps(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Self::MISHAPS.into_iter().zip(self.mishaps)
    }
}
