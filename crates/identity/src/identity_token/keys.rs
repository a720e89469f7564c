//! The keys that identity tokens are signed with: told before they sign, and told for a while after.

use aws_lc_rs::encoding::AsBigEndian;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::Duration;
use windrose_event::Timestamp;

/// How long a key signs.
const ROTATE: Duration = Duration::from_secs(30 * 24 * 3_600);
/// How long a key is told before it signs: services ask for keys that they do not know, but not all of them at once.
const ANNOUNCE: Duration = Duration::from_secs(24 * 3_600);
/// How long a key is told after another has taken its place: longer than any token is good.
const RETIRE: Duration = Duration::from_secs(3 * 24 * 3_600);
/// Keys in one file: what is more was not written by us.
const MOST: usize = 16;

/// All keys, the oldest first.
pub(super) struct SigningKeys(Vec<SigningKey>);

/// One key (P-256).
pub(super) struct SigningKey {
    pair: EcdsaKeyPair,
    kid: String,
    made: u64,
    /// The first part of every token that it signs.
    header: String,
}

/// A key as it is kept: a private JWK (RFC 7518 §6.2.2) with the second it was made in.
#[derive(Deserialize, Serialize)]
struct Kept {
    kty: String,
    crv: String,
    d: String,
    x: String,
    y: String,
    iat: u64,
}

#[derive(Deserialize, Serialize)]
struct KeptSet {
    keys: Vec<Kept>,
}

impl SigningKeys {
    /// Reads what was kept.
    pub(super) fn read(kept: &[u8]) -> Result<Self, String> {
        // What the reader says of JSON can have a part of it: nothing of a key belongs into a log.
        let set: KeptSet =
            serde_json::from_slice(kept).map_err(|_| "it is no JWK Set of P-256 keys".to_owned())?;
        if set.keys.len() > MOST {
            return Err(format!("it has more than {MOST} keys"));
        }
        let mut keys = set.keys.iter().map(SigningKey::read).collect::<Option<Vec<_>>>();
        let keys = keys.take().ok_or_else(|| "it has a key that is none of P-256".to_owned())?;
        let mut keys = Self(keys);
        keys.0.sort_by_key(|key| key.made);
        Ok(keys)
    }

    /// No keys yet.
    pub(super) const fn none() -> Self {
        Self(Vec::new())
    }

    /// As it is kept.
    pub(super) fn write(&self) -> Result<Vec<u8>, String> {
        let keys = self.0.iter().map(SigningKey::kept).collect::<Option<Vec<_>>>();
        let set = KeptSet { keys: keys.ok_or_else(|| "a key cannot be written".to_owned())? };
        serde_json::to_vec(&set).map_err(|error| error.to_string())
    }

    /// The keys from now on, if they are to be others: a new one in time, and none that is of no use.
    pub(super) fn rotated(&self, now: Timestamp) -> Result<Option<Self>, String> {
        let seconds = now.as_millis() / 1_000;
        let newest = self.0.last();
        let is_due = newest.is_none_or(|key| key.made + ROTATE.as_secs() <= seconds);
        let signing = self.signing(now).map_or(0, |key| key.made);
        let is_over = |key: &SigningKey| {
            let successor = self.0.iter().find(|other| other.made > key.made).map(|other| other.made);
            key.made < signing
                && successor.is_some_and(|made| made + (ANNOUNCE + RETIRE).as_secs() <= seconds)
        };
        if !is_due && !self.0.iter().any(is_over) {
            return Ok(None);
        }
        let mut kept: Vec<SigningKey> = self
            .0
            .iter()
            .filter(|key| !is_over(key))
            .filter_map(|key| SigningKey::read(&key.kept()?))
            .collect();
        if is_due {
            kept.push(SigningKey::make(seconds)?);
        }
        Ok(Some(Self(kept)))
    }

    /// The one that signs now: the newest that has been told for long enough, or the oldest.
    pub(super) fn signing(&self, now: Timestamp) -> Option<&SigningKey> {
        let seconds = now.as_millis() / 1_000;
        let is_told = |key: &&SigningKey| key.made + ANNOUNCE.as_secs() <= seconds;
        self.0.iter().rfind(is_told).or(self.0.first())
    }

    /// The public keys, as a JWK Set (RFC 7517 §5).
    pub(super) fn public(&self) -> Value {
        json!({ "keys": self.0.iter().map(SigningKey::public).collect::<Vec<_>>() })
    }
}

impl SigningKey {
    fn make(made: u64) -> Result<Self, String> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        Ok(Self::of(pair.map_err(|_| "the system gives no random bits".to_owned())?, made))
    }

    fn read(kept: &Kept) -> Option<Self> {
        if kept.kty != "EC" || kept.crv != "P-256" {
            return None;
        }
        let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.len() == 32);
        let public = [vec![4], bytes(&kept.x)?, bytes(&kept.y)?].concat();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pair =
            EcdsaKeyPair::from_private_key_and_public_key(algorithm, &bytes(&kept.d)?, &public).ok()?;
        Some(Self::of(pair, kept.iat))
    }

    fn of(pair: EcdsaKeyPair, made: u64) -> Self {
        let (x, y) = point(&pair);
        // Its thumbprint (RFC 7638 §3) names it.
        let thumb = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let kid = URL_SAFE_NO_PAD.encode(Sha256::digest(thumb));
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"ES256","typ":"JWT","kid":"{kid}"}}"#));
        Self { pair, kid, made, header }
    }

    fn kept(&self) -> Option<Kept> {
        let (x, y) = point(&self.pair);
        let secret = self.pair.private_key().as_be_bytes().ok()?;
        let d = URL_SAFE_NO_PAD.encode(secret.as_ref());
        Some(Kept { kty: "EC".into(), crv: "P-256".into(), d, x, y, iat: self.made })
    }

    fn public(&self) -> Value {
        let (x, y) = point(&self.pair);
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid, "x": x, "y": y})
    }

    /// Signs claims as a token (RFC 7515 §7.1).
    pub(super) fn sign(&self, claims: &Value) -> Option<String> {
        let mut token = format!("{}.{}", self.header, URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.pair.sign(&SystemRandom::new(), token.as_bytes()).ok()?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
        Some(token)
    }
}

/// The public key's coordinates, in base64url.
fn point(pair: &EcdsaKeyPair) -> (String, String) {
    let point = pair.public_key().as_ref();
    let part = |range| URL_SAFE_NO_PAD.encode(point.get::<std::ops::Range<usize>>(range).unwrap_or_default());
    (part(1..33), part(33..65))
}
