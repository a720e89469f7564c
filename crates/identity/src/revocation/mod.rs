//! Revocation of certificates that are not ours to revoke: lists (CRL, RFC 5280 §5) and responders (OCSP, RFC 6960).
//!
//! `lists` reads the files that the document names; `ocsp` writes questions and reads answers; `responders` asks, and
//! remembers; `seen` knows who was let in, so that a new list ends their sessions.

mod lists;
mod ocsp;
mod question;
mod responders;
mod seen;
#[cfg(test)]
mod tests;

pub use lists::RevocationLists;
pub use question::StatusQuestion;

use crate::Fetch;
use arc_swap::ArcSwap;
use responders::{Answer, Responders};
use seen::Seen;
use std::sync::Arc;
use windrose_event::{
    CertificateClaim, IdentityChange, Pending, Refusal, RefusalCause, Standing, Subject, Timestamp,
};
use windrose_policy::OcspCheck;

/// Whether certificates still count.
pub struct Revocations {
    rules: ArcSwap<Rules>,
    responders: Arc<Responders>,
    seen: Seen,
}

struct Rules {
    check: OcspCheck,
    lists: RevocationLists,
}

impl Revocations {
    /// By these lists, and by asking responders as far as `check` wants; remembers at most `most` certificates.
    pub fn new(check: OcspCheck, lists: RevocationLists, fetch: Arc<dyn Fetch>, most: usize) -> Self {
        Self {
            rules: ArcSwap::from_pointee(Rules { check, lists }),
            responders: Arc::new(Responders::new(fetch, most)),
            seen: Seen::new(most),
        }
    }

    /// Whether a certificate counts, if that takes no wait; `None` sends the question to [`check`](Self::check).
    pub fn check_at_once(&self, claim: &CertificateClaim, now: Timestamp) -> Option<Result<(), Refusal>> {
        let rules = self.rules.load();
        if let Some(refusal) = rules.lists.refusal(claim) {
            return Some(Err(refusal));
        }
        if rules.lists.are_there() {
            self.seen.note(claim, &rules.lists);
            // Lists that came while that was noted were perhaps not compared with it.
            if !Arc::ptr_eq(&rules, &self.rules.load()) {
                return self.check_at_once(claim, now);
            }
        }
        if rules.check == OcspCheck::Off || claim.responder.is_none() {
            return Some(Ok(()));
        }
        let answer = self.responders.remembered(claim, &rules.lists, now)?;
        Some(verdict(claim, answer, rules.check))
    }

    /// Whether a certificate counts, however long it takes.
    pub fn check(&self, claim: Arc<CertificateClaim>, now: Timestamp) -> Pending<Result<(), Refusal>> {
        if let Some(known) = self.check_at_once(&claim, now) {
            return Box::pin(std::future::ready(known));
        }
        let rules = self.rules.load_full();
        let responders = Arc::clone(&self.responders);
        Box::pin(async move {
            let answer = responders.ask(&claim, &rules.lists, now).await;
            verdict(&claim, answer, rules.check)
        })
    }

    /// From now on it goes by these. Returns what follows for certificates that were let in by what was said before.
    pub fn replace(&self, check: OcspCheck, lists: RevocationLists) -> Vec<IdentityChange> {
        let rules = Arc::new(Rules { check, lists });
        self.rules.store(Arc::clone(&rules));
        let revoked = self.seen.revoked(&rules.lists);
        revoked
            .into_iter()
            .map(|digest| IdentityChange { subject: Subject::Certificate(digest), standing: Standing::Ended })
            .collect()
    }
}

fn verdict(claim: &CertificateClaim, answer: Answer, check: OcspCheck) -> Result<(), Refusal> {
    let refuse = |cause, detail| Err(Refusal { cause, detail });
    let (subject, responder) = (&claim.subject, claim.responder.as_deref().unwrap_or_default());
    match answer {
        Answer::Good => Ok(()),
        Answer::Revoked => refuse(
            RefusalCause::Revoked,
            format!("the responder {responder} says that the certificate of {subject} was revoked"),
        ),
        Answer::Unknown => refuse(
            RefusalCause::Revoked,
            format!("the responder {responder} does not know the certificate of {subject}"),
        ),
        Answer::None(why) if check == OcspCheck::Hard => refuse(
            RefusalCause::Unavailable,
            format!(
                "whether the certificate of {subject} was revoked cannot be found out: {why}; the document says \
                 `ocsp: hard`"
            ),
        ),
        Answer::None(why) => {
            tracing::warn!(
                %subject, responder, %why,
                "whether a certificate was revoked cannot be found out: it counts, as the document says `ocsp: soft`"
            );
            Ok(())
        }
    }
}
