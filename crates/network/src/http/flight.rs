//! Events on their way to a member: from the engine's word to send them to the answer.

use super::member::MemberClient;
use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use smallvec::SmallVec;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use windrose_engine::{Answer, Dispatch, DispatchId, Reply};
use windrose_event::{Event, Outcome, Text};
use windrose_protocol::http::{Response, read_outcome};

/// One request that has to be answered.
pub(super) struct Flight {
    id: DispatchId,
    /// Keeps the member while something is at it, even if the document has it no more.
    pub(super) member: Rc<MemberClient>,
    pub(super) events: SmallVec<[Arc<Event>; 1]>,
    pub(super) limit: Duration,
    pub(super) began: Instant,
    /// It went out on a connection that had been used before: if that turns out to be closed, there is a second try.
    pub(super) reused: bool,
    done: Box<dyn FnOnce(DispatchId, Answer)>,
}

impl Flight {
    pub(super) fn new(
        dispatch: Dispatch,
        member: Rc<MemberClient>,
        done: impl FnOnce(DispatchId, Answer) + 'static,
    ) -> Self {
        let Dispatch { id, events, timeout, .. } = dispatch;
        Self {
            id,
            member,
            events,
            limit: timeout,
            began: Instant::now(),
            reused: false,
            done: Box::new(done),
        }
    }

    /// By when there must be an answer.
    pub(super) fn deadline(&self) -> Instant {
        self.began + self.limit
    }

    /// Whether more than the status of a success is of use.
    pub(super) fn wants_reply(&self) -> bool {
        matches!(&*self.events, [event] if event.reply_to().is_some())
    }

    /// Gives the answer.
    pub(super) fn finish(self, outcome: Outcome) {
        (self.done)(self.id, Answer { outcome, reply: None });
    }

    /// Gives the answer that the member gave, to those who asked for a reply with what it says.
    pub(super) fn answer(self, response: Response) {
        let Response { status, headers, body, .. } = response;
        let outcome = read_outcome(status, &headers, body.as_deref().unwrap_or_default());
        let reply = match body {
            Some(payload) if outcome.is_accepted() && self.wants_reply() => {
                // 202 without a body is a promise, not an answer.
                let promised = status.as_u16() == 202 && payload.is_empty();
                let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
                let content_type =
                    content_type.and_then(|text| Text::from_utf8(Bytes::copy_from_slice(text)).ok());
                (!promised).then_some(Reply { content_type, payload })
            }
            _ => None,
        };
        (self.done)(self.id, Answer { outcome, reply });
    }
}
