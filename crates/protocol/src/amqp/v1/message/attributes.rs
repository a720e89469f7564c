//! CloudEvents attributes: application properties with a prefix of their own (CloudEvents AMQP binding §3.1.3), and
//! under their HTTP names to everybody else.

use std::borrow::Cow;

const COLON: &str = "cloudEvents:";
const UNDERSCORE: &str = "cloudEvents_";
const HTTP: &str = "ce-";

/// The name under which an application property travels.
pub(super) fn header_of(property: &str) -> Cow<'_, str> {
    let attribute = property.strip_prefix(COLON).or_else(|| property.strip_prefix(UNDERSCORE));
    match attribute {
        Some(attribute) => Cow::Owned(format!("{HTTP}{attribute}")),
        None => Cow::Borrowed(property),
    }
}

/// The application property that a named value is.
pub(super) fn property_of(header: &str) -> Cow<'_, str> {
    match header.strip_prefix(HTTP) {
        Some(attribute) if !attribute.is_empty() => Cow::Owned(format!("{COLON}{attribute}")),
        _ => Cow::Borrowed(header),
    }
}
