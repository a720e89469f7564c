//! How a thing comes to be registered, stays so, and is forgotten.

use super::thing::{Stage, Thing};
use super::{Errand, LANES, MOST_THINGS, Output, PATIENCE, Things, wish};
use crate::coap::client::{self, CallId, Failure, Outgoing};
use crate::coap::codec::{Code, option};
use crate::coap::{Lane, Remote, Response};
use std::time::Duration;
use windrose_event::{Assurance, Close, CloseCause, Intent, Now, Refusal, RefusalCause, Rejection};

impl Things {
    /// Takes up a registration: its session is opened, or the thing is asked for its links first.
    pub(super) fn register(&mut self, now: Now, ask: u32, thing: Thing) {
        let own = self.endpoints.get(&thing.remote).copied().unwrap_or(0);
        if self.things.len() >= MOST_THINGS || own >= self.config.observations_per_endpoint {
            let response = Response::new(Code::SERVICE_UNAVAILABLE).with_uint(option::MAX_AGE, 60);
            return self.outputs.push_back(Output::Respond { ask, response });
        }
        let key = self.free_key();
        let (remote, is_asked) = (thing.remote, thing.stage == Stage::Asked);
        self.ends.insert((thing.end, key));
        self.count(remote, true);
        self.things.insert(key, thing);
        if !is_asked {
            return self.open(key);
        }
        // It need not wait until it has been asked: it is (RFC 9176 §5.1).
        self.outputs.push_back(Output::Respond { ask, response: Response::new(Code::CHANGED) });
        let path = [(option::URI_PATH, &b".well-known"[..]), (option::URI_PATH, b"core")];
        let request =
            Outgoing { code: Code::GET, options: path.into_iter().collect(), ..Outgoing::default() };
        let call = self.calls.start(remote, request, now.moment + PATIENCE);
        self.errands.insert(call, Errand::Links(key));
        self.run(now);
    }

    /// Begins the session of a thing whose resources are known.
    fn open(&mut self, key: u64) {
        let lane = self.free_lane();
        let Some(thing) = self.things.get_mut(&key) else { return };
        thing.lane = Some(lane);
        let (remote, claim) = (thing.remote, thing.claim.take().unwrap_or_default());
        self.lanes.insert(lane, key);
        self.outputs.push_back(Output::Connect { lane, remote });
        self.intent(lane, client::open(*claim, self.config.window));
    }

    pub(super) fn subscribe(&mut self, key: u64) {
        let Some(thing) = self.things.get_mut(&key) else { return };
        let Some(lane) = thing.lane else { return };
        let intent = client::subscribe(&thing.name, thing.resources.iter().map(String::as_str));
        self.intent(lane, intent);
    }

    /// The engine's word on the subscriptions: the thing is registered, in the place of one that had its name, or not.
    pub(super) fn subscribed(&mut self, now: Now, key: u64, results: &[Result<Assurance, Rejection>]) {
        let Some(thing) = self.things.get_mut(&key) else { return };
        let Stage::Opening { ask } = std::mem::replace(&mut thing.stage, Stage::Live) else { return };
        if let Some(rejection) = results.iter().find_map(|result| result.as_ref().err()) {
            let why =
                rejection.detail.as_deref().unwrap_or("its resources may not be subscribed to").to_owned();
            self.answer(ask, Response::diagnostic(Code::FORBIDDEN, why));
            return self.end(now, key);
        }
        let location = format!("{key:016x}");
        let former = self.names.insert(thing.name.clone(), key);
        if let Some(former) = former.filter(|former| *former != key) {
            self.end(now, former);
        }
        let created = Response::new(Code::CREATED)
            .with(option::LOCATION_PATH, b"rd")
            .with(option::LOCATION_PATH, location.as_bytes());
        self.answer(ask, created);
    }

    pub(super) fn refused(&mut self, now: Now, key: u64, refusal: &Refusal) {
        let code = match refusal.cause {
            RefusalCause::Quota | RefusalCause::ShuttingDown | RefusalCause::Unavailable => {
                Code::SERVICE_UNAVAILABLE
            }
            _ => Code::FORBIDDEN,
        };
        let Some(thing) = self.things.get_mut(&key) else { return };
        if let Stage::Opening { ask } = std::mem::replace(&mut thing.stage, Stage::Live) {
            self.answer(ask, Response::new(code));
        }
        self.disconnected(now, key);
    }

    pub(super) fn renew(
        &mut self,
        now: Now,
        remote: Remote,
        key: u64,
        lifetime: Option<Duration>,
    ) -> Response {
        let Some(thing) = self.things.get_mut(&key).filter(|thing| thing.may_move_to(remote)) else {
            return Response::new(Code::NOT_FOUND);
        };
        self.ends.remove(&(thing.end, key));
        thing.lifetime = lifetime.unwrap_or(thing.lifetime);
        thing.end = now.moment + thing.lifetime;
        // Its address may be another by now: whoever knows the location is the thing (RFC 9176 §5.3.1).
        let former = std::mem::replace(&mut thing.remote, remote);
        self.ends.insert((thing.end, key));
        self.count(former, false);
        self.count(remote, true);
        Response::new(Code::CHANGED)
    }

    /// A thing has told its links, or not.
    pub(super) fn told(&mut self, now: Now, key: u64, result: Result<Response, Failure>) {
        let links = result
            .ok()
            .filter(|response| response.code == Code::CONTENT)
            .and_then(|response| std::str::from_utf8(&response.payload).ok().and_then(wish::resources));
        let Some(thing) = self.things.get_mut(&key) else { return };
        match links.filter(|links| !links.is_empty()) {
            Some(links) => {
                thing.resources = links;
                thing.stage = Stage::Opening { ask: None };
                self.open(key);
            }
            None => self.end(now, key),
        }
    }

    /// A registration is over: its session ends.
    pub(super) fn end(&mut self, now: Now, key: u64) {
        if let Some(lane) = self.things.get(&key).and_then(|thing| thing.lane) {
            let close = Close { cause: CloseCause::Goodbye, with_will: false, keep: None };
            self.intent(lane, Intent::Close(close));
        }
        self.disconnected(now, key);
    }

    /// A thing's session is over.
    pub(super) fn disconnected(&mut self, now: Now, key: u64) {
        let Some(thing) = self.things.remove(&key) else { return };
        self.ends.remove(&(thing.end, key));
        self.count(thing.remote, false);
        if self.names.get(&thing.name) == Some(&key) {
            self.names.remove(&thing.name);
        }
        if let Stage::Opening { ask } = thing.stage {
            self.answer(ask, Response::new(Code::SERVICE_UNAVAILABLE));
        }
        if let Some(lane) = thing.lane {
            self.lanes.remove(&lane);
            self.outputs.push_back(Output::Disconnect { lane });
        }
        let is_its =
            |errand: &Errand| matches!(errand, Errand::Links(its) | Errand::Delivery(its, ..) if *its == key);
        let calls: Vec<CallId> =
            self.errands.iter().filter(|(_, errand)| is_its(errand)).map(|(call, _)| *call).collect();
        for call in calls {
            self.errands.remove(&call);
            self.calls.cancel(call);
        }
        self.run(now);
    }

    /// An endpoint has one thing more, or less.
    fn count(&mut self, remote: Remote, more: bool) {
        let count = self.endpoints.entry(remote).or_default();
        *count = if more { *count + 1 } else { count.saturating_sub(1) };
        if *count == 0 {
            self.endpoints.remove(&remote);
        }
    }

    fn free_key(&mut self) -> u64 {
        loop {
            let key = self.calls.random();
            if !self.things.contains_key(&key) {
                return key;
            }
        }
    }

    fn free_lane(&mut self) -> Lane {
        loop {
            let lane = Lane(LANES | self.next_lane);
            self.next_lane = (self.next_lane + 1) & (LANES - 1);
            if !self.lanes.contains_key(&lane) {
                return lane;
            }
        }
    }
}
