//! Media types: the few that mean something here.

use windrose_event::{Event, Text};

/// JSON (RFC 8259).
pub const JSON: &str = "application/json";
/// A problem (RFC 9457).
pub const PROBLEM: &str = "application/problem+json";
/// One CloudEvent in structured mode (CloudEvents HTTP binding §3.2).
pub const STRUCTURED: &str = "application/cloudevents+json; charset=UTF-8";
/// Several CloudEvents (CloudEvents HTTP binding §3.3).
pub const BATCH: &str = "application/cloudevents-batch+json; charset=UTF-8";
/// Server-sent events (HTML §9.2).
pub const EVENT_STREAM: &str = "text/event-stream";

const OCTETS: &str = "application/octet-stream";
const TEXT: &str = "text/plain; charset=utf-8";

/// The type and subtype, without parameters.
pub(super) fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// Whether it is JSON (`application/json`, `application/anything+json`).
pub(super) fn is_json(content_type: &str) -> bool {
    let essence = essence(content_type);
    let (_, subtype) = essence.split_once('/').unwrap_or_default();
    subtype.eq_ignore_ascii_case("json") || ends_with(subtype, "+json")
}

/// Whether it is text (`text/plain`, `text/anything`).
pub(super) fn is_text(content_type: &str) -> bool {
    content_type.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("text/"))
}

/// Whether it is a CloudEvents format, of one event or of several (CloudEvents HTTP binding §3).
pub(super) fn is_cloudevents(content_type: &str) -> bool {
    const PREFIX: &str = "application/cloudevents";
    content_type.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

fn ends_with(text: &str, end: &str) -> bool {
    text.len() >= end.len()
        && text.is_char_boundary(text.len() - end.len())
        && text[text.len() - end.len()..].eq_ignore_ascii_case(end)
}

/// The media type that an event's payload is sent with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PayloadType<'a> {
    /// The sender's own word.
    Given(&'a Text),
    /// JSON, as the payload shows: it has been parsed.
    Json,
    /// What is left if it is not.
    Guessed(&'static str),
}

impl<'a> PayloadType<'a> {
    /// What the sender said, if that is fit for a header; otherwise JSON if the payload is a JSON object or array, plain
    /// text if the sender said that it is text, and bytes if none of these.
    pub(super) fn of(event: &'a Event) -> Self {
        if let Some(given) = event.content_type().filter(|given| is_media_type(given.as_bytes())) {
            return Self::Given(given);
        }
        if looks_like_json(&event.payload) {
            return Self::Json;
        }
        Self::Guessed(if event.details.as_ref().is_some_and(|details| details.is_text == Some(true)) {
            TEXT
        } else {
            OCTETS
        })
    }

    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Given(text) => text.as_str(),
            Self::Json => JSON,
            Self::Guessed(text) => text,
        }
    }
}

/// Whether it reads `type/subtype` and has only characters that a header may have.
fn is_media_type(text: &[u8]) -> bool {
    text.len() <= 256
        && text.iter().all(|byte| matches!(byte, b' '..=b'~'))
        && text.iter().position(|byte| *byte == b'/').is_some_and(|slash| slash > 0 && slash + 1 < text.len())
}

fn looks_like_json(payload: &[u8]) -> bool {
    matches!(payload.first(), Some(b'{' | b'[')) && json(payload).is_some()
}

/// The bytes as JSON text, if they are JSON.
pub(super) fn json(bytes: &[u8]) -> Option<&str> {
    // The parser looks at the structure only; UTF-8 is checked here.
    let text = std::str::from_utf8(bytes).ok()?;
    serde_json::from_str::<&serde_json::value::RawValue>(text).ok().map(serde_json::value::RawValue::get)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::http::samples::{event, with_details};
    use windrose_event::Details;

    fn type_of(payload: &'static [u8], details: Details) -> String {
        let event = with_details(event("a/b", payload), details);
        PayloadType::of(&event).as_str().to_owned()
    }

    #[test]
    fn a_payload_without_a_type_is_sent_as_what_it_is() {
        assert_eq!(type_of(b"{\"speed\":81}", Details::default()), "application/json");
        assert_eq!(type_of(b"[1, 2]", Details::default()), "application/json");
        assert_eq!(type_of(b"{broken", Details::default()), "application/octet-stream");
        assert_eq!(type_of(b"{\"a\":\"\xff\"}", Details::default()), "application/octet-stream", "not UTF-8");
        assert_eq!(type_of(b"21.5", Details::default()), "application/octet-stream");
        let text = Details { is_text: Some(true), ..Details::default() };
        assert_eq!(type_of(b"21.5", text), "text/plain; charset=utf-8");
    }

    #[test]
    fn a_type_that_would_break_the_header_is_not_sent() {
        for bad in ["text/plain\r\nx-evil: 1", "nonsense", "/", "a/", "text/\u{e9}"] {
            let details = Details { content_type: Some(bad.into()), ..Details::default() };
            assert_eq!(type_of(b"x", details), "application/octet-stream", "{bad:?}");
        }
        let details = Details { content_type: Some("image/png; q=1".into()), ..Details::default() };
        assert_eq!(type_of(b"{}", details), "image/png; q=1");
    }

    #[test]
    fn json_is_told_by_its_suffix_too() {
        assert!(is_json("application/json; charset=utf-8"));
        assert!(is_json("application/senml+JSON"));
        assert!(!is_json("application/jsonl"));
        assert!(!is_json("json"));
    }
}
