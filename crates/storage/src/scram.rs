//! SCRAM-SHA-256 (RFC 5802, RFC 7677): a password proved without being told, and keys from which nobody can tell it.
//!
//! Keys are kept as PostgreSQL writes them: `SCRAM-SHA-256$ITERATIONS:SALT$STORED_KEY:SERVER_KEY`.

mod conversation;
mod keys;

pub(crate) use conversation::{Exchange, Knows};
pub use keys::scram_keys;
pub(crate) use keys::{Keys, hmac};

/// The method's name (RFC 7677 §3).
pub(crate) const METHOD: &str = "SCRAM-SHA-256";
