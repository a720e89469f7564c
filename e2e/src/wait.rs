//! Waiting for what is expected, up to a deadline.

use std::time::{Duration, Instant};

/// How long anything may take that should happen soon: generous, because machines that run tests are busy.
pub const SOON: Duration = Duration::from_secs(15);

/// How often is looked.
const LOOK: Duration = Duration::from_millis(10);

/// Looks until there is something, and returns it.
///
/// # Panics
/// If there is nothing within [`SOON`]; `what` says what was expected.
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(SOON, what, look)
}

/// Looks until there is something, and returns it.
///
/// # Panics
/// If there is nothing within `time`; `what` says what was expected.
pub fn within<T>(time: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < time, "waited {time:?} in vain for: {what}");
        std::thread::sleep(LOOK);
    }
}

/// Waits until `holds`.
///
/// # Panics
/// If that takes longer than [`SOON`].
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    eventually(what, || holds().then_some(()));
}
