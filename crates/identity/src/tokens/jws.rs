//! The three parts of a signed token (RFC 7515 §7.1), before anything in it is believed.

use crate::json::read_object;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, AlgorithmFamily};
use serde_json::{Map, Value};
use std::str::FromStr;

/// Bytes of a token.
pub(super) const MOST: usize = 16 * 1024;
/// Bytes of the name of a key.
const MOST_KID: usize = 256;

/// A token taken apart.
pub(super) struct Jws<'t> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    pub(super) claims: Map<String, Value>,
    /// What is signed.
    pub(super) signed: &'t [u8],
    /// The signature, in base64url.
    pub(super) signature: &'t str,
}

impl<'t> Jws<'t> {
    /// Takes a token apart. What is not understood in full is refused (RFC 8725 §3).
    pub(super) fn parse(token: &'t [u8]) -> Result<Self, String> {
        if token.len() > MOST {
            return Err(format!("has {} bytes, and {MOST} are the most", token.len()));
        }
        let text = std::str::from_utf8(token).map_err(|_| "is no text".to_owned())?;
        let mut parts = text.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("does not have the three parts of a signed token".to_owned());
        };
        let signed = token.get(..header.len() + 1 + claims.len()).unwrap_or_default();
        let header = decode("header", header)?;
        let (algorithm, kid) = read_header(&header)?;
        Ok(Self { algorithm, kid, claims: decode("body", claims)?, signed, signature })
    }
}

fn decode(what: &str, part: &str) -> Result<Map<String, Value>, String> {
    let bytes = URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|error| format!("has a {what} that is no base64url: {error}"))?;
    read_object(&bytes).map_err(|error| format!("has a {what} that cannot be read: {error}"))
}

fn read_header(header: &Map<String, Value>) -> Result<(Algorithm, Option<String>), String> {
    if header.contains_key("crit") {
        return Err("has critical extensions, and none is known here".to_owned());
    }
    // Tokens for other purposes are no credentials, whoever signed them (RFC 8725 §3.11).
    if let Some(kind) = header.get("typ") {
        let kind = kind.as_str().unwrap_or_default();
        let bare = kind.strip_prefix("application/").unwrap_or(kind);
        if !bare.eq_ignore_ascii_case("jwt") && !bare.eq_ignore_ascii_case("at+jwt") {
            return Err(format!("is of the type {}, which is no credential", quoted(kind)));
        }
    }
    let name = header.get("alg").and_then(Value::as_str).ok_or("does not say its algorithm")?;
    let algorithm = match Algorithm::from_str(name) {
        Ok(algorithm) if algorithm.family() != AlgorithmFamily::Hmac => algorithm,
        _ => return Err(format!("is signed by {}, which is never taken", quoted(name))),
    };
    let kid = match header.get("kid") {
        None => None,
        Some(Value::String(kid)) if kid.len() <= MOST_KID => Some(kid.clone()),
        Some(_) => return Err("has a key id that is none".to_owned()),
    };
    Ok((algorithm, kid))
}

/// A peer's text for the log: short, and nothing in it acts.
pub(crate) fn quoted(text: &str) -> String {
    const MOST_SHOWN: usize = 64;
    let shown: String = text.chars().take(MOST_SHOWN).collect();
    let more = if shown.len() < text.len() { "..." } else { "" };
    format!("'{}{more}'", shown.escape_debug())
}
