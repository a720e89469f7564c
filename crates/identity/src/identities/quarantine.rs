//! Quarantine: two things seem to share an identity, and neither is let in for a while.

use crate::generations::Generations;
use crate::subject_of;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use windrose_event::{Principal, Subject, Timestamp};

/// Those who are held at a time, at most.
const MOST: usize = 10_000;

/// Who is held, and until when. What the database knows of it besides is in its records.
pub(super) struct Quarantine {
    held: Mutex<Generations<Subject, Hold>>,
    /// Whether there was ever anybody.
    used: AtomicBool,
    /// How often somebody was let go because the registry's word is to hold.
    releases: AtomicU64,
}

#[derive(Clone, Copy)]
struct Hold {
    until: Timestamp,
    /// The registry has been asked to note it and has not answered: what it says meanwhile is of before.
    asked: bool,
}

impl Quarantine {
    pub(super) fn new() -> Self {
        Self {
            held: Mutex::new(Generations::new(MOST)),
            used: AtomicBool::new(false),
            releases: AtomicU64::new(0),
        }
    }

    /// How often somebody was let go. Whoever read a record before that and looked for a hold after it knows neither: it
    /// decides anew.
    pub(super) fn releases(&self) -> u64 {
        self.releases.load(Ordering::Acquire)
    }

    /// Holds somebody until then; `asked`: the registry is to note it.
    pub(super) fn hold(&self, subject: Subject, until: Timestamp, asked: bool) {
        let hold = Hold { until, asked };
        self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(subject, hold);
        self.used.store(true, Ordering::Release);
    }

    /// Lets go of somebody, whom the registry says something new of: what is remembered of it was forgotten before.
    pub(super) fn release(&self, subject: &Subject) {
        if self.used.load(Ordering::Acquire) {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            if held.get(subject).is_some_and(|hold| !hold.asked) {
                self.let_go(&mut held, subject);
            }
        }
    }

    /// The registry has answered: it keeps the quarantine from now on, and what is remembered of before was forgotten; or
    /// this node alone does.
    pub(super) fn answered(&self, subject: &Subject, noted: bool) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(hold) = held.get(subject).copied() else { return };
        if noted {
            self.let_go(&mut held, subject);
        } else {
            held.insert(subject.clone(), Hold { asked: false, ..hold });
        }
    }

    fn let_go(&self, held: &mut Generations<Subject, Hold>, subject: &Subject) {
        // Before it takes effect: whoever does not find the hold finds that it was let go.
        self.releases.fetch_add(1, Ordering::Release);
        held.remove(subject);
    }

    /// Whether somebody is held.
    pub(super) fn holds(&self, principal: &Principal, now: Timestamp) -> bool {
        if !self.used.load(Ordering::Acquire) {
            return false;
        }
        let Some(subject) = subject_of(principal) else { return false };
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(&subject).is_some_and(|hold| now < hold.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_registry_says_of_before_lets_nobody_go() {
        let quarantine = Quarantine::new();
        let car = Principal::Device { id: "car-7".into(), owner: None };
        let subject = Subject::Device("car-7".into());
        let (now, until) = (Timestamp::from_micros(1), Timestamp::from_micros(9));
        quarantine.hold(subject.clone(), until, true);
        quarantine.release(&subject);
        assert!(quarantine.holds(&car, now), "a change that was noted before");
        assert!(!quarantine.holds(&car, until), "it has ended");
        quarantine.answered(&subject, false);
        assert!(quarantine.holds(&car, now), "the registry was away");
        quarantine.release(&subject);
        assert!(!quarantine.holds(&car, now), "the registry says something new");
        quarantine.hold(subject.clone(), until, true);
        quarantine.answered(&subject, true);
        assert!(!quarantine.holds(&car, now), "its record says so from now on");
    }
}
