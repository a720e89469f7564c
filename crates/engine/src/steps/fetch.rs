//! Fetch: what members of pools of brokers send because somebody here subscribed to it.

use crate::engine::Engine;
use crate::io::ShardId;
use std::sync::Arc;
use windrose_event::{Cause, Event, Filter, Now, Origin, Publication, Rejection};

/// Last values that are looked at together.
const AT_ONCE: usize = 256;

impl Engine {
    /// Whether brokers have to hear of what is subscribed to here, and this filter was subscribed to before.
    pub(crate) fn is_wanted(&self, filter: &Filter) -> bool {
        !self.interest.is_empty() && self.subscriptions.has(filter)
    }

    /// Has brokers asked for what is wanted now of a filter, and in a while no longer for what is not.
    pub(crate) fn note_interest(&mut self, filter: &Filter, before: bool) {
        if self.interest.is_empty() {
            return;
        }
        match (before, self.subscriptions.has(filter)) {
            (false, true) => self.interest.want(filter, &mut self.outputs),
            (true, false) => self.interest.leave(filter),
            _ => {}
        }
    }

    /// The end of an input: what nobody has wanted for a while is not asked for any more.
    pub(crate) fn fade_interest(&mut self, now: Now) {
        if self.interest.is_empty() {
            return;
        }
        self.interest.fade(now.moment);
        while let Some(gone) = self.interest.pop_faded(now.moment, &mut self.outputs) {
            // Every shard sees this, and last values are all shards': one of them is enough.
            if self.shards.here() == ShardId(0) {
                gone.iter().for_each(|(pool, filter)| self.forget_fetched(now, pool, filter));
            }
        }
    }

    /// Forgets last values that came from a broker which is not asked for them any more: nobody keeps them true.
    fn forget_fetched(&mut self, now: Now, pool: &str, filter: &Filter) {
        let mut after: Option<Arc<Event>> = None;
        loop {
            let place = after.as_ref().map(|event| event.address.as_str());
            let values: Vec<_> = self.retained.matching(filter, place, now.wall, AT_ONCE);
            let Some(last) = values.last() else { break };
            after = Some(last.clone());
            for value in values {
                if is_from(&value.origin, pool) && !self.interest.is_asked(pool, value.address.as_str()) {
                    self.clear(now, &value);
                }
            }
        }
    }

    /// Clears a last value.
    fn clear(&mut self, now: Now, value: &Event) {
        let publication = Publication {
            address: value.address.clone(),
            payload: bytes::Bytes::new(),
            assurance: value.assurance,
            retain: true,
            expiry: None,
            details: None,
        };
        let event = self.make_event(now, value.origin.clone(), publication);
        self.remember(now, &event, None);
    }

    /// Whether a pool may bring an event: the document says what is fetched from it, which is all the permission there is.
    pub(crate) fn check_fetched(&self, pool: &str, publication: &Publication) -> Result<(), Rejection> {
        let address = &publication.address;
        let pool = self.snapshot.pools.iter().find(|known| *known.name == *pool);
        let allowed = pool.is_some_and(|pool| pool.may_bring(address.as_str()));
        if address.is_system() || !allowed {
            let detail = format!("'{address}' is not in the pool's 'subscribe'");
            return Err(Rejection { cause: Cause::NotPermitted, detail: Some(detail.into()) });
        }
        Ok(())
    }
}

/// Whether an event came from a pool's members.
pub(crate) fn is_from(origin: &Origin, pool: &str) -> bool {
    origin.protocol == Origin::FETCHED && *origin.listener == *pool
}
