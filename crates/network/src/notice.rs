//! Log lines that a failing peer repeats are written now and then, with how many were left out.

use std::cell::Cell;
use std::time::Duration;
use tokio::time::Instant;

/// The least time between two lines of one kind.
const EVERY: Duration = Duration::from_secs(5);

/// One kind of line.
#[derive(Debug, Default)]
pub(crate) struct Notice {
    last: Cell<Option<Instant>>,
    suppressed: Cell<u64>,
}

impl Notice {
    /// Whether a line may be written now; if so, how many were left out since the one before.
    pub(crate) fn admit(&self) -> Option<u64> {
        let now = Instant::now();
        if self.last.get().is_some_and(|last| now.duration_since(last) < EVERY) {
            self.suppressed.set(self.suppressed.get() + 1);
            return None;
        }
        self.last.set(Some(now));
        Some(self.suppressed.take())
    }
}
