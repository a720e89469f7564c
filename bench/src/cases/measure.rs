//! A case that brings its own columns.

use super::{Conditions, Sample};
use crate::Result;
use crate::peers::{Need, Peer, Setup};

/// A column of the table: its title, and its figure of one round.
pub(crate) type Column = (&'static str, fn(&Sample) -> f64);

/// What a case does that has a file of its own, figures included.
pub(crate) trait Measure: Sync {
    /// Runs one round with a server that is not started yet.
    fn run(&self, peer: &dyn Peer, setup: Setup, conditions: &Conditions) -> Result<Sample>;

    /// What the table shows; ratios are of the first column.
    fn columns(&self) -> &'static [Column];

    /// Whether little is better in the first column.
    fn less_is_better(&self) -> bool {
        false
    }

    /// What it needs of a server.
    fn needs(&self) -> Vec<Need>;

    /// How often it is run when so many rounds are asked for.
    fn rounds(&self, asked: usize) -> usize {
        asked
    }
}
