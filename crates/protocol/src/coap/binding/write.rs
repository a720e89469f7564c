//! Methods that change something: POST publishes an event, PUT sets a last value, DELETE clears it (RFC 7252 §5.8).

use super::pending::{Pending, Then};
use super::reply::Reply;
use super::request::{self, Asked};
use super::value::Conditions;
use super::{Binding, outcome};
use crate::coap::codec::Code;
use crate::coap::{Remote, Request, Response};
use bytes::Bytes;
use std::sync::Arc;
use windrose_event::{Event, Intent, Now, Publication, Publish, Rejection};

impl Binding {
    /// Does what a method that has a body asks for.
    #[expect(clippy::too_many_arguments, reason = "all that is known of the request")]
    pub(super) fn write(
        &mut self,
        now: Now,
        remote: Remote,
        reply: Reply,
        request: &Request<'_>,
        asked: &Asked,
        path: &[u8],
        body: Bytes,
    ) -> Result<(), Response> {
        let address = request::address(path)?;
        let (mut publication, wait) = request::publication(request, asked, address, body)?;
        let (created, changed) = match request.code {
            Code::FETCH => return self.ask_thing(now, remote, reply, request, asked, publication, wait),
            Code::POST if wait.is_some() => {
                return self.ask_thing(now, remote, reply, request, asked, publication, wait);
            }
            Code::PATCH | Code::IPATCH => return self.patch(now, remote, reply, request, asked, publication),
            Code::PUT if publication.payload.is_empty() => {
                let problem = "a last value without a payload is none: DELETE clears it";
                return Err(Response::diagnostic(Code::BAD_REQUEST, problem));
            }
            Code::PUT => (Code::CREATED, Code::CHANGED),
            Code::DELETE => (Code::DELETED, Code::DELETED),
            _ => (Code::CHANGED, Code::CHANGED),
        };
        if request.code == Code::DELETE {
            publication.payload = Bytes::new();
            publication.details = None;
        }
        publication.retain = request.code != Code::POST;
        let lane = self.lane(now, remote)?;
        if !asked.is_conditional && created == changed {
            return self.publish(now, lane, reply, publication, changed);
        }
        self.check_brake(lane)?;
        let conditions = Conditions::read(request.options);
        let address = publication.address.clone();
        let then = Box::new(Then::Write { publication, conditions, created, changed });
        self.ask(now, lane, Pending::Read { reply, then }, |tag| Intent::Read { tag, address })
    }

    /// Publishes an event, and answers with the code if it is accepted.
    pub(super) fn publish(
        &mut self,
        now: Now,
        lane: usize,
        reply: Reply,
        publication: Publication,
        code: Code,
    ) -> Result<(), Response> {
        self.check_brake(lane)?;
        let pending = Pending::Publish { reply, code, is_value: publication.retain };
        self.ask(now, lane, pending, |tag| Intent::Publish(Publish { tag, again: false, publication }))
    }

    /// What was there before is known: publishes in its place, if the conditions hold.
    pub(super) fn write_over(
        &mut self,
        now: Now,
        lane: usize,
        reply: Reply,
        value: Result<Option<Arc<Event>>, Rejection>,
        (publication, conditions): (Publication, &Conditions),
        (created, changed): (Code, Code),
    ) -> Result<(), Response> {
        let code = match value {
            Ok(value) if !conditions.hold(value.as_deref()) => {
                return Err(Response::new(Code::PRECONDITION_FAILED));
            }
            Ok(None) => created,
            Ok(Some(_)) => changed,
            // Whoever may write and not read is not told what was there.
            Err(_) if conditions.is_empty() => changed,
            Err(rejection) => return Err(outcome::rejected(&rejection, self.config.payload_bytes)),
        };
        self.publish(now, lane, reply, publication, code)
    }

    /// Whether credit for what a lane publishes is there.
    pub(super) fn check_brake(&self, lane: usize) -> Result<(), Response> {
        match self.lanes.get(lane) {
            _ if self.is_draining => Err(outcome::unavailable("the node shuts down", None)),
            Some(lane) if lane.paused => {
                Err(outcome::busy("too much is in flight; send it again later", None))
            }
            _ => Ok(()),
        }
    }
}
