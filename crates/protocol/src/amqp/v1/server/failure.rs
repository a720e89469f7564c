//! What a peer did that cannot be, and how far it reaches: the smallest scope that it concerns.

use crate::amqp::v1::codec::{CodecError, condition};

/// What of a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// A link, by the peer's handle (part 2 §2.6.5).
    Link(u32),
    /// A session (part 2 §2.5.5).
    Session,
    /// All of it (part 2 §2.4.3).
    Connection,
}

/// An error that the peer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) scope: Scope,
    pub(super) condition: &'static str,
    pub(super) problem: &'static str,
}

impl Failure {
    pub(super) const fn link(handle: u32, condition: &'static str, problem: &'static str) -> Self {
        Self { scope: Scope::Link(handle), condition, problem }
    }

    pub(super) const fn session(condition: &'static str, problem: &'static str) -> Self {
        Self { scope: Scope::Session, condition, problem }
    }

    pub(super) const fn connection(condition: &'static str, problem: &'static str) -> Self {
        Self { scope: Scope::Connection, condition, problem }
    }

    /// A handle that no link has.
    pub(super) const fn unattached() -> Self {
        Self::session(condition::UNATTACHED_HANDLE, "no link is attached with this handle")
    }

    /// A channel that no session has.
    pub(super) const fn no_session() -> Self {
        Self::connection(condition::NOT_ALLOWED, "no session was begun on this channel")
    }
}

impl From<CodecError> for Failure {
    fn from(error: CodecError) -> Self {
        Self::connection(error.condition, error.problem)
    }
}
