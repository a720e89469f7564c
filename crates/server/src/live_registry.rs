//! The registry in force: replaced whole by a reload, without a lock.

use arc_swap::ArcSwap;
use std::sync::Arc;
use windrose_event::{Claim, Conversation, Pending, Reachable, Registry, Secret, Suspicion, Verdict};
use windrose_storage::FileRegistry;

/// The registry that the document names now.
pub(crate) struct LiveRegistry(ArcSwap<FileRegistry>);

impl LiveRegistry {
    pub(crate) fn new(registry: FileRegistry) -> Self {
        Self(ArcSwap::from_pointee(registry))
    }

    /// From now on, claims are answered by `registry`.
    pub(crate) fn replace(&self, registry: FileRegistry) {
        self.0.store(Arc::new(registry));
    }
}

impl Registry for LiveRegistry {
    fn identify_at_once(&self, claim: &Claim) -> Option<Verdict> {
        self.0.load().identify_at_once(claim)
    }

    fn identify(&self, claim: Box<Claim>) -> Pending<Verdict> {
        self.0.load().identify(claim)
    }

    fn converse(&self, claim: &Claim) -> Option<Box<dyn Conversation>> {
        self.0.load().converse(claim)
    }

    fn methods(&self) -> &'static [&'static str] {
        self.0.load().methods()
    }

    fn psk_at_once(&self, identity: &[u8]) -> Option<Option<Secret>> {
        self.0.load().psk_at_once(identity)
    }

    fn psk(&self, identity: &[u8]) -> Pending<Option<Secret>> {
        self.0.load().psk(identity)
    }

    fn suspect(&self, suspicion: Suspicion) {
        self.0.load().suspect(suspicion);
    }

    fn reachable(&self) -> Vec<Arc<Reachable>> {
        self.0.load().reachable()
    }
}
