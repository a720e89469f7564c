//! What a client's certificate says of it.

use bytes::Bytes;
use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use windrose_event::{CertificateClaim, Timestamp};
use windrose_identity::{Above, Anchors};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::oid_registry::OID_PKIX_ACCESS_DESCRIPTOR_OCSP;
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

/// Reads a certificate that was verified elsewhere: what stands above it is not known. `None` if it cannot be read.
pub fn certificate_claim(der: &[u8]) -> Option<CertificateClaim> {
    read(der, |_| Vec::new())
}

/// Reads the first of a chain of certificates that TLS has verified against these authorities. The same chain gives the same
/// claim, in a resumed session, too.
pub(crate) fn chain_claim(chain: &[CertificateDer<'_>], authorities: &Anchors) -> Option<CertificateClaim> {
    let (leaf, rest) = chain.split_first()?;
    read(leaf, |leaf| authorities.above(leaf, rest.iter().map(AsRef::as_ref)))
}

/// Reads a certificate that these verified.
pub(crate) fn resumed_claim(der: &[u8], above: Vec<Above>) -> Option<CertificateClaim> {
    read(der, |_| above)
}

fn read(der: &[u8], above: impl FnOnce(&X509Certificate<'_>) -> Vec<Above>) -> Option<CertificateClaim> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let above = above(&certificate);
    let subject = certificate.subject();
    let common_name =
        subject.iter_common_name().next().and_then(|name| name.as_str().ok()).map(str::to_owned);
    Some(CertificateClaim {
        subject: rfc4514(subject),
        common_name,
        alternative_names: names(&certificate, true),
        fingerprint: Some(Sha256::digest(der).into()),
        issued: Some((copied(certificate.issuer().as_raw()), copied(certificate.raw_serial()))),
        issuers: above.iter().map(|above| above.digest).collect(),
        chain: above.into_iter().map(|above| above.der).collect(),
        responder: responder(&certificate),
        not_before: moment(certificate.validity().not_before),
        not_after: moment(certificate.validity().not_after),
    })
}

fn copied(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

fn moment(time: ASN1Time) -> Option<Timestamp> {
    let seconds = u64::try_from(time.timestamp()).ok()?;
    Some(Timestamp::from_micros(seconds.saturating_mul(1_000_000)))
}

/// The DNS names that a server's certificate is for.
pub(super) fn dns_names(der: &[u8]) -> Vec<String> {
    X509Certificate::from_der(der).map(|(_, certificate)| names(&certificate, false)).unwrap_or_default()
}

fn names(certificate: &X509Certificate<'_>, all: bool) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let names = extension.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::URI(name) | GeneralName::RFC822Name(name) if all => Some((*name).to_owned()),
            _ => None,
        })
        .collect()
}

/// Where to ask whether it was revoked (RFC 5280 §4.2.2.1).
fn responder(certificate: &X509Certificate<'_>) -> Option<String> {
    certificate.extensions().iter().find_map(|extension| {
        let ParsedExtension::AuthorityInfoAccess(access) = extension.parsed_extension() else { return None };
        access.accessdescs.iter().find_map(|description| match &description.access_location {
            GeneralName::URI(url) if description.access_method == OID_PKIX_ACCESS_DESCRIPTOR_OCSP => {
                Some((*url).to_owned())
            }
            _ => None,
        })
    })
}

/// The subject as RFC 4514 text: the most specific name first, special characters escaped.
fn rfc4514(subject: &x509_parser::x509::X509Name<'_>) -> String {
    let mut parts = Vec::new();
    for attribute in subject.iter_attributes() {
        let registry = x509_parser::objects::oid_registry();
        let kind = x509_parser::objects::oid2abbrev(attribute.attr_type(), registry)
            .map_or_else(|_| attribute.attr_type().to_id_string(), str::to_owned);
        let value = attribute.as_str().unwrap_or_default();
        let mut escaped = String::with_capacity(value.len());
        for (index, character) in value.char_indices() {
            let edge = (index == 0 && matches!(character, ' ' | '#'))
                || (index + 1 == value.len() && character == ' ');
            if edge || matches!(character, ',' | '+' | '"' | '\\' | '<' | '>' | ';') {
                escaped.push('\\');
            }
            escaped.push(character);
        }
        parts.push(format!("{kind}={escaped}"));
    }
    parts.reverse();
    parts.join(",")
}
