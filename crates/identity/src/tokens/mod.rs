//! JSON Web Tokens (RFC 7519): whom their issuers vouch for.

pub(crate) mod claims;
mod issuer;
pub(crate) mod jws;
mod keys;
mod memory;
mod remote;
#[cfg(test)]
mod tests;

use crate::{Fetchers, Vouched};
use issuer::{Issuer, Verdict};
use jws::{Jws, quoted};
use memory::Memory;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;
use windrose_event::{Pending, Refusal, RefusalCause, Secret, Timestamp};
use windrose_policy::{IdentityPolicy, KeySource};

/// How long a token waits for its issuer's keys.
const PATIENCE: Duration = Duration::from_secs(6);

/// The issuers of `identity.tokens`. Clones share everything.
#[derive(Clone)]
pub struct Issuers {
    issuers: Arc<[Arc<Issuer>]>,
    memory: Arc<Memory>,
}

impl Default for Issuers {
    fn default() -> Self {
        Self { issuers: Arc::default(), memory: Arc::new(Memory::new(0)) }
    }
}

/// A verdict, or what has to be heard of first.
enum Step {
    Done(Result<Arc<Vouched>, Refusal>),
    Wait(watch::Receiver<u64>),
}

impl Issuers {
    /// Takes the document's issuers, with their files. What `before` knows and is still good is kept. The errors are
    /// sentences for the operator.
    pub fn open(
        policy: &IdentityPolicy,
        fetchers: &Fetchers,
        read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
        before: Option<&Issuers>,
    ) -> Result<Self, Vec<String>> {
        let known = |name: &str| before?.issuers.iter().find(|issuer| *issuer.policy.name == *name);
        let opened = policy
            .tokens
            .iter()
            .map(|tokens| Issuer::open(tokens, policy.cache.stale, fetchers, read, known(&tokens.name)));
        let (issuers, problems): (Vec<_>, Vec<_>) = opened.partition(Result::is_ok);
        let problems: Vec<String> = problems.into_iter().filter_map(Result::err).collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        let issuers: Arc<[Arc<Issuer>]> = issuers.into_iter().filter_map(Result::ok).collect();
        // What another document made of a token says nothing under this one.
        let memory = before
            .filter(|before| before.issuers.iter().map(|known| &known.policy).eq(&policy.tokens))
            .map_or_else(|| Arc::new(Memory::new(policy.cache.entries)), |before| Arc::clone(&before.memory));
        Ok(Self { issuers, memory })
    }

    /// Whether the document names no issuer.
    pub fn is_empty(&self) -> bool {
        self.issuers.is_empty()
    }

    /// The files of keys and authorities: when one changes, they are to be opened again.
    pub fn files(&self) -> Vec<PathBuf> {
        let of = |issuer: &Arc<Issuer>| {
            let keys = match &issuer.policy.keys {
                KeySource::File(path) => Some(path.clone()),
                KeySource::Url(_) => None,
            };
            [keys, issuer.policy.ca.clone()].into_iter().flatten()
        };
        self.issuers.iter().flat_map(of).collect()
    }

    /// Whom a token speaks for, if that takes no question elsewhere; `None` sends it to [`Issuers::verify`].
    pub fn verify_at_once(&self, token: &[u8], now: Timestamp) -> Option<Result<Arc<Vouched>, Refusal>> {
        match self.step(token, now, true) {
            Step::Done(verdict) => Some(verdict),
            Step::Wait(_) => None,
        }
    }

    /// Whom a token speaks for, however long it takes to get its issuer's keys.
    pub fn verify(&self, token: Secret, now: Timestamp) -> Pending<Result<Arc<Vouched>, Refusal>> {
        let issuers = self.clone();
        Box::pin(async move {
            let mut answers = match issuers.step(token.reveal(), now, true) {
                Step::Done(verdict) => return verdict,
                Step::Wait(answers) => answers,
            };
            // Once: what the answer does not have is not there.
            let _ = timeout(PATIENCE, answers.changed()).await;
            match issuers.step(token.reveal(), now, false) {
                Step::Done(verdict) => verdict,
                Step::Wait(_) => {
                    Err(refusal(RefusalCause::Unavailable, "the issuer's keys did not come in time"))
                }
            }
        })
    }

    fn step(&self, token: &[u8], now: Timestamp, ask: bool) -> Step {
        let digest = if token.len() <= jws::MOST { Sha256::digest(token).into() } else { [0; 32] };
        if let Some(vouched) = self.memory.recall(&digest, now) {
            return Step::Done(Ok(vouched));
        }
        let bad = |problem: &str| {
            Step::Done(Err(refusal(RefusalCause::BadCredentials, &format!("the token {problem}"))))
        };
        if self.issuers.is_empty() {
            return bad("cannot be looked at: identity.tokens names no issuer");
        }
        let token = match Jws::parse(token) {
            Ok(token) => token,
            Err(problem) => return bad(&problem),
        };
        let said = token.claims.get("iss").and_then(Value::as_str);
        let mut problems = Vec::new();
        let mut unavailable = None;
        let mut wait = None;
        for issuer in self.issuers.iter() {
            let policy = &issuer.policy;
            if policy.issuer.as_deref().is_some_and(|expected| said != Some(expected)) {
                continue;
            }
            match issuer.verify(&token, now, ask) {
                Verdict::Good(vouched, key) => {
                    self.memory.remember(digest, Arc::clone(&vouched), &key);
                    return Step::Done(Ok(vouched));
                }
                Verdict::Bad(problem) => problems.push(format!("{problem} (issuer {})", policy.name)),
                Verdict::Unavailable(problem) => {
                    unavailable = Some(format!("{problem} (issuer {})", policy.name))
                }
                Verdict::Wait(answers) => wait = Some(answers),
            }
        }
        match (wait, unavailable) {
            (Some(answers), _) => Step::Wait(answers),
            (None, Some(problem)) => Step::Done(Err(refusal(RefusalCause::Unavailable, &problem))),
            (None, None) if problems.is_empty() => bad(&format!(
                "is of {}, and identity.tokens has no such issuer",
                quoted(said.unwrap_or("nobody"))
            )),
            (None, None) => bad(&problems.join("; ")),
        }
    }
}

fn refusal(cause: RefusalCause, detail: &str) -> Refusal {
    Refusal { cause, detail: detail.to_owned() }
}

/// Whether bytes have the shape of a signed token (RFC 7515 §3.1): three parts of base64url, the first one a JSON object.
pub fn looks_like_token(bytes: &[u8]) -> bool {
    let is_base64url = |byte: &u8| byte.is_ascii_alphanumeric() | matches!(byte, b'-' | b'_');
    // `{"` is `eyI` in base64, and `{ "` or `{` with a line's end begins with `ey` or `ew`.
    (bytes.starts_with(b"ey") || bytes.starts_with(b"ew"))
        && bytes.iter().filter(|byte| **byte == b'.').count() == 2
        // All of them, whatever comes early: the processor looks at many at once then.
        && bytes.iter().fold(true, |all, byte| all & (is_base64url(byte) | (*byte == b'.')))
}
