//! How long a connection may live without doing anything.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How long a connection is kept after an answer, for the next request.
const IDLE: Duration = Duration::from_secs(75);
/// How often a connection that is in use is looked at, at most.
const SHORTEST_LOOK: Duration = Duration::from_secs(1);

/// A connection's times.
pub(super) struct Life {
    /// How long a request's head may take (`limits.connect_timeout`), the first one counted from the connection's start.
    head_limit: Duration,
    /// When the last answer ended.
    active: Cell<Instant>,
    /// When the first bytes of the next request came.
    head_since: Cell<Option<Instant>>,
    /// Requests under way.
    busy: Cell<usize>,
    /// Many requests share the connection: bytes that come need not belong to a request's head.
    is_http2: Cell<bool>,
    slow: Cell<bool>,
}

impl Life {
    pub(super) fn new(head_limit: Duration) -> Self {
        let now = Instant::now();
        Self {
            head_limit,
            active: Cell::new(now),
            head_since: Cell::new(Some(now)),
            busy: Cell::new(0),
            is_http2: Cell::new(false),
            slow: Cell::new(false),
        }
    }

    /// Bytes came.
    pub(super) fn received(&self) {
        if self.busy.get() == 0 && !self.is_http2.get() && self.head_since.get().is_none() {
            self.head_since.set(Some(Instant::now()));
        }
    }

    /// A request is under way for as long as the guard lives.
    pub(super) fn begin(self: &Rc<Self>, is_http2: bool) -> Busy {
        self.is_http2.set(is_http2);
        self.head_since.set(None);
        self.busy.set(self.busy.get() + 1);
        Busy(Rc::clone(self))
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy.get() > 0
    }

    /// Whether it ended because a request's head did not come in time.
    pub(super) fn was_slow(&self) -> bool {
        self.slow.get()
    }

    /// Ends when the connection was idle, or a request's head took, for too long.
    pub(super) async fn is_over(&self) {
        loop {
            // What happens during the sleep is seen at the next look.
            let mut wake = Instant::now() + self.head_limit.max(SHORTEST_LOOK);
            if !self.is_busy() {
                let head = self.head_since.get().map(|since| since + self.head_limit);
                let end = head.unwrap_or(self.active.get() + IDLE);
                if end <= Instant::now() {
                    self.slow.set(head.is_some());
                    return;
                }
                wake = wake.min(end);
            }
            sleep_until(wake).await;
        }
    }
}

/// A request under way.
pub(super) struct Busy(Rc<Life>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.set(self.0.busy.get() - 1);
        self.0.active.set(Instant::now());
    }
}
