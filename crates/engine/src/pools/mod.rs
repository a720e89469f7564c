//! Pools: the services that take events. A queue per pool, a member for each message, attempts until the deadline.

mod backoff;
mod balance;
mod batch;
mod member;
mod pool;

pub(crate) use pool::{Done, Job, PoolState};

use crate::io::{Answer, Dispatch, DispatchId, Output, ReplyForm};
use crate::random::Random;
use rustc_hash::FxHashMap;
use slab::Slab;
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::Arc;
use windrose_event::{Moment, Now};
use windrose_policy::Pool;

/// A pool's place in this shard's table: kept over reloads as long as the pool keeps its name.
pub(crate) type PoolKey = usize;

/// Events at a member, until its answer.
#[derive(Debug)]
struct Flight {
    /// Tells it from others that had the same place.
    stamp: u32,
    pool: PoolKey,
    /// The member's place, unless a reload removed it.
    member: Option<usize>,
    /// Whether it is to find out if a failed member is back.
    probe: bool,
    jobs: SmallVec<[Job; 1]>,
    sent: Moment,
}

/// What pools need of the engine while they work.
pub(crate) struct Desk<'a> {
    pub(crate) now: Now,
    pub(crate) random: &'a mut Random,
    pub(crate) outputs: &'a mut VecDeque<Output>,
    /// Events that are done with, for the engine to settle.
    pub(crate) done: &'a mut Vec<(PoolKey, Done)>,
}

/// All pools of this shard.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    table: Slab<PoolState>,
    names: FxHashMap<Arc<str>, PoolKey>,
    flights: Slab<Flight>,
    stamp: u32,
}

impl Pools {
    /// Takes over the pools of a new document: those with a known name keep what waits and is at their members. Removed
    /// ones finish what they have. Returns the pools' keys in the document's order, and how many of those who wait for
    /// its credit each releases.
    pub(crate) fn reload(&mut self, pools: &[Arc<Pool>], shards: u32) -> Vec<(PoolKey, usize)> {
        for (_, state) in &mut self.table {
            state.retire();
        }
        let keys = pools
            .iter()
            .map(|config| match self.names.get(&config.name) {
                Some(&key) => {
                    let moved = self.table[key].reconfigure(config.clone(), shards);
                    for (_, flight) in self.flights.iter_mut().filter(|(_, flight)| flight.pool == key) {
                        flight.member = flight.member.and_then(|old| moved.get(old).copied().flatten());
                    }
                    (key, self.table[key].resize(shards))
                }
                None => {
                    let key = self.table.insert(PoolState::new(config.clone(), shards));
                    self.names.insert(config.name.clone(), key);
                    (key, 0)
                }
            })
            .collect();
        self.bury();
        keys
    }

    /// A pool.
    pub(crate) fn get(&self, key: PoolKey) -> Option<&PoolState> {
        self.table.get(key)
    }

    /// The pool of that name.
    pub(crate) fn named(&self, name: &str) -> Option<PoolKey> {
        self.names.get(name).copied()
    }

    /// A pool, to be changed.
    pub(crate) fn get_mut(&mut self, key: PoolKey) -> Option<&mut PoolState> {
        self.table.get_mut(key)
    }

    /// All pools.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (PoolKey, &PoolState)> {
        self.table.iter()
    }

    /// An event for a pool. `false`: the pool's credit is gone, brake the sender.
    pub(crate) fn push(&mut self, key: PoolKey, job: Job, desk: &mut Desk<'_>) -> bool {
        let Some(pool) = self.table.get_mut(key) else { return true };
        let more = pool.push(job);
        self.run(key, desk);
        more
    }

    /// A member's answer.
    pub(crate) fn answer(&mut self, id: DispatchId, answer: Answer, desk: &mut Desk<'_>) {
        let place = (id.0 & u64::from(u32::MAX)) as usize;
        if self.flights.get(place).is_none_or(|flight| u64::from(flight.stamp) != id.0 >> 32) {
            return;
        }
        let flight = self.flights.remove(place);
        let key = flight.pool;
        if let Some(pool) = self.table.get_mut(key) {
            pool.answered(flight, answer, desk);
        }
        self.run(key, desk);
    }

    /// Lets pools whose time has come act.
    pub(crate) fn timeout(&mut self, desk: &mut Desk<'_>) {
        let due: SmallVec<[PoolKey; 8]> = self
            .table
            .iter()
            .filter(|(_, pool)| pool.next_timeout().is_some_and(|due| due <= desk.now.moment))
            .map(|(key, _)| key)
            .collect();
        for key in due {
            if let Some(pool) = self.table.get_mut(key) {
                pool.timeout(key, desk);
            }
            self.run(key, desk);
        }
        self.bury();
    }

    /// When [`Pools::timeout`] is due.
    pub(crate) fn next_timeout(&self) -> Option<Moment> {
        self.table.iter().filter_map(|(_, pool)| pool.next_timeout()).min()
    }

    /// Whether no event waits for a member or is at one.
    pub(crate) fn is_idle(&self) -> bool {
        self.flights.is_empty() && self.table.iter().all(|(_, pool)| pool.is_idle())
    }

    /// Sends what can be sent.
    fn run(&mut self, key: PoolKey, desk: &mut Desk<'_>) {
        let Some(pool) = self.table.get_mut(key) else { return };
        while let Some(batch) = pool.next(key, desk) {
            self.stamp = self.stamp.wrapping_add(1);
            let entry = self.flights.vacant_entry();
            let id = DispatchId(u64::from(self.stamp) << 32 | entry.key() as u64);
            let dispatch = Dispatch {
                id,
                pool: pool.config().clone(),
                member: batch.member,
                events: batch.jobs.iter().map(|job| job.event.clone()).collect(),
                timeout: batch.timeout,
                form: ReplyForm(batch.jobs.first().and_then(|job| job.form)),
            };
            entry.insert(Flight {
                stamp: self.stamp,
                pool: key,
                member: Some(batch.member),
                probe: batch.probe,
                jobs: batch.jobs,
                sent: desk.now.moment,
            });
            desk.outputs.push_back(Output::Dispatch(dispatch));
        }
    }

    /// Forgets pools that the document does not have any more and that are done.
    fn bury(&mut self) {
        let Self { table, names, flights, .. } = self;
        table.retain(|key, pool| {
            let keep = !pool.is_retired()
                || !pool.is_idle()
                || pool.credit().used() > 0
                || flights.iter().any(|(_, flight)| flight.pool == key);
            if !keep {
                names.remove(&pool.config().name);
            }
            keep
        });
    }
}
