//! SCRAM-SHA-256 (RFC 5802, RFC 7677): a password proved without being told, and keys from which nobody can tell it.
//!
//! Keys are kept as PostgreSQL writes them: `SCRAM-SHA-256$ITERATIONS:SALT$STORED_KEY:SERVER_KEY`.

mod conversation;
mod keys;
mod registry;

pub(crate) use conversation::Exchange;
pub(crate) use keys::{Keys, hmac};
pub use keys::{check_scram_keys, scram_keys};
pub(crate) use registry::KeysOf;

/// The method's name (RFC 7677 §3).
pub(crate) const METHOD: &str = "SCRAM-SHA-256";
