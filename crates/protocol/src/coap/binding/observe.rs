//! Observation: GET with Observe is a subscription, each delivery a notification (RFC 7641).

use super::body::cut;
use super::owner::Observation;
use super::pending::{Observing, Pending, Telling, Then};
use super::reply::Reply;
use super::request;
use super::value::{content, etag, format_for, not_acceptable, valid};
use super::{Binding, Fate, Notice, Output, outcome};
use crate::coap::codec::{Block, Code, option};
use crate::coap::{Lane, Remote, Request, Response, link};
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{
    Address, Assurance, Cause, Delivery, Event, Intent, Moment, Now, Outcome, Rejection, RetainedDelivery,
    SubscriptionRequest, Tag,
};

/// An observer is asked for an acknowledgement at least with the next after so many others, and after so long (RFC 7641
/// §4.5): one that is gone is not told for ever.
const CONFIRM_AFTER: u8 = 15;
const CONFIRM_EVERY: Duration = Duration::from_secs(60);

/// How many events that need no acknowledgement wait for one all the same, at most: while an observer is behind, the rest of
/// them is not told (RFC 7641 §4.5.1).
const MOST_CONFIRMING: usize = 16;

impl Binding {
    /// GET with Observe 0: registers, or registers anew (RFC 7641 §4.1).
    pub(super) fn observe(
        &mut self,
        now: Now,
        remote: Remote,
        reply: Reply,
        request: &Request<'_>,
        path: &[u8],
        telling: Telling,
    ) -> Result<(), Response> {
        let filter = request::filter(path)?;
        // A filter with a wildcard is no address.
        let address = request::address(path);
        let key = request::key(request.code, request.options);
        let known = self.owners.get(remote).and_then(|owner| {
            owner.observations.iter().find(|observation| observation.token[..] == *request.token)
        });
        if let Some(known) = known {
            if known.key == key && known.is_active {
                let (id, is_exact) = (known.id, known.is_exact);
                let address = address.ok().filter(|_| is_exact);
                let observing = Observing { remote, observation: id, telling, address };
                return self.tell_observer(now, reply, observing);
            }
            self.forget_token(now, remote, request.token);
        }
        let has_room = self
            .owners
            .get(remote)
            .is_none_or(|owner| owner.observations.len() < self.config.observations_per_endpoint as usize);
        if !has_room {
            return self.tell_once(now, remote, reply, telling, address.ok());
        }
        let lane_key = self.own_lane(now, remote)?;
        let Some(lane) = self.lanes.get_mut(lane_key).filter(|lane| lane.has_room()) else {
            return Err(outcome::busy("too much is in flight; send it again later", None));
        };
        let subscription = lane.join(&filter);
        let start = (now.moment.as_micros() >> 16) as u32;
        let Some(owner) = self.owners.get_mut(remote) else { return Ok(()) };
        owner.observed = owner.observed.wrapping_add(1).max(1);
        let observation = owner.observed;
        owner.observations.push(Observation {
            id: observation,
            token: request.token.into(),
            subscription,
            is_exact: address.is_ok(),
            is_active: false,
            accept: telling.accept,
            exponent: telling.block2.map(|block| block.exponent),
            format: None,
            sequence: start.wrapping_add(self.sequence) & 0xff_ffff,
            unconfirmed: 0,
            confirmed: now.moment,
            key,
        });
        let requests = vec![SubscriptionRequest {
            filter,
            group: None,
            // CON for what is published at least once, NON for the rest.
            assurance: Assurance::AtLeastOnce,
            no_local: false,
            retain_as_published: false,
            own_copy: true,
            // The value of one address is the first response; those of a filter follow it.
            retained: match address {
                Ok(_) => RetainedDelivery::Never,
                Err(_) => RetainedDelivery::IfNew,
            },
            identifier: Some(subscription),
        }];
        let observing = Box::new(Observing { remote, observation, telling, address: address.ok() });
        let pending = Pending::Subscribe { reply, observing };
        self.ask(now, lane_key, pending, |tag| Intent::Subscribe { tag, requests })
    }

    /// The engine's answer to a subscribe.
    pub(super) fn subscribed(
        &mut self,
        now: Now,
        reply: Reply,
        observing: Observing,
        result: Option<Result<Assurance, Rejection>>,
    ) {
        let Observing { remote, observation, .. } = observing;
        let known = self.owners.get_mut(remote).and_then(|owner| owner.observation(observation));
        let done = match (result, known) {
            (Some(Ok(_)), Some(known)) => {
                known.is_active = true;
                self.tell_observer(now, reply, observing)
            }
            (Some(Err(rejection)), _) => {
                self.forget_observation(now, remote, observation, Subscribed::No);
                match rejection.cause {
                    // RFC 7641 §4.1: it is told what is there, and not told more.
                    Cause::Quota => self.tell_once(now, remote, reply, observing.telling, observing.address),
                    _ => Err(outcome::rejected(&rejection, self.config.payload_bytes)),
                }
            }
            _ => self.tell_once(now, remote, reply, observing.telling, observing.address),
        };
        if let Err(response) = done {
            self.respond(reply, response);
        }
    }

    /// The first response to an observer: what is there now, or nothing yet.
    fn tell_observer(&mut self, now: Now, reply: Reply, observing: Observing) -> Result<(), Response> {
        let Observing { remote, observation, telling, address } = observing;
        let Some(address) = address else {
            self.observed(now, reply, (remote, observation), &telling, None);
            return Ok(());
        };
        let lane = self.own_lane(now, remote)?;
        let then = Box::new(Then::Observe { remote, observation, telling });
        self.ask(now, lane, Pending::Read { reply, then }, |tag| Intent::Read { tag, address })
    }

    /// Answers a GET that does not become an observation.
    fn tell_once(
        &mut self,
        now: Now,
        remote: Remote,
        reply: Reply,
        telling: Telling,
        address: Option<Address>,
    ) -> Result<(), Response> {
        let Some(address) = address else {
            return Err(outcome::busy("the endpoint has as many observations as it may have", None));
        };
        let lane = self.lane(now, remote)?;
        let then = Box::new(Then::Tell(telling));
        self.ask(now, lane, Pending::Read { reply, then }, |tag| Intent::Read { tag, address })
    }

    /// What is there now is known: tells the observer.
    pub(super) fn observed(
        &mut self,
        now: Now,
        reply: Reply,
        (remote, id): (Remote, u32),
        telling: &Telling,
        value: Option<Arc<Event>>,
    ) {
        let sequence = self.owners.get_mut(remote).and_then(|owner| owner.observation(id)).map(|known| {
            if let (Some(event), true) = (&value, known.is_exact) {
                known.format.get_or_insert(link::format_of(event));
            }
            known.next_sequence()
        });
        let mut response = match &value {
            _ if !telling.conditions.hold(value.as_deref()) => Response::new(Code::PRECONDITION_FAILED),
            None => Response::new(Code::CONTENT),
            Some(event) if telling.etags.contains(&etag(event)) => valid(now, event),
            Some(event) => match format_for(event, telling.accept) {
                Some(format) => content(now, event, format),
                None => not_acceptable(),
            },
        };
        if !response.code.is_success() {
            self.forget_observation(now, remote, id, Subscribed::Yes);
        } else if let Some(sequence) = sequence {
            response.options.insert_uint(option::OBSERVE, sequence);
        }
        match cut(&mut response, telling.block2, reply.room) {
            Ok(_) => self.respond(reply, response),
            Err(refused) => self.respond(reply, refused),
        }
    }

    /// Tells the observers of a subscription of an event.
    pub(super) fn deliver(&mut self, now: Now, lane: usize, delivery: &Delivery) {
        let Some(remote) = self.lanes.get(lane).and_then(|lane| lane.owner) else { return };
        let subscription = delivery.subscriptions.first().copied().unwrap_or_default();
        let mut tag = delivery.tag;
        let mut outcome = Outcome::unavailable();
        let mut is_told = false;
        let count = self.owners.get(remote).map_or(0, |owner| owner.observations.len());
        // Backwards, since an observation may end by what it is told.
        for index in (0..count).rev() {
            let observation = self.owners.get(remote).and_then(|owner| owner.observations.get(index));
            let Some(id) = observation
                .filter(|known| known.subscription == subscription && known.is_active)
                .map(|known| known.id)
            else {
                continue;
            };
            match self.notify(now, remote, id, &delivery.event, tag) {
                // Whoever is told first settles it.
                Ok(()) => (tag, is_told) = (Tag::NONE, true),
                Err(why) => outcome = why,
            }
        }
        if !is_told {
            self.outputs.push_back(Output::Intent {
                lane: Lane(lane as u32),
                intent: Intent::Settle { tag, outcome },
            });
        }
    }

    /// Tells one observer of an event.
    ///
    /// # Errors
    /// Why it is not told.
    fn notify(&mut self, now: Now, remote: Remote, id: u32, event: &Event, tag: Tag) -> Result<(), Outcome> {
        let too_large = || Outcome::rejected_because(Cause::TooLarge, "no notification can say it");
        let gone = Outcome::unavailable;
        let (message_bytes, most) = (self.message_bytes as usize, self.config.blocks_bytes);
        let is_stream = self.is_stream;
        let owner = self.owners.get_mut(remote).ok_or_else(gone)?;
        let lane = owner.lane.and_then(|lane| self.lanes.get(lane)).ok_or_else(gone)?;
        let serial = lane.serial;
        let is_awaited = owner.is_awaited();
        if tag == Tag::NONE && owner.confirming.len() >= MOST_CONFIRMING {
            return Err(Outcome::Busy { retry_after: None });
        }
        let known = owner.observation(id).ok_or_else(gone)?;
        let mut response = known.notification(now, event).ok_or_else(too_large)?;
        let is_last = !response.code.is_success();
        let taken = 16 + known.token.len() + response.options.as_options().as_bytes().len();
        let room = message_bytes.saturating_sub(taken);
        let room = if is_stream { room } else { room.min(1_024) };
        if room < 16 && room < response.payload.len() {
            return Err(too_large());
        }
        let confirmable = tag != Tag::NONE || is_last || is_awaited || known.is_to_confirm(now.moment);
        known.count(now.moment, confirmable);
        let notice = Notice { lane: serial, observation: id, tag: tag.0 };
        let (token, key) = (known.token.clone(), known.key.clone());
        let wanted = known.exponent.map(|exponent| Block { number: 0, more: false, exponent });
        let wanted = wanted.filter(|block| block.size() < response.payload.len());
        if tag != Tag::NONE {
            owner.unsettled.push((tag.0, id));
        } else if confirmable && !is_last {
            owner.confirming.push(id);
        }
        let whole = response.clone();
        match cut(&mut response, wanted, room as u32) {
            Ok(true) => self.bodies.keep(now.moment, remote, &key, &whole, most),
            _ => self.bodies.forget(remote, &key),
        }
        self.outputs.push_back(Output::Notify { remote, token, response, confirmable, notice });
        if is_last {
            self.forget_observation(now, remote, id, Subscribed::Yes);
        }
        Ok(())
    }

    /// What became of a notification.
    pub fn handle_notified(&mut self, now: Now, remote: Remote, notice: Notice, fate: Fate) {
        let Some(owner) = self.owners.get_mut(remote).filter(|owner| owner.is_at(&self.lanes, notice.lane))
        else {
            return;
        };
        if fate.is_alive() {
            owner.seen = Some(now.moment);
        }
        if notice.is_ping() && fate.is_alive() {
            return;
        }
        let confirmed = owner.confirming.iter().position(|id| *id == notice.observation);
        if let Some(index) = confirmed.filter(|_| notice.tag == 0) {
            owner.confirming.swap_remove(index);
        }
        let settled = (notice.tag, notice.observation);
        let index = owner.unsettled.iter().position(|known| *known == settled);
        if let (Some(index), Some(lane)) = (index, owner.lane) {
            owner.unsettled.swap_remove(index);
            let outcome = match fate {
                Fate::Acknowledged => Outcome::Accepted,
                Fate::Reset => Outcome::rejected(Cause::ByService),
                Fate::TimedOut => Outcome::TimedOut,
            };
            let intent = Intent::Settle { tag: Tag(notice.tag), outcome };
            self.outputs.push_back(Output::Intent { lane: Lane(lane as u32), intent });
        }
        match fate {
            Fate::Acknowledged => {}
            Fate::Reset => self.forget_observation(now, remote, notice.observation, Subscribed::Yes),
            Fate::TimedOut => {
                let ids: Vec<_> = owner.observations.iter().map(|observation| observation.id).collect();
                for id in ids {
                    self.forget_observation(now, remote, id, Subscribed::Yes);
                }
            }
        }
    }

    /// The observer wants to hear no more by that token. `false`: there is no such observation.
    pub(super) fn forget_token(&mut self, now: Now, remote: Remote, token: &[u8]) -> bool {
        let owner = self.owners.get(remote);
        let mut known = owner.into_iter().flat_map(|owner| &owner.observations);
        let Some(id) = known.find(|known| known.token[..] == *token).map(|known| known.id) else {
            return false;
        };
        self.forget_observation(now, remote, id, Subscribed::Yes);
        true
    }

    /// An observation is over. What it was not told for certain is not told; its lane goes with the last one, unless it is a
    /// session's.
    fn forget_observation(&mut self, now: Now, remote: Remote, id: u32, subscribed: Subscribed) {
        let Some(owner) = self.owners.get_mut(remote) else { return };
        let Some(index) = owner.observations.iter().position(|known| known.id == id) else { return };
        let known = owner.observations.swap_remove(index);
        self.bodies.forget(remote, &known.key);
        let Some(key) = owner.lane else { return };
        if owner.observations.is_empty() && owner.claim.is_none() {
            self.owners.remove(remote);
            return self.leave_lane(key, &outcome::unavailable("the observation has ended", None));
        }
        let lane = Lane(key as u32);
        owner.confirming.retain(|observation| *observation != id);
        owner.unsettled.retain(|(tag, observation)| {
            if *observation == id {
                let outcome = Outcome::unavailable();
                let intent = Intent::Settle { tag: Tag(*tag), outcome };
                self.outputs.push_back(Output::Intent { lane, intent });
            }
            *observation != id
        });
        let left = self.lanes.get_mut(key).and_then(|lane| lane.leave(known.subscription));
        if let (Some(filter), Subscribed::Yes) = (left, subscribed) {
            let filters = vec![(None, filter)];
            // A lane that has no room for this question is about to end.
            let _ = self.ask(now, key, Pending::Unsubscribe, |tag| Intent::Unsubscribe { tag, filters });
        }
    }

    /// All observations of an endpoint are over, and it is told why.
    pub(super) fn end_observations(&mut self, remote: Remote, response: &Response) {
        let Some(owner) = self.owners.get_mut(remote) else { return };
        let serial = owner.lane.and_then(|lane| self.lanes.get(lane)).map_or(0, |lane| lane.serial);
        owner.lane = None;
        owner.unsettled = Vec::new();
        owner.confirming = Vec::new();
        for known in std::mem::take(&mut owner.observations) {
            let notice = Notice { lane: serial, observation: known.id, tag: 0 };
            // Those that have not had their first response get it as an answer.
            if known.is_active {
                self.outputs.push_back(Output::Notify {
                    remote,
                    token: known.token,
                    response: response.clone(),
                    confirmable: false,
                    notice,
                });
            }
            self.bodies.forget(remote, &known.key);
        }
        if owner.claim.is_none() {
            self.owners.remove(remote);
        }
    }
}

/// Whether the engine knows of the subscription.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Subscribed {
    Yes,
    No,
}

impl Observation {
    fn next_sequence(&mut self) -> u32 {
        self.sequence = (self.sequence + 1) & 0xff_ffff;
        self.sequence
    }

    /// Whether the observer should show that it is there.
    fn is_to_confirm(&self, now: Moment) -> bool {
        self.unconfirmed >= CONFIRM_AFTER || now.since(self.confirmed) >= CONFIRM_EVERY
    }

    fn count(&mut self, now: Moment, confirmable: bool) {
        if confirmable {
            (self.unconfirmed, self.confirmed) = (0, now);
        } else {
            self.unconfirmed += 1;
        }
    }

    /// A notification of an event, whole; one of another class than 2 is the last (RFC 7641 §4.2). `None`: it cannot be said.
    fn notification(&mut self, now: Now, event: &Event) -> Option<Response> {
        if self.is_exact && event.retain && event.payload.is_empty() {
            return Some(Response::new(Code::NOT_FOUND));
        }
        let format = format_for(event, self.accept);
        if self.is_exact {
            let first = *self.format.get_or_insert(link::format_of(event));
            if format.is_none() || first != link::format_of(event) {
                return Some(not_acceptable());
            }
        }
        let mut response = content(now, event, format?);
        response.options.insert_uint(option::OBSERVE, self.next_sequence());
        if !self.is_exact {
            for level in event.address.levels() {
                insert_text(&mut response, option::LOCATION_PATH, level)?;
            }
        }
        if let Some(address) = event.reply_to() {
            let query = format!("windrose-reply-to={address}");
            insert_text(&mut response, option::LOCATION_QUERY, &query)?;
            if let Some(correlation) = event.correlation() {
                let query = format!("windrose-correlation={}", request::to_hex(correlation));
                insert_text(&mut response, option::LOCATION_QUERY, &query)?;
            }
        }
        Some(response)
    }
}

/// `None`: it is longer than the option can be (RFC 7252 §5.10).
fn insert_text(response: &mut Response, number: u16, text: &str) -> Option<()> {
    (text.len() <= 255).then(|| response.options.insert(number, text.as_bytes()))
}
