//! Clients' certificates: what is looked at beyond the chain, for TLS and DTLS alike.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};
use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The most alternative names of a device: each may be looked for in the registry.
const MOST_NAMES: usize = 32;
/// The longest name that a device may be known by.
const LONGEST_NAME: usize = 1024;

/// Verifies chains as webpki does, and then whether what the certificate says can be worked with.
#[derive(Debug)]
pub(super) struct Clients(pub(super) Arc<dyn ClientCertVerifier>);

/// Why a certificate cannot be worked with.
enum Unusable {
    Unreadable,
    NamesUnreadable,
    ManyNames,
    LongName,
    BadName,
    NoSignatures,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable => f.write_str("it cannot be read"),
            Self::NamesUnreadable => f.write_str("its alternative names cannot be read"),
            Self::ManyNames => write!(f, "it has more than {MOST_NAMES} alternative names"),
            Self::LongName => write!(f, "it has a name of more than {LONGEST_NAME} bytes"),
            Self::BadName => f.write_str("it has a name with control characters in it"),
            Self::NoSignatures => f.write_str("its key usage does not allow signatures"),
        }
    }
}

/// As rustls tells it to the log.
impl fmt::Debug for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Unusable {}

thread_local! {
    /// Whose certificate was refused last: what rustls says of a failed handshake does not name it.
    static REFUSED: Cell<Option<String>> = const { Cell::new(None) };
}

/// Whose certificate was refused on this thread since the last time.
pub(super) fn take_refused() -> Option<String> {
    REFUSED.take()
}

/// A certificate for the log, which it must not fill.
pub(crate) fn whose(der: &[u8]) -> String {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return "somebody".to_owned() };
    let name = |name: String| name.escape_debug().take(200).collect::<String>();
    let (subject, issuer) = (certificate.subject().to_string(), certificate.issuer().to_string());
    format!("\"{}\", issued by \"{}\"", name(subject), name(issuer))
}

fn check(der: &[u8]) -> Result<(), Unusable> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| Unusable::Unreadable)?;
    // What a client proves with its key is a signature (RFC 5280 §4.2.1.3).
    let usage = certificate.key_usage().map_err(|_| Unusable::Unreadable)?;
    if usage.is_some_and(|usage| !usage.value.digital_signature()) {
        return Err(Unusable::NoSignatures);
    }
    for part in certificate.subject().iter_attributes() {
        check_name(part.attr_value().data)?;
    }
    let names = certificate.subject_alternative_name().map_err(|_| Unusable::NamesUnreadable)?;
    let names = names.map(|names| &names.value.general_names[..]).unwrap_or_default();
    if names.len() > MOST_NAMES {
        return Err(Unusable::ManyNames);
    }
    names.iter().try_for_each(|name| match name {
        GeneralName::DNSName(name) | GeneralName::URI(name) | GeneralName::RFC822Name(name) => {
            check_name(name.as_bytes())
        }
        _ => Ok(()),
    })
}

/// A name that somebody else reads to another end (a NUL), or that makes a log lie (a line's end), is nobody's.
fn check_name(name: &[u8]) -> Result<(), Unusable> {
    if name.len() > LONGEST_NAME {
        return Err(Unusable::LongName);
    }
    if name.iter().any(u8::is_ascii_control) {
        return Err(Unusable::BadName);
    }
    Ok(())
}

impl ClientCertVerifier for Clients {
    fn offer_client_auth(&self) -> bool {
        self.0.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let checked = self.0.verify_client_cert(leaf, rest, now).and_then(|verified| match check(leaf) {
            Ok(()) => Ok(verified),
            Err(why) => Err(Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(why))))),
        });
        if checked.is_err() {
            REFUSED.set(Some(whose(leaf)));
        }
        checked
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
