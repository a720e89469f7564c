//! What the authority signs: a device's certificate, from its request and from what the authority itself says.

use super::request::{Request, bad};
use super::signer::Signer;
use super::time::{date_time, second};
use crate::IssuedCertificate;
use bytes::Bytes;
use rcgen::{
    CertificateParams, CrlDistributionPoint, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType, SerialNumber,
};
use sha2::{Digest, Sha256};
use std::time::Duration;
use windrose_event::{EnrolCause, EnrolRefusal, Timestamp};
use yasna::Tag;
use yasna::models::ObjectIdentifier;

/// How far back a certificate is good: a thing's clock may be behind ours.
const CLOCKS: Duration = Duration::from_secs(300);

/// Access to information about an authority (RFC 5280 §4.2.2.1), and that it is a responder.
const AUTHORITY_INFORMATION_ACCESS: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 1];
const RESPONDER: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 48, 1];

/// Where an authority can be asked about what it signed, by the base of a URL.
pub(super) fn list_url(base: &str, signer: &Signer) -> String {
    format!("{}/ca/crl/{}", base.trim_end_matches('/'), signer.short_name())
}

/// Where its responder is.
pub(super) fn responder_url(base: &str) -> String {
    format!("{}/ca/ocsp", base.trim_end_matches('/'))
}

/// Signs a device's certificate.
///
/// # Errors
/// Why there is none.
pub(super) fn issue(
    signer: &Signer,
    device: &str,
    request: Request,
    now: Timestamp,
    validity: Duration,
    url: Option<&str>,
) -> Result<(Bytes, IssuedCertificate), EnrolRefusal> {
    let now = second(now);
    if signer.not_after <= now {
        return Err(unavailable(
            "the authority's certificate has ended: `windrose ca rotate` makes a new one",
        ));
    }
    // What an ended authority signed would count for nobody.
    let (not_before, not_after) = (now - CLOCKS, second((now + validity).min(signer.not_after)));
    let serial = serial()?;
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, device);
    for name in request.names {
        let name = name.try_into().map_err(|_| {
            bad("an alternative name is not ASCII", format!("{device} asks for a DNS name that is not ASCII"))
        })?;
        params.subject_alt_names.push(SanType::DnsName(name));
    }
    params.not_before = date_time!(not_before);
    params.not_after = date_time!(not_after);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    if let Some(url) = url {
        params.crl_distribution_points = vec![CrlDistributionPoint { uris: vec![list_url(url, signer)] }];
        params.custom_extensions.push(information_access(url));
    }
    let certificate = params
        .signed_by(&request.key, &signer.issuer)
        .map_err(|error| unavailable(&format!("the authority cannot sign: {error}")))?;
    let der = Bytes::copy_from_slice(certificate.der());
    let issued = IssuedCertificate {
        fingerprint: Sha256::digest(&der).into(),
        serial: serial.to_vec(),
        issuer: signer.fingerprint,
        not_before,
        not_after,
    };
    Ok((der, issued))
}

pub(super) fn information_access(url: &str) -> CustomExtension {
    let content = yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_sequence(|writer| {
                writer.next().write_oid(&ObjectIdentifier::from_slice(RESPONDER));
                writer.next().write_tagged_implicit(Tag::context(6), |writer| {
                    writer.write_ia5_string(&responder_url(url));
                });
            });
        });
    });
    CustomExtension::from_oid_content(AUTHORITY_INFORMATION_ACCESS, content)
}

/// 126 bits of chance (RFC 5280 §4.1.2.2 and the browsers' rules want 64 at least): positive, and without a first byte that
/// DER leaves out.
pub(super) fn serial() -> Result<[u8; 16], EnrolRefusal> {
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial).map_err(|_| unavailable("the system has no randomness"))?;
    if let Some(first) = serial.first_mut() {
        *first = *first & 0x7f | 0x40;
    }
    Ok(serial)
}

pub(super) fn unavailable(detail: &str) -> EnrolRefusal {
    EnrolRefusal {
        cause: EnrolCause::Unavailable,
        reason: "the authority cannot sign just now",
        detail: detail.to_owned(),
    }
}
