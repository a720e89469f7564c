//! Log lines about single connections and events, kept from flooding the log: each cause has its own allowance.

use rustc_hash::FxHashMap;
use windrose_event::{Moment, Now};

/// Lines that a cause may write at once.
const BURST: u64 = 10;
/// Microseconds after which a cause may write another.
const REFILL_MICROS: u64 = 1_000_000;

/// Decides which lines are written.
#[derive(Debug, Default)]
pub struct Notices {
    causes: FxHashMap<&'static str, Allowance>,
}

#[derive(Debug)]
struct Allowance {
    lines: u64,
    refilled: Moment,
    suppressed: u64,
}

impl Notices {
    /// Whether a line about `cause` may be written now; if so, how many were held back since the last one.
    pub fn allow(&mut self, now: Now, cause: &'static str) -> Option<u64> {
        let allowance = self.causes.entry(cause).or_insert(Allowance {
            lines: BURST,
            refilled: now.moment,
            suppressed: 0,
        });
        let elapsed = now.moment.as_micros().saturating_sub(allowance.refilled.as_micros());
        let refill = elapsed / REFILL_MICROS;
        if refill > 0 {
            allowance.lines = (allowance.lines + refill).min(BURST);
            allowance.refilled = Moment::from_micros(allowance.refilled.as_micros() + refill * REFILL_MICROS);
        }
        if allowance.lines == 0 {
            allowance.suppressed += 1;
            return None;
        }
        allowance.lines -= 1;
        Some(std::mem::take(&mut allowance.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_passes_then_one_line_a_second_that_says_how_many_were_held_back() {
        let mut notices = Notices::default();
        let now = Now::default();
        for _ in 0..BURST {
            assert_eq!(notices.allow(now, "quota"), Some(0));
        }
        for _ in 0..5 {
            assert_eq!(notices.allow(now, "quota"), None);
        }
        assert_eq!(notices.allow(now, "expired"), Some(0), "another cause has its own allowance");
        assert_eq!(notices.allow(now.after(Duration::from_millis(900)), "quota"), None);
        assert_eq!(notices.allow(now.after(Duration::from_secs(1)), "quota"), Some(6));
        assert_eq!(notices.allow(now.after(Duration::from_secs(1)), "quota"), None);
    }
}
