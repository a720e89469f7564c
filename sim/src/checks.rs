//! What must hold of the node at every step, whatever its clients saw.

use crate::world::World;
use std::time::Duration;

/// Steps between two looks at what is counted.
const COUNTED_EVERY: u64 = 64;

/// At-most-once events that one read may bring beyond a client's window.
const READ: usize = 16;

/// Bytes that may wait for a connection beyond `limits.output_bytes`: what its window let out at once before the engine
/// heard that it is too much, and acknowledgements, which are not held.
const LAST_WORDS: usize = 65_536;

impl World {
    /// Looks at the node after a step.
    pub(crate) fn check(&mut self) {
        for shard in 0..self.shards.len() {
            let ledger = self.shards[shard].pump.engine().ledger();
            if ledger.published != ledger.settled + ledger.in_flight {
                let what = format!("shard {shard} does not have published = settled + in flight: {ledger:?}");
                self.oracle.fail(what, None, &[]);
            }
        }
        if self.steps().is_multiple_of(COUNTED_EVERY) {
            self.check_bounds();
        }
    }

    /// Queues never grow past their bounds.
    fn check_bounds(&mut self) {
        let limits = &self.shards[0].snapshot.limits;
        let waits = self.documents.iter().map(|document| document.session_queue_events).max().unwrap_or(0);
        let per_session = u64::from(waits) + u64::from(limits.session_in_flight.max(64));
        // A connection that finds credit gone may overdraw it by one read, and then is not read from.
        let longest = self.documents.iter().map(|document| document.deadline + document.timeout).max();
        let since = self.now().as_micros().saturating_sub(longest.unwrap_or(0) * 1_000);
        let recent = self.links.iter().filter(|link| link.opened.as_micros() >= since).count();
        let window = self.clients.iter().map(|client| client.profile.window).max().unwrap_or(0);
        let overdraft = ((recent + self.clients.len()) * (window + READ)) as u64;
        let queue = self.documents.iter().map(|document| document.queue).max().unwrap_or(0);
        let mut wrong = None;
        for (index, shard) in self.shards.iter().enumerate() {
            let tally = shard.pump.engine().tally();
            if tally.queued > tally.sessions * per_session {
                wrong = Some(format!(
                    "shard {index} has {} events queued in {} sessions",
                    tally.queued, tally.sessions
                ));
            }
            for pool in &tally.pools {
                if pool.credit_used > u64::from(queue) + overdraft {
                    wrong = Some(format!(
                        "shard {index} has {} events in pool {}, its credit is {}",
                        pool.credit_used, pool.name, pool.credit_limit
                    ));
                }
            }
        }
        let written =
            self.documents.iter().map(|document| document.output_bytes).max().unwrap_or(0) + LAST_WORDS;
        for link in self.links.iter().filter(|link| link.node_here) {
            let waits =
                self.shards[link.shard].pump.transmit(link.connection).map_or(0, |transmit| transmit.len());
            if waits > written {
                wrong = Some(format!("{waits} bytes wait to be written to {}", link.client.name()));
            }
        }
        if let Some(what) = wrong {
            self.oracle.fail(what, None, &[]);
        }
    }

    /// When everything has settled, nothing may be left anywhere.
    pub fn check_settled(&mut self) {
        let mut wrong = None;
        for (index, shard) in self.shards.iter().enumerate() {
            let tally = shard.pump.engine().tally();
            let ledger = shard.pump.engine().ledger();
            let pools: u64 = tally.pools.iter().map(|pool| pool.credit_used).sum();
            if ledger.in_flight + tally.queued + pools + tally.paused > 0 {
                wrong = Some(format!(
                    "nothing is left to do, and shard {index} has {} events unsettled, {} queued, {pools} in pools, {} \
                     connections paused",
                    ledger.in_flight, tally.queued, tally.paused
                ));
            }
            let (taken, settled) = tally.listeners.iter().fold((0, 0), |(taken, settled), listener| {
                (taken + listener.events_in, settled + listener.settled.iter().sum::<u64>())
            });
            if taken != settled {
                wrong = Some(format!("shard {index} counts {taken} events taken, and {settled} settled"));
            }
            let full = tally.dropped.iter().find(|(cause, _)| *cause == "queue_full");
            if let Some((_, count)) = full
                && !self.oracle.short_queues
            {
                wrong = Some(format!("shard {index} has dropped {count} events for want of room"));
            }
        }
        if let Some(what) = wrong {
            self.oracle.fail(what, None, &[]);
        }
    }

    /// Lets time pass without expecting anything. `false`: a promise was broken.
    pub fn pass(&mut self, time: Duration) -> bool {
        let until = self.now() + time;
        self.run(until, |_| false);
        self.oracle.violation.is_none()
    }
}
