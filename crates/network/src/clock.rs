//! The node's two clocks, read once per turn of a shard.

use std::time::{Instant, SystemTime, UNIX_EPOCH};
use windrose_event::{Moment, Now, Timestamp};

/// The monotonic clock, counted from the node's start, and the wall clock. All shards share one start.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Reads both clocks. A wall clock before 1970 reads as 1970.
    pub fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let micros = |duration: std::time::Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Now {
            moment: Moment::from_micros(micros(self.start.elapsed())),
            wall: Timestamp::from_micros(micros(wall)),
        }
    }

    /// The instant of a moment, for the runtime's timers.
    pub fn instant(&self, moment: Moment) -> Instant {
        self.start + std::time::Duration::from_micros(moment.as_micros())
    }
}
