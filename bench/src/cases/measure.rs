//! What every kind of case does.

use super::{Conditions, Sample};
use crate::Result;
use crate::peers::{Need, Peer, Setup};

/// A column of the table: its title, and its figure of one round.
pub(crate) type Column = (&'static str, fn(&Sample) -> f64);

/// What a case does, and what its table shows.
pub(crate) trait Measure: Sync {
    /// Runs one round with a server that is not started yet.
    fn run(&self, peer: &dyn Peer, setup: Setup, conditions: &Conditions) -> Result<Sample>;

    /// What the table shows.
    fn columns(&self) -> &'static [Column];

    /// How many of the first columns are compared between servers.
    fn compared(&self) -> usize {
        1
    }

    /// Whether little is better in those.
    fn less_is_better(&self) -> bool {
        false
    }

    /// About how long a round takes with a server that has started.
    fn about_seconds(&self, conditions: &Conditions) -> f64 {
        (conditions.warm_up + conditions.measure).as_secs_f64() + 0.5
    }

    /// Where it stands in the plot of latency against offered rate, if it does: messages a second.
    fn plotted_at(&self) -> Option<u32> {
        None
    }

    /// What it needs of a server.
    fn needs(&self) -> Vec<Need>;

    /// How often it is run when so many rounds are asked for.
    fn rounds(&self, asked: usize) -> usize {
        asked
    }
}
