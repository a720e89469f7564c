//! Floor 2: the pipeline. One instance per core, sans-IO, no locks.
mod io;
mod tally;

pub use io::*;
pub use tally::*;

use std::sync::Arc;
use windrose_event::{Moment, Now};
use windrose_policy::Snapshot;

/// One shard's engine.
pub struct Engine {}

impl Engine {
    /// An engine without connections. `seed` drives jitter, identifiers and assigned session names.
    pub fn new(_seat: Seat, _snapshot: Arc<Snapshot>, _seed: u64) -> Self {
        Self {}
    }
    /// Takes one input. Drain [`Engine::poll_output`] until it has nothing before the next.
    pub fn handle(&mut self, _now: Now, _input: Input) {}
    /// The next output, if any.
    pub fn poll_output(&mut self) -> Option<Output> {
        None
    }
    /// When `Input::Timeout` is due.
    pub fn next_timeout(&self) -> Option<Moment> {
        None
    }
    /// Counts since the start, for metrics.
    pub fn tally(&self) -> Tally {
        Tally::default()
    }
    /// Whether nothing is in flight: a drain is complete.
    pub fn is_idle(&self) -> bool {
        true
    }
}
/// A session (stub).
#[derive(Debug)]
pub struct Session;
