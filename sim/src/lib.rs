//! A whole node on a virtual clock and a virtual network: its shards' machines and engines unchanged, clients and services
//! that behave, a network that does not. A seed decides everything, so a seed replays a bug.
//!
//! [`Scenario::from_seed`] makes up a node, its clients and what goes wrong; [`Scenario::play`] plays it. The
//! [`oracle`] knows what was promised and says when a promise is broken: published = settled + in flight at each step,
//! at least once for QoS 1, exactly once per hop for QoS 2, order per topic and sender, no acknowledgement before the
//! service's 2xx, and that everything comes right when nothing goes wrong any more.

mod acts;
pub mod agenda;
mod checks;
pub mod client;
pub mod coap;
mod disk;
pub mod document;
pub mod link;
mod network;
mod node;
pub mod oracle;
mod outlaws;
pub mod rng;
pub mod scenario;
mod seeded;
pub mod service;
pub mod trace;
pub mod world;

pub use scenario::{Ending, Failure, Report, Scenario};
