//! Anchors: the authorities that somebody trusts, and which of them stand above a certificate that was verified.
//!
//! What verifies a chain does not say which certificates it took. Here that is found again: by names where only one
//! certificate fits, by signatures where several do (RFC 5280 §6).

use crate::signature::is_signed_by;
use bytes::Bytes;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

/// The most certificates above one.
const MOST: usize = 8;

/// Authorities' certificates.
#[derive(Clone, Debug, Default)]
pub struct Anchors(Vec<Anchor>);

/// A certificate above another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Above {
    /// SHA-256 of its DER.
    pub digest: [u8; 32],
    /// Its DER.
    pub der: Bytes,
}

#[derive(Clone, Debug)]
struct Anchor {
    /// Its subject, in DER.
    subject: Bytes,
    /// Itself, and what stands above it among the anchors.
    path: Vec<Above>,
}

impl Above {
    /// Of a certificate's DER.
    pub fn new(der: impl Into<Bytes>) -> Self {
        let der = der.into();
        Self { digest: Sha256::digest(&der).into(), der }
    }
}

impl Anchors {
    /// Reads a file of authorities: certificates as PEM, or one as DER.
    pub fn read(file: &[u8]) -> Result<Self, String> {
        if X509Certificate::from_der(file).is_ok() {
            return Ok(Self::new([Bytes::copy_from_slice(file)]));
        }
        let all = CertificateDer::pem_slice_iter(file).collect::<Result<Vec<_>, _>>();
        let all = all.map_err(|error| format!("is not PEM: {error}"))?;
        Ok(Self::new(all.iter().map(|der| Bytes::copy_from_slice(der))))
    }

    /// Of their DER. What is no certificate is left out, and what is there twice.
    pub fn new(ders: impl IntoIterator<Item = Bytes>) -> Self {
        let mut all: Vec<Above> = Vec::new();
        for above in ders.into_iter().map(Above::new) {
            if !all.contains(&above) {
                all.push(above);
            }
        }
        let parsed: Vec<(&Above, X509Certificate<'_>)> = all
            .iter()
            .filter_map(|above| Some((above, X509Certificate::from_der(&above.der).ok()?.1)))
            .collect();
        let anchors = parsed.iter().map(|(above, certificate)| {
            let mut path = vec![(*above).clone()];
            let mut child = certificate;
            // One that signed itself is the last.
            while path.len() < MOST && child.issuer().as_raw() != child.subject().as_raw() {
                let parent = parsed.iter().find(|(above, parent)| {
                    parent.subject().as_raw() == child.issuer().as_raw()
                        && !path.contains(above)
                        && is_signed_by(child, parent)
                });
                let Some((above, parent)) = parent else { break };
                path.push((*above).clone());
                child = parent;
            }
            Anchor { subject: Bytes::copy_from_slice(certificate.subject().as_raw()), path }
        });
        Self(anchors.collect())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Above> {
        self.0.iter().filter_map(|anchor| anchor.path.first())
    }

    /// What stands above a certificate that was verified against these, the one that signed it first; `sent` came with it.
    pub fn above<'a>(
        &self,
        certificate: &X509Certificate<'_>,
        sent: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Vec<Above> {
        let mut path = Vec::new();
        self.climb(certificate, sent, &mut path);
        path
    }

    fn climb<'a>(
        &self,
        child: &X509Certificate<'_>,
        sent: impl Iterator<Item = &'a [u8]> + Clone,
        path: &mut Vec<Above>,
    ) {
        if path.len() >= MOST {
            return;
        }
        let issuer = child.issuer().as_raw();
        let ours: Vec<&Anchor> = self.0.iter().filter(|anchor| anchor.subject == issuer).collect();
        let is_ours = |der: &[u8]| self.iter().any(|above| above.der == der);
        let theirs: Vec<(&[u8], X509Certificate<'_>)> = sent
            .clone()
            .take(MOST)
            .filter_map(|der| Some((der, X509Certificate::from_der(der).ok()?.1)))
            .filter(|(der, parent)| parent.subject().as_raw() == issuer && parent.is_ca() && !is_ours(der))
            .collect();
        let is_only = ours.len() + theirs.len() == 1;
        let anchor = ours.into_iter().find(|anchor| is_only || anchor.signed(child));
        if let Some(anchor) = anchor {
            path.extend(anchor.path.iter().take(MOST - path.len()).cloned());
            return;
        }
        let parent = theirs.into_iter().find(|(_, parent)| is_only || is_signed_by(child, parent));
        if let Some((der, parent)) = parent
            && !path.iter().any(|above| above.der == der)
        {
            path.push(Above::new(Bytes::copy_from_slice(der)));
            self.climb(&parent, sent, path);
        }
    }
}

impl Anchor {
    fn signed(&self, child: &X509Certificate<'_>) -> bool {
        let parsed = self.path.first().and_then(|above| X509Certificate::from_der(&above.der).ok());
        parsed.is_some_and(|(_, parent)| is_signed_by(child, &parent))
    }
}

#[cfg(test)]
mod tests;
