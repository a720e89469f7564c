//! The hook: a service that keeps identities elsewhere is asked about those whom nobody here knows.

use crate::{Fetchers, Vouched};
use std::sync::Arc;
use windrose_event::{Claim, Pending, Refusal, RefusalCause, Timestamp};
use windrose_policy::IdentityHook;

/// The service of `identity.hook`. Clones share everything.
#[derive(Clone)]
pub struct Hook;

impl Hook {
    /// Takes the document's hook. The error is a sentence for the operator.
    pub fn open(policy: &IdentityHook, fetchers: &Fetchers) -> Result<Self, String> {
        let _ = (policy, fetchers);
        Ok(Self)
    }

    /// What it said of the same claim a while ago, if that still holds; `None` sends the claim to [`Hook::ask`].
    /// `Ok(None)`: it does not know them.
    pub fn ask_at_once(
        &self,
        claim: &Claim,
        now: Timestamp,
    ) -> Option<Result<Option<Arc<Vouched>>, Refusal>> {
        let _ = (claim, now);
        None
    }

    /// What it says of a claim.
    pub fn ask(&self, claim: &Claim, now: Timestamp) -> Pending<Result<Option<Arc<Vouched>>, Refusal>> {
        let _ = (claim, now);
        let detail = "the identity hook is not asked yet".to_owned();
        Box::pin(std::future::ready(Err(Refusal { cause: RefusalCause::Unavailable, detail })))
    }
}
