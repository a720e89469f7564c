//! Signatures of authorities: on certificates, lists and answers.

use aws_lc_rs::signature as lc;
use x509_parser::oid_registry as oid;
use x509_parser::prelude::X509Certificate;
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo};

/// Whether the owner of `key` signed `message` so. SHA-1 is no algorithm here (RFC 9155), nor are keys of RSA under 2048 bits.
pub(crate) fn is_signed(
    key: &SubjectPublicKeyInfo<'_>,
    algorithm: &AlgorithmIdentifier<'_>,
    message: &[u8],
    signature: &[u8],
) -> bool {
    algorithms(key, algorithm).iter().any(|algorithm| {
        let key = lc::UnparsedPublicKey::new(*algorithm, &key.subject_public_key.data);
        key.verify(message, signature).is_ok()
    })
}

/// Whether `issuer` signed `certificate`.
pub(crate) fn is_signed_by(certificate: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> bool {
    let (algorithm, signature) = (&certificate.signature_algorithm, &certificate.signature_value.data);
    is_signed(issuer.public_key(), algorithm, certificate.tbs_certificate.as_ref(), signature)
}

type Algorithms = &'static [&'static dyn lc::VerificationAlgorithm];

/// What a signature's algorithm means with a key of that kind (RFC 5758 §3.2, RFC 4055 §3, RFC 8410 §3).
fn algorithms(key: &SubjectPublicKeyInfo<'_>, algorithm: &AlgorithmIdentifier<'_>) -> Algorithms {
    let (kind, said) = (&key.algorithm.algorithm, &algorithm.algorithm);
    if *kind == oid::OID_KEY_TYPE_EC_PUBLIC_KEY {
        let curve = key.algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok());
        return match curve {
            Some(curve) if curve == oid::OID_EC_P256 => ec(said, &P256),
            Some(curve) if curve == oid::OID_NIST_EC_P384 => ec(said, &P384),
            Some(curve) if curve == oid::OID_NIST_EC_P521 => ec(said, &P521),
            _ => &[],
        };
    }
    if *kind == oid::OID_PKCS1_RSAENCRYPTION {
        return match said {
            said if *said == oid::OID_PKCS1_SHA256WITHRSA => &[&lc::RSA_PKCS1_2048_8192_SHA256],
            said if *said == oid::OID_PKCS1_SHA384WITHRSA => &[&lc::RSA_PKCS1_2048_8192_SHA384],
            said if *said == oid::OID_PKCS1_SHA512WITHRSA => &[&lc::RSA_PKCS1_2048_8192_SHA512],
            // Which digest it is stands in parameters that say the same in several ways.
            said if *said == oid::OID_PKCS1_RSASSAPSS => {
                &[&lc::RSA_PSS_2048_8192_SHA256, &lc::RSA_PSS_2048_8192_SHA384, &lc::RSA_PSS_2048_8192_SHA512]
            }
            _ => &[],
        };
    }
    if *kind == oid::OID_SIG_ED25519 && *said == oid::OID_SIG_ED25519 {
        return &[&lc::ED25519];
    }
    &[]
}

/// With SHA-256, SHA-384 and SHA-512.
struct Curve([Algorithms; 3]);

static P256: Curve =
    Curve([&[&lc::ECDSA_P256_SHA256_ASN1], &[&lc::ECDSA_P256_SHA384_ASN1], &[&lc::ECDSA_P256_SHA512_ASN1]]);
static P384: Curve =
    Curve([&[&lc::ECDSA_P384_SHA256_ASN1], &[&lc::ECDSA_P384_SHA384_ASN1], &[&lc::ECDSA_P384_SHA512_ASN1]]);
static P521: Curve =
    Curve([&[&lc::ECDSA_P521_SHA256_ASN1], &[&lc::ECDSA_P521_SHA384_ASN1], &[&lc::ECDSA_P521_SHA512_ASN1]]);

fn ec(said: &oid::Oid<'_>, curve: &Curve) -> Algorithms {
    let Curve([sha256, sha384, sha512]) = curve;
    match said {
        said if *said == oid::OID_SIG_ECDSA_WITH_SHA256 => sha256,
        said if *said == oid::OID_SIG_ECDSA_WITH_SHA384 => sha384,
        said if *said == oid::OID_SIG_ECDSA_WITH_SHA512 => sha512,
        _ => &[],
    }
}
