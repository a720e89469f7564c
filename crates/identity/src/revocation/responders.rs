//! Asks responders, once for all who want to know, and remembers what they said for as long as they say.

use super::lists::RevocationLists;
use super::ocsp::{self, CertificateId, Status};
use crate::{Fetch, FetchRequest};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use windrose_event::{CertificateClaim, Timestamp};
use x509_parser::prelude::{FromDer, X509Certificate};

/// How long one question may take.
const TIMEOUT: Duration = Duration::from_secs(4);
/// The largest answer: some responders send their whole chain along.
const MOST_BYTES: usize = 64 * 1024;
/// Questions on their way at once.
const MOST_ASKED: usize = 256;
/// How long an answer is remembered that does not say itself, and how long any is at most.
const FRESH: Duration = Duration::from_secs(300);
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// How long it is remembered that there was no answer: a responder that is down is not asked for each connection.
const RETRY: Duration = Duration::from_secs(10);

/// What is known of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Good,
    Revoked,
    Unknown,
    /// There is no answer that can be believed, and why.
    None(Arc<str>),
}

/// Certificates are known by their fingerprints here.
type Key = [u8; 32];

#[derive(Default)]
struct Memory {
    /// Two generations: when the newer one is full, the older one is forgotten.
    current: HashMap<Key, (Answer, Timestamp)>,
    previous: HashMap<Key, (Answer, Timestamp)>,
    /// Questions on their way.
    asked: HashMap<Key, watch::Receiver<Option<Answer>>>,
}

pub(super) struct Responders {
    fetch: Arc<dyn Fetch>,
    memory: Mutex<Memory>,
    /// Of one generation.
    most: usize,
}

impl Responders {
    pub(super) fn new(fetch: Arc<dyn Fetch>, most: usize) -> Self {
        Self { fetch, memory: Mutex::default(), most: (most / 2).max(1) }
    }

    /// What is known without asking.
    pub(super) fn remembered(
        &self,
        claim: &CertificateClaim,
        lists: &RevocationLists,
        now: Timestamp,
    ) -> Option<Answer> {
        if lists.issuer(claim).is_none() {
            let why = "the certificate of its authority is not known here: add it to `client_ca`";
            return Some(Answer::None(why.into()));
        }
        let Some(key) = claim.fingerprint else {
            return Some(Answer::None("the certificate itself is not known here".into()));
        };
        self.memory().get(&key, now)
    }

    /// What its responder says.
    pub(super) async fn ask(
        self: &Arc<Self>,
        claim: &Arc<CertificateClaim>,
        lists: &RevocationLists,
        now: Timestamp,
    ) -> Answer {
        if let Some(known) = self.remembered(claim, lists, now) {
            return known;
        }
        let (Some(key), Some(issuer)) = (claim.fingerprint, lists.issuer(claim)) else {
            return Answer::None("too little of the certificate is known here".into());
        };
        let mut told = {
            let mut memory = self.memory();
            match memory.asked.get(&key) {
                // Unless whoever asked failed before it could tell.
                Some(asked) if asked.has_changed().is_ok() => asked.clone(),
                _ if memory.asked.len() >= MOST_ASKED => {
                    return Answer::None(
                        format!("{MOST_ASKED} questions to responders are on their way already").into(),
                    );
                }
                _ => {
                    let (tell, told) = watch::channel(None);
                    memory.asked.insert(key, told.clone());
                    let (this, claim, issuer) =
                        (Arc::clone(self), Arc::clone(claim), Bytes::copy_from_slice(issuer));
                    // On its own: whoever asked first may be gone before the answer is there.
                    tokio::spawn(async move {
                        let (answer, until) = this.fetch(&claim, &issuer, now).await;
                        let mut memory = this.memory();
                        memory.asked.remove(&key);
                        memory.insert(key, answer.clone(), until, this.most);
                        drop(memory);
                        tell.send_replace(Some(answer));
                    });
                    told
                }
            }
        };
        let answer = told.wait_for(Option::is_some).await.ok().and_then(|answer| answer.clone());
        answer.unwrap_or_else(|| Answer::None("the question was given up".into()))
    }

    /// Asks, and says how long the answer holds.
    async fn fetch(&self, claim: &CertificateClaim, issuer: &[u8], now: Timestamp) -> (Answer, Timestamp) {
        match self.question(claim, issuer, now).await {
            Ok(response) => {
                let until = response.next_update.unwrap_or(now + FRESH).min(now + LONGEST);
                let answer = match response.status {
                    Status::Good => Answer::Good,
                    Status::Revoked => Answer::Revoked,
                    Status::Unknown => Answer::Unknown,
                };
                (answer, until)
            }
            Err(why) => (Answer::None(why.into()), now + RETRY),
        }
    }

    async fn question(
        &self,
        claim: &CertificateClaim,
        issuer: &[u8],
        now: Timestamp,
    ) -> Result<ocsp::Response, String> {
        let (Some(url), Some((_, serial))) = (&claim.responder, &claim.issued) else {
            return Err("the certificate names no responder".to_owned());
        };
        let (_, issuer) = X509Certificate::from_der(issuer)
            .map_err(|error| format!("the certificate of its authority cannot be read: {error}"))?;
        let id = CertificateId::new(&issuer, serial);
        let request = FetchRequest {
            method: "POST",
            url: url.clone(),
            headers: vec![("content-type".to_owned(), "application/ocsp-request".to_owned())],
            body: id.request().into(),
            timeout: TIMEOUT,
            most: MOST_BYTES,
        };
        let fetched = self.fetch.fetch(request).await.map_err(|error| format!("{url}: {error}"))?;
        if fetched.status != 200 {
            return Err(format!("{url} answers with status {}", fetched.status));
        }
        ocsp::read(&fetched.body, &id, &issuer, now).map_err(|error| format!("{url}: {error}"))
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn get(&self, key: &Key, now: Timestamp) -> Option<Answer> {
        let (answer, until) = self.current.get(key).or_else(|| self.previous.get(key))?;
        (now < *until).then(|| answer.clone())
    }

    fn insert(&mut self, key: Key, answer: Answer, until: Timestamp, most: usize) {
        if self.current.len() >= most {
            self.previous = std::mem::take(&mut self.current);
        }
        self.current.insert(key, (answer, until));
    }
}
