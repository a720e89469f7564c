//! What somebody elsewhere vouches for: an issuer of tokens, or the hook.

use crate::Fetch;
use std::path::Path;
use std::sync::Arc;
use windrose_event::{Identity, Principal, Proof};

/// Who somebody is, as an issuer's token or the hook says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched {
    /// Who says so, for logs: the issuer's name in the document, or `hook`.
    pub by: Arc<str>,
    /// Who it is.
    pub principal: Principal,
    /// The groups it belongs to.
    pub groups: Arc<[Arc<str>]>,
    /// Whether it has to be in the registry besides: then what the registry says of its owner and groups holds.
    pub registered: bool,
    /// How long it is good, and what else is said.
    pub proof: Arc<Proof>,
}

impl Vouched {
    /// As an identity, without the devices that it owns: only the registry knows those.
    pub fn identity(&self) -> Identity {
        Identity {
            principal: self.principal.clone(),
            groups: Arc::clone(&self.groups),
            owned: Arc::default(),
            proof: Some(Arc::clone(&self.proof)),
        }
    }
}

/// Makes what asks services elsewhere, whose certificates come from the authorities of that file; without one, from the
/// public ones. The error is a sentence for the operator.
pub type Fetchers = dyn Fn(Option<&Path>) -> Result<Arc<dyn Fetch>, String> + Send + Sync;
