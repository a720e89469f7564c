//! DTLS 1.2 as a server (RFC 6347), sans-IO: one [`Dtls`] for one UDP socket of one shard.
//!
//! What is in which file: `wire`, `record` and `message` read and write; `suite` and `prf` are the keys; `hello` asks clients to
//! show their address before anything is remembered of them; `handshake` (with `assembly`, `flight` and `server_hello`) is one
//! handshake, `half_open` those on their way; `sessions` are what came of them; `machine` leads each record to its place.
//! Cryptography is aws-lc-rs's, and RustCrypto's CCM: `suite`, `prf`, `handshake` and `credentials` know them. Why this is ours
//! is in `docs/adr/0014-dtls-of-our-own.md`.
//!
//! A session is found by the addresses that its records come from and go to; its name is a number of its own, so that a
//! record that brings a connection identifier (RFC 9146) can lead to it as well, one day.

mod assembly;
pub mod client;
mod counts;
mod credentials;
mod flight;
mod half_open;
mod handshake;
mod hello;
mod machine;
mod message;
mod outbox;
mod prf;
mod record;
mod server_hello;
mod sessions;
mod suite;
mod tickets;
mod wire;

#[cfg(test)]
mod tests;

pub use counts::Counts;
pub use credentials::{Credentials, NamedCertificates, Profile};
pub use machine::{Dtls, DtlsConfig, DtlsLimits};
pub use outbox::{KeyQuestion, Output};
pub use tickets::NodeKeys;
