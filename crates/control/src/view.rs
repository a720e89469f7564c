//! What the admin API needs of the node: the seam that the server fills.

use windrose_engine::{KeeperFigures, Tally};
use windrose_identity::IdentityFigures;

/// The node, as far as its operator sees it.
pub trait NodeView: Send + Sync + 'static {
    /// The tallies of all shards. Each shard is asked when it has a turn free, so this may take some milliseconds.
    fn tallies(&self) -> impl Future<Output = Vec<Tally>> + Send;

    /// Whether the node takes new connections; otherwise a sentence for each reason why it does not.
    fn readiness(&self) -> Result<(), Vec<String>>;

    /// What the operator should know although the node takes new connections: a sentence each.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// How the registry is asked.
    fn identities(&self) -> Option<IdentityFigures> {
        None
    }

    /// The program's version, such as `0.1.0`.
    fn version(&self) -> &str;

    /// What the operating system says of the process, where it can be asked.
    fn process(&self) -> Option<ProcessFacts> {
        None
    }

    /// What the keeper of the journal says of itself, if there is one (`node.persistence`).
    fn journal(&self) -> Option<KeeperFigures> {
        None
    }

    /// How often the document was reloaded.
    fn reloads(&self) -> Reloads {
        Reloads::default()
    }
}

/// Reloads of the document since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reloads {
    /// Those that put a new document into force.
    pub accepted: u64,
    /// Those that found a mistake and left everything as it was.
    pub refused: u64,
}

/// What the operating system says of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessFacts {
    /// Memory that is resident, in bytes.
    pub resident_bytes: u64,
    /// Processor time used since the start, user and system together, in seconds.
    pub cpu_seconds: f64,
    /// File descriptors that are open, sockets among them.
    pub open_fds: u64,
    /// When the process started, in seconds since 1970-01-01T00:00:00Z.
    pub start_seconds: f64,
}
