//! What is remembered of the database: whom it knows by what, and whom not.
//!
//! Two maps, each in several parts with a lock of its own: answers to questions name somebody, and records are kept once for
//! each, whatever they were found by. A record that is forgotten leaves answers behind that lead to nobody; they are asked
//! anew. What was read before a change is never taken in after it: each change moves the epoch on.

use super::question::Question;
use crate::Record;
use crate::generations::Generations;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use windrose_event::Subject;

/// Parts with a lock each, so that shards seldom wait for one another.
const PARTS: usize = 64;
/// Owners that changed and are remembered for it.
const MOST_OWNERS: usize = 10_000;

/// What is remembered of a question's answer.
#[derive(Clone, Debug)]
pub(super) enum Recall {
    /// It was this one.
    Somebody {
        /// What is kept of it.
        record: Arc<Record>,
        /// When that was read.
        age: Duration,
    },
    /// It was nobody, that long ago.
    Nobody {
        /// How long ago.
        age: Duration,
    },
    /// Not asked of late.
    Unknown,
}

/// The memory.
pub(super) struct Cache {
    answers: Vec<Mutex<Generations<Question, Answer>>>,
    /// Questions that nobody was found by. Apart, so that whoever makes names up pushes out nobody who is known.
    nobody: Vec<Mutex<Generations<Question, Answer>>>,
    records: Vec<Mutex<Generations<Subject, Entry>>>,
    /// Owners that changed, with the epoch of that: what was read of their devices before is not taken.
    owners: Mutex<Owners>,
    changed_owners: AtomicU64,
    hasher: RandomState,
    epoch: AtomicU64,
}

struct Owners {
    at: Generations<Arc<str>, u64>,
    /// Whatever was read before is not taken if it is somebody's.
    floor: u64,
}

#[derive(Clone)]
struct Answer {
    who: Option<Subject>,
    read: Instant,
    epoch: u64,
}

struct Entry {
    record: Arc<Record>,
    read: Instant,
    epoch: u64,
}

impl Cache {
    /// Remembers so many records at most, and about as many answers.
    pub(super) fn new(entries: usize) -> Self {
        let most = (entries / PARTS).max(2);
        Self {
            answers: (0..PARTS).map(|_| Mutex::new(Generations::new(most))).collect(),
            nobody: (0..PARTS).map(|_| Mutex::new(Generations::new((most / 4).max(2)))).collect(),
            records: (0..PARTS).map(|_| Mutex::new(Generations::new(most))).collect(),
            owners: Mutex::new(Owners { at: Generations::new(MOST_OWNERS), floor: 0 }),
            changed_owners: AtomicU64::new(0),
            hasher: RandomState::new(),
            epoch: AtomicU64::new(1),
        }
    }

    fn part<'m, K: Hash, V>(&self, parts: &'m [Mutex<V>], key: &K) -> Option<MutexGuard<'m, V>> {
        let part = self.hasher.hash_one(key) as usize % PARTS;
        parts.get(part).map(|part| part.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The epoch now: taken before a question, given to [`Cache::learn`] after it.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// What is remembered of a question.
    pub(super) fn recall(&self, question: &Question, now: Instant) -> Recall {
        if let Question::Of(subject) = question
            && let Some((record, age)) = self.record(subject, now)
        {
            return Recall::Somebody { record, age };
        }
        let known = self.part(&self.answers, question).and_then(|mut part| part.get(question).cloned());
        let answer = known
            .or_else(|| self.part(&self.nobody, question).and_then(|mut part| part.get(question).cloned()));
        let Some(answer) = answer else { return Recall::Unknown };
        let Some(subject) = answer.who else {
            // Any change may have been about those who were not known.
            let is_good = answer.epoch == self.epoch();
            let age = now.saturating_duration_since(answer.read);
            return if is_good { Recall::Nobody { age } } else { Recall::Unknown };
        };
        match self.record(&subject, now) {
            Some((record, age)) => Recall::Somebody { record, age },
            None => Recall::Unknown,
        }
    }

    fn record(&self, subject: &Subject, now: Instant) -> Option<(Arc<Record>, Duration)> {
        let mut part = self.part(&self.records, subject)?;
        let entry = part.get(subject)?;
        let found = (Arc::clone(&entry.record), now.saturating_duration_since(entry.read));
        let epoch = entry.epoch;
        drop(part);
        if self.changed_owners.load(Ordering::Acquire) > 0
            && let windrose_event::Principal::Device { owner: Some(owner), .. } = &found.0.principal
        {
            let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
            if epoch < owners.floor || owners.at.get(owner).is_some_and(|changed| epoch < *changed) {
                return None;
            }
        }
        Some(found)
    }

    /// Remembers an answer that was asked for in the epoch `asked`; `false`: something changed meanwhile, and it has to be
    /// asked for again.
    pub(super) fn learn(
        &self,
        question: &Question,
        record: Option<&Arc<Record>>,
        asked: u64,
        now: Instant,
    ) -> bool {
        // The locks order this with a change: it either sees the new epoch here or evicts what is put in.
        let who = record.and_then(|record| record.subject());
        if let (Some(record), Some(subject)) = (record, &who) {
            let Some(mut part) = self.part(&self.records, subject) else { return true };
            if self.epoch() != asked {
                return false;
            }
            part.insert(subject.clone(), Entry { record: Arc::clone(record), read: now, epoch: asked });
        }
        if record.is_some() && who.is_none() {
            // A certificate that was revoked, whoever has it: asked anew each time.
            return true;
        }
        let (here, there) = match who {
            Some(_) => (&self.answers, &self.nobody),
            None => (&self.nobody, &self.answers),
        };
        if let Some(mut part) = self.part(there, question) {
            part.remove(question);
        }
        if let Some(mut part) = self.part(here, question) {
            if self.epoch() != asked {
                return false;
            }
            part.insert(question.clone(), Answer { who, read: now, epoch: asked });
        }
        true
    }

    /// Something changed: what was read before is not taken in any more. Comes before [`Cache::evict`].
    pub(super) fn move_on(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// Forgets somebody; tells what was known of it.
    pub(super) fn evict(&self, subject: &Subject) -> Option<Arc<Record>> {
        if let Subject::Owner(owner) = subject {
            let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
            if owners.at.len() + 1 >= MOST_OWNERS / 2 {
                owners.at.clear();
                owners.floor = self.epoch();
            }
            owners.at.insert(Arc::clone(owner), self.epoch());
            self.changed_owners.fetch_add(1, Ordering::AcqRel);
        }
        self.part(&self.records, subject)?.remove(subject).map(|entry| entry.record)
    }

    /// Forgets everything; tells whom it knew.
    pub(super) fn clear(&self) -> Vec<Subject> {
        self.move_on();
        for part in self.answers.iter().chain(&self.nobody) {
            part.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        let mut known = Vec::new();
        for part in &self.records {
            let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
            known.extend(part.keys().cloned());
            part.clear();
        }
        known
    }

    /// How many records are remembered.
    pub(super) fn len(&self) -> usize {
        self.records.iter().map(|part| part.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Lookup, Status};
    use windrose_event::Principal;

    fn device(id: &str, owner: Option<&str>) -> Arc<Record> {
        Arc::new(Record {
            principal: Principal::Device { id: id.into(), owner: owner.map(Arc::from) },
            groups: Arc::default(),
            owned: Arc::default(),
            status: Status::Active,
            credentials: Vec::new(),
        })
    }

    fn by(name: &str) -> Question {
        Question::By(Lookup::Username(name.to_owned()))
    }

    fn knows(cache: &Cache, question: &Question) -> bool {
        matches!(cache.recall(question, Instant::now()), Recall::Somebody { .. })
    }

    #[test]
    fn somebody_is_remembered_once_whatever_it_was_found_by() {
        let cache = Cache::new(1_000);
        let (record, now) = (device("a", None), Instant::now());
        assert!(matches!(cache.recall(&by("a"), now), Recall::Unknown));
        assert!(cache.learn(&by("a"), Some(&record), cache.epoch(), now));
        assert!(cache.learn(&by("b"), Some(&record), cache.epoch(), now));
        assert!(cache.learn(&by("c"), None, cache.epoch(), now));
        assert!(knows(&cache, &by("a")) && knows(&cache, &by("b")));
        assert!(knows(&cache, &Question::Of(Subject::Device("a".into()))));
        assert!(matches!(cache.recall(&by("c"), now), Recall::Nobody { .. }));
        assert_eq!(cache.len(), 1);

        cache.move_on();
        assert!(cache.evict(&Subject::Device("a".into())).is_some());
        assert!(!knows(&cache, &by("a")) && !knows(&cache, &by("b")));
        assert!(matches!(cache.recall(&by("c"), now), Recall::Unknown), "it may be somebody now");
    }

    #[test]
    fn what_was_read_before_a_change_is_not_taken_in_after_it() {
        let cache = Cache::new(1_000);
        let asked = cache.epoch();
        cache.move_on();
        cache.evict(&Subject::Device("a".into()));
        assert!(!cache.learn(&by("a"), Some(&device("a", None)), asked, Instant::now()));
        assert!(!cache.learn(&by("b"), None, asked, Instant::now()));
        assert!(!knows(&cache, &by("a")));
    }

    #[test]
    fn an_owner_that_changed_takes_its_devices_along() {
        let cache = Cache::new(1_000);
        let now = Instant::now();
        for (id, owner) in [("a", Some("x")), ("b", Some("y")), ("c", None)] {
            cache.learn(&by(id), Some(&device(id, owner)), cache.epoch(), now);
        }
        cache.move_on();
        cache.evict(&Subject::Owner("x".into()));
        assert!(!knows(&cache, &by("a")) && knows(&cache, &by("b")) && knows(&cache, &by("c")));
        cache.learn(&by("a"), Some(&device("a", Some("x"))), cache.epoch(), now);
        assert!(knows(&cache, &by("a")), "read since");
        for number in 0..2 * MOST_OWNERS {
            cache.move_on();
            cache.evict(&Subject::Owner(format!("o{number}").into()));
        }
        assert!(!knows(&cache, &by("b")), "too many changed to tell");
        assert!(knows(&cache, &by("c")));
    }

    #[test]
    fn memory_is_bounded() {
        let cache = Cache::new(1_000);
        for number in 0..10_000 {
            let id = format!("d{number}");
            cache.learn(&by(&id), Some(&device(&id, None)), cache.epoch(), Instant::now());
        }
        assert!(cache.len() <= 1_000, "{}", cache.len());
        let last = by("d9999");
        for number in 0..100_000 {
            cache.learn(&by(&format!("made-up-{number}")), None, cache.epoch(), Instant::now());
        }
        assert!(knows(&cache, &last), "names that are made up push out nobody");
        assert!(!cache.clear().is_empty());
        assert_eq!(cache.len(), 0);
    }
}
