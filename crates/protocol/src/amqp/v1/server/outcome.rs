//! Outcomes as a sender is told them: the table of the node's design, for AMQP 1.0.

use crate::amqp::v1::codec::{DeliveryState, ErrorInfo, condition};
use windrose_event::{Cause, Outcome};

pub(super) const ACCEPTED: u8 = 1;
pub(super) const REJECTED: u8 = 2;
pub(super) const RELEASED: u8 = 4;
pub(super) const MODIFIED: u8 = 8;

/// What is said of many deliveries at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Accepted,
    Rejected,
    Released,
    /// Modified; whether it failed, and is not to come to this receiver again.
    Modified(bool, bool),
}

impl Said {
    /// The state that says it.
    pub(super) const fn state(self) -> DeliveryState<'static> {
        match self {
            Self::Accepted => DeliveryState::Accepted,
            Self::Rejected => DeliveryState::Rejected(None),
            Self::Released => DeliveryState::Released,
            Self::Modified(delivery_failed, undeliverable_here) => {
                DeliveryState::Modified { delivery_failed, undeliverable_here, message_annotations: None }
            }
        }
    }

    /// What a state says, but for details.
    pub(super) const fn of(state: &DeliveryState<'_>) -> Self {
        match *state {
            DeliveryState::Rejected(_) => Self::Rejected,
            DeliveryState::Released | DeliveryState::Other(_) => Self::Released,
            DeliveryState::Modified { delivery_failed, undeliverable_here, .. } => {
                Self::Modified(delivery_failed, undeliverable_here)
            }
            DeliveryState::Accepted | DeliveryState::Received { .. } => Self::Accepted,
        }
    }
}

/// What an outcome is, among those that the sender understands; with the error, if it is rejected.
pub(super) fn said(outcome: &Outcome, understood: u8) -> (Said, Option<ErrorInfo<'_>>) {
    let wanted = match outcome {
        Outcome::Accepted => return (Said::Accepted, None),
        Outcome::Busy { .. } | Outcome::Unavailable { .. } => RELEASED,
        Outcome::TimedOut => MODIFIED,
        Outcome::Rejected(_) => REJECTED,
    };
    let order: [u8; 3] = match wanted {
        RELEASED => [RELEASED, MODIFIED, REJECTED],
        MODIFIED => [MODIFIED, RELEASED, REJECTED],
        _ => [REJECTED, MODIFIED, RELEASED],
    };
    match order.into_iter().find(|one| understood & one != 0) {
        Some(RELEASED) => (Said::Released, None),
        // Whoever does not understand rejected is not to send it again.
        Some(MODIFIED) => (Said::Modified(true, wanted == REJECTED), None),
        _ => (Said::Rejected, Some(error(outcome))),
    }
}

fn error(outcome: &Outcome) -> ErrorInfo<'_> {
    match outcome {
        Outcome::Rejected(rejection) => ErrorInfo {
            condition: condition_of(rejection.cause),
            description: rejection.detail.as_deref(),
            info: None,
        },
        _ => ErrorInfo::new(condition::RESOURCE_LIMIT_EXCEEDED, "it cannot be taken for now"),
    }
}

/// The condition of a cause.
pub(super) const fn condition_of(cause: Cause) -> &'static str {
    match cause {
        Cause::Malformed | Cause::BadPayload => condition::DECODE_ERROR,
        Cause::BadAddress => condition::INVALID_FIELD,
        Cause::NotPermitted => condition::UNAUTHORIZED_ACCESS,
        Cause::TooLarge => condition::MESSAGE_SIZE_EXCEEDED,
        Cause::ByService => "windrose:rejected",
        Cause::Quota => condition::RESOURCE_LIMIT_EXCEEDED,
        Cause::Unsupported => condition::NOT_IMPLEMENTED,
        Cause::Expired => "windrose:expired",
        Cause::NotFound => condition::NOT_FOUND,
    }
}
