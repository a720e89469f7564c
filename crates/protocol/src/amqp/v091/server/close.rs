//! The end of a connection, from either side (AMQP 0-9-1 §1.4.2.7, connection.close).

use super::failure::Failure;
use super::{Server, State};
use crate::amqp::Output;
use crate::amqp::v091::codec::{ConnectionClose, ConnectionCloseOk, ReplyCode};
use std::collections::VecDeque;
use windrose_event::{Close, CloseCause, CloseReason, Intent, Now, Refusal, RefusalCause};

impl Server {
    /// Whether the engine knows of the connection.
    fn is_known(&self) -> bool {
        matches!(
            self.state,
            State::Asking | State::Secure | State::Proved | State::Tune | State::Opening | State::Open
        ) || (self.state == State::Closing && self.claim.is_none())
    }

    /// Ends the connection after what has been said is written.
    pub(super) fn end(&mut self, cause: CloseCause) {
        if self.is_known() {
            let close = Close { cause: cause.clone(), with_will: false, keep: None };
            self.intend(Intent::Close(close));
        }
        self.close_transport(cause);
    }

    fn close_transport(&mut self, cause: CloseCause) {
        self.state = State::Closed;
        self.close_cause = Some(Box::new(cause));
        self.outputs.push_back(Output::Close);
        self.forget();
    }

    /// The connection ends by an exception: the client is told, and may say that it knows.
    pub(super) fn fail(&mut self, failure: &Failure) {
        let sentence = failure.sentence();
        match self.state {
            State::Closing | State::Leaving | State::Closed => return,
            // Nobody who speaks the protocol is there yet.
            State::Header => {}
            _ => {
                let (class_id, method_id) = self.method;
                let reply_code = failure.code.0;
                self.say(0, ConnectionClose { reply_code, reply_text: &sentence, class_id, method_id });
            }
        }
        let told = self.state != State::Header;
        self.close_cause = Some(Box::new(CloseCause::Protocol(sentence.into())));
        if told && self.is_known() {
            self.state = State::Closing;
            self.outputs_of_closing();
        } else {
            self.end_as_said();
        }
    }

    /// While the last words are exchanged, nothing else is taken; what is unsettled comes back when the engine hears of it.
    fn outputs_of_closing(&mut self) {
        self.pending = None;
        self.partial = Vec::new();
        self.start = 0;
        self.outputs.shrink_to(0);
    }

    /// The close handshake is over, or takes too long.
    pub(super) fn end_as_said(&mut self) {
        let cause = self.close_cause.take().map_or(CloseCause::Lost, |cause| *cause);
        self.end(cause);
    }

    /// connection.close from the client.
    pub(super) fn goodbye(&mut self, now: Now) {
        self.say(0, ConnectionCloseOk {});
        if self.state == State::Closing {
            // Both said it at once.
            return self.end_as_said();
        }
        self.close_cause = Some(Box::new(CloseCause::Goodbye));
        self.leave(now);
    }

    /// The engine is told of the end at once. The client may be writing still what it said before: closing now would lose it
    /// our last word.
    pub(super) fn leave(&mut self, now: Now) {
        if self.is_known() {
            let cause = self.close_cause().cloned().unwrap_or(CloseCause::Lost);
            self.intend(Intent::Close(Close { cause, with_will: false, keep: None }));
        }
        self.state = State::Leaving;
        self.heard = now.moment;
        self.forget();
    }

    /// Forgets all that the connection was about.
    fn forget(&mut self) {
        self.partial = Vec::new();
        self.start = 0;
        self.channels = Vec::new();
        self.consumers = super::consume::Consumers::default();
        self.stirred = Vec::new();
        self.unsettled = super::unsettled::Unsettled::default();
        self.pending = None;
    }

    /// The engine ends the connection, and knows that it has.
    pub(super) fn closed_by_engine(&mut self, reason: &CloseReason) {
        if matches!(self.state, State::Tune | State::Opening | State::Open) {
            let (code, text) = match reason {
                CloseReason::Failed(detail) => (ReplyCode::INTERNAL_ERROR, detail.to_string()),
                CloseReason::ShuttingDown => (
                    ReplyCode::CONNECTION_FORCED,
                    "broker forced connection closure with reason 'shutdown'".into(),
                ),
                CloseReason::NotPermitted => (ReplyCode::ACCESS_REFUSED, "not permitted".into()),
                CloseReason::Quota => (ReplyCode::RESOURCE_ERROR, "past a limit of the node".into()),
                CloseReason::OutOfOrder => (ReplyCode::NOT_ALLOWED, "out of order".into()),
                CloseReason::TakenOver => (ReplyCode::CONNECTION_FORCED, reason.name().to_owned()),
                // As RabbitMQ does when a user is deleted.
                CloseReason::Revoked => (ReplyCode::CONNECTION_FORCED, "it is no longer let in".into()),
                CloseReason::Quarantined => {
                    (ReplyCode::CONNECTION_FORCED, "its identity seems to be in use twice".into())
                }
                CloseReason::Expired => {
                    (ReplyCode::CONNECTION_FORCED, "what proved its identity has expired".into())
                }
            };
            let text = Failure::new(code, text).sentence();
            self.say(0, ConnectionClose { reply_code: code.0, reply_text: &text, class_id: 0, method_id: 0 });
        }
        self.outputs = VecDeque::new();
        self.close_transport(CloseCause::Ours);
    }

    /// The client is not let in. What is said of why is for the operator, not for the peer.
    pub(super) fn refused(&mut self, refusal: &Refusal) {
        if self.capabilities.authentication_failure_close {
            let (code, text) = match refusal.cause {
                RefusalCause::Quota => (ReplyCode::RESOURCE_ERROR, "past a limit of the node"),
                RefusalCause::Throttled => (ReplyCode::RESOURCE_ERROR, "too many wrong attempts"),
                RefusalCause::ShuttingDown | RefusalCause::Unavailable => {
                    (ReplyCode::CONNECTION_FORCED, "the node takes nobody for now")
                }
                _ => (ReplyCode::ACCESS_REFUSED, "Login was refused. For details see the node's log."),
            };
            let text = Failure::new(code, text).sentence();
            self.say(0, ConnectionClose { reply_code: code.0, reply_text: &text, class_id: 0, method_id: 0 });
        }
        self.close_transport(CloseCause::Ours);
    }
}
