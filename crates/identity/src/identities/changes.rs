//! Changes: what another process or node did to the registry takes effect here, too, and live sessions follow.

use super::Inner;
use super::asking::patiently;
use super::question::Question;
use crate::{Changes, Noted, Record, RecordsError, Status};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::PoisonError;
use std::time::Duration;
use windrose_event::{Identity, IdentityChange, Standing, Subject};

/// How often the database is asked what changed.
const POLL: Duration = Duration::from_millis(250);

impl Inner {
    /// Waits for changes that live sessions have to follow. Dropped amid its wait, it loses none.
    pub(super) async fn changes(&self) -> Arc<[IdentityChange]> {
        loop {
            let announced = self.memory.announced();
            if !announced.is_empty() {
                return announced.into();
            }
            match self.look().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(RecordsError::Unavailable(problem)) => self.memory.database_answered(Some(&problem)),
                Err(error) => tracing::error!(%error, "the registry does not tell what changed"),
            }
            tokio::select! {
                () = self.memory.wake.notified() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// Asks the database what changed; `true`: something did.
    async fn look(&self) -> Result<bool, RecordsError> {
        let Some(records) = self.force.load().parts.records.clone() else { return Ok(false) };
        if !self.memory.is_away() {
            self.settle().await?;
        }
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(seen) = seen else {
            // The first look: nobody knows what was before, so nothing that was read counts.
            let newest = patiently(records.newest_change()).await?;
            self.memory.database_answered(None);
            self.owe(self.memory.cache.clear().into_iter().map(|subject| (subject, None)));
            self.saw(newest);
            return Ok(true);
        };
        let changes = patiently(records.changes(seen)).await?;
        self.memory.database_answered(None);
        match changes {
            Changes::Listed(noted) => {
                let Some(newest) = noted.iter().map(|noted| noted.number).max() else { return Ok(false) };
                self.follow(noted);
                self.saw(newest);
            }
            Changes::Lost { newest } => {
                tracing::warn!(
                    "more changed in the registry than it keeps a list of: everybody is looked at anew"
                );
                self.owe(self.memory.cache.clear().into_iter().map(|subject| (subject, None)));
                self.saw(newest);
            }
        }
        self.settle().await?;
        Ok(true)
    }

    fn saw(&self, number: u64) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(number);
    }

    /// Forgets whom changes are about, and has live sessions follow.
    fn follow(&self, noted: Vec<Noted>) {
        self.memory.cache.move_on();
        let mut order = Vec::new();
        let mut ends: HashMap<Subject, bool> = HashMap::new();
        for Noted { subject, ends: ended, .. } in noted {
            match ends.get_mut(&subject) {
                Some(before) => *before |= ended,
                None => {
                    ends.insert(subject.clone(), ended);
                    order.push(subject);
                }
            }
        }
        for subject in order {
            let was = self.memory.cache.evict(&subject);
            self.memory.quarantine.release(&subject);
            if ends.get(&subject) == Some(&true) {
                self.memory.announce([IdentityChange { subject, standing: Standing::Ended }]);
            } else if was.is_some() {
                self.owe([(subject, was)]);
            }
        }
    }

    /// These have to be looked at anew: whoever was not remembered is not here, or was forgotten for others.
    fn owe(&self, subjects: impl IntoIterator<Item = (Subject, Option<Arc<Record>>)>) {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner).extend(subjects);
    }

    /// Looks anew at those who have to be. Whoever could not be looked at still has to be.
    async fn settle(&self) -> Result<(), RecordsError> {
        loop {
            let first = self.owed.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some((subject, was)) = first else { return Ok(()) };
            // Put back if this is dropped amid its wait, or fails.
            let mut owing = Owing { inner: self, owed: Some((subject, was)) };
            let Some((subject, was)) = &owing.owed else { continue };
            let change = self.stands_now(subject.clone(), was.as_deref()).await?;
            owing.owed = None;
            self.memory.announce(change);
        }
    }

    /// How somebody stands now, if that is not as it was.
    async fn stands_now(
        &self,
        subject: Subject,
        was: Option<&Record>,
    ) -> Result<Option<IdentityChange>, RecordsError> {
        if !matches!(subject, Subject::Device(_) | Subject::Owner(_) | Subject::Service(_)) {
            return Ok(None);
        }
        let record = match self.ask(&Question::Of(subject.clone()), Vec::new()).await {
            Ok(record) => record,
            Err(problem) => return Err(RecordsError::Unavailable(problem)),
        };
        let Some(record) = record else {
            return Ok(Some(IdentityChange { subject, standing: Standing::Ended }));
        };
        match record.status {
            Status::Quarantined { until } if super::wall() < until => {
                return Ok(Some(IdentityChange { subject, standing: Standing::Quarantined }));
            }
            Status::Revoked | Status::OwnerRevoked => {
                return Ok(Some(IdentityChange { subject, standing: Standing::Ended }));
            }
            Status::Active | Status::Quarantined { .. } => {}
        }
        let is_as_it_was = was.is_some_and(|was| {
            was.principal == record.principal && was.groups == record.groups && was.owned == record.owned
        });
        Ok((!is_as_it_was).then(|| {
            let now = Identity {
                principal: record.principal.clone(),
                groups: Arc::clone(&record.groups),
                owned: Arc::clone(&record.owned),
                proof: None,
            };
            IdentityChange { subject, standing: Standing::Is(now.into()) }
        }))
    }
}

/// Somebody who is being looked at anew.
struct Owing<'i> {
    inner: &'i Inner,
    owed: Option<(Subject, Option<Arc<Record>>)>,
}

impl Drop for Owing<'_> {
    fn drop(&mut self) {
        self.inner.owe(self.owed.take());
    }
}
