//! The pre-shared key that clients of DTLS have.

/// Whose it is.
pub(crate) const IDENTITY: &str = "bench";

/// The key, as text: libcoap takes it on its command line.
pub(crate) const KEY: &str = "a key for a test";
