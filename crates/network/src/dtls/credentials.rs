//! What a listener proves itself with, and how it knows who the others are.

use super::message::{Alert, Failure};
use aws_lc_rs::signature as lc;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::{CertifiedKey, Signer};
use rustls::{CertificateError, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use windrose_event::{CertificateClaim, Secret, Timestamp};
use windrose_identity::{Above, Anchors};
use x509_parser::prelude::{FromDer, X509Certificate};

/// What a listener of DTLS has: asked anew by each handshake, so that a reload takes effect with the next one.
pub trait Credentials: Send + Sync {
    /// The pre-shared key of an identity, if that takes no wait; `None`: the driver is [asked](super::Output::Key).
    fn psk(&self, identity: &[u8]) -> Option<Option<Secret>>;

    /// The certificates. `None`: clients come with pre-shared keys only.
    fn profile(&self) -> Option<Arc<Profile>>;
}

/// Certificates between clients' and authorities that are remembered.
const MOST_INTERMEDIATES: usize = 64;

/// A server's certificates, each with the names that it is for.
pub type NamedCertificates = Vec<(Vec<String>, Arc<CertifiedKey>)>;

/// What a listener does with certificates.
#[derive(Debug)]
pub struct Profile {
    /// Its own; those that are not of ECDSA are left out.
    certificates: NamedCertificates,
    /// Verifies clients' certificates, if they are asked for any.
    clients: Option<Arc<dyn ClientCertVerifier>>,
    /// What they are verified against.
    authorities: Arc<Anchors>,
    /// Others that were found above clients' certificates: tickets name them.
    intermediates: Mutex<Vec<Above>>,
    /// Whether a client has to have one.
    required: bool,
    /// Stands for both in tickets.
    trust: [u8; 32],
}

/// The signature schemes that are spoken, by preference. Clients may have certificates of RSA, servers of ours may not: its
/// signatures take long, and constrained things do not speak it.
const SCHEMES: [(SignatureScheme, &dyn lc::VerificationAlgorithm); 4] = [
    (SignatureScheme::ECDSA_NISTP256_SHA256, &lc::ECDSA_P256_SHA256_ASN1),
    (SignatureScheme::ECDSA_NISTP384_SHA384, &lc::ECDSA_P384_SHA384_ASN1),
    (SignatureScheme::RSA_PSS_SHA256, &lc::RSA_PSS_2048_8192_SHA256),
    (SignatureScheme::RSA_PKCS1_SHA256, &lc::RSA_PKCS1_2048_8192_SHA256),
];

/// The schemes that a client may sign with, as a CertificateRequest lists them.
pub(super) fn client_schemes() -> impl Iterator<Item = u16> {
    SCHEMES.iter().map(|(scheme, _)| u16::from(*scheme))
}

impl Profile {
    /// From a server's certificates, what verifies those of clients, and against which authorities, whether a client has to
    /// have one, and what changes whenever any of these does.
    pub fn new(
        certificates: NamedCertificates,
        clients: Option<Arc<dyn ClientCertVerifier>>,
        authorities: Arc<Anchors>,
        required: bool,
        trust: [u8; 32],
    ) -> Self {
        let ours: Vec<SignatureScheme> = SCHEMES.iter().take(2).map(|(scheme, _)| *scheme).collect();
        let mut certificates = certificates;
        certificates.retain(|(_, certified)| certified.key.choose_scheme(&ours).is_some());
        Self { certificates, clients, authorities, intermediates: Mutex::default(), required, trust }
    }

    /// Whether there is a certificate that DTLS can use.
    pub fn has_certificate(&self) -> bool {
        !self.certificates.is_empty()
    }

    /// What a ticket relies on.
    pub(super) fn trust(&self) -> &[u8; 32] {
        &self.trust
    }

    /// What a client's chain says of it, once it is verified. What stands above it can be [found](Self::find_above) from now on.
    pub(super) fn claim(&self, chain: &[CertificateDer<'static>]) -> Option<CertificateClaim> {
        let claim = crate::tls::chain_claim(chain, &self.authorities)?;
        for (digest, der) in claim.issuers.iter().zip(&claim.chain) {
            if self.authorities.iter().all(|above| above.digest != *digest) {
                let mut known = self.intermediates.lock().unwrap_or_else(PoisonError::into_inner);
                if known.iter().all(|above| above.digest != *digest) {
                    if known.len() >= MOST_INTERMEDIATES {
                        known.remove(0);
                    }
                    known.push(Above { digest: *digest, der: der.clone() });
                }
            }
        }
        Some(claim)
    }

    /// The certificates that a ticket names, if all of them are known.
    pub(super) fn find_above(&self, digests: &[[u8; 32]]) -> Option<Vec<Above>> {
        let others = self.intermediates.lock().unwrap_or_else(PoisonError::into_inner);
        let find = |digest: &[u8; 32]| {
            self.authorities.iter().chain(&*others).find(|above| above.digest == *digest).cloned()
        };
        digests.iter().map(find).collect()
    }

    /// Whether clients are asked for certificates.
    pub(super) fn asks_clients(&self) -> bool {
        self.clients.is_some()
    }

    /// Whether a client without one is turned away.
    pub(super) fn requires_certificate(&self) -> bool {
        self.clients.is_some() && self.required
    }

    /// The certificate for a client that asks for a name and takes these signatures, and what signs for it.
    pub(super) fn choose(
        &self,
        asked: Option<&[u8]>,
        offered: &[SignatureScheme],
    ) -> Option<(Arc<CertifiedKey>, Box<dyn Signer>)> {
        let asked = asked.and_then(|asked| std::str::from_utf8(asked).ok());
        let usable = |(_, certified): &&(Vec<String>, Arc<CertifiedKey>)| {
            certified.key.choose_scheme(offered).is_some()
        };
        let named = asked.and_then(|asked| {
            self.certificates
                .iter()
                .filter(usable)
                .find(|(names, _)| names.iter().any(|name| crate::tls::covers(name, asked)))
        });
        let (_, certified) = named.or_else(|| self.certificates.iter().find(usable))?;
        Some((Arc::clone(certified), certified.key.choose_scheme(offered)?))
    }

    /// Whether a client's chain leads to an authority that we trust, now.
    pub(super) fn verify_chain(
        &self,
        chain: &[CertificateDer<'static>],
        now: Timestamp,
    ) -> Result<(), Failure> {
        let (Some(clients), Some((leaf, rest))) = (&self.clients, chain.split_first()) else {
            return Err(Failure::new(
                Alert::UNEXPECTED_MESSAGE,
                "unexpected_message",
                "nobody asked for a certificate",
            ));
        };
        let now = UnixTime::since_unix_epoch(Duration::from_micros(now.as_micros()));
        clients.verify_client_cert(leaf, rest, now).map(drop).map_err(|error| {
            let alert = match &error {
                rustls::Error::InvalidCertificate(why) => match why {
                    CertificateError::Expired
                    | CertificateError::ExpiredContext { .. }
                    | CertificateError::NotValidYet
                    | CertificateError::NotValidYetContext { .. } => Alert::CERTIFICATE_EXPIRED,
                    CertificateError::UnknownIssuer => Alert::UNKNOWN_CA,
                    CertificateError::Revoked => Alert::CERTIFICATE_REVOKED,
                    _ => Alert::BAD_CERTIFICATE,
                },
                _ => Alert::BAD_CERTIFICATE,
            };
            Failure::new(
                alert,
                "bad_certificate",
                format!("its certificate is refused: {error}; it is of {}", crate::tls::whose(leaf)),
            )
        })
    }
}

/// Whether the owner of a certificate signed `message` (RFC 5246 §7.4.8).
pub(super) fn verify_signature(
    certificate: &CertificateDer<'_>,
    scheme: u16,
    message: &[u8],
    signature: &[u8],
) -> Result<(), Failure> {
    let wrong = |detail: &str| Failure::new(Alert::DECRYPT_ERROR, "bad_certificate", detail);
    let (_, parsed) =
        X509Certificate::from_der(certificate).map_err(|_| wrong("its certificate cannot be read"))?;
    let algorithm = SCHEMES.iter().find(|(known, _)| u16::from(*known) == scheme);
    let (_, algorithm) = algorithm.ok_or_else(|| {
        Failure::new(
            Alert::ILLEGAL_PARAMETER,
            "bad_certificate",
            format!("it signs with scheme {scheme:#06x}, which was not offered"),
        )
    })?;
    let key = lc::UnparsedPublicKey::new(*algorithm, &parsed.public_key().subject_public_key.data);
    key.verify(message, signature).map_err(|_| wrong("it does not have the key of its certificate"))
}
