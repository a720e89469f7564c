//! Questions to responders and their answers (RFC 6960 §4), in DER.

use crate::signature::{is_signed, is_signed_by};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use std::time::Duration;
use windrose_event::Timestamp;
use x509_parser::asn1_rs::{
    Any, BitString, Class, Enumerated, GeneralizedTime, Integer, OctetString, Oid, Sequence,
};
use x509_parser::oid_registry::asn1_rs::oid;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::AlgorithmIdentifier;
use yasna::models::ObjectIdentifier;

/// How far a responder's clock may be off.
const SKEW: Duration = Duration::from_secs(300);
/// The most certificates of an answer that are looked at.
const MOST_CERTIFICATES: usize = 4;

const SHA1: &[u64] = &[1, 3, 14, 3, 2, 26];

/// A certificate as questions name it (RFC 6960 §4.1.1). By SHA-1, which all responders know (RFC 5019 §2.1.1); nothing rests
/// on its strength.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CertificateId {
    name: Vec<u8>,
    key: Vec<u8>,
    serial: Vec<u8>,
}

impl CertificateId {
    /// Of the certificate that this one signed, with that serial number.
    pub(super) fn new(issuer: &X509Certificate<'_>, serial: &[u8]) -> Self {
        let sha1 = |bytes: &[u8]| digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref().to_vec();
        Self {
            name: sha1(issuer.subject().as_raw()),
            key: sha1(&issuer.public_key().subject_public_key.data),
            serial: serial.to_vec(),
        }
    }

    /// `OCSPRequest`, without a nonce: answers may be made ahead (RFC 5019 §2.1.1).
    pub(super) fn request(&self) -> Vec<u8> {
        yasna::construct_der(|writer| {
            writer.write_sequence(|request| {
                request.next().write_sequence(|tbs| {
                    tbs.next().write_sequence(|list| {
                        list.next().write_sequence(|one| {
                            one.next().write_sequence(|id| {
                                id.next().write_sequence(|algorithm| {
                                    algorithm.next().write_oid(&ObjectIdentifier::from_slice(SHA1));
                                    algorithm.next().write_null();
                                });
                                id.next().write_bytes(&self.name);
                                id.next().write_bytes(&self.key);
                                id.next().write_bigint_bytes(&self.serial, true);
                            });
                        });
                    });
                });
            });
        })
    }
}

/// What a responder says of one certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Good,
    Revoked,
    Unknown,
}

/// An answer that was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: Status,
    /// From when it is meant.
    pub(super) this_update: Timestamp,
    /// Until when, if it says so.
    pub(super) next_update: Option<Timestamp>,
}

/// Reads an `OCSPResponse` about a certificate that `issuer` signed, and believes it if the issuer, or whom it made its
/// responder, signed it, and if it is of now.
pub(super) fn read(
    der: &[u8],
    id: &CertificateId,
    issuer: &X509Certificate<'_>,
    now: Timestamp,
) -> Result<Response, String> {
    let basic = basic_response(der)?;
    let (rest, parts) = Sequence::from_der(&basic).map_err(malformed)?;
    if !rest.is_empty() {
        return Err(malformed("something follows it"));
    }
    let (rest, tbs) = Any::from_der(&parts.content).map_err(malformed)?;
    let tbs_length = parts.content.len().saturating_sub(rest.len());
    let signed = parts.content.get(..tbs_length).unwrap_or_default();
    let (rest, algorithm) = AlgorithmIdentifier::from_der(rest).map_err(malformed)?;
    let (rest, signature) = BitString::from_der(rest).map_err(malformed)?;
    let is_signed_with = |signer: &X509Certificate<'_>| {
        is_signed(signer.public_key(), &algorithm, signed, signature.data.as_ref())
    };
    if !is_signed_with(issuer)
        && !certificates(rest).any(|der| is_delegate(der, issuer, now, &is_signed_with))
    {
        return Err(
            "its signature is neither the authority's nor a responder's that the authority named".to_owned()
        );
    }
    let response = single_response(tbs.data, id)?;
    if response.this_update > now + SKEW {
        return Err("its answer is of the future: look at both clocks".to_owned());
    }
    if response.next_update.is_some_and(|next| next + SKEW < now) {
        return Err("its answer is out of date".to_owned());
    }
    Ok(response)
}

/// The part that is signed, of a response that is one (RFC 6960 §4.2.1).
fn basic_response(der: &[u8]) -> Result<Vec<u8>, String> {
    let (_, response) = Sequence::from_der(der).map_err(malformed)?;
    let (rest, status) = Enumerated::from_der(&response.content).map_err(malformed)?;
    match status.0 {
        0 => {}
        1 => return Err("it says that our question is malformed".to_owned()),
        3 => return Err("it says that it is busy".to_owned()),
        6 => return Err("it says that it is not responsible".to_owned()),
        other => return Err(format!("it answers with error {other}")),
    }
    let (_, explicit) = Any::from_der(rest).map_err(malformed)?;
    if explicit.class() != Class::ContextSpecific {
        return Err(malformed("no response in it"));
    }
    let (_, bytes) = Sequence::from_der(explicit.data).map_err(malformed)?;
    let (rest, kind) = Oid::from_der(&bytes.content).map_err(malformed)?;
    if kind != oid!(1.3.6.1.5.5.7.48.1.1) {
        return Err(format!("its answer is of a kind that is not known here: {kind}"));
    }
    let (_, basic) = OctetString::from_der(rest).map_err(malformed)?;
    Ok(basic.as_ref().to_vec())
}

/// The certificates that came with an answer.
fn certificates(rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    let explicit = Any::from_der(rest).ok().map(|(_, explicit)| explicit.data);
    let list = explicit.and_then(|data| Any::from_der(data).ok()).map(|(_, list)| list.data);
    let mut rest = list.unwrap_or_default();
    std::iter::from_fn(move || {
        let (after, _) = X509Certificate::from_der(rest).ok()?;
        let der = rest.get(..rest.len().saturating_sub(after.len()))?;
        rest = after;
        Some(der)
    })
    .take(MOST_CERTIFICATES)
}

/// Whether a certificate makes its owner the authority's responder, and its owner signed (RFC 6960 §4.2.2.2). Whether that
/// certificate was revoked itself is not asked: its authority makes them short-lived, or says itself that nobody need ask.
fn is_delegate(
    der: &[u8],
    issuer: &X509Certificate<'_>,
    now: Timestamp,
    is_signed_with: &dyn Fn(&X509Certificate<'_>) -> bool,
) -> bool {
    let Ok((_, delegate)) = X509Certificate::from_der(der) else { return false };
    let usage = delegate.extended_key_usage().ok().flatten();
    let validity = delegate.validity();
    delegate.issuer().as_raw() == issuer.subject().as_raw()
        && usage.is_some_and(|usage| usage.value.ocsp_signing)
        && moment(validity.not_before.timestamp()) <= now + SKEW
        && now <= moment(validity.not_after.timestamp()) + SKEW
        && is_signed_by(&delegate, issuer)
        && is_signed_with(&delegate)
}

/// What `ResponseData` says of one certificate.
fn single_response(data: &[u8], id: &CertificateId) -> Result<Response, String> {
    let mut rest = data;
    // `version`, and the responder's name or key; then the time, which is the first that bears no tag of its own.
    loop {
        let (after, part) = Any::from_der(rest).map_err(malformed)?;
        if part.class() == Class::Universal {
            break;
        }
        rest = after;
    }
    let (rest, _) = GeneralizedTime::from_der(rest).map_err(malformed)?;
    let (_, responses) = Sequence::from_der(rest).map_err(malformed)?;
    let mut rest: &[u8] = &responses.content;
    while !rest.is_empty() {
        let (after, single) = Sequence::from_der(rest).map_err(malformed)?;
        let (body, its) = Sequence::from_der(&single.content).map_err(malformed)?;
        if is_about(&its.content, id)? {
            return status(body);
        }
        rest = after;
    }
    Err("its answer is about other certificates".to_owned())
}

fn is_about(content: &[u8], id: &CertificateId) -> Result<bool, String> {
    let (rest, algorithm) = AlgorithmIdentifier::from_der(content).map_err(malformed)?;
    let (rest, name) = OctetString::from_der(rest).map_err(malformed)?;
    let (rest, key) = OctetString::from_der(rest).map_err(malformed)?;
    let (_, serial) = Integer::from_der(rest).map_err(malformed)?;
    Ok(algorithm.algorithm == oid!(1.3.14.3.2.26)
        && name.as_ref() == id.name
        && key.as_ref() == id.key
        && trimmed(serial.as_ref()) == trimmed(&id.serial))
}

fn trimmed(serial: &[u8]) -> &[u8] {
    let zeros = serial.iter().take_while(|byte| **byte == 0).count();
    serial.get(zeros..).unwrap_or_default()
}

fn status(body: &[u8]) -> Result<Response, String> {
    let (rest, status) = Any::from_der(body).map_err(malformed)?;
    let status = match (status.class(), status.tag().0) {
        (Class::ContextSpecific, 0) => Status::Good,
        (Class::ContextSpecific, 1) => Status::Revoked,
        (Class::ContextSpecific, 2) => Status::Unknown,
        _ => return Err(malformed("a status that is none")),
    };
    let (rest, this_update) = time(rest)?;
    let next_update = match Any::from_der(rest) {
        Ok((_, next)) if next.class() == Class::ContextSpecific && next.tag().0 == 0 => {
            Some(time(next.data)?.1)
        }
        _ => None,
    };
    Ok(Response { status, this_update, next_update })
}

fn time(from: &[u8]) -> Result<(&[u8], Timestamp), String> {
    let (rest, time) = GeneralizedTime::from_der(from).map_err(malformed)?;
    let time = time.utc_datetime().map_err(malformed)?;
    Ok((rest, moment(time.unix_timestamp())))
}

fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_micros(u64::try_from(seconds).unwrap_or_default().saturating_mul(1_000_000))
}

fn malformed(problem: impl std::fmt::Display) -> String {
    format!("its answer cannot be read: {problem}")
}
