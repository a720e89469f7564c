//! Pool: the queue before a service's members, and what becomes of each event in it.

use super::batch;
use super::member::Member;
use super::{Desk, Flight, PoolKey, backoff, balance};
use crate::brakes::BrakedCredit;
use crate::content::Form;
use crate::counts::RouteIndex;
use crate::io::{Answer, Reply};
use crate::receipts::ReceiptId;
use crate::{Histogram, PoolTally};
use slab::Slab;
use smallvec::SmallVec;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{Assurance, Cause, Credit, Event, Identity, Moment, Origin, Outcome, Principal};
use windrose_policy::{Pool, PoolProtocol};

/// One event on its way to a pool.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) event: Arc<Event>,
    /// What its payload was in before it became JSON.
    pub(crate) form: Option<Form>,
    /// The share in what is owed to the sender, if it waits for this.
    pub(crate) receipt: Option<ReceiptId>,
    pub(crate) route: RouteIndex,
    /// When trying ends.
    pub(crate) deadline: Moment,
    /// When it came.
    pub(crate) since: Moment,
    pub(crate) attempts: u32,
    /// The member that failed it last.
    pub(crate) avoid: Option<usize>,
    /// Whether the last attempt got no answer in time.
    pub(crate) timed_out: bool,
    /// Whether it is not to share a request: a batch that it was in was rejected.
    pub(crate) alone: bool,
}

impl Job {
    /// Whether its time is up.
    pub(super) fn is_late(&self, now: Moment) -> bool {
        self.deadline <= now
    }
}

/// An event that the pool is done with.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) job: Job,
    pub(crate) outcome: Outcome,
    pub(crate) reply: Option<Reply>,
}

/// Events to go out together.
pub(super) struct Departure {
    pub(super) member: usize,
    /// Whether it is to find out if a failed member is back.
    pub(super) probe: bool,
    pub(super) jobs: SmallVec<[Job; 1]>,
    pub(super) timeout: Duration,
}

/// What waits for a member: first what is tried again, then what is new, each in order. Deadlines are watched apart, so
/// an event whose time is up leaves from the middle.
#[derive(Debug, Default)]
pub(super) struct Queue {
    jobs: Slab<Job>,
    /// An entry whose job left by its deadline is skipped.
    again: VecDeque<Ticket>,
    fresh: VecDeque<Ticket>,
    deadlines: BTreeMap<(Moment, u64), usize>,
    entered: u64,
}

#[derive(Clone, Copy, Debug)]
struct Ticket {
    key: usize,
    deadline: Moment,
    number: u64,
}

impl Queue {
    fn push(&mut self, job: Job) {
        let ticket = Ticket { deadline: job.deadline, number: self.entered, key: 0 };
        self.entered += 1;
        let again = job.attempts > 0 || job.alone;
        let ticket = Ticket { key: self.jobs.insert(job), ..ticket };
        self.deadlines.insert((ticket.deadline, ticket.number), ticket.key);
        if again { self.again.push_back(ticket) } else { self.fresh.push_back(ticket) }
    }

    /// The first that waits.
    pub(super) fn front(&self) -> Option<&Job> {
        let ticket = self.again.front().or_else(|| self.fresh.front())?;
        self.jobs.get(ticket.key)
    }

    /// Takes the first that waits.
    pub(super) fn pop(&mut self) -> Option<Job> {
        let ticket = self.again.pop_front().or_else(|| self.fresh.pop_front())?;
        self.deadlines.remove(&(ticket.deadline, ticket.number));
        let job = self.jobs.try_remove(ticket.key);
        self.trim();
        job
    }

    /// Takes one whose deadline has come, from wherever it is.
    fn pop_late(&mut self, now: Moment) -> Option<Job> {
        let entry = self.deadlines.first_entry()?;
        if entry.key().0 > now {
            return None;
        }
        let key = entry.remove();
        let job = self.jobs.try_remove(key);
        self.trim();
        job
    }

    /// Keeps the first entry of each row one that is still here, and most of the others too.
    fn trim(&mut self) {
        let Self { again, fresh, deadlines, jobs, .. } = self;
        if again.len() + fresh.len() == jobs.len() {
            return;
        }
        for row in [again, fresh] {
            let is_here = |ticket: &Ticket| deadlines.contains_key(&(ticket.deadline, ticket.number));
            while row.front().is_some_and(|ticket| !is_here(ticket)) {
                row.pop_front();
            }
            if row.len() > 2 * deadlines.len() + 64 {
                row.retain(is_here);
            }
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }
}

/// One pool, as this shard sees it.
#[derive(Debug)]
pub(crate) struct PoolState {
    config: Arc<Pool>,
    retired: bool,
    credit: BrakedCredit,
    queue: Queue,
    /// Events that wait before another attempt.
    retries: BTreeMap<(Moment, u64), Job>,
    retried: u64,
    members: Vec<Member>,
    turn: usize,
    /// Requests that may be at one member.
    max_in_flight: u32,
    attempts: Vec<(Arc<str>, [u64; 5])>,
    seconds: Histogram,
    /// Who speaks when a reply is published.
    origin: Arc<Origin>,
}

impl PoolState {
    /// A pool without events.
    pub(super) fn new(config: Arc<Pool>, shards: u32) -> Self {
        let mut state = Self {
            retired: false,
            credit: BrakedCredit::new(share(config.queue, shards)),
            queue: Queue::default(),
            retries: BTreeMap::new(),
            retried: 0,
            members: Vec::new(),
            turn: 0,
            max_in_flight: 1,
            attempts: Vec::new(),
            seconds: Histogram::default(),
            origin: Arc::new(Origin {
                identity: Identity {
                    principal: Principal::Service { name: config.name.clone() },
                    ..Identity::anonymous()
                },
                session: config.name.clone(),
                protocol: "http",
                listener: Arc::from(""),
            }),
            config: config.clone(),
        };
        state.reconfigure(config, shards);
        state
    }

    /// Takes over a new description. Returns where each former member is now.
    pub(super) fn reconfigure(&mut self, config: Arc<Pool>, shards: u32) -> Vec<Option<usize>> {
        self.retired = false;
        self.max_in_flight = share(config.max_in_flight, shards);
        let mut former: Vec<Option<Member>> =
            std::mem::take(&mut self.members).into_iter().map(Some).collect();
        let mut moved = vec![None; former.len()];
        for (index, member) in config.members.iter().enumerate() {
            let known = former.iter().position(|old| old.as_ref().is_some_and(|old| old.url == member.url));
            let state = known.and_then(|old| {
                moved[old] = Some(index);
                former[old].take()
            });
            self.members.push(state.unwrap_or_else(|| {
                let known = self.attempts.iter().position(|(url, _)| *url == member.url);
                let tally = known.unwrap_or_else(|| {
                    self.attempts.push((member.url.clone(), [0; 5]));
                    self.attempts.len() - 1
                });
                Member::new(member.url.clone(), tally)
            }));
        }
        self.config = config;
        moved
    }

    /// Takes over a new bound on its events. Returns how many connections to release.
    pub(super) fn resize(&mut self, shards: u32) -> usize {
        self.credit.resize(share(self.config.queue, shards))
    }

    /// The document does not have it any more: it finishes what it has.
    pub(super) fn retire(&mut self) {
        self.retired = true;
    }

    /// Whether the document does not have it any more.
    pub(super) const fn is_retired(&self) -> bool {
        self.retired
    }

    /// The pool as the document describes it.
    pub(crate) const fn config(&self) -> &Arc<Pool> {
        &self.config
    }

    /// Who speaks when a reply is published.
    pub(crate) const fn origin(&self) -> &Arc<Origin> {
        &self.origin
    }

    /// Permits for events in it.
    pub(crate) const fn credit(&self) -> &Credit {
        self.credit.credit()
    }

    /// The same, with the line of those who wait for it.
    pub(crate) const fn braked_credit(&mut self) -> &mut BrakedCredit {
        &mut self.credit
    }

    /// Takes an event. `false`: credit is gone, brake its sender.
    pub(super) fn push(&mut self, job: Job) -> bool {
        self.queue.push(job);
        self.credit.take()
    }

    /// The next events to go out, if a member can take them.
    pub(super) fn next(&mut self, key: PoolKey, desk: &mut Desk<'_>) -> Option<Departure> {
        let now = desk.now;
        loop {
            let front = self.queue.front()?;
            let late = front.is_late(now.moment);
            if late || front.event.is_expired(now.wall) {
                if let Some(job) = self.queue.pop() {
                    let outcome = if late { gave_up(&job) } else { Outcome::rejected(Cause::Expired) };
                    desk.done.push((key, Done { job, outcome, reply: None }));
                }
                continue;
            }
            if batch::ready_at(&self.config, &self.queue)? > now.moment {
                return None;
            }
            let avoid = front.avoid;
            let member = balance::pick(
                &self.members,
                self.config.balance,
                self.max_in_flight,
                avoid,
                &mut self.turn,
                now.moment,
            )?;
            let jobs = batch::take(&self.config, &mut self.queue, now);
            let left = jobs.iter().map(|job| job.deadline.since(now.moment)).min()?;
            let probe = self.members[member].sent();
            return Some(Departure { member, probe, timeout: self.time_limit(&jobs, left), jobs });
        }
    }

    /// How long an attempt may take, with so much time left. A broker that has an event of exactly once and does not say so
    /// is the only one that may have it: nobody else is asked in the time that is left.
    fn time_limit(&self, jobs: &[Job], left: Duration) -> Duration {
        let exactly_once = |job: &Job| job.event.assurance == Assurance::ExactlyOnce;
        if self.config.protocol == PoolProtocol::Mqtt && jobs.iter().any(exactly_once) {
            return left;
        }
        self.config.timeout.min(left)
    }

    /// A member's answer to events that went out together.
    pub(super) fn answered(&mut self, flight: Flight, answer: Answer, desk: &mut Desk<'_>) {
        let Flight { pool: key, member, probe, jobs, sent, .. } = flight;
        let now = desk.now.moment;
        let Answer { outcome, mut reply } = answer;
        self.seconds.record(now.since(sent));
        let retriable = outcome.is_retriable();
        if let Some(member) = member.and_then(|member| self.members.get_mut(member)) {
            self.attempts[member.tally].1[outcome.rank()] += 1;
            if retriable {
                member.failed(probe, now, &self.config, desk.random);
            } else if member.succeeded() {
                self.recall();
            }
        }
        if !retriable {
            let together = jobs.len() > 1;
            for mut job in jobs {
                if together && matches!(&outcome, Outcome::Rejected(_)) {
                    // One bad event must not have the others rejected: each is tried by itself.
                    job.alone = true;
                    self.queue.push(job);
                } else {
                    let reply = if together { None } else { reply.take() };
                    desk.done.push((key, Done { job, outcome: outcome.clone(), reply }));
                }
            }
            return;
        }
        let attempts = jobs.iter().map(|job| job.attempts).max().unwrap_or(0) + 1;
        let due = now + backoff::retry_wait(&self.config, attempts, &outcome, desk.random);
        for mut job in jobs {
            job.attempts = attempts;
            job.avoid = member;
            job.timed_out = outcome == Outcome::TimedOut;
            if due >= job.deadline {
                let outcome = gave_up(&job);
                desk.done.push((key, Done { job, outcome, reply: None }));
            } else {
                self.retries.insert((due, self.retried), job);
                self.retried += 1;
            }
        }
    }

    /// Acts on the time: attempts that are due, events whose deadline has come.
    pub(super) fn timeout(&mut self, key: PoolKey, desk: &mut Desk<'_>) {
        while let Some(entry) = self.retries.first_entry() {
            if entry.key().0 > desk.now.moment {
                break;
            }
            self.queue.push(entry.remove());
        }
        while let Some(job) = self.queue.pop_late(desk.now.moment) {
            let outcome = gave_up(&job);
            desk.done.push((key, Done { job, outcome, reply: None }));
        }
    }

    /// When [`PoolState::timeout`] is due.
    pub(super) fn next_timeout(&self) -> Option<Moment> {
        let retry = self.retries.first_key_value().map(|((due, _), _)| *due);
        let deadline = self.queue.deadlines.first_key_value().map(|((due, _), _)| *due);
        [retry, deadline, self.next_departure()].into_iter().flatten().min()
    }

    /// When what waits may go out, as far as time alone decides.
    fn next_departure(&self) -> Option<Moment> {
        let ready = batch::ready_at(&self.config, &self.queue)?;
        let takes = |member: &&Member| member.in_flight < self.max_in_flight;
        let mut takers = self.members.iter().filter(takes);
        let member = takers.clone().any(Member::is_well).then(Moment::default);
        let member = member.or_else(|| takers.by_ref().filter_map(Member::rests_until).min())?;
        Some(ready.max(member))
    }

    /// Whether no event waits.
    pub(super) fn is_idle(&self) -> bool {
        self.queue.len() == 0 && self.retries.is_empty()
    }

    /// Counts for metrics.
    pub(crate) fn tally(&self) -> PoolTally {
        PoolTally {
            name: self.config.name.clone(),
            credit_used: self.credit().used().into(),
            credit_limit: self.credit().limit().into(),
            members: self.attempts.clone(),
            seconds: self.seconds.clone(),
        }
    }

    /// A member is back: what waited for another attempt waits no longer.
    fn recall(&mut self) {
        for (_, job) in std::mem::take(&mut self.retries) {
            self.queue.push(job);
        }
    }
}

/// This shard's part of a bound that is for the whole node.
pub(super) fn share(bound: u32, shards: u32) -> u32 {
    (bound / shards).max(1)
}

/// The outcome of an event whose time is up.
fn gave_up(job: &Job) -> Outcome {
    if job.timed_out { Outcome::TimedOut } else { Outcome::unavailable() }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use windrose_policy::{Balance, CloudEventsMode, HttpVersion};

    pub(crate) fn pool() -> Pool {
        Pool {
            name: "p".into(),
            members: Vec::new(),
            balance: Balance::RoundRobin,
            mode: CloudEventsMode::Binary,
            batch_events: 1,
            batch_wait: Duration::ZERO,
            http_version: HttpVersion::Auto,
            timeout: Duration::from_secs(10),
            backoff: Duration::from_millis(100),
            backoff_max: Duration::from_secs(2),
            max_in_flight: 10,
            queue: 100,
            ca: None,
            headers: Vec::new(),
            protocol: PoolProtocol::Http,
            mqtt: None,
            amqp: None,
            identity_token: None,
        }
    }
}
