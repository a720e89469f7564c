//! JSON Web Tokens (RFC 7519): whom their issuers vouch for.

use crate::{Fetchers, Vouched};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use windrose_event::{Pending, Refusal, RefusalCause, Secret, Timestamp};
use windrose_policy::IdentityPolicy;

/// The issuers of `identity.tokens`. Clones share everything.
#[derive(Clone, Default)]
pub struct Issuers;

impl Issuers {
    /// Takes the document's issuers, with their files. What `before` knows and is still good is kept. The errors are
    /// sentences for the operator.
    pub fn open(
        policy: &IdentityPolicy,
        fetchers: &Fetchers,
        read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
        before: Option<&Issuers>,
    ) -> Result<Self, Vec<String>> {
        let _ = (policy, fetchers, read, before);
        Ok(Self)
    }

    /// Whether the document names no issuer.
    pub fn is_empty(&self) -> bool {
        true
    }

    /// The files of keys and authorities: when one changes, they are to be opened again.
    pub fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Whom a token speaks for, if that takes no question elsewhere; `None` sends it to [`Issuers::verify`].
    pub fn verify_at_once(&self, token: &[u8], now: Timestamp) -> Option<Result<Arc<Vouched>, Refusal>> {
        let _ = (token, now);
        Some(Err(Refusal {
            cause: RefusalCause::BadCredentials,
            detail: "it brought a token, and identity.tokens names no issuer".to_owned(),
        }))
    }

    /// Whom a token speaks for, however long it takes to get its issuer's keys.
    pub fn verify(&self, token: Secret, now: Timestamp) -> Pending<Result<Arc<Vouched>, Refusal>> {
        let verdict = self.verify_at_once(token.reveal(), now);
        Box::pin(std::future::ready(verdict.unwrap_or_else(|| {
            Err(Refusal { cause: RefusalCause::Unavailable, detail: "the issuer has no keys".to_owned() })
        })))
    }
}

/// Whether bytes have the shape of a signed token (RFC 7515 §3.1): three parts of base64url, the first one a JSON object.
pub fn looks_like_token(bytes: &[u8]) -> bool {
    let is_base64url = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    // `{"` is `eyI` in base64, and `{ "` or `{` with a line's end begins with `ey` or `ew`.
    (bytes.starts_with(b"ey") || bytes.starts_with(b"ew"))
        && bytes.iter().filter(|byte| **byte == b'.').count() == 2
        && bytes.iter().all(|byte| is_base64url(byte) || *byte == b'.')
}
