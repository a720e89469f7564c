//! Enrolled authorities (`identity.certificates`): whatever they signed is somebody's.

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use windrose_event::CertificateClaim;
use windrose_policy::EnrolledAuthority;

/// An authority all of whose certificates are somebody's.
#[derive(Clone, Debug)]
pub struct EnrolledCa {
    policy: EnrolledAuthority,
    /// SHA-256 of the DER of the certificates in its file.
    digests: Vec<[u8; 32]>,
}

impl EnrolledCa {
    /// Takes an authority with its file, in PEM or DER.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn read(policy: EnrolledAuthority, file: &[u8]) -> Result<Self, String> {
        let is_pem = file.windows(10).any(|bytes| bytes == b"-----BEGIN");
        let certificates = if is_pem {
            CertificateDer::pem_slice_iter(file)
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| format!("{}: is no certificate in PEM: {error}", policy.ca.display()))?
        } else {
            vec![CertificateDer::from(file)]
        };
        for certificate in &certificates {
            x509_parser::parse_x509_certificate(certificate)
                .map_err(|error| format!("{}: is no certificate: {error}", policy.ca.display()))?;
        }
        if certificates.is_empty() {
            return Err(format!("{}: has no certificate in it", policy.ca.display()));
        }
        let digests = certificates.iter().map(|der| Sha256::digest(der).into()).collect();
        Ok(Self { policy, digests })
    }

    /// What the document says of it.
    pub fn policy(&self) -> &EnrolledAuthority {
        &self.policy
    }

    /// Whether it signed the certificate, or whoever signed that.
    pub(super) fn signed(&self, claim: &CertificateClaim) -> bool {
        claim.issuers.iter().any(|issuer| self.digests.contains(issuer))
    }

    /// Whose the certificate is, as the document's pattern says. `None`: it lacks what the pattern asks for.
    pub(super) fn device(&self, claim: &CertificateClaim) -> Option<String> {
        let mut device = String::new();
        let mut rest = self.policy.device.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            device.push_str(before);
            let (name, after) = after.split_once('}')?;
            match name {
                "common_name" => device.push_str(claim.common_name.as_deref()?),
                "san" => device.push_str(claim.alternative_names.first()?),
                "serial" => {
                    let (_, serial) = claim.issued.as_ref()?;
                    for byte in serial.iter() {
                        let _ = write!(device, "{byte:02x}");
                    }
                }
                _ => return None,
            }
            rest = after;
        }
        device.push_str(rest);
        Some(device)
    }
}

#[cfg(test)]
impl EnrolledCa {
    /// One whose certificate has that digest.
    pub(super) fn of(policy: EnrolledAuthority, digest: [u8; 32]) -> Self {
        Self { policy, digests: vec![digest] }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn policy(device: &str) -> EnrolledAuthority {
        EnrolledAuthority {
            name: "maker".into(),
            ca: "maker.pem".into(),
            device: device.to_owned(),
            enrol_only: false,
            registered: false,
        }
    }

    #[test]
    fn the_pattern_names_the_device() {
        let claim = CertificateClaim {
            common_name: Some("car-7".to_owned()),
            alternative_names: vec!["urn:a".to_owned(), "urn:b".to_owned()],
            issued: Some(([0x30][..].to_vec().into(), vec![0, 0xab].into())),
            issuers: vec![[1; 32], [2; 32]],
            ..CertificateClaim::default()
        };
        let device = |pattern: &str| EnrolledCa::of(policy(pattern), [2; 32]).device(&claim);
        assert_eq!(device("{common_name}").unwrap(), "car-7");
        assert_eq!(device("x-{common_name}-{serial}").unwrap(), "x-car-7-00ab");
        assert_eq!(device("{san}").unwrap(), "urn:a");
        assert_eq!(device("{other}"), None);
        assert_eq!(device("{open"), None);
        assert!(EnrolledCa::of(policy(""), [2; 32]).signed(&claim));
        assert!(!EnrolledCa::of(policy(""), [3; 32]).signed(&claim));
        let nothing = CertificateClaim::default();
        assert_eq!(EnrolledCa::of(policy("{common_name}"), [2; 32]).device(&nothing), None);
    }

    #[test]
    fn a_file_that_is_no_certificate_is_told() {
        for file in [&b"garbage"[..], b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
        {
            assert!(EnrolledCa::read(policy(""), file).unwrap_err().starts_with("maker.pem: "));
        }
        let key = rcgen::KeyPair::generate().unwrap();
        let made = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
        assert!(EnrolledCa::read(policy(""), made.pem().as_bytes()).is_ok());
        assert!(EnrolledCa::read(policy(""), made.der()).is_ok());
    }
}
