//! What went wrong, and on which scope it ends something (AMQP 0-9-1 §4.10).

use crate::amqp::v091::codec::{CodecError, ReplyCode};
use windrose_event::{DeclineCause, Declined};

/// An exception: of a channel, or of the connection if the code is a hard one.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: ReplyCode,
    /// For the peer, after the code's name.
    pub(super) text: String,
}

impl Failure {
    pub(super) fn new(code: ReplyCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// The whole sentence, as RabbitMQ has it.
    pub(super) fn sentence(&self) -> String {
        format!("{} - {}", self.code.name(), self.text)
    }
}

impl From<CodecError> for Failure {
    fn from(error: CodecError) -> Self {
        Self::new(error.code, error.problem)
    }
}

impl From<Declined> for Failure {
    fn from(declined: Declined) -> Self {
        let code = match declined.cause {
            DeclineCause::NotFound => ReplyCode::NOT_FOUND,
            DeclineCause::Locked => ReplyCode::RESOURCE_LOCKED,
            DeclineCause::NotPermitted => ReplyCode::ACCESS_REFUSED,
            DeclineCause::Precondition | DeclineCause::Quota | DeclineCause::BadName => {
                ReplyCode::PRECONDITION_FAILED
            }
            DeclineCause::Unsupported => ReplyCode::NOT_IMPLEMENTED,
        };
        Self::new(code, declined.detail)
    }
}
