//! Floor 1: the operator's document, compiled whole into an immutable [`Snapshot`].

mod access;
mod condition;
mod snapshot;

pub use access::{AccessRule, AccessRules, Who};
pub use condition::Condition;
pub use snapshot::*;
