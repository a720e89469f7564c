//! Step 5, route: the document picks the targets, in its order, until one says `stop`.

use crate::counts::RouteIndex;
use crate::engine::Engine;
use crate::pools::PoolKey;
use crate::receipts::Receipt;
use crate::steps::fetch::is_from;
use crate::steps::inspect::{Inspected, Passed};
use crate::topics::TopicKey;
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{ConnectionId, Details, Event, Now, Outcome, Template};
use windrose_policy::Promise;

/// Where an event goes north.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) pool: PoolKey,
    pub(super) route: RouteIndex,
    /// Whether what is in CBOR goes there as JSON.
    pub(super) as_json: bool,
    pub(super) promise: Promise,
    pub(super) deadline: Duration,
}

/// Proof that an event's targets were picked by the document. Only this step makes it, only `deliver` takes it.
#[derive(Debug)]
pub(crate) struct Routed {
    event: Arc<Event>,
    receipt: Receipt,
    from: Option<ConnectionId>,
    targets: SmallVec<[Target; 2]>,
    subscribers: bool,
    had: bool,
    topic: Option<TopicKey>,
}

/// A [`Routed`], taken apart by `deliver`.
pub(super) struct Delivered {
    pub(super) event: Arc<Event>,
    pub(super) receipt: Receipt,
    pub(super) from: Option<ConnectionId>,
    pub(super) targets: SmallVec<[Target; 2]>,
    pub(super) subscribers: bool,
    /// Whether subscribers had it before a restart.
    pub(super) had: bool,
    /// Where it is known what its address means.
    pub(super) topic: Option<TopicKey>,
}

impl Routed {
    pub(super) fn into_parts(self) -> Delivered {
        let Self { event, receipt, from, targets, subscribers, had, topic } = self;
        Delivered { event, receipt, from, targets, subscribers, had, topic }
    }
}

/// The event as its route wants it answered.
fn wanting_answer(event: Arc<Event>, template: &Template) -> Arc<Event> {
    let Some(address) = template.address_of(&event) else { return event };
    let details = event.details.as_deref().cloned().unwrap_or_default();
    let details = Details { reply_to: Some(address), ..details };
    Arc::new(Event { details: Some(Box::new(details)), ..Event::clone(&event) })
}

impl Engine {
    /// Picks an event's targets. One that no route matches is for subscribers only.
    #[inline]
    pub(crate) fn route(&mut self, now: Now, inspected: Inspected) -> Routed {
        let Passed { mut event, receipt, from, had, topic } = inspected.into_parts();
        let mut targets = SmallVec::new();
        let mut subscribers = true;
        let mut matching = SmallVec::new();
        match topic {
            Some(topic) => matching.extend_from_slice(self.topics.routes(topic)),
            None => self.routes.matching(event.address.as_bytes(), &mut matching),
        }
        for index in matching {
            let Some(prepared) = self.routes.get(index) else { continue };
            let route = &prepared.route;
            match route.condition.as_ref().map_or(Ok(true), |condition| condition.holds(&event)) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => {
                    let name = route.name.clone();
                    self.note_condition(now, &name, &event, &error);
                    continue;
                }
            }
            subscribers &= route.subscribers;
            if let Some(template) = &route.reply_to
                && event.reply_to().is_none()
            {
                event = wanting_answer(event, template);
            }
            let came_from = |pool: &PoolKey| {
                self.pools.get(*pool).is_some_and(|pool| is_from(&event.origin, &pool.config().name))
            };
            if prepared.pool.as_ref().is_some_and(came_from) {
                // It does not go back to where it was fetched.
            } else if let Some(pool) = prepared.pool {
                targets.push(Target {
                    pool,
                    route: prepared.tally,
                    as_json: route.as_json,
                    promise: route.acknowledge,
                    deadline: route.deadline,
                });
            } else {
                self.counts.routed(prepared.tally, &Outcome::Accepted);
            }
            if route.stop {
                break;
            }
        }
        Routed { event, receipt, from, targets, subscribers, had, topic }
    }

    /// Whether a route takes an event to a pool.
    pub(crate) fn is_wanted_by_route(&self, event: &Event) -> bool {
        let mut matching = SmallVec::new();
        self.routes.matching(event.address.as_bytes(), &mut matching);
        matching.into_iter().filter_map(|index| self.routes.get(index)).any(|prepared| {
            let holds = |condition: &windrose_policy::Condition| condition.holds(event).unwrap_or(false);
            prepared.pool.is_some() && prepared.route.condition.as_ref().is_none_or(holds)
        })
    }

    /// A condition that could not be told: its route does not match.
    fn note_condition(&mut self, now: Now, route: &str, event: &Event, error: &str) {
        self.counts.drop("condition_failed");
        if let Some(suppressed) = self.notices.allow(now, "condition_failed") {
            tracing::warn!(
                route,
                address = event.address.as_str(),
                error,
                suppressed,
                "the route's 'when' could not be told for an event: the route did not take it"
            );
        }
    }
}
