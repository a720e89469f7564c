//! FETCH, and POST that waits: a thing is asked, and its answer is the response (RFC 8132 §2).

use super::pending::{Asking, Pending};
use super::reply::Reply;
use super::request::{self, Asked};
use super::value::{content, format_for, not_acceptable};
use super::{Binding, outcome};
use crate::coap::codec::Code;
use crate::coap::{Remote, Request, Response};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;
use windrose_event::{Event, Intent, Moment, Now, Outcome, Publication, Publish, Tag};

/// How long an answer is awaited if the request does not say.
const WAIT: Duration = Duration::from_secs(10);
/// How long it is awaited at most.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Until when answers are awaited, by lane and tag.
#[derive(Debug, Default)]
pub(super) struct Waits(BinaryHeap<Reverse<Wait>>);

/// One of them: soonest first, as the fields stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Wait {
    due: Moment,
    lane: usize,
    serial: u32,
    tag: Tag,
    ask: u32,
}

impl Waits {
    /// When the next one is over.
    pub(super) fn next_timeout(&self) -> Option<Moment> {
        self.0.peek().map(|Reverse(wait)| wait.due)
    }
}

impl Binding {
    /// Publishes a request and waits for its answer.
    #[expect(clippy::too_many_arguments, reason = "all that is known of the request")]
    pub(super) fn ask_thing(
        &mut self,
        now: Now,
        remote: Remote,
        reply: Reply,
        request: &Request<'_>,
        asked: &Asked,
        publication: Publication,
        wait: Option<Duration>,
    ) -> Result<(), Response> {
        if asked.is_conditional {
            let problem = "If-Match and If-None-Match are not for questions";
            return Err(Response::diagnostic(Code::BAD_OPTION, problem));
        }
        let key = request::key(request.code, request.options);
        if asked.block2.is_some_and(|block| block.number > 0) {
            let Some(response) = self.bodies.get(remote, &key) else {
                let problem = "the answer is not kept any more: ask again";
                return Err(Response::diagnostic(Code::REQUEST_ENTITY_INCOMPLETE, problem));
            };
            return self.rest(reply, asked, response);
        }
        let lane = self.lane(now, remote)?;
        self.check_brake(lane)?;
        let asking = Box::new(Asking { accept: asked.accept, block2: asked.block2, remote, key });
        let mut given = Tag::NONE;
        self.ask(now, lane, Pending::Ask { reply, asking }, |tag| {
            given = tag;
            Intent::Request(Publish { tag, again: false, publication })
        })?;
        let serial = self.lanes.get(lane).map_or(0, |lane| lane.serial);
        let due = now.moment + wait.unwrap_or(WAIT).min(MAX_WAIT);
        self.waits.0.push(Reverse(Wait { due, lane, serial, tag: given, ask: reply.ask }));
        Ok(())
    }

    /// A thing has answered.
    pub(super) fn replied(&mut self, now: Now, reply: Reply, asking: &Asking, event: &Event) {
        match format_for(event, asking.accept) {
            Some(format) => {
                let response = content(now, event, format);
                self.give(now, asking.remote, &asking.key, reply, asking.block2, response);
            }
            None => self.respond(reply, not_acceptable()),
        }
    }

    /// Answers those that have waited for as long as they wanted.
    pub(super) fn give_up_waiting(&mut self, now: Now) {
        while let Some(Reverse(Wait { due, lane: key, serial, tag, ask })) = self.waits.0.peek().copied()
            && due <= now.moment
        {
            self.waits.0.pop();
            let Some(lane) = self.lanes.get_mut(key).filter(|lane| lane.serial == serial) else { continue };
            // The tag may have been given out again since.
            let waits = matches!(lane.pending(tag), Some(Pending::Ask { reply, .. }) if reply.ask == ask);
            if waits && let Some(Pending::Ask { reply, .. }) = lane.abandon(tag) {
                let response =
                    outcome::response(&Outcome::TimedOut, Code::CONTENT, self.config.payload_bytes);
                self.respond(reply, response);
            }
        }
    }
}
