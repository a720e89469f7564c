//! What a run is like, and how it ends.

use super::Air;
use super::world::World;
use crate::rng::Rng;
use std::fmt;
use std::time::Duration;

/// A run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// Shards of the node.
    pub shards: u16,
    /// How many things there are.
    pub things: u32,
    /// Of a hundred things, how many observe what a group of others publishes.
    pub observers: usize,
    /// How long they publish.
    pub lasts: Duration,
    /// How long a thing waits between two publications, on average.
    pub pace: Duration,
    /// The network.
    pub air: Air,
    /// Whether a failure is told with what happened before it.
    pub told: bool,
}

/// What happened in a run that kept all promises.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// Publications that were begun.
    pub published: u64,
    /// Those that the node acknowledged.
    pub acknowledged: u64,
    /// Those that it refused for now.
    pub refused: u64,
    /// Events that services took.
    pub taken: u64,
    /// Notifications that observers had for the first time.
    pub told: u64,
    /// Datagrams that were sent, by either side.
    pub datagrams: u64,
    /// Repetitions that the node knew as such.
    pub duplicates: u64,
    /// What the node sent again.
    pub retransmissions: u64,
    /// What the node was not allowed to send (RFC 9175 §2.4).
    pub withheld: u64,
    /// What the node gave up.
    pub given_up: u64,
}

impl Plan {
    /// A run made up by a seed: few things, bad weather, minutes.
    pub fn from_seed(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0xc0a9);
        Self {
            seed,
            shards: rng.pick(&[1, 1, 2, 3]),
            things: rng.between(1, 12) as u32,
            observers: rng.pick(&[0, 30, 60]),
            lasts: Duration::from_secs(rng.between(60, 1_200) as u64),
            pace: Duration::from_millis(rng.between(500, 30_000) as u64),
            air: Air {
                loss: rng.pick(&[0, 2, 5, 15]),
                repeated: rng.pick(&[0, 5, 20]),
                late: rng.pick(&[0, 5, 30]),
            },
            told: false,
        }
    }

    /// A day of a thousand things whose network loses, repeats and reorders 5 % of all datagrams, or a part of it.
    pub fn day(seed: u64, things: u32, hours: u64) -> Self {
        Self {
            seed,
            shards: 2,
            things,
            observers: 5,
            lasts: Duration::from_secs(hours * 3_600),
            pace: Duration::from_secs(120),
            air: Air { loss: 5, repeated: 5, late: 5 },
            told: false,
        }
    }

    /// Plays it.
    ///
    /// # Errors
    /// A promise was broken; the sentence says which, and how to see it again.
    pub fn play(&self) -> Result<Ending, String> {
        World::new(self).play()
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} published, {} acknowledged, {} refused, {} taken, {} told, {} datagrams, {} duplicates, {} sent again, \
             {} withheld, {} given up",
            self.published,
            self.acknowledged,
            self.refused,
            self.taken,
            self.told,
            self.datagrams,
            self.duplicates,
            self.retransmissions,
            self.withheld,
            self.given_up
        )
    }
}
