//! What becomes of datagrams under way.

use crate::rng::Rng;
use std::time::Duration;

/// How a network treats datagrams.
#[derive(Clone, Copy, Debug)]
pub struct Air {
    /// Of a hundred datagrams, how many are lost.
    pub loss: usize,
    /// Of a hundred datagrams, how many arrive more than once.
    pub repeated: usize,
    /// Of a hundred datagrams, how many are overtaken by others.
    pub late: usize,
}

impl Air {
    /// Everything arrives once, in order.
    pub const CALM: Air = Air { loss: 0, repeated: 0, late: 0 };

    /// When a datagram arrives, and when once more; it may never do so.
    pub fn carry(self, rng: &mut Rng) -> Vec<Duration> {
        let mut arrivals = Vec::new();
        if !rng.chance(self.loss) {
            arrivals.push(self.delay(rng));
        }
        while rng.chance(self.repeated) {
            // The longest that a datagram is expected to be under way (RFC 7252 §4.8.2, MAX_LATENCY).
            arrivals.push(rng.millis(1, 100_000));
        }
        arrivals
    }

    fn delay(self, rng: &mut Rng) -> Duration {
        if self.late == 0 {
            Duration::from_millis(10)
        } else if rng.chance(self.late) {
            rng.millis(100, 8_000)
        } else {
            rng.millis(5, 60)
        }
    }
}
