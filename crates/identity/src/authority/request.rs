//! Requests for certificates (PKCS #10, RFC 2986): what is taken out of them, and what is refused.

use rcgen::{PublicKeyData, SubjectPublicKeyInfo};
use windrose_event::{EnrolCause, EnrolRefusal};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::oid_registry::{OID_PKCS1_SHA1WITHRSA, OID_SHA1_WITH_RSA};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;

/// The largest request that is looked at: one with an RSA key of 4,096 bits has some 1,700 bytes.
const MOST: usize = 16 * 1024;

/// Keys of RSA that are taken, by their bits.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=4_096;

/// What a certificate takes over from its request. All else is the authority's to say.
pub(super) struct Request {
    /// The key that it is for: the request proved that its sender has the other half.
    pub(super) key: SubjectPublicKeyInfo,
    /// Alternative names that were asked for, all of them the device's own.
    pub(super) names: Vec<String>,
}

/// Reads a device's request.
///
/// # Errors
/// Why it gets no certificate.
pub(super) fn read(der: &[u8], device: &str) -> Result<Request, EnrolRefusal> {
    if der.len() > MOST {
        return Err(bad(
            "the request is too large",
            format!("{device} sent a request of {} bytes", der.len()),
        ));
    }
    let request = match X509CertificationRequest::from_der(der) {
        Ok(([], request)) => request,
        Ok(_) => return Err(bad(NO_REQUEST, format!("bytes follow the request of {device}"))),
        Err(error) => {
            return Err(bad(NO_REQUEST, format!("the request of {device} cannot be read: {error}")));
        }
    };
    let key = key(&request, device)?;
    if request.signature_algorithm.algorithm == OID_PKCS1_SHA1WITHRSA
        || request.signature_algorithm.algorithm == OID_SHA1_WITH_RSA
    {
        return Err(bad(
            "the request is signed with SHA-1",
            format!("the request of {device} is signed with SHA-1"),
        ));
    }
    request.verify_signature().map_err(|error| {
        bad(
            "the request's signature does not fit its key",
            format!("{device} did not prove that it has the key of its request: {error}"),
        )
    })?;
    for name in request.certification_request_info.subject.iter_common_name() {
        if name.as_str().ok() != Some(device) {
            return Err(foreign(device, "its common name"));
        }
    }
    Ok(Request { key, names: names(&request, device)? })
}

const NO_REQUEST: &str = "it is no request for a certificate (PKCS #10)";

/// The key, if it is a good one.
fn key(request: &X509CertificationRequest<'_>, device: &str) -> Result<SubjectPublicKeyInfo, EnrolRefusal> {
    let public = &request.certification_request_info.subject_pki;
    let weak = |reason, found: &str| Err(bad(reason, format!("{device} asks for {found}")));
    const KEYS: &str = "keys are ECDSA P-256 or P-384, Ed25519, or RSA of 2048 to 4096 bits";
    match public.parsed() {
        Ok(PublicKey::RSA(rsa)) if !RSA_BITS.contains(&rsa.key_size()) => {
            return weak(KEYS, &format!("RSA with {} bits", rsa.key_size()));
        }
        // Small exponents other than 3, 17 and 65537 are nobody's honest choice; even ones are no keys.
        Ok(PublicKey::RSA(rsa)) if !matches!(rsa.try_exponent(), Ok(65_537 | 17 | 3)) => {
            return weak(KEYS, "RSA with an unusual exponent");
        }
        Ok(PublicKey::RSA(_) | PublicKey::EC(_)) => {}
        // Ed25519 is one that the parser names none of.
        Ok(PublicKey::Unknown(bytes)) if bytes.len() == 32 => {}
        Ok(_) => return weak(KEYS, "a key of a kind that is not taken"),
        Err(error) => return weak(KEYS, &format!("a key that cannot be read: {error}")),
    }
    let Ok(key) = SubjectPublicKeyInfo::from_der(public.raw) else {
        return weak(KEYS, "a key of a kind that is not taken");
    };
    let known = [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_RSA_SHA256,
    ];
    match known.contains(&key.algorithm()) {
        true => Ok(key),
        false => weak(KEYS, "a key of a kind that is not taken"),
    }
}

/// The alternative names that are asked for: each must be the device's own. Other extensions are not looked at, but that one
/// asks to be an authority.
fn names(request: &X509CertificationRequest<'_>, device: &str) -> Result<Vec<String>, EnrolRefusal> {
    let mut names = Vec::new();
    for extension in request.requested_extensions().into_iter().flatten() {
        match extension {
            ParsedExtension::BasicConstraints(constraints) if constraints.ca => {
                return Err(bad(
                    "a device's certificate signs no others (CA:TRUE)",
                    format!("{device} asks for the certificate of an authority"),
                ));
            }
            ParsedExtension::SubjectAlternativeName(asked) => {
                for name in &asked.general_names {
                    match name {
                        GeneralName::DNSName(name) if *name == device => names.push(device.to_owned()),
                        _ => return Err(foreign(device, "an alternative name")),
                    }
                }
            }
            ParsedExtension::ParseError { .. } => {
                return Err(bad(
                    NO_REQUEST,
                    format!("an extension in the request of {device} cannot be read"),
                ));
            }
            _ => {}
        }
    }
    names.dedup();
    Ok(names)
}

fn foreign(device: &str, what: &str) -> EnrolRefusal {
    EnrolRefusal {
        cause: EnrolCause::NotAllowed,
        reason: "the request names somebody else: its common name is the device's id, or left out",
        detail: format!("{device} asks for a certificate in which {what} is not its id"),
    }
}

pub(super) fn bad(reason: &'static str, detail: String) -> EnrolRefusal {
    EnrolRefusal { cause: EnrolCause::BadRequest, reason, detail }
}
