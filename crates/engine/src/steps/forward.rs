//! Deliver, between shards: events for subscribers elsewhere, last values that every shard keeps, and who wants what.

use crate::brakes::Brake;
use crate::engine::Engine;
use crate::io::{Forward, ShardId, ShardMessage};
use crate::journal::Record;
use crate::steps::private::takes_at_once;
use crate::subscriptions::{Change, Picked, ShareKey};
use smallvec::SmallVec;
use std::sync::Arc;
use windrose_event::{ConnectionId, Event, Filter, Moment, Now};

impl Engine {
    /// Events that another shard's peers published for this shard's subscribers.
    pub(crate) fn forwarded(&mut self, now: Now, from: ShardId, events: Vec<Forward>) {
        let count = u32::try_from(events.len()).unwrap_or(u32::MAX);
        for Forward { event, everyone, groups, queues, expected } in events {
            if everyone {
                let topic = self.topics.find(event.address.as_bytes());
                let topic = topic.or_else(|| self.enter_topic(&event.address));
                let audience = self.audience(&event.address, topic);
                self.deliver_here(now, &event, &audience.matches, Some(from));
                self.dismiss(audience);
                self.shards.seen(from, event.id);
            }
            for (group, filter) in groups {
                self.deliver_to_group(now, &event, group, filter);
            }
            for queue in queues {
                self.offer_to_queue(now, queue, &event, true);
            }
            if expected {
                self.record(Record::Part { event: event.id });
            }
        }
        self.shards.took(from, count);
    }

    /// The other shard picked this one to pick a member of a group.
    fn deliver_to_group(&mut self, now: Now, event: &Arc<Event>, group: Arc<str>, filter: Filter) {
        let (sessions, queues) = (&self.sessions, &self.queues);
        let picked =
            self.subscriptions.pick_here(&group, &filter, |key| takes_at_once(sessions, queues, key));
        if let Some((subscriber, key)) = picked {
            return self.deliver_to_member(now, event, Some(Picked::Here(subscriber)), &key, None);
        }
        // The last member here left while the event was on its way. A shard that we think has members has told us so
        // after it learnt that we have none, or will tell us that it has none either: this ends.
        let key = Arc::new(ShareKey { group, filter });
        let picked = self.subscriptions.pick(&key.group, &key.filter, |_| true);
        if picked.is_none() {
            self.counts.drop("no_member");
        }
        self.deliver_to_member(now, event, picked, &key, None);
    }

    /// Another shard took events: credit is back.
    pub(crate) fn shard_credit(&mut self, now: Now, from: ShardId, count: u32) {
        let releases = self.shards.credit_mut(from).map_or(0, |credit| credit.give(count));
        self.release(Brake::Shard(from), releases);
        for (key, slot) in self.queues.starved(from) {
            self.with_queue(now, key, |queue, road| {
                queue.wake(slot);
                queue.pump(road);
            });
        }
    }

    /// Keeps an event as its address's last value, on every shard. `false`: as many are held as may be.
    pub(crate) fn remember(&mut self, now: Now, event: &Arc<Event>, from: Option<ConnectionId>) -> bool {
        if !self.retained.remember(now, event, self.retained_bounds()) {
            self.counts.drop("retained_full");
            if let Some(suppressed) = self.notices.allow(now, "retained_full") {
                tracing::warn!(
                    address = event.address.as_str(),
                    suppressed,
                    "last value not kept: as many are held as 'limits.retained_events' and \
                     'limits.retained_bytes' allow"
                );
            }
            return false;
        }
        // The node's own values are made anew.
        if !event.address.is_system() {
            self.record(Record::Retained(event.clone()));
        }
        for shard in self.shards.others() {
            if !self.shards.remember(shard, event, &mut self.outputs) {
                self.brake(from, Brake::Shard(shard));
            }
        }
        true
    }

    /// Another shard's last value.
    pub(crate) fn remember_elsewhere(&mut self, now: Now, from: ShardId, event: &Arc<Event>) {
        if !self.retained.remember(now, event, self.retained_bounds()) {
            self.counts.drop("retained_full");
        }
        self.shards.took(from, 1);
    }

    /// Nobody heard of an event: somebody on another shard may have subscribed to it a moment ago.
    pub(crate) fn keep_unheard(&mut self, now: Now, event: &Arc<Event>) {
        if self.shards.count() > 1 {
            self.unheard.push(now.moment, event);
        }
    }

    /// Another shard has the first subscriber to a filter. What was published here while its word was on its way, and
    /// nobody heard, is for it, unless it got that for another filter.
    pub(crate) fn forward_since(&mut self, to: ShardId, filter: &Filter, since: Moment) {
        for event in self.unheard.since(since) {
            if !filter.matches(event.address.as_str()) {
                continue;
            }
            let mut matches = std::mem::take(&mut self.matches);
            self.subscriptions.collect(event.address.as_bytes(), &mut matches);
            let had = matches.shards.iter().any(|shard| shard == to);
            self.matches = matches;
            if !had {
                let (groups, queues) = (SmallVec::new(), SmallVec::new());
                let forward = Forward { event, everyone: true, groups, queues, expected: false };
                // Nobody is braked for so little: it is bounded.
                let _ = self.shards.forward(to, forward);
            }
        }
    }

    /// Tells the other shards what this one's sessions want of a filter now.
    pub(crate) fn announce(&mut self, filter: &Filter, group: Option<&Arc<str>>, change: &Change) {
        let ranks = self.subscriptions.ranks(filter, group);
        for shard in self.shards.others() {
            self.tell(
                shard,
                ShardMessage::Interest {
                    ranks: ranks.clone(),
                    since: self.moment,
                    filter: filter.clone(),
                    group: group.cloned(),
                    members: change.0.members,
                    connected: change.0.connected,
                },
            );
        }
    }
}
