//! What outlives a claim: what is remembered of the database, of passwords, of those who failed and those who are held.

use super::answers::Tally;
use super::cache::{Cache, Recall};
use super::figures::{Counters, count};
use super::guard::Guard;
use super::quarantine::Quarantine;
use super::question::Question;
use super::verified::Verified;
use crate::Record;
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::{Notify, Semaphore, watch};
use windrose_event::IdentityChange;
use windrose_policy::IdentityCache;

/// A database's answer, or why there is none.
pub(super) type DatabaseAnswer = Result<Option<Arc<Record>>, String>;

/// All memory of the registry's.
pub(super) struct Memory {
    pub(super) cache: Cache,
    pub(super) verified: Verified,
    pub(super) guard: Guard,
    pub(super) quarantine: Quarantine,
    pub(super) counters: Counters,
    /// Questions that the database is being asked: whoever has the same one waits for its answer.
    pub(super) flights: Mutex<HashMap<Question, watch::Receiver<Option<DatabaseAnswer>>>>,
    /// Permits to verify a password: it takes a core for milliseconds.
    pub(super) cores: Semaphore,
    /// What live sessions have to follow and were not told yet.
    announced: Mutex<Vec<IdentityChange>>,
    pub(super) wake: Notify,
}

impl Memory {
    pub(super) fn new(entries: usize) -> Self {
        // Half of the machine: the other half goes on serving those who are in.
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
        Self {
            cache: Cache::new(entries),
            verified: Verified::new(entries),
            guard: Guard::new(),
            quarantine: Quarantine::new(),
            counters: Counters::default(),
            flights: Mutex::new(HashMap::new()),
            cores: Semaphore::new(cores),
            announced: Mutex::new(Vec::new()),
            wake: Notify::new(),
        }
    }

    /// What is remembered of a question and still holds. Where the database does not answer, what is old holds, too.
    pub(super) fn recall(
        &self,
        question: &Question,
        policy: &IdentityCache,
        now: Instant,
        is_away: bool,
    ) -> (Option<Option<Arc<Record>>>, Tally) {
        let none = Tally::default();
        match self.cache.recall(question, now) {
            Recall::Somebody { record, age } if age < policy.fresh => {
                (Some(Some(record)), Tally { hits: 1, ..none })
            }
            Recall::Somebody { record, age } if is_away && age < policy.stale => {
                (Some(Some(record)), Tally { stale: 1, ..none })
            }
            Recall::Nobody { age } if age < policy.negative => (Some(None), Tally { negatives: 1, ..none }),
            _ => (None, none),
        }
    }

    /// Counts what came of [`Memory::recall`], once it led to something.
    pub(super) fn tally(&self, tally: Tally) {
        let add = |counter: &std::sync::atomic::AtomicU64, by: u8| {
            if by > 0 {
                counter.fetch_add(by.into(), Ordering::Relaxed);
            }
        };
        add(&self.counters.hits, tally.hits);
        add(&self.counters.negatives, tally.negatives);
        add(&self.counters.stale, tally.stale);
    }

    /// Whether the database could not be asked when it was last tried.
    pub(super) fn is_away(&self) -> bool {
        self.counters.away.load(Ordering::Relaxed)
    }

    /// The database was asked, and answered or not. Says so once.
    pub(super) fn database_answered(&self, problem: Option<&str>) {
        let was = self.counters.away.swap(problem.is_some(), Ordering::Relaxed);
        match (was, problem) {
            (false, Some(problem)) => tracing::error!(
                problem,
                "the registry's database is away: devices that are remembered may connect for identity.cache.stale, \
                 others are refused"
            ),
            (true, None) => tracing::info!("the registry's database is back"),
            _ => {}
        }
    }

    /// Puts changes where the node's loop takes them from.
    pub(super) fn announce(&self, changes: impl IntoIterator<Item = IdentityChange>) {
        self.announced.lock().unwrap_or_else(PoisonError::into_inner).extend(changes);
        self.wake.notify_one();
    }

    /// Takes what was announced.
    pub(super) fn announced(&self) -> Vec<IdentityChange> {
        std::mem::take(&mut *self.announced.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts a claim that the guard did not look at.
    pub(super) fn throttled(&self) {
        count(&self.counters.throttled);
    }
}
