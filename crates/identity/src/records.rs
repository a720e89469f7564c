//! The seam to the database: what letting somebody in asks of it.

use crate::record::{Changes, Record};
use crate::{Act, Lookup};
use std::fmt;
use std::sync::Arc;
use windrose_event::{Pending, Subject};

/// An answer of the database's, or why there is none.
pub type Asked<T> = Pending<Result<T, RecordsError>>;

/// Somebody who was found, with the index of the lookup that found it.
pub type Found = (usize, Arc<Record>);

/// Where records are kept. All answers come from another thread: the futures may be polled on a shard's.
pub trait Records: Send + Sync {
    /// The records of those who have a credential that is found by one of these, each with the index of what found it: in
    /// one question to the database. Credentials that were revoked are found, too, where no other is found by the same: whoever
    /// shows one is refused instead of being taken for somebody else. A certificate that was revoked and is nobody's (any more)
    /// is found as a record of [`windrose_event::Principal::Anonymous`] with that credential alone.
    fn find(&self, lookups: Vec<Lookup>) -> Asked<Vec<Found>>;

    /// The record of a device, an owner or a service.
    fn record(&self, subject: Subject) -> Asked<Option<Arc<Record>>>;

    /// What changed after the change of that number, some thousands at most.
    fn changes(&self, after: u64) -> Asked<Changes>;

    /// The number of the newest change.
    fn newest_change(&self) -> Asked<u64>;

    /// Does something, whole or not at all, and notes what changed. `by`: who does it, for the history.
    fn act(&self, act: Act, by: &str) -> Asked<()>;
}

/// Why the registry does not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordsError {
    /// It cannot be asked: with the sentence that says why.
    Unavailable(String),
    /// There is nobody and nothing of that name: with the sentence that says so.
    NotFound(String),
    /// It cannot be done because of what is there: with the sentence that says what.
    Conflict(String),
    /// It makes no sense: with the sentence that says why.
    Invalid(String),
}

impl fmt::Display for RecordsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(text) => write!(f, "the registry cannot be asked: {text}"),
            Self::NotFound(text) | Self::Conflict(text) | Self::Invalid(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for RecordsError {}
