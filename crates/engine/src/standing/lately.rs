//! What was heard lately: an answer that was given before a change, and comes after it, opens nothing.

use std::collections::VecDeque;
use windrose_event::{Identity, Subject};

/// Changes that are remembered. Whoever asked before them is asked again.
const REMEMBERED: usize = 4_096;

/// Who was ended lately, in order.
///
/// All shards of a node hear the same changes in the same order, so the number of changes that one has heard means the same
/// to all: a session that goes from one to another says how far the first had come.
#[derive(Debug, Default)]
pub(crate) struct Lately {
    heard: u32,
    subjects: VecDeque<Subject>,
}

impl Lately {
    /// How many changes were heard that ended somebody's sessions. It begins anew after four thousand million of them.
    pub(crate) const fn heard(&self) -> u32 {
        self.heard
    }

    /// Somebody's sessions end.
    pub(crate) fn note(&mut self, subject: Subject) {
        if self.subjects.len() >= REMEMBERED {
            self.subjects.pop_front();
        }
        self.subjects.push_back(subject);
        self.heard = self.heard.wrapping_add(1);
    }

    /// Whether an identity may have been ended since so many changes were heard.
    pub(crate) fn may_have_ended(&self, identity: &Identity, since: u32) -> bool {
        let missed = self.heard.wrapping_sub(since);
        // Another shard may have come further than this one; then it has looked itself.
        if missed == 0 || missed > u32::MAX / 2 {
            return false;
        }
        let missed = missed as usize;
        missed > self.subjects.len()
            || self.subjects.iter().rev().take(missed).any(|subject| subject.concerns(identity))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windrose_event::Principal;

    fn device(id: &str) -> Identity {
        Identity { principal: Principal::Device { id: id.into(), owner: None }, ..Identity::anonymous() }
    }

    #[test]
    fn only_what_was_heard_since_counts() {
        let mut lately = Lately::default();
        lately.note(Subject::Device("a".into()));
        let since = lately.heard();
        lately.note(Subject::Device("b".into()));
        assert!(!lately.may_have_ended(&device("a"), since));
        assert!(lately.may_have_ended(&device("a"), since - 1));
        assert!(lately.may_have_ended(&device("b"), since));
        assert!(!lately.may_have_ended(&device("b"), since + 1));
        assert!(!lately.may_have_ended(&device("b"), since + 7), "the other shard is ahead");
    }

    #[test]
    fn what_is_forgotten_counts_for_everybody() {
        let mut lately = Lately::default();
        for number in 0..=REMEMBERED {
            lately.note(Subject::Device(number.to_string().into()));
        }
        assert!(lately.may_have_ended(&device("somebody"), 0));
        assert!(!lately.may_have_ended(&device("somebody"), 1));
        assert_eq!(lately.subjects.len(), REMEMBERED);
    }
}
