//! Quarantine: two things seem to share an identity, and neither is let in for a while.

use crate::generations::Generations;
use crate::subject_of;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use windrose_event::{Principal, Subject, Timestamp};

/// Those who are held at a time, at most.
const MOST: usize = 10_000;

/// Who is held, and until when. What the database knows of it besides is in its records.
pub(super) struct Quarantine {
    held: Mutex<Generations<Subject, Timestamp>>,
    /// Whether there was ever anybody.
    used: AtomicBool,
}

impl Quarantine {
    pub(super) fn new() -> Self {
        Self { held: Mutex::new(Generations::new(MOST)), used: AtomicBool::new(false) }
    }

    /// Holds somebody until then.
    pub(super) fn hold(&self, subject: Subject, until: Timestamp) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(subject, until);
        self.used.store(true, Ordering::Release);
    }

    /// Lets go of somebody, whom the registry says something new of.
    pub(super) fn release(&self, subject: &Subject) {
        if self.used.load(Ordering::Acquire) {
            self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(subject);
        }
    }

    /// Whether somebody is held.
    pub(super) fn holds(&self, principal: &Principal, now: Timestamp) -> bool {
        if !self.used.load(Ordering::Acquire) {
            return false;
        }
        let Some(subject) = subject_of(principal) else { return false };
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(&subject).is_some_and(|until| now < *until)
    }
}
