//! Bodies of requests, and queries.

use super::answer::Fault;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;

/// A JSON body. An empty one is `{}`, so that what has only optional fields needs none.
pub(super) fn read<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, Fault> {
    if body.is_empty() {
        return serde_json::from_slice(b"{}")
            .map_err(|error| Fault::bad(format!("the body is empty: {error}")));
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    // A page of another site cannot send this type without asking first (Fetch §3.2).
    if !kind.eq_ignore_ascii_case("application/json") {
        let detail = "the body is JSON: say so with Content-Type: application/json";
        return Err(Fault::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
    }
    serde_json::from_slice(body)
        .map_err(|error| Fault::bad(format!("the body is not what is wanted here: {error}")))
}

/// Free attributes as the registry keeps them.
pub(super) fn attributes(attributes: Option<serde_json::Map<String, serde_json::Value>>) -> String {
    attributes.map_or_else(String::new, |attributes| serde_json::Value::Object(attributes).to_string())
}

/// A digest in hex, with or without colons.
pub(super) fn digest(text: &str) -> Result<[u8; 32], Fault> {
    let bytes = hex(text).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    bytes.ok_or_else(|| Fault::bad("a SHA-256 is 64 digits in hex"))
}

/// Bytes in hex, with or without colons.
pub(super) fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| *byte != b':')
        .map(|byte| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}
