//! The double of a database.

use super::*;
use crate::{Asked, Changes, Found, Noted, RecordsError};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Records in memory, which can go away, and count what they are asked.
#[derive(Default)]
pub(super) struct Database {
    records: Mutex<BTreeMap<Subject, Arc<Record>>>,
    noted: Mutex<Vec<Noted>>,
    pub(super) away: AtomicBool,
    /// Answers of `find` and `record` wait for this long.
    pub(super) slow: AtomicU64,
    pub(super) questions: AtomicU64,
    pub(super) acts: Mutex<Vec<String>>,
}

impl Database {
    pub(super) fn of(records: impl IntoIterator<Item = Record>) -> Arc<Self> {
        let database = Self::default();
        for record in records {
            database.put(record);
        }
        Arc::new(database)
    }

    /// Puts a record there without a word.
    pub(super) fn put(&self, record: Record) {
        self.records.lock().unwrap().insert(record.subject().unwrap(), Arc::new(record));
    }

    pub(super) fn remove(&self, subject: &Subject) {
        self.records.lock().unwrap().remove(subject);
    }

    /// Notes a change.
    pub(super) fn note(&self, subject: Subject, ends: bool) {
        let mut noted = self.noted.lock().unwrap();
        let number = noted.len() as u64 + 1;
        noted.push(Noted { number, subject, ends });
    }

    pub(super) fn asked(&self) -> u64 {
        self.questions.load(Ordering::SeqCst)
    }

    pub(super) fn go_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    fn answer<T: Send + 'static>(&self, counts: bool, answer: impl FnOnce() -> T) -> Asked<T> {
        self.questions.fetch_add(counts.into(), Ordering::SeqCst);
        let answer = match self.away.load(Ordering::SeqCst) {
            true => Err(RecordsError::Unavailable("the plug is pulled".to_owned())),
            false => Ok(answer()),
        };
        let slow = Duration::from_millis(self.slow.load(Ordering::SeqCst));
        Box::pin(async move {
            if !slow.is_zero() {
                tokio::time::sleep(slow).await;
            }
            answer
        })
    }
}

impl Records for Database {
    fn find(&self, lookups: Vec<Lookup>) -> Asked<Vec<Found>> {
        self.answer(true, || {
            let records = self.records.lock().unwrap();
            let mut found = Vec::new();
            for (index, lookup) in lookups.iter().enumerate() {
                let has = |record: &&Arc<Record>| record.credentials.iter().any(|one| one.lookup == *lookup);
                found.extend(records.values().find(has).map(|record| (index, Arc::clone(record))));
            }
            found
        })
    }

    fn record(&self, subject: Subject) -> Asked<Option<Arc<Record>>> {
        self.answer(true, || self.records.lock().unwrap().get(&subject).cloned())
    }

    fn changes(&self, after: u64) -> Asked<Changes> {
        self.answer(false, || {
            let noted = self.noted.lock().unwrap();
            Changes::Listed(noted.iter().filter(|noted| noted.number > after).cloned().collect())
        })
    }

    fn newest_change(&self) -> Asked<u64> {
        self.answer(false, || self.noted.lock().unwrap().len() as u64)
    }

    fn act(&self, act: Act, by: &str) -> Asked<()> {
        self.acts.lock().unwrap().push(format!("{by}: {act:?}"));
        self.answer(false, || ())
    }
}
