//! The services behind the node, as a dispatch is answered: quickly, slowly, not at all, or after the answer was lost.

use crate::rng::Rng;
use std::time::Duration;
use windrose_event::{Cause, Outcome};

/// How a member answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// 2xx soon.
    Well,
    /// 2xx, but late.
    Slow,
    /// 503, or 429.
    Failing,
    /// Connections are refused.
    Down,
    /// It takes events and the answer is lost.
    Forgetful,
    /// It says nothing until the time is up; sometimes it has taken the events.
    Silent,
    /// Any of the others, for each dispatch anew.
    Moody,
}

impl Mood {
    /// All of them.
    pub const ALL: [Mood; 7] =
        [Mood::Well, Mood::Slow, Mood::Failing, Mood::Down, Mood::Forgetful, Mood::Silent, Mood::Moody];

    /// In the trace.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Slow => "slow",
            Self::Failing => "failing",
            Self::Down => "down",
            Self::Forgetful => "losing answers",
            Self::Silent => "silent",
            Self::Moody => "moody",
        }
    }
}

/// What becomes of one dispatch.
#[derive(Clone, Debug)]
pub struct Fate {
    /// When the service has the events, if it gets them.
    pub takes_after: Option<Duration>,
    /// When the node hears something.
    pub answers_after: Duration,
    /// What it hears.
    pub outcome: Outcome,
}

/// Decides what becomes of a dispatch that must be answered within `timeout`. `poison`: there is an event in it that
/// the service refuses for good.
pub fn fate(mood: Mood, rng: &mut Rng, timeout: Duration, poison: bool) -> Fate {
    let soon = rng.micros(100, 20_000).min(timeout);
    let refused = |outcome| Fate { takes_after: None, answers_after: soon, outcome };
    match mood {
        Mood::Moody => {
            // Not itself: the others are before it.
            let mood = Mood::ALL[rng.below(Mood::ALL.len() - 1)];
            fate(mood, rng, timeout, poison)
        }
        Mood::Well | Mood::Slow if poison => refused(Outcome::rejected_because(Cause::ByService, "poison")),
        Mood::Well => Fate { takes_after: Some(soon / 2), answers_after: soon, outcome: Outcome::Accepted },
        Mood::Slow => {
            let late = rng.millis(50, 900).min(timeout);
            // Whoever answers at the last moment may as well be too late.
            let outcome = if late == timeout { Outcome::TimedOut } else { Outcome::Accepted };
            Fate { takes_after: Some(late / 2), answers_after: late, outcome }
        }
        Mood::Failing => {
            let retry_after = rng.chance(30).then(|| Duration::from_secs(1));
            refused(if rng.chance(50) {
                Outcome::Unavailable { retry_after }
            } else {
                Outcome::Busy { retry_after }
            })
        }
        Mood::Down => refused(Outcome::unavailable()),
        Mood::Forgetful => Fate {
            takes_after: (!poison).then_some(soon / 2),
            answers_after: soon,
            outcome: Outcome::unavailable(),
        },
        Mood::Silent => Fate {
            takes_after: (!poison && rng.chance(50)).then_some(soon),
            answers_after: timeout,
            outcome: Outcome::TimedOut,
        },
    }
}
