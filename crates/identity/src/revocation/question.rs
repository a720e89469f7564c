//! What is asked about one certificate, for who asks by other ways than [`Fetch`](crate::Fetch).

use super::ocsp::{self, CertificateId, Status};
use bytes::Bytes;
use windrose_event::Timestamp;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The whole answer of a responder that is not responsible (RFC 6960 §2.3).
const UNAUTHORIZED: [u8; 5] = [0x30, 3, 10, 1, 6];

/// A question whether a certificate was revoked (RFC 6960 §4.1).
#[derive(Clone, Debug)]
pub struct StatusQuestion {
    id: CertificateId,
    issuer: Bytes,
}

impl StatusQuestion {
    /// About a certificate, in DER, that the owner of `issuer` signed. `None`: they do not go together.
    pub fn new(certificate: &[u8], issuer: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let (_, parsed) = X509Certificate::from_der(issuer).ok()?;
        let fits = certificate.issuer().as_raw() == parsed.subject().as_raw();
        let id = fits.then(|| CertificateId::new(&parsed, certificate.raw_serial()))?;
        Some(Self { id, issuer: Bytes::copy_from_slice(issuer) })
    }

    /// The question, in DER.
    pub fn request(&self) -> Bytes {
        self.id.request().into()
    }

    /// From when and until when an answer says that the certificate is good; `None`: whoever answers is not responsible for it.
    /// The error is a sentence.
    pub fn good(
        &self,
        answer: &[u8],
        now: Timestamp,
    ) -> Result<Option<(Timestamp, Option<Timestamp>)>, String> {
        if answer == UNAUTHORIZED {
            return Ok(None);
        }
        let (_, issuer) =
            X509Certificate::from_der(&self.issuer).map_err(|error| format!("the issuer: {error}"))?;
        let response = ocsp::read(answer, &self.id, &issuer, now)?;
        match response.status {
            Status::Good => Ok(Some((response.this_update, response.next_update))),
            Status::Revoked => Err("it was revoked".to_owned()),
            Status::Unknown => Err("its authority does not know it".to_owned()),
        }
    }
}
