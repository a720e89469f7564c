//! Floor 2: the pipeline. One instance per core, sans-IO, no locks.
//!
//! An [`Engine`] is told what happened as [`Input`]s and asks for what it cannot do itself as [`Output`]s: mutate once,
//! then drain [`Engine::poll_output`] until it has nothing, before mutating again. Time is a parameter, randomness comes
//! from a seed, so a run can be replayed.
//!
//! The way of an event is in `steps/`, a file a step: listen, session and identify once per connection, then inspect,
//! route, deliver and acknowledge for each event. A step's result is a value that only the next step takes
//! (`Identified`, `Inspected`, `Routed`) and what is owed to the sender is a `Receipt`, so a skipped step does not compile
//! and a forgotten answer fails the tests.
//!
//! The engine knows no protocol's words, no socket, no runtime and no database.

mod backlog;
mod brakes;
mod connections;
mod content;
mod counts;
mod engine;
mod exchanges;
mod grants;
mod ids;
mod interest;
mod io;
mod journal;
mod notices;
mod pools;
mod queues;
mod random;
mod receipts;
mod requests;
mod retained;
mod routes;
mod sessions;
mod shards;
mod standing;
mod steps;
mod subscriptions;
mod table;
mod tally;
mod timers;
mod topics;

pub use engine::{Engine, Ledger};
pub use exchanges::TopologyMessage;
pub use io::*;
pub use journal::*;
pub use notices::Notices;
pub use sessions::{Parcel, Rival, Session, TakenOver};
pub use table::Table;
pub use tally::*;
