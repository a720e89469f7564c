//! One issuer: whether a token is its, and good, and whom it speaks for.

use super::claims;
use super::jws::{Jws, quoted};
use super::keys::{Key, KeySet};
use super::remote::RemoteKeys;
use crate::{Fetchers, Vouched};
use jsonwebtoken::Algorithm;
use std::io;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use windrose_event::Timestamp;
use windrose_policy::{KeySource, TokenIssuer};

/// An issuer of the document.
pub(super) struct Issuer {
    pub(super) policy: TokenIssuer,
    algorithms: Vec<Algorithm>,
    keys: Keys,
    /// The file of authorities that the server of the keys is known by, as it was read.
    authorities: Option<Vec<u8>>,
}

enum Keys {
    /// From a file.
    Read(KeySet),
    /// From a URL.
    Remote(Arc<RemoteKeys>),
}

/// What one issuer says of a token.
pub(super) enum Verdict {
    /// It is its, and good.
    Good(Arc<Vouched>, Arc<Key>),
    /// It is not: why, to follow "the token ".
    Bad(String),
    /// Its keys cannot be had.
    Unavailable(String),
    /// Its keys are on their way.
    Wait(watch::Receiver<u64>),
}

impl Issuer {
    /// Takes an issuer with its keys. Those that it had `before`, too, stay the same.
    pub(super) fn open(
        policy: &TokenIssuer,
        stale: Duration,
        fetchers: &Fetchers,
        read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
        before: Option<&Arc<Issuer>>,
    ) -> Result<Arc<Self>, String> {
        let failed = |problem: String| format!("identity.tokens: {}: {problem}", policy.name);
        let in_file = |path: &Path, problem: String| failed(format!("{}: {problem}", path.display()));
        let read =
            |path: &Path| read(path).map_err(|error| in_file(path, format!("cannot be read: {error}")));
        let authorities = policy.ca.as_deref().map(read).transpose()?;
        let keys = match &policy.keys {
            KeySource::Url(url) => {
                // The same URL keeps its keys, whatever else is said of the issuer now: it may be away at this moment.
                let is_same = |before: &&Arc<Issuer>| {
                    before.policy.keys == policy.keys && before.authorities == authorities
                };
                match before.filter(is_same).map(|before| &before.keys) {
                    Some(Keys::Remote(remote)) => Keys::Remote(Arc::clone(remote)),
                    _ => {
                        let fetch = fetchers(policy.ca.as_deref()).map_err(failed)?;
                        let keys = RemoteKeys::new(Arc::clone(&policy.name), Arc::clone(url), fetch, stale);
                        keys.ask_first();
                        Keys::Remote(keys)
                    }
                }
            }
            KeySource::File(path) => {
                let bytes = read(path)?;
                let known = before.and_then(|before| match &before.keys {
                    Keys::Read(keys) => Some(keys),
                    Keys::Remote(_) => None,
                });
                Keys::Read(KeySet::read(&bytes, known).map_err(|problem| in_file(path, problem))?)
            }
        };
        let algorithms = policy.algorithms.iter().filter_map(|name| Algorithm::from_str(name).ok()).collect();
        Ok(Arc::new(Self { policy: policy.clone(), algorithms, keys, authorities }))
    }

    /// Looks at a token. `ask`: whether keys that are missing are asked for.
    pub(super) fn verify(&self, token: &Jws<'_>, now: Timestamp, ask: bool) -> Verdict {
        // What costs nothing comes first: only what could be good is worth looking for its key.
        if !self.algorithms.contains(&token.algorithm) {
            return Verdict::Bad(format!(
                "is signed by {:?}, which 'algorithms' does not list",
                token.algorithm
            ));
        }
        let until = match claims::check(&self.policy, &token.claims, now) {
            Ok(until) => until,
            Err(problem) => return Verdict::Bad(problem),
        };
        let found = match &self.keys {
            Keys::Read(keys) => Some(signer(keys, token)),
            Keys::Remote(remote) => remote.with(|keys| signer(keys, token)),
        };
        match (found, &self.keys) {
            (Some(Signer::Is(key)), _) => match claims::vouch(&self.policy, &token.claims, until) {
                Ok(vouched) => Verdict::Good(Arc::new(vouched), key),
                Err(problem) => Verdict::Bad(problem),
            },
            (Some(Signer::Other), _) => {
                Verdict::Bad("has a signature that no key of the issuer made".to_owned())
            }
            (Some(Signer::Missing), Keys::Remote(remote)) if ask => match remote.ask_missing() {
                Some(answers) => Verdict::Wait(answers),
                None => Verdict::Bad(missing(token)),
            },
            (Some(Signer::Missing), _) => Verdict::Bad(missing(token)),
            (None, Keys::Remote(remote)) if ask => match remote.ask_missing() {
                Some(answers) => Verdict::Wait(answers),
                None => Verdict::Unavailable(remote.problem()),
            },
            (None, Keys::Remote(remote)) => Verdict::Unavailable(remote.problem()),
            (None, Keys::Read(_)) => Verdict::Bad(missing(token)),
        }
    }
}

/// Who signed a token.
enum Signer {
    Is(Arc<Key>),
    /// None of the keys that could have.
    Other,
    /// There is no key that could have.
    Missing,
}

fn signer(keys: &KeySet, token: &Jws<'_>) -> Signer {
    let mut tried = false;
    for key in keys.candidates(token.kid.as_deref(), token.algorithm) {
        tried = true;
        if key.verifies(token.algorithm, token.signed, token.signature) {
            return Signer::Is(Arc::clone(key));
        }
    }
    if tried { Signer::Other } else { Signer::Missing }
}

fn missing(token: &Jws<'_>) -> String {
    let algorithm = token.algorithm;
    match &token.kid {
        Some(kid) => format!(
            "is signed with the key {}, and the issuer has none of that name for {algorithm:?}",
            quoted(kid)
        ),
        None => format!("names no key, and the issuer has none for {algorithm:?}"),
    }
}
