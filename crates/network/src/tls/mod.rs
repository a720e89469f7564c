//! TLS at the listeners: certificates by name, reloaded without touching connections; handshakes; what a client's
//! certificate says.

mod certificate;
mod clients;
mod handshake;
mod material;
mod staple;
mod suites;

pub use certificate::certificate_claim;
pub(crate) use certificate::{chain_claim, resumed_claim};
pub(crate) use clients::whose;
pub(crate) use handshake::{read_hello, refuse_name, shake_hands};
pub(crate) use material::covers;
pub use material::{Agreed, Chosen, TlsError, TlsTable, TlsTableUpdate};
pub(crate) use staple::keep_stapled;
