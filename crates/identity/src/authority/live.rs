//! The authority in force: replaced whole by a reload, without a lock.

use super::Authority;
use arc_swap::ArcSwapOption;
use bytes::Bytes;
use std::sync::Arc;
use windrose_event::{EnrolRefusal, EnrolRequest, Enrolled, Enrolment, Identity, NoAuthority, Pending};

/// The authority that the document names now, if it names one.
#[derive(Default)]
pub struct LiveAuthority(ArcSwapOption<Authority>);

impl LiveAuthority {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on this one answers; `None`: there is none any more.
    pub fn replace(&self, authority: Option<Authority>) {
        self.0.store(authority.map(Arc::new));
    }
}

impl Enrolment for LiveAuthority {
    fn enrol(&self, by: &Identity, request: EnrolRequest) -> Pending<Result<Enrolled, EnrolRefusal>> {
        match &*self.0.load() {
            Some(authority) => authority.enrol(by, request),
            None => NoAuthority.enrol(by, request),
        }
    }

    fn revocations(&self, issuer: &str) -> Pending<Option<Bytes>> {
        match &*self.0.load() {
            Some(authority) => authority.revocations(issuer),
            None => NoAuthority.revocations(issuer),
        }
    }

    fn status(&self, request: Bytes) -> Pending<Option<Bytes>> {
        match &*self.0.load() {
            Some(authority) => authority.status(request),
            None => NoAuthority.status(request),
        }
    }
}
