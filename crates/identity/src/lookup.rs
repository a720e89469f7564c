//! What a credential is found by.

use sha2::{Digest, Sha256};

/// What a credential is found by: one thing that a peer shows, or a digest of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Lookup {
    /// A user name, with a password.
    Username(String),
    /// A user name, with SCRAM.
    Scram(String),
    /// A certificate's subject as RFC 4514 text, made comparable.
    Subject(String),
    /// The common name of a certificate's subject.
    CommonName(String),
    /// One of a certificate's alternative names.
    AlternativeName(String),
    /// SHA-256 of a certificate's DER.
    Fingerprint([u8; 32]),
    /// The identity of a pre-shared key.
    Psk(Vec<u8>),
    /// SHA-256 of an API key.
    ApiKey([u8; 32]),
    /// SHA-256 of a one-time code.
    Code([u8; 32]),
}

impl Lookup {
    /// A subject's; how it is spaced makes no difference.
    pub fn subject(text: &str) -> Self {
        Self::Subject(crate::distinguished::comparable(text))
    }

    /// An API key's.
    pub fn api_key(key: &[u8]) -> Self {
        Self::ApiKey(Sha256::digest(key).into())
    }

    /// A one-time code's, however it was typed.
    pub fn code(code: &[u8]) -> Self {
        Self::Code(match crate::code::normal(code) {
            Some(normal) => Sha256::digest(normal).into(),
            None => Sha256::digest(code).into(),
        })
    }

    /// As text, unique over all kinds: what the database's index is over.
    pub fn text(&self) -> String {
        match self {
            Self::Username(name) => format!("user:{name}"),
            Self::Scram(name) => format!("scram:{name}"),
            Self::Subject(subject) => format!("subject:{subject}"),
            Self::CommonName(name) => format!("cn:{name}"),
            Self::AlternativeName(name) => format!("san:{name}"),
            Self::Fingerprint(digest) => format!("sha256:{}", hex(digest)),
            Self::Psk(identity) => format!("psk:{}", hex(identity)),
            Self::ApiKey(digest) => format!("key:{}", hex(digest)),
            Self::Code(digest) => format!("code:{}", hex(digest)),
        }
    }
}

/// In hexadecimal, in lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
