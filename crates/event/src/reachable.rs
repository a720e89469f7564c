//! Devices that are servers: they can be asked at an address that their record has.

use crate::Identity;
use std::sync::Arc;

/// A device that is a server itself, as its record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reachable {
    /// Who it is.
    pub identity: Identity,
    /// Its host: a name or an address, without brackets.
    pub host: Arc<str>,
    /// Its port.
    pub port: u16,
    /// Its resources, as paths without a slash before them.
    pub resources: Arc<[Arc<str>]>,
}
