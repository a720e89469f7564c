//! Headers of requests that the node makes.

use crate::document::{Concealed, Located, Reading};
use crate::snapshot::PoolHeader;
use http::{HeaderName, HeaderValue};

/// Headers that delivery itself writes.
const OURS: [&str; 8] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// A header of each request. Its value may be a secret: no message shows it.
pub(super) fn header(
    name: &Located<String>,
    value: &Located<Concealed>,
    reading: &mut Reading<'_>,
) -> Option<(String, PoolHeader)> {
    if !is_free(name, reading) {
    } else if HeaderValue::from_str(&value.value.0).is_err() {
        let message = "the value of this header has characters that headers cannot have";
        reading
            .mistake(&name.at, message)
            .help("line breaks are such characters; a file may have brought one in");
    } else {
        return Some((name.value.clone(), PoolHeader(value.value.0.clone())));
    }
    None
}

/// Whether a header may have this name; noted if not.
pub(super) fn is_free(name: &Located<String>, reading: &mut Reading<'_>) -> bool {
    let lower = name.value.to_ascii_lowercase();
    if HeaderName::from_bytes(lower.as_bytes()).is_err() {
        reading.mistake(&name.at, format!("`{}` is not the name of a header", name.value));
    } else if OURS.contains(&lower.as_str()) || lower.starts_with("ce-") {
        let help = "take it out: delivery writes it as the event needs it";
        reading.mistake(&name.at, format!("the header `{}` cannot be set", name.value)).help(help);
    } else {
        return true;
    }
    false
}
