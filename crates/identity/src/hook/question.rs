//! What the hook is asked: the claim, as JSON.

use crate::rfc3339;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use windrose_event::{Claim, Secret};

/// The claim for the hook. Passwords and keys are in it: whoever is asked has to verify them.
pub(super) fn write(claim: &Claim) -> Vec<u8> {
    let mut question = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            question.insert(name.to_owned(), value);
        }
    };
    put("listener", Some(json!(&*claim.listener)));
    put("address", claim.peer.map(|peer| json!(peer.ip().to_string())));
    put("session", claim.session.as_ref().map(|session| json!(&**session)));
    put("username", claim.username.as_ref().map(|name| json!(&**name)));
    for (name, secret) in [("password", &claim.password), ("api_key", &claim.api_key)] {
        let Some(secret) = secret else { continue };
        match std::str::from_utf8(secret.reveal()) {
            Ok(text) => put(name, Some(json!(text))),
            Err(_) => put(&format!("{name}_base64"), Some(json!(STANDARD.encode(secret.reveal())))),
        }
    }
    put("psk_identity", claim.psk_identity.as_ref().map(|identity| json!(&**identity)));
    put(
        "certificate",
        claim.certificate.as_ref().map(|certificate| {
            json!({
                "subject": certificate.subject,
                "common_name": certificate.common_name,
                "alternative_names": certificate.alternative_names,
                "fingerprint": certificate.fingerprint.as_ref().map(|digest| hex(digest)),
                "serial": certificate.issued.as_ref().map(|(_, serial)| hex(serial)),
                "not_after": certificate.not_after.map(rfc3339),
            })
        }),
    );
    Value::Object(question).to_string().into_bytes()
}

/// What an answer is remembered by. The salt is of this process: who reads its memory cannot try passwords elsewhere.
pub(super) fn digest(salt: &[u8; 32], claim: &Claim) -> [u8; 32] {
    let mut hash = Sha256::new_with_prefix(salt);
    let mut part = |bytes: Option<&[u8]>| {
        // Lengths keep parts apart.
        let length = bytes.map_or(u64::MAX, |bytes| bytes.len() as u64);
        hash.update(length.to_be_bytes());
        hash.update(bytes.unwrap_or_default());
    };
    let secret = |secret: &'_ Option<Secret>| secret.as_ref().map(|secret| secret.reveal().to_vec());
    part(Some(claim.listener.as_bytes()));
    part(claim.peer.map(|peer| peer.ip().to_string()).as_deref().map(str::as_bytes));
    part(claim.session.as_deref().map(str::as_bytes));
    part(claim.username.as_ref().map(|name| name.as_bytes()));
    part(secret(&claim.password).as_deref());
    part(secret(&claim.api_key).as_deref());
    part(claim.psk_identity.as_ref().map(|identity| identity.as_bytes()));
    if let Some(certificate) = &claim.certificate {
        // All of it, as some proxies tell no fingerprint.
        part(Some(format!("{certificate:?}").as_bytes()));
    }
    hash.finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
