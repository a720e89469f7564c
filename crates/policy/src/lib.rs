//! Floor 1: the operator's document, compiled whole into an immutable [`Snapshot`].
//!
//! [`compile`] takes the text and gives either a snapshot or every mistake in it; [`schema`] describes the document for
//! editors. [`document`] is how it is read, for other files that operators write too. This crate reads no files and
//! knows no protocol.

mod access;
mod compile;
mod condition;
pub mod document;
mod identity;
mod keys;
mod snapshot;

pub use access::{
    AccessRule, AccessRules, Explanation, Near, Pattern, PatternError, Placeholder, Question, Ruling, Which,
    Who,
};
pub use compile::{compile, schema};
pub use condition::{Condition, ConditionError};
pub use document::{Mistake, Mistakes};
pub use identity::{
    Authority, ClientIdRule, Duplicates, EnrolledAuthority, Guard, IdentityCache, IdentityHook,
    IdentityPolicy, IdentityToken, KeySource, OcspCheck, RegistryLocation, Revocation, TokenIssuer,
};
pub use snapshot::*;
