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

    /// A certificate's, from a file in PEM (the first one in it) or DER.
    pub fn certificate(file: &[u8]) -> Option<Self> {
        use rustls_pki_types::CertificateDer;
        use rustls_pki_types::pem::PemObject;
        let der = match CertificateDer::from_pem_slice(file) {
            Ok(der) => der,
            Err(_) => CertificateDer::from(file),
        };
        let (rest, _) = x509_parser::parse_x509_certificate(&der).ok()?;
        rest.is_empty().then(|| Self::Fingerprint(Sha256::digest(&der).into()))
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

    /// Reads what [`Lookup::text`] writes.
    pub fn read(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        let digest = || <[u8; 32]>::try_from(unhex(rest)?).ok();
        Some(match kind {
            "user" => Self::Username(rest.to_owned()),
            "scram" => Self::Scram(rest.to_owned()),
            "subject" => Self::Subject(rest.to_owned()),
            "cn" => Self::CommonName(rest.to_owned()),
            "san" => Self::AlternativeName(rest.to_owned()),
            "sha256" => Self::Fingerprint(digest()?),
            "psk" => Self::Psk(unhex(rest)?),
            "key" => Self::ApiKey(digest()?),
            "code" => Self::Code(digest()?),
            _ => return None,
        })
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?));
    rest.is_empty().then(|| bytes.collect()).flatten()
}

/// In hexadecimal, in lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
