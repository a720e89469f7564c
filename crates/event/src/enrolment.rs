//! Enrolment: a thing makes a key of its own and gets a certificate for it (RFC 7030; over CoAP RFC 9148).

use crate::{Identity, Pending};
use bytes::Bytes;

/// What a thing asks of the authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnrolRequest {
    /// The authorities' own certificates (RFC 7030 §4.1). Anybody may know them.
    Authorities,
    /// What a request for a certificate should hold (RFC 7030 §4.5). Anybody may know it.
    Attributes,
    /// A certificate (RFC 7030 §4.2).
    Certificate {
        /// The request, PKCS #10 in DER (RFC 2986).
        request: Bytes,
        /// Whether it is to take the place of the certificate that the thing came with (RFC 7030 §4.2.2).
        renew: bool,
    },
}

/// What the authority answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Enrolled {
    /// Certificates in DER, the one that signs first, the root last.
    Authorities(Vec<Bytes>),
    /// `CsrAttrs` in DER (RFC 7030 §4.5.2).
    Attributes(Bytes),
    /// A certificate in DER.
    Certificate(Bytes),
}

/// Why there is no certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolRefusal {
    /// The class of reason, which decides the protocol's code.
    pub cause: EnrolCause,
    /// What the peer may know: nothing that helps an attacker.
    pub reason: &'static str,
    /// For the operator's log.
    pub detail: String,
}

/// The classes of reasons for not giving out a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EnrolCause {
    /// The request is none, or asks for what is never given: a weak key, a signature that does not fit.
    BadRequest,
    /// It is not for whoever asks: another name, a code that was used, a certificate that does not renew.
    NotAllowed,
    /// The document names no authority.
    NoAuthority,
    /// The registry cannot be asked just now.
    Unavailable,
}

impl EnrolCause {
    /// The cause's name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::NotAllowed => "not_allowed",
            Self::NoAuthority => "no_authority",
            Self::Unavailable => "unavailable",
        }
    }
}

/// The authority that things enrol with.
pub trait Enrolment: Send + Sync {
    /// Answers a request of somebody who is known, and whom a rule allows to enrol.
    fn enrol(&self, by: &Identity, request: EnrolRequest) -> Pending<Result<Enrolled, EnrolRefusal>>;

    /// The signed list of what the authority has revoked, in DER (RFC 5280 §5), if there is an authority. `issuer`: of which of
    /// the certificates that it signs with, by the first 8 bytes of its SHA-256 in hexadecimal; empty: of the newest.
    fn revocations(&self, issuer: &str) -> Pending<Option<Bytes>> {
        let _ = issuer;
        Box::pin(std::future::ready(None))
    }

    /// Answers a question about one of the authority's certificates (OCSP, RFC 6960 §2): DER to DER.
    fn status(&self, request: Bytes) -> Pending<Option<Bytes>> {
        let _ = request;
        Box::pin(std::future::ready(None))
    }
}

/// Where the document names no authority.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAuthority;

impl Enrolment for NoAuthority {
    fn enrol(&self, _: &Identity, _: EnrolRequest) -> Pending<Result<Enrolled, EnrolRefusal>> {
        Box::pin(std::future::ready(Err(EnrolRefusal {
            cause: EnrolCause::NoAuthority,
            reason: "there is no authority here",
            detail: "the document names no authority: add `ca`".to_owned(),
        })))
    }
}
