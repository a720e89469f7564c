//! Step 6, deliver: to the pools that the routes picked, to subscribers here and on other shards, and into memory as its
//! address's last value.

use crate::brakes::Brake;
use crate::counts::drop_cause;
use crate::engine::Engine;
use crate::exchanges::Bound;
use crate::io::{QueueId, Reply, ReplyForm, ShardId, Word};
use crate::pools::{Done, Job, PoolKey};
use crate::queues::Offered;
use crate::receipts::{Receipt, ReceiptId};
use crate::requests::ReplyAddress;
use crate::sessions::Parcel;
use crate::steps::private::{private_of, takes_at_once};
use crate::steps::route::{Delivered, Routed, Target};
use crate::steps::transcode::{North, reply_in};
use crate::subscriptions::{Matches, Options, Picked, ShareKey, Subscriber};
use crate::topics::TopicKey;
use smallvec::{SmallVec, smallvec};
use std::sync::Arc;
use windrose_event::{Address, Cause, ConnectionId, Details, Event, Now, Outcome, Permission, Publication};
use windrose_policy::Promise;

/// Whom an event reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// Nobody listens.
    Nobody,
    /// Only its sender listens, and wants nothing of its own.
    Itself,
    /// Others, or its sender, got it.
    Others,
}

/// What became of an event that was given to all who want it.
#[derive(Debug)]
pub(crate) struct Spread {
    pub(crate) reach: Reach,
    /// Whether a queue of this shard had no room and refused it.
    pub(crate) refused: bool,
    /// Queues of other shards that may refuse it: they are still to be asked.
    pub(crate) asked: Vec<(ShardId, QueueId)>,
}

/// Who wants an event.
pub(crate) struct Audience {
    pub(crate) matches: Matches,
    /// Where it was lent from; otherwise it was found anew.
    topic: Option<TopicKey>,
}

impl Engine {
    /// Sends an event on its ways. Its receipt is settled now, or with the answers that its routes promised.
    #[inline]
    pub(crate) fn deliver(&mut self, now: Now, routed: Routed) {
        let Delivered { event, mut receipt, from, mut targets, subscribers, had, topic } =
            routed.into_parts();
        let json = self.transcode(now, &event, &mut targets, &mut receipt);
        let north = North { event: &event, json };
        receipt.promise = targets.iter().map(|target| target.promise).max().unwrap_or(Promise::Received);
        let promised = |target: &&Target| target.promise == Promise::Delivered;
        let owed = targets.iter().filter(promised).count();
        if event.retain && !had && !self.remember(now, &event, from) {
            // Those who listen get it all the same, but its sender asked for more than that.
            let detail = "it is not kept as a last value: as many are held as may be";
            receipt.note(Outcome::rejected_because(Cause::Quota, detail));
        }
        let subscribers = subscribers && !had;
        if owed == 0 && receipt.is_told_apart() {
            // Whoever sends exactly once is answered before anybody, itself included, gets the event: it may take the
            // event's own arrival for a sign that its part is done (MQTT 5 §4.3.3).
            receipt.heard = true;
            self.acknowledge(now, receipt);
            if subscribers && self.give_away(now, &event, from, topic) < Reach::Others && targets.is_empty() {
                self.keep_unheard(now, &event);
            }
            for target in targets {
                self.send_to_pool(now, &north, target, None, from);
            }
            return;
        }
        let spread = if subscribers {
            self.distribute(now, &event, from, topic)
        } else {
            Spread { reach: Reach::Nobody, refused: false, asked: Vec::new() }
        };
        let reach = spread.reach;
        if spread.refused {
            receipt.note(Outcome::Busy { retry_after: None });
        }
        receipt.heard = reach > Reach::Nobody || had || !targets.is_empty();
        if subscribers && reach < Reach::Others && targets.is_empty() {
            self.keep_unheard(now, &event);
        }
        if !spread.asked.is_empty() {
            return self.deliver_and_ask(now, &north, receipt, targets, spread.asked, from);
        }
        if owed == 0 {
            for target in targets {
                self.send_to_pool(now, &north, target, None, from);
            }
            return self.acknowledge(now, receipt);
        }
        let mut shares = self.receipts.keep(receipt, owed);
        for target in targets {
            let share = if target.promise == Promise::Delivered { shares.pop() } else { None };
            self.send_to_pool(now, &north, target, share, from);
        }
    }

    /// The end of delivering, if queues of other shards may refuse the event: its sender waits for what they say.
    #[cold]
    fn deliver_and_ask(
        &mut self,
        now: Now,
        north: &North<'_>,
        receipt: Receipt,
        targets: SmallVec<[Target; 2]>,
        asked: Vec<(ShardId, QueueId)>,
        from: Option<ConnectionId>,
    ) {
        let owed = targets.iter().filter(|target| target.promise == Promise::Delivered).count();
        let words = if receipt.is_silent() { 0 } else { asked.len() };
        if owed + words == 0 {
            self.ask_queues(north.event, asked, SmallVec::new(), from);
            for target in targets {
                self.send_to_pool(now, north, target, None, from);
            }
            return self.acknowledge(now, receipt);
        }
        let mut shares = self.receipts.keep(receipt, owed + words);
        let words = shares.drain(owed..).collect();
        self.ask_queues(north.event, asked, words, from);
        for target in targets {
            let share = if target.promise == Promise::Delivered { shares.pop() } else { None };
            self.send_to_pool(now, north, target, share, from);
        }
    }

    /// Gives an event to all who want it, whatever queues say of it.
    pub(crate) fn give_away(
        &mut self,
        now: Now,
        event: &Arc<Event>,
        from: Option<ConnectionId>,
        topic: Option<TopicKey>,
    ) -> Reach {
        let Spread { reach, asked, .. } = self.distribute(now, event, from, topic);
        if !asked.is_empty() {
            self.ask_queues(event, asked, SmallVec::new(), from);
        }
        reach
    }

    /// Offers an event to queues of other shards that may refuse it; `words`: who waits for what each says, if anybody.
    fn ask_queues(
        &mut self,
        event: &Arc<Event>,
        asked: Vec<(ShardId, QueueId)>,
        mut words: SmallVec<[ReceiptId; 2]>,
        from: Option<ConnectionId>,
    ) {
        for (home, queue) in asked {
            let expected = self.expects(event);
            if expected {
                self.record_expected(event);
            }
            let receipt = words.pop().map(ReceiptId::into_number);
            self.shards.say(home, Word::Offer { queue, event: event.clone(), receipt, expected });
            if !self.shards.credit_mut(home).is_none_or(|credit| credit.take()) {
                self.brake(from, Brake::Shard(home));
            }
        }
    }

    /// Gives an event to all who subscribed to its address, here and elsewhere.
    fn distribute(
        &mut self,
        now: Now,
        event: &Arc<Event>,
        from: Option<ConnectionId>,
        topic: Option<TopicKey>,
    ) -> Spread {
        let audience = self.audience(&event.address, topic);
        let matches = &audience.matches;
        let mut reach = self.deliver_here(now, event, matches, None);
        for shard in matches.shards.iter() {
            reach = Reach::Others;
            if !self.forward(shard, event) {
                self.brake(from, Brake::Shard(shard));
            }
        }
        for group in &matches.groups {
            let Some(group) = self.subscriptions.group_mut(*group) else { continue };
            let key = group.key.clone();
            let picked = group.pick(|key| takes_at_once(&self.sessions, &self.queues, key));
            if picked.is_some() {
                reach = Reach::Others;
            }
            self.deliver_to_member(now, event, picked, &key, from);
        }
        let mut spread = Spread { reach, refused: false, asked: Vec::new() };
        if let Some(bound) = &matches.bound {
            self.give_to_queues(now, event, bound, from, &mut spread);
        }
        self.dismiss(audience);
        spread
    }

    /// Gives an event to the queues that are bound to its address.
    fn give_to_queues(
        &mut self,
        now: Now,
        event: &Arc<Event>,
        bound: &Bound,
        from: Option<ConnectionId>,
        spread: &mut Spread,
    ) {
        let mut found = Vec::new();
        let queues = if bound.by_headers {
            self.queues_of(&event.address, &bound.bindings, Some(event.headers()), &mut found);
            &found
        } else {
            &bound.queues
        };
        for queue in queues {
            spread.reach = Reach::Others;
            if queue.home == self.shards.here() {
                spread.refused |= self.offer_to_queue(now, queue.id, event, false) == Offered::Refused;
            } else if queue.rejects || self.queues.is_crowded(queue.id) {
                spread.asked.push((queue.home, queue.id));
            } else if !self.forward_to_queue(queue.home, event, queue.id) {
                self.brake(from, Brake::Shard(queue.home));
            }
        }
    }

    /// Enters an address with what is known of it.
    pub(crate) fn enter_topic(&mut self, address: &Address) -> Option<TopicKey> {
        let mut routes = SmallVec::new();
        self.routes.matching(address.as_bytes(), &mut routes);
        self.topics.enter(address.as_bytes(), &routes)
    }

    /// Who wants the events of an address, which is remembered at `topic` if anywhere. To be dismissed.
    pub(crate) fn audience(&mut self, address: &Address, topic: Option<TopicKey>) -> Audience {
        let changes = self.subscriptions.changes();
        if let Some(topic) = topic
            && let Some(matches) = self.topics.lend(topic, changes)
        {
            return Audience { matches, topic: Some(topic) };
        }
        let mut matches = std::mem::take(&mut self.matches);
        self.subscriptions.collect(address.as_bytes(), &mut matches);
        if let Some(bound) = &mut matches.bound {
            let Bound { bindings, queues, by_headers } = &mut **bound;
            *by_headers = self.queues_of(address, bindings, None, queues);
        }
        let changes = self.subscriptions.changes();
        if let Some(topic) = topic {
            self.topics.remember(topic, changes, &matches);
        }
        Audience { matches, topic: None }
    }

    /// Puts an audience back where it is found for the next event.
    pub(crate) fn dismiss(&mut self, Audience { matches, topic }: Audience) {
        match topic {
            Some(topic) => self.topics.give_back(topic, matches),
            None => self.matches = matches,
        }
    }

    /// Gives an event, forwarded by the shard `source` if by any, to this shard's plain subscribers that matched, to each
    /// once.
    pub(crate) fn deliver_here(
        &mut self,
        now: Now,
        event: &Arc<Event>,
        matches: &Matches,
        source: Option<ShardId>,
    ) -> Reach {
        let mut reach = Reach::Nobody;
        for subscribers in matches.plain.chunk_by(|one, other| one.session == other.session) {
            reach = reach.max(self.deliver_to_session(now, event, subscribers, source));
        }
        reach
    }

    /// Gives an event to one session: once for all its subscriptions that matched, as surely as the surest of them asks
    /// for, and once more for each further one that wants a copy of its own.
    fn deliver_to_session(
        &mut self,
        now: Now,
        event: &Arc<Event>,
        subscribers: &[Subscriber],
        source: Option<ShardId>,
    ) -> Reach {
        let Some(first) = subscribers.first() else { return Reach::Nobody };
        if let Some(key) = private_of(first) {
            return self.deliver_to_private(now, key, event, first.options);
        }
        let wants =
            |subscriber: &&Subscriber| !subscriber.options.no_local || !self.is_own(subscriber, event);
        let parcel = |options: &Options| Parcel {
            event: event.clone(),
            assurance: options.assurance.min(event.assurance),
            retain: options.retain_as_published && event.retain,
            subscriptions: identifiers(options),
            share: None,
        };
        let mut wanting = subscribers.iter().filter(wants).map(|subscriber| subscriber.options);
        let Some(options) = wanting.next() else { return Reach::Itself };
        let mut shared = parcel(&options);
        let mut has_owner = options.own_copy;
        let mut more = Vec::new();
        for options in wanting {
            if options.own_copy && has_owner {
                more.push(parcel(&options));
                continue;
            }
            has_owner |= options.own_copy;
            shared.assurance = shared.assurance.max(options.assurance.min(event.assurance));
            shared.retain |= options.retain_as_published && event.retain;
            shared.subscriptions.extend(identifiers(&options));
        }
        self.offer(now, first.session, shared, more, source);
        Reach::Others
    }

    /// Whether the subscriber published the event itself.
    fn is_own(&self, subscriber: &Subscriber, event: &Event) -> bool {
        self.sessions.get(subscriber.session).is_some_and(|session| *session.name == *event.origin.session)
    }

    /// Gives an event to the member of a group that was picked.
    pub(crate) fn deliver_to_member(
        &mut self,
        now: Now,
        event: &Arc<Event>,
        picked: Option<Picked>,
        key: &Arc<ShareKey>,
        from: Option<ConnectionId>,
    ) {
        match picked {
            Some(Picked::Here(subscriber)) => {
                let options = subscriber.options;
                if let Some(key) = private_of(&subscriber) {
                    self.deliver_to_private(now, key, event, options);
                    return;
                }
                let parcel = Parcel {
                    event: event.clone(),
                    assurance: options.assurance.min(event.assurance),
                    retain: options.retain_as_published && event.retain,
                    subscriptions: identifiers(&options),
                    share: Some(key.clone()),
                };
                self.offer(now, subscriber.session, parcel, Vec::new(), None);
            }
            Some(Picked::There(shard)) => {
                let group = (key.group.clone(), key.filter.clone());
                if !self.forward_to_group(shard, event, group) {
                    self.brake(from, Brake::Shard(shard));
                }
            }
            None => {}
        }
    }

    /// Finds another member for what a group's former member did not get.
    pub(crate) fn reassign(&mut self, now: Now, parcel: Parcel) {
        let Some(key) = parcel.share else { return };
        let picked = self
            .subscriptions
            .pick(&key.group, &key.filter, |key| takes_at_once(&self.sessions, &self.queues, key));
        self.deliver_to_member(now, &parcel.event, picked, &key, None);
    }

    fn send_to_pool(
        &mut self,
        now: Now,
        north: &North<'_>,
        target: Target,
        receipt: Option<ReceiptId>,
        from: Option<ConnectionId>,
    ) {
        let (event, form) = north.to(&target);
        let job = Job {
            event: event.clone(),
            form,
            receipt,
            route: target.route,
            deadline: now.moment + target.deadline,
            since: now.moment,
            attempts: 0,
            avoid: None,
            timed_out: false,
            alone: false,
        };
        if !self.with_pools(now, |pools, desk| pools.push(target.pool, job, desk)) {
            self.brake(from, Brake::Pool(target.pool));
        }
    }

    /// A pool is done with an event: whoever waits for it hears, and its permit goes to the next.
    pub(crate) fn pool_done(&mut self, now: Now, key: PoolKey, done: Done) {
        let Done { job, outcome, reply } = done;
        self.counts.routed(job.route, &outcome);
        if let Outcome::Rejected(rejection) = &outcome {
            self.note_rejected(now, &job.event.origin, &job.event.address, rejection);
        }
        if let Some(reply) = reply
            && job.event.reply_to().is_some()
        {
            let reply = reply_in(job.form, reply);
            self.publish_reply(now, key, &job.event, reply);
        }
        let silent = job.receipt.as_ref().is_none_or(|id| self.receipts.is_silent(id));
        if silent && !outcome.is_accepted() {
            self.counts.drop(drop_cause(&outcome));
        }
        if let Some(receipt) = job.receipt.and_then(|id| self.receipts.target_settled(id, outcome)) {
            self.acknowledge(now, receipt);
        }
        let releases = self.pools.get_mut(key).map_or(0, |pool| pool.braked_credit().give(1));
        self.release(Brake::Pool(key), releases);
    }

    /// A service answered an event after it was acknowledged.
    pub(crate) fn replied(
        &mut self,
        now: Now,
        pool: &str,
        event: &Arc<Event>,
        form: ReplyForm,
        reply: Reply,
    ) {
        if let Some(key) = self.pools.named(pool) {
            self.publish_reply(now, key, event, reply_in(form.0, reply));
        }
    }

    /// Publishes what a service answered to where the event wants its answer, if its sender may hear of that address.
    fn publish_reply(&mut self, now: Now, key: PoolKey, event: &Arc<Event>, reply: Reply) {
        let Some(address) = event.reply_to() else { return };
        let Some(origin) = self.pools.get(key).map(|pool| pool.origin().clone()) else { return };
        let is_reply = ReplyAddress::is_meant(address);
        let asker = &event.origin.identity;
        if !is_reply && !self.snapshot.access.permits(asker, Permission::Subscribe, address) {
            return self.counts.drop("reply_not_permitted");
        }
        let details = Details {
            content_type: reply.content_type,
            correlation: event.correlation().cloned(),
            ..Details::default()
        };
        let publication = Publication {
            address: address.clone(),
            payload: reply.payload,
            assurance: event.assurance,
            retain: false,
            expiry: None,
            details: Some(Box::new(details)),
        };
        let answer = self.make_event(now, origin, publication);
        if !is_reply {
            self.give_away(now, &answer, None, None);
        } else if let Some(address) = ReplyAddress::parse(address) {
            self.reply(now, address, answer);
        }
    }
}

/// The subscriber's own number for a subscription, if it gave it one.
fn identifiers(options: &Options) -> SmallVec<[u32; 2]> {
    match options.identifier {
        0 => SmallVec::new(),
        identifier => smallvec![identifier],
    }
}
