//! Signers: an authority's certificate with the key that goes with it.

use super::time::moment;
use aws_lc_rs::digest;
use bytes::Bytes;
use rcgen::{
    CertificateParams, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
    PKCS_RSA_SHA256, PublicKeyData,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use windrose_event::Timestamp;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Certificates and keys that one file may hold.
const MOST: usize = 64;

/// A certificate that signs, and its key.
pub(super) struct Signer {
    /// What signs.
    pub(super) issuer: Issuer<'static, KeyPair>,
    /// Its certificate, in DER.
    pub(super) certificate: Bytes,
    /// SHA-256 of that.
    pub(super) fingerprint: [u8; 32],
    /// Its subject key identifier, if it has one: what signed things name it by.
    pub(super) key_identifier: Option<Vec<u8>>,
    /// Digests of its name and its key, by which OCSP names it (RFC 6960 §4.1.1).
    pub(super) digests: [(Vec<u8>, Vec<u8>); 2],
    /// Until when it is good.
    pub(super) not_after: Timestamp,
}

impl Signer {
    /// What its lists of revocation are found by: the first 8 bytes of its fingerprint, in hexadecimal.
    pub(super) fn short_name(&self) -> String {
        crate::lookup::hex(self.fingerprint.get(..8).unwrap_or_default())
    }
}

/// What the files of an authority hold.
pub(super) struct Chain {
    /// Those that sign: the first one what is new, the others what is known of what they signed before.
    pub(super) signers: Vec<Signer>,
    /// All certificates of the file, in DER: the one that signs first.
    pub(super) certificates: Vec<Bytes>,
}

/// Reads an authority: certificates and keys in PEM. Keys are found their certificates; the first certificate needs one.
///
/// # Errors
/// The sentence that says what is wrong.
pub(super) fn read(certificates: &[u8], keys: &[u8]) -> Result<Chain, String> {
    let certificates: Vec<Bytes> = CertificateDer::pem_slice_iter(certificates)
        .take(MOST + 1)
        .map(|certificate| certificate.map(|der| Bytes::copy_from_slice(&der)))
        .collect::<Result<_, _>>()
        .map_err(|error| format!("`ca.certificate` is not PEM: {error:?}"))?;
    let keys: Vec<KeyPair> = PrivateKeyDer::pem_slice_iter(keys)
        .take(MOST + 1)
        .map(|key| {
            let key = key.map_err(|error| format!("`ca.key` is not PEM: {error:?}"))?;
            KeyPair::try_from(&key).map_err(|error| {
                format!("`ca.key` holds a key that cannot sign (ECDSA P-256 or P-384, RSA or Ed25519 can): {error}")
            })
        })
        .collect::<Result<_, String>>()?;
    if keys.is_empty() {
        return Err("`ca.key` holds no private key in PEM without a pass phrase".to_owned());
    }
    if certificates.len() > MOST || keys.len() > MOST {
        return Err(format!("`ca` may name {MOST} certificates and keys, not more"));
    }
    let mut signers = Vec::new();
    for key in keys {
        let public = key.subject_public_key_info();
        let own = certificates.iter().find(|der| public_key(der).is_some_and(|its| its == public));
        // Keys of what will sign, or what signed long ago, may be there before and after their certificates.
        let Some(own) = own else { continue };
        signers.push(signer(own, key)?);
    }
    let first = certificates.first().ok_or("`ca.certificate` holds no certificate in PEM")?;
    let place = signers.iter().position(|signer| signer.certificate == *first);
    let place = place.ok_or("`ca.key` has not the key of the first certificate of `ca.certificate`")?;
    signers.swap(0, place);
    Ok(Chain { signers, certificates })
}

fn public_key(der: &[u8]) -> Option<Vec<u8>> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(certificate.public_key().raw.to_vec())
}

fn signer(der: &Bytes, key: KeyPair) -> Result<Signer, String> {
    let (_, certificate) = X509Certificate::from_der(der)
        .map_err(|error| format!("a certificate of `ca.certificate` cannot be read: {error}"))?;
    let name = certificate.subject().to_string();
    if !certificate.is_ca() {
        return Err(format!(
            "`ca.certificate` of {name} is no authority's: it may not sign others (CA:TRUE)"
        ));
    }
    if let Ok(Some(usage)) = certificate.key_usage()
        && !usage.value.key_cert_sign()
    {
        return Err(format!("`ca.certificate` of {name} may not sign others: keyCertSign is missing"));
    }
    if algorithm(&key).is_none() {
        return Err(format!("the key of {name} cannot be used: ECDSA P-256 or P-384, RSA or Ed25519 can"));
    }
    let key_identifier =
        certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(identifier) => Some(identifier.0.to_vec()),
            _ => None,
        });
    let issuer = Issuer::from_ca_cert_der(&CertificateDer::from(der.as_ref()), key)
        .map_err(|error| format!("the certificate of {name} cannot be used: {error}"))?;
    // Names can be written in more ways than the library keeps apart: what is signed must name its signer byte for byte.
    let sample = CertificateParams::default()
        .signed_by(issuer.key(), &issuer)
        .map_err(|error| format!("{name} cannot sign: {error}"))?;
    let (_, sample) = X509Certificate::from_der(sample.der()).map_err(|error| error.to_string())?;
    if sample.issuer().as_raw() != certificate.subject().as_raw() {
        return Err(format!("the name {name} is written in a way that cannot be repeated in what it signs"));
    }
    let digests = [&digest::SHA1_FOR_LEGACY_USE_ONLY, &digest::SHA256].map(|algorithm| {
        let of = |bytes: &[u8]| digest::digest(algorithm, bytes).as_ref().to_vec();
        (of(certificate.subject().as_raw()), of(&certificate.public_key().subject_public_key.data))
    });
    Ok(Signer {
        issuer,
        certificate: der.clone(),
        fingerprint: Sha256::digest(der).into(),
        key_identifier,
        digests,
        not_after: moment(certificate.validity().not_after.timestamp()),
    })
}

/// The identifier of a key's signature algorithm, and whether it is followed by NULL (RFC 5758, RFC 8410, RFC 4055).
pub(super) fn algorithm(key: &KeyPair) -> Option<(&'static [u64], bool)> {
    let algorithm = key.algorithm();
    if algorithm == &PKCS_ECDSA_P256_SHA256 {
        Some((&[1, 2, 840, 10045, 4, 3, 2], false))
    } else if algorithm == &PKCS_ECDSA_P384_SHA384 {
        Some((&[1, 2, 840, 10045, 4, 3, 3], false))
    } else if algorithm == &PKCS_ED25519 {
        Some((&[1, 3, 101, 112], false))
    } else if algorithm == &PKCS_RSA_SHA256 {
        Some((&[1, 2, 840, 113_549, 1, 1, 11], true))
    } else {
        None
    }
}
