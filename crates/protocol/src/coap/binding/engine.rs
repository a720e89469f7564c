//! What the engine says, by lane.

use super::pending::{Pending, Telling, Then};
use super::reply::Reply;
use super::value::{content, etag, format_for, not_acceptable, valid};
use super::{Binding, Output, body, outcome};
use crate::coap::codec::Code;
use crate::coap::{Lane, Remote, Response, SessionId};
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{Close, CloseCause, Directive, Event, Intent, Now, Outcome, Rejection, Tag};

/// How long nobody anonymous is let in after somebody was not.
const REFUSED_FOR: Duration = Duration::from_secs(1);

impl Binding {
    /// Takes the engine's word.
    pub fn handle_directive(&mut self, now: Now, lane: Lane, directive: Directive) {
        let key = lane.0 as usize;
        match directive {
            Directive::Accept(accepted) => {
                let waiting = self.lanes.get_mut(key).map(|lane| lane.accept(accepted.window));
                let intents = waiting.into_iter().flatten();
                self.outputs.extend(intents.map(|intent| Output::Intent { lane, intent }));
            }
            Directive::Refuse(refusal) => {
                let response = outcome::refused(refusal.cause);
                if self.lanes.get(key).is_some_and(|lane| lane.owner.is_none()) {
                    self.refused = Some((now.moment + REFUSED_FOR, response.clone()));
                }
                self.end_lane(key, &response);
            }
            Directive::Close(reason) => self.end_lane(key, &outcome::closed(&reason)),
            Directive::Settle { tag, outcome, .. } => self.settled(now, key, tag, &outcome),
            Directive::Value { tag, value } => {
                let is_read = |pending: &Pending| matches!(pending, Pending::Read { .. });
                if let Some(Pending::Read { reply, then }) = self.answered(key, tag, is_read) {
                    self.valued(now, key, reply, *then, value);
                }
            }
            Directive::Listed { tag, events, after } => {
                if let Some(Pending::List { reply, listing }) =
                    self.answered(key, tag, |pending| matches!(pending, Pending::List { .. }))
                    && let Err(response) = self.listed(now, key, reply, listing, &events, after)
                {
                    self.respond(reply, response);
                }
            }
            Directive::Enrolled { tag, result } => {
                let is_enrol = |pending: &Pending| matches!(pending, Pending::Enrol { .. });
                if let Some(Pending::Enrol { reply, enrolling }) = self.answered(key, tag, is_enrol) {
                    self.enrolled(now, reply, *enrolling, *result);
                }
            }
            Directive::Reply { tag, event } => {
                let is_asked =
                    |pending: &Pending| matches!(pending, Pending::Ask { .. } | Pending::Abandoned);
                if let Some(Pending::Ask { reply, asking }) = self.answered(key, tag, is_asked) {
                    self.replied(now, reply, &asking, &event);
                }
            }
            Directive::Subscribed { tag, results } => {
                let is_subscribe = |pending: &Pending| matches!(pending, Pending::Subscribe { .. });
                if let Some(Pending::Subscribe { reply, observing }) = self.answered(key, tag, is_subscribe) {
                    self.subscribed(now, reply, *observing, results.into_iter().next());
                }
            }
            Directive::Unsubscribed { tag, .. } => {
                self.answered(key, tag, |pending| matches!(pending, Pending::Unsubscribe));
            }
            Directive::Synced { tag } => {
                let is_sync = |pending: &Pending| matches!(pending, Pending::Sync { .. });
                if let Some(Pending::Sync { reply, code }) = self.answered(key, tag, is_sync) {
                    self.respond(reply, Response::new(code));
                }
            }
            Directive::Deliver(delivery) => self.deliver(now, key, &delivery),
            // Answers to what this machine never says.
            Directive::Challenge { .. }
            | Directive::Reidentified { .. }
            | Directive::Released { .. }
            | Directive::Release { .. }
            | Directive::Arranged { .. }
            | Directive::Consuming { .. }
            | Directive::Supply(_)
            | Directive::Drained { .. }
            | Directive::Canceled { .. }
            | Directive::Pulled { .. } => {}
        }
    }

    /// Credit for what a lane publishes is gone, or back.
    pub fn handle_brake(&mut self, _now: Now, lane: Lane, paused: bool) {
        if let Some(lane) = self.lanes.get_mut(lane.0 as usize) {
            lane.paused = paused;
        }
    }

    /// The node shuts down: what is under way is answered, what is new is refused.
    pub fn drain(&mut self) {
        self.is_draining = true;
    }

    /// A session has ended.
    pub fn handle_session_end(&mut self, _now: Now, session: SessionId) {
        let Some(owner) = self.owners.remove(Remote::Session(session)) else { return };
        if let Some(lane) = owner.lane {
            self.leave_lane(lane, &outcome::unavailable("the session has ended", None));
        }
    }

    #[inline]
    fn answered(&mut self, lane: usize, tag: Tag, fits: impl FnOnce(&Pending) -> bool) -> Option<Pending> {
        self.lanes.get_mut(lane)?.answered(tag, fits)
    }

    /// What became of an event, or of a question that came to nothing.
    #[inline]
    fn settled(&mut self, now: Now, lane: usize, tag: Tag, outcome: &Outcome) {
        let most = self.config.payload_bytes;
        let is_settled = |pending: &Pending| {
            matches!(pending, Pending::Publish { .. } | Pending::Ask { .. } | Pending::Abandoned)
        };
        match self.answered(lane, tag, is_settled) {
            Some(Pending::Publish { reply, code, is_value: true }) if outcome.is_accepted() => {
                let pending = Pending::Sync { reply, code };
                if let Err(response) = self.ask(now, lane, pending, |tag| Intent::Sync { tag }) {
                    self.respond(reply, response);
                }
            }
            Some(Pending::Publish { reply, code, .. }) => {
                self.respond(reply, outcome::response(outcome, code, most));
            }
            Some(Pending::Ask { reply, .. }) => {
                self.respond(reply, outcome::response(outcome, Code::CONTENT, most));
            }
            _ => {}
        }
    }

    /// A last value was read.
    fn valued(
        &mut self,
        now: Now,
        lane: usize,
        reply: Reply,
        then: Then,
        value: Result<Option<Arc<Event>>, Rejection>,
    ) {
        let done = match then {
            Then::Tell(telling) => self.tell(now, reply, &telling, value),
            Then::Observe { remote, observation, telling } => {
                self.observed(now, reply, (remote, observation), &telling, value.ok().flatten());
                Ok(())
            }
            Then::Write { publication, conditions, created, changed } => {
                self.write_over(now, lane, reply, value, (publication, &conditions), (created, changed))
            }
            Then::Patch { publication, conditions, patch } => {
                self.patched(now, lane, reply, value, (publication, &conditions), patch)
            }
        };
        if let Err(response) = done {
            self.respond(reply, response);
        }
    }

    /// Tells a last value.
    fn tell(
        &mut self,
        now: Now,
        reply: Reply,
        telling: &Telling,
        value: Result<Option<Arc<Event>>, Rejection>,
    ) -> Result<(), Response> {
        let value = value.map_err(|rejection| outcome::rejected(&rejection, self.config.payload_bytes))?;
        if !telling.conditions.hold(value.as_deref()) {
            return Err(Response::new(Code::PRECONDITION_FAILED));
        }
        let event = value.ok_or_else(|| Response::new(Code::NOT_FOUND))?;
        let format = format_for(&event, telling.accept).ok_or_else(not_acceptable)?;
        if telling.etags.contains(&etag(&event)) {
            self.respond(reply, valid(now, &event));
            return Ok(());
        }
        let mut response = content(now, &event, format);
        body::cut(&mut response, telling.block2, reply.room)?;
        self.respond(reply, response);
        Ok(())
    }

    /// The engine ended a lane.
    fn end_lane(&mut self, key: usize, response: &Response) {
        let owner = self.lanes.get(key).and_then(|lane| lane.owner);
        if let Some(remote) = owner {
            self.end_observations(remote, response);
        }
        self.fail_lane(key, response);
    }

    /// A lane is not needed any more.
    pub(super) fn leave_lane(&mut self, key: usize, response: &Response) {
        if self.lanes.get(key).is_none() {
            return;
        }
        let close = Close { cause: CloseCause::Goodbye, with_will: false, keep: None };
        self.outputs.push_back(Output::Intent { lane: Lane(key as u32), intent: Intent::Close(close) });
        self.fail_lane(key, response);
    }

    /// Answers all that waits on a lane, and forgets it.
    fn fail_lane(&mut self, key: usize, response: &Response) {
        let Some(lane) = self.lanes.close(key) else { return };
        for pending in lane.into_pendings() {
            match pending {
                Pending::Publish { reply, .. }
                | Pending::Sync { reply, .. }
                | Pending::Read { reply, .. }
                | Pending::List { reply, .. }
                | Pending::Ask { reply, .. }
                | Pending::Enrol { reply, .. }
                | Pending::Subscribe { reply, .. } => self.respond(reply, response.clone()),
                Pending::Unsubscribe | Pending::Abandoned => {}
            }
        }
        self.outputs.push_back(Output::Disconnect { lane: Lane(key as u32) });
    }

    /// Ends lanes that nobody has used for a while.
    pub(super) fn close_idle(&mut self, now: Now) {
        // A stream is its lane: it ends when its transport does.
        while !self.is_stream
            && let Some(key) = self.lanes.pop_idle(now.moment)
        {
            if let Some(owner) = self.lanes.get(key).and_then(|lane| lane.owner)
                && let Some(owner) = self.owners.get_mut(owner)
            {
                owner.lane = None;
            }
            self.leave_lane(key, &outcome::unavailable("nothing was heard for long", None));
        }
    }
}
