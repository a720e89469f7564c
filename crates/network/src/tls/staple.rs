//! Stapling (RFC 6066 §8): our own certificates bring along their authority's word that they were not revoked, where that
//! authority is ours.

use super::TlsTable;
use arc_swap::ArcSwap;
use rustls::sign::CertifiedKey;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use windrose_event::{Enrolment, Timestamp};
use windrose_identity::StatusQuestion;

/// How often it is looked whether a word is old.
const LOOK: Duration = Duration::from_secs(60);
/// How long a word is taken that does not say itself.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// A certificate of ours, with the last word of its authority.
#[derive(Debug)]
pub(super) struct Stapled {
    current: ArcSwap<CertifiedKey>,
    /// What is asked; `None`: its file does not hold who signed it.
    question: Option<StatusQuestion>,
    word: Mutex<Option<Word>>,
}

#[derive(Clone, Copy, Debug)]
struct Word {
    /// From when on there should be a newer one: half of its time.
    old: Timestamp,
    end: Timestamp,
}

impl Stapled {
    pub(super) fn new(certified: Arc<CertifiedKey>) -> Self {
        let question = match &certified.cert[..] {
            [own, issuer, ..] => StatusQuestion::new(own, issuer),
            _ => None,
        };
        Self { current: ArcSwap::new(certified), question, word: Mutex::default() }
    }

    /// With its word, if there is one.
    pub(super) fn current(&self) -> Arc<CertifiedKey> {
        self.current.load_full()
    }

    /// Asks for a word, if there is none or it is old. One that cannot be had leaves the old one, for as long as that is good.
    pub(super) async fn renew(&self, enrolment: &dyn Enrolment, now: Timestamp) {
        let word = *self.word.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(question) = self.question.as_ref().filter(|_| word.is_none_or(|word| now >= word.old))
        else {
            return;
        };
        if word.is_some_and(|word| now >= word.end) {
            self.put(None, None);
            tracing::warn!(
                "a certificate of ours is shown without its authority's word: there is no newer one"
            );
        }
        // `None`: it is not of our authority.
        let Some(answer) = enrolment.status(question.request()).await else { return };
        match question.good(&answer, now) {
            // It is not of our authority, either.
            Ok(None) => {}
            Ok(Some((from, until))) => {
                let end = until.unwrap_or(now + LONGEST);
                let half = end.since(from) / 2;
                self.put(Some(answer.to_vec()), Some(Word { old: from + half, end }));
            }
            Err(why) => {
                tracing::warn!(%why, "the authority's word about a certificate of ours is not shown to clients");
            }
        }
    }

    fn put(&self, answer: Option<Vec<u8>>, word: Option<Word>) {
        let current = self.current.load();
        let mut next = CertifiedKey::new(current.cert.clone(), Arc::clone(&current.key));
        next.ocsp = answer;
        self.current.store(Arc::new(next));
        *self.word.lock().unwrap_or_else(PoisonError::into_inner) = word;
    }
}

/// Sees to it for as long as the node runs.
pub(crate) async fn keep_stapled(
    table: Arc<TlsTable>,
    enrolment: Arc<dyn Enrolment>,
    now: impl Fn() -> Timestamp,
) {
    loop {
        for certificate in table.stapled() {
            certificate.renew(&*enrolment, now()).await;
        }
        // At once when there are new certificates.
        let _ = tokio::time::timeout(LOOK, table.changed()).await;
    }
}

#[cfg(test)]
mod tests;
