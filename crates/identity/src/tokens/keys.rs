//! An issuer's public keys: a JWK Set (RFC 7517 §5) or PEM.

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Bytes of a set of keys.
pub(super) const MOST: usize = 256 * 1024;
/// Keys of one set.
const MOST_KEYS: usize = 64;
/// Keys that are tried for a token that names none.
const MOST_TRIED: usize = 8;

/// One public key. It lives as long as its issuer has it: what rests on it goes with it.
pub(super) struct Key {
    kid: Option<String>,
    /// The only algorithm that it is for, if it says so.
    algorithm: Option<Algorithm>,
    key: DecodingKey,
    digest: [u8; 32],
}

impl Key {
    /// Whether the signature is this key's.
    pub(super) fn verifies(&self, algorithm: Algorithm, signed: &[u8], signature: &str) -> bool {
        crypto::verify(signature, signed, &self.key, algorithm).unwrap_or(false)
    }

    fn is_for(&self, algorithm: Algorithm) -> bool {
        self.key.family() == algorithm.family() && self.algorithm.is_none_or(|only| only == algorithm)
    }
}

/// The keys of one issuer.
#[derive(Default)]
pub(super) struct KeySet(Vec<Arc<Key>>);

impl KeySet {
    /// Reads a set. Keys that are in `before`, too, stay the same. Keys that are of no use here are left out.
    pub(super) fn read(bytes: &[u8], before: Option<&KeySet>) -> Result<Self, String> {
        if bytes.len() > MOST {
            return Err(format!("it has {} bytes, and {MOST} are the most", bytes.len()));
        }
        let is_pem = bytes.windows(10).any(|window| window == b"-----BEGIN");
        let found = if is_pem { read_pem(bytes)? } else { read_jwks(bytes)? };
        if found.is_empty() {
            return Err(
                "it has no public key for signatures: RSA of 2048 bits or more, P-256, P-384 or Ed25519"
                    .into(),
            );
        }
        let same = |key: &Key| before?.0.iter().find(|known| known.digest == key.digest).cloned();
        Ok(Self(
            found
                .into_iter()
                .take(MOST_KEYS)
                .map(|key| same(&key).unwrap_or_else(|| Arc::new(key)))
                .collect(),
        ))
    }

    /// The keys that a token may be signed with: those of the name that it says, else those without names.
    pub(super) fn candidates(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &Arc<Key>> {
        let named = kid.is_some_and(|kid| self.0.iter().any(|key| key.kid.as_deref() == Some(kid)));
        let fits = move |key: &&Arc<Key>| match (kid, &key.kid) {
            (Some(kid), Some(name)) => kid == name,
            (Some(_), None) => !named,
            (None, _) => true,
        };
        self.0.iter().filter(fits).filter(move |key| key.is_for(algorithm)).take(MOST_TRIED)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

fn read_jwks(bytes: &[u8]) -> Result<Vec<Key>, String> {
    let set: Value =
        serde_json::from_slice(bytes).map_err(|error| format!("it is neither JSON nor PEM: {error}"))?;
    let one;
    let list = match set.get("keys") {
        Some(Value::Array(list)) => list.as_slice(),
        _ if set.get("kty").is_some() => {
            one = [set];
            &one
        }
        _ => return Err("it is no JWK Set: it has no list `keys`".to_owned()),
    };
    Ok(list.iter().filter_map(from_jwk).collect())
}

fn from_jwk(value: &Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
    if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return None;
    }
    let material = match &jwk.algorithm {
        // Fewer bits than 2048 are refused with each signature; better not to have them at all.
        AlgorithmParameters::RSA(rsa) if rsa.n.len() >= 2048 / 6 => format!("{}.{}", rsa.n, rsa.e),
        AlgorithmParameters::EllipticCurve(point) => format!("{:?}.{}.{}", point.curve, point.x, point.y),
        AlgorithmParameters::OctetKeyPair(point) => format!("{:?}.{}", point.curve, point.x),
        _ => return None,
    };
    let algorithm = match jwk.common.key_algorithm {
        None => None,
        // One that is for an algorithm which is not taken is of no use.
        Some(algorithm) => Some(Algorithm::try_from(algorithm).ok()?),
    };
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    let kid = jwk.common.key_id;
    Some(Key { digest: digest(&kid, algorithm, material.as_bytes()), kid, algorithm, key })
}

fn read_pem(bytes: &[u8]) -> Result<Vec<Key>, String> {
    const END: &str = "-----END PUBLIC KEY-----";
    let text = std::str::from_utf8(bytes).map_err(|_| "it is no text".to_owned())?;
    if text.contains("PRIVATE KEY-----") {
        return Err("it holds a private key; only the public one belongs here".to_owned());
    }
    text.split_inclusive(END)
        .filter(|block| block.contains("-----BEGIN"))
        .map(|block| {
            let pem = block.trim().as_bytes();
            let key = DecodingKey::from_ec_pem(pem)
                .or_else(|_| DecodingKey::from_ed_pem(pem))
                .or_else(|_| DecodingKey::from_rsa_pem(pem))
                .map_err(|error| format!("it has a block that is no public key in PEM: {error}"))?;
            Ok(Key { digest: digest(&None, None, pem), kid: None, algorithm: None, key })
        })
        .collect()
}

fn digest(kid: &Option<String>, algorithm: Option<Algorithm>, material: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(format!("{kid:?} {algorithm:?} "));
    hash.update(material);
    hash.finalize().into()
}
