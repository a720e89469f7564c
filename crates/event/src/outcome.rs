//! Outcome: what became of an event, in words that every protocol's acknowledgement maps to by one table.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What became of an event, or of anything else that was asked.
///
/// The order is from best to worst: across several targets the worst outcome is the sender's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The promise holds: in memory, stored, or delivered, whichever the route promised.
    Accepted,
    /// Too much is in flight; the sender may try again.
    Busy {
        /// When trying again makes sense, if known.
        retry_after: Option<Duration>,
    },
    /// The target was not there within the deadline.
    TimedOut,
    /// The target cannot take it now; the sender may try again.
    Unavailable {
        /// When trying again makes sense, if known.
        retry_after: Option<Duration>,
    },
    /// It will never be accepted as it is.
    Rejected(Rejection),
}

impl Outcome {
    /// A rejection without detail.
    pub fn rejected(cause: Cause) -> Self {
        Self::Rejected(Rejection { cause, detail: None })
    }

    /// A rejection that says why.
    pub fn rejected_because(cause: Cause, detail: impl Into<Arc<str>>) -> Self {
        Self::Rejected(Rejection { cause, detail: Some(detail.into()) })
    }

    /// `Unavailable` without a hint when to try again.
    pub const fn unavailable() -> Self {
        Self::Unavailable { retry_after: None }
    }

    /// Whether this is [`Outcome::Accepted`].
    pub const fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted)
    }

    /// Whether another member, or the same one later, may still accept the event.
    pub const fn is_retriable(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::TimedOut | Self::Unavailable { .. })
    }

    /// The worse of two outcomes.
    pub fn worst(self, other: Outcome) -> Outcome {
        if other.rank() > self.rank() { other } else { self }
    }

    /// The outcome's name in metrics and logs.
    pub const fn name(&self) -> &'static str {
        Self::NAMES[self.rank()]
    }

    /// Position in [`Outcome::NAMES`]; higher is worse.
    pub const fn rank(&self) -> usize {
        match self {
            Self::Accepted => 0,
            Self::Busy { .. } => 1,
            Self::TimedOut => 2,
            Self::Unavailable { .. } => 3,
            Self::Rejected(_) => 4,
        }
    }

    /// Every outcome's name, by rank.
    pub const NAMES: [&'static str; 5] = ["accepted", "busy", "timed_out", "unavailable", "rejected"];
}

/// Why an event, a subscription or a connection was refused for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The class of reason, which decides the protocol's code.
    pub cause: Cause,
    /// A sentence for whoever reads the answer; never a secret.
    pub detail: Option<Arc<str>>,
}

/// The classes of reasons for a rejection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// It breaks its protocol's rules.
    Malformed,
    /// Its address or filter is not acceptable here.
    BadAddress,
    /// Its payload is not what it says it is.
    BadPayload,
    /// No access rule allows it.
    NotPermitted,
    /// It is larger than the limit.
    TooLarge,
    /// The service answered that it will not take it (HTTP 4xx).
    ByService,
    /// A bound of the sender's was reached: queue, subscriptions, retained values.
    Quota,
    /// The node does not do what was asked.
    Unsupported,
    /// It expired before it could be delivered.
    Expired,
    /// What it should have gone through is not there.
    NotFound,
}

impl Cause {
    /// The cause's name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::BadAddress => "bad_address",
            Self::BadPayload => "bad_payload",
            Self::NotPermitted => "not_permitted",
            Self::TooLarge => "too_large",
            Self::ByService => "by_service",
            Self::Quota => "quota",
            Self::Unsupported => "unsupported",
            Self::Expired => "expired",
            Self::NotFound => "not_found",
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.detail {
            Some(detail) => write!(f, "{}: {detail}", self.cause.name()),
            None => f.write_str(self.cause.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_outcome_wins_whatever_the_order() {
        let rejected = Outcome::rejected(Cause::ByService);
        assert_eq!(Outcome::Accepted.worst(rejected.clone()), rejected);
        assert_eq!(rejected.clone().worst(Outcome::Accepted), rejected);
        assert_eq!(Outcome::TimedOut.worst(Outcome::unavailable()), Outcome::unavailable());
    }
}
