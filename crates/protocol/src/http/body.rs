//! What a request publishes: a plain body, or CloudEvents in any of the three modes (CloudEvents HTTP binding §3).

use super::media::{self, BATCH, STRUCTURED};
use super::problem::Problem;
use super::time;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use windrose_event::{Details, Text};

/// At most how many events one batch carries.
pub const MAX_BATCH_EVENTS: usize = 1_000;

/// Named values that one event may have.
const MAX_HEADERS: usize = 64;

/// What browsers and curl call a body that nobody gave a type.
const FORM: &str = "application/x-www-form-urlencoded";

/// What a request's body publishes.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all requests carry one event")]
pub enum Body {
    /// One event.
    One(Received),
    /// Several events, in order (batch mode).
    Batch(Vec<Received>),
}

/// One event as a request gives it.
#[derive(Debug)]
pub struct Received {
    /// Its `subject`, if it is a CloudEvent that has one: the address, where the path names none.
    pub subject: Option<Text>,
    /// What happened, in bytes.
    pub payload: Bytes,
    /// Its type and its named values.
    pub details: Details,
}

/// Reads a request's body. CloudEvents are checked: `specversion` 1.0, and `id`, `source` and `type` not empty.
pub fn read_body(headers: &HeaderMap, body: Bytes) -> Result<Body, Problem> {
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(unsupported("a body with a Content-Encoding is not understood; send it as it is"));
    }
    let content_type = match headers.get(CONTENT_TYPE) {
        Some(value) => value.to_str().map_err(|_| malformed("the Content-Type is not readable"))?,
        None => "",
    };
    if media::is_cloudevents(content_type) {
        let essence = media::essence(content_type);
        return if essence.eq_ignore_ascii_case(media::essence(STRUCTURED)) {
            read_structured(&body).map(Body::One)
        } else if essence.eq_ignore_ascii_case(media::essence(BATCH)) {
            read_batch(&body).map(Body::Batch)
        } else {
            Err(unsupported(format!("CloudEvents are understood as JSON only, not as {essence}")))
        };
    }
    let mut details = Details::default();
    if !content_type.is_empty() && !media::essence(content_type).eq_ignore_ascii_case(FORM) {
        let is_text = media::is_text(content_type) && std::str::from_utf8(&body).is_ok();
        details.is_text = is_text.then_some(true);
        details.content_type = Some(content_type.into());
    }
    let is_cloudevent = headers.contains_key("ce-specversion");
    for (name, value) in headers {
        let name = name.as_str();
        let kept = match name.strip_prefix("windrose-property-") {
            Some(property) => property,
            None if matches!(name, "traceparent" | "tracestate") => name,
            None if is_cloudevent && name.starts_with("ce-") => name,
            None => continue,
        };
        if details.headers.len() == MAX_HEADERS {
            return Err(malformed(format!(
                "an event may have {MAX_HEADERS} attributes and properties, not more"
            )));
        }
        let value = header_value(value.as_bytes())
            .ok_or_else(|| malformed(format!("the value of {name} is not UTF-8 in percent-encoding")))?;
        details.headers.push((kept.into(), value));
    }
    let mut subject = None;
    if is_cloudevent {
        check(&details.headers)?;
        subject = value_of(&details.headers, "ce-subject").cloned();
    }
    Ok(Body::One(Received { subject, payload: body, details }))
}

fn read_batch(body: &Bytes) -> Result<Vec<Received>, Problem> {
    let events: Vec<&RawValue> = serde_json::from_str(utf8(body)?)
        .map_err(|error| malformed(format!("the batch is not a JSON array: {error}")))?;
    if events.len() > MAX_BATCH_EVENTS {
        return Err(malformed(format!(
            "a batch may have {MAX_BATCH_EVENTS} events, this one has {}",
            events.len()
        )));
    }
    events
        .iter()
        .enumerate()
        .map(|(index, event)| {
            read_structured(&body.slice_ref(event.get().as_bytes())).map_err(|problem| {
                let detail = problem.detail.as_deref().unwrap_or("it is not a CloudEvent");
                malformed(format!("event {index} of the batch: {detail}"))
            })
        })
        .collect()
}

/// Reads one event in structured mode (CloudEvents JSON format §3).
pub(super) fn read_structured(body: &Bytes) -> Result<Received, Problem> {
    let mut attributes: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(utf8(body)?)
        .map_err(|error| malformed(format!("the CloudEvent is not a JSON object: {error}")))?;
    let data = attributes.remove("data");
    let base64 = attributes.remove("data_base64");
    let content_type = attributes.remove("datacontenttype").map(string).transpose()?;
    let mut details = Details::default();
    for (name, value) in &attributes {
        if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) || name.is_empty() {
            return Err(malformed(format!(
                "attribute names are lower-case letters and digits, not {name:?}"
            )));
        }
        if details.headers.len() == MAX_HEADERS {
            return Err(malformed(format!("an event may have {MAX_HEADERS} attributes, not more")));
        }
        let text = match value.get().as_bytes().first() {
            Some(b'n') => continue,
            Some(b'"') => string(value)?,
            Some(b'{' | b'[') | None => {
                return Err(malformed(format!(
                    "the attribute {name} is not a string, a number or a boolean"
                )));
            }
            Some(_) => value.get().into(),
        };
        details.headers.push((format!("ce-{name}").into(), text));
    }
    check(&details.headers)?;
    let is_json = content_type.as_ref().is_none_or(|given| media::is_json(given));
    let payload = match (data, base64) {
        (Some(_), Some(_)) => return Err(malformed("an event has data or data_base64, not both")),
        (None, None) => Bytes::new(),
        (None, Some(base64)) => {
            let text = string(base64)?;
            Bytes::from(STANDARD.decode(text.as_bytes()).map_err(|_| malformed("data_base64 is not Base64"))?)
        }
        (Some(data), None) if !is_json && data.get().starts_with('"') => {
            details.is_text = Some(true);
            string(data)?.into_bytes()
        }
        (Some(data), None) => body.slice_ref(data.get().as_bytes()),
    };
    details.content_type = content_type.or_else(|| data.map(|_| Text::from_static(media::JSON)));
    Ok(Received { subject: value_of(&details.headers, "ce-subject").cloned(), payload, details })
}

/// What every CloudEvent must have (CloudEvents §3.1, required attributes).
fn check(headers: &[(Text, Text)]) -> Result<(), Problem> {
    if value_of(headers, "ce-specversion").is_none_or(|version| version.as_str() != "1.0") {
        return Err(malformed("only CloudEvents of specversion 1.0 are understood"));
    }
    for required in ["ce-id", "ce-source", "ce-type"] {
        if value_of(headers, required).is_none_or(|value| value.is_empty()) {
            return Err(malformed(format!("a CloudEvent needs the attribute {}", &required[3..])));
        }
    }
    if value_of(headers, "ce-time").is_some_and(|time| !time::is_rfc3339(time)) {
        return Err(malformed(
            "the attribute time is not written as RFC 3339 says, such as 2018-04-05T17:31:00Z",
        ));
    }
    Ok(())
}

fn value_of<'a>(headers: &'a [(Text, Text)], name: &str) -> Option<&'a Text> {
    headers.iter().find(|(given, _)| given == name).map(|(_, value)| value)
}

/// A header's value as CloudEvents HTTP binding §3.1.3.2 reads it: quotes taken off, percent-encoding undone.
pub(super) fn header_value(value: &[u8]) -> Option<Text> {
    let value = std::str::from_utf8(value).ok()?;
    let unquoted = match value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => {
            let mut text = String::with_capacity(quoted.len());
            let mut escaped = false;
            for character in quoted.chars() {
                escaped = character == '\\' && !escaped;
                if !escaped {
                    text.push(character);
                }
            }
            Cow::Owned(text)
        }
        None => Cow::Borrowed(value),
    };
    let decoded = percent_decode_str(&unquoted).decode_utf8().ok()?;
    Some((&*decoded).into())
}

fn string(value: &RawValue) -> Result<Text, Problem> {
    serde_json::from_str::<Cow<'_, str>>(value.get())
        .map(|text| (&*text).into())
        .map_err(|_| malformed("an attribute that should be a string is none"))
}

fn utf8(body: &Bytes) -> Result<&str, Problem> {
    std::str::from_utf8(body).map_err(|_| malformed("the body is not UTF-8"))
}

fn malformed(detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "malformed", detail)
}

fn unsupported(detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    fn headers(given: &[(&str, &str)]) -> HeaderMap {
        given
            .iter()
            .map(|(name, value)| {
                (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
            })
            .collect()
    }

    fn one(given: &[(&str, &str)], body: &'static str) -> Received {
        match read_body(&headers(given), Bytes::from_static(body.as_bytes())) {
            Ok(Body::One(received)) => received,
            other => panic!("{other:?}"),
        }
    }

    fn refused(given: &[(&str, &str)], body: &'static str) -> Problem {
        read_body(&headers(given), Bytes::from_static(body.as_bytes())).unwrap_err()
    }

    const CE: [(&str, &str); 4] =
        [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "urn:x"), ("ce-type", "t")];
    const AS_ONE: (&str, &str) = ("content-type", "application/cloudevents+json; charset=utf-8");
    const AS_BATCH: (&str, &str) = ("content-type", "application/cloudevents-batch+json");

    #[test]
    fn a_plain_body_is_taken_as_it_is() {
        let received = one(
            &[("content-type", "text/plain"), ("windrose-property-colour", "blue"), ("user-agent", "curl")],
            "21.5",
        );
        assert_eq!(received.payload, "21.5");
        assert_eq!(received.details.is_text, Some(true));
        assert_eq!(received.details.content_type.as_deref(), Some("text/plain"));
        assert_eq!(received.details.headers, [("colour".into(), "blue".into())]);
    }

    #[test]
    fn what_curl_calls_a_form_has_no_type() {
        let received = one(&[("content-type", "application/x-www-form-urlencoded")], "{}");
        assert_eq!(received.details.content_type, None);
    }

    #[test]
    fn binary_mode_is_read() {
        let given = [&CE[..], &[("ce-subject", "a/%C3%A9"), ("ce-mood", "\"very \\\"good\\\"\"")]].concat();
        let received = one(&given, "x");
        assert_eq!(received.subject.as_deref(), Some("a/\u{e9}"));
        let mood = received.details.headers.iter().find(|(name, _)| name == "ce-mood");
        assert_eq!(mood.map(|(_, value)| value.as_str()), Some("very \"good\""));
    }

    #[test]
    fn structured_mode_is_read_without_touching_the_data() {
        let received = one(
            &[AS_ONE],
            r#"{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"a/b","level":3,"live":true,"gone":null,
                "data": {"n": 12345678901234567890.125,  "x": "\u00e9"} }"#,
        );
        assert_eq!(received.payload, r#"{"n": 12345678901234567890.125,  "x": "\u00e9"}"#);
        assert_eq!(received.details.content_type.as_deref(), Some("application/json"));
        assert_eq!(received.subject.as_deref(), Some("a/b"));
        let names: Vec<_> = received.details.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            ["ce-id", "ce-level", "ce-live", "ce-source", "ce-specversion", "ce-subject", "ce-type"]
        );
    }

    #[test]
    fn structured_text_and_bytes_are_read() {
        let text = r#"{"specversion":"1.0","id":"1","source":"s","type":"t","datacontenttype":"text/plain","data":"a\nb"}"#;
        let received = one(&[AS_ONE], text);
        assert_eq!(received.payload, "a\nb");
        assert_eq!(received.details.is_text, Some(true));
        let bytes = r#"{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"/wABAg=="}"#;
        assert_eq!(&one(&[AS_ONE], bytes).payload[..], b"\xff\x00\x01\x02");
        let string = r#"{"specversion":"1.0","id":"1","source":"s","type":"t","data":"a"}"#;
        assert_eq!(one(&[AS_ONE], string).payload, "\"a\"", "a string of JSON is JSON");
    }

    #[test]
    fn a_batch_is_read_in_order() {
        let body = r#"[{"specversion":"1.0","id":"1","source":"s","type":"t"},{"specversion":"1.0","id":"2","source":"s","type":"t","data":1}]"#;
        let Ok(Body::Batch(events)) = read_body(&headers(&[AS_BATCH]), body.into()) else {
            panic!("no batch")
        };
        assert_eq!(events.len(), 2);
        assert_eq!(events[1].payload, "1");
    }

    #[test]
    fn mistakes_are_named() {
        type Case<'a> = (&'a [(&'a str, &'a str)], &'static str, u16, &'a str);
        let cases: [Case<'_>; 12] = [
            (&[AS_ONE], "no json", 400, "not a JSON object"),
            (&[AS_ONE], r#"{"specversion":"0.3","id":"1","source":"s","type":"t"}"#, 400, "specversion 1.0"),
            (&[AS_ONE], r#"{"specversion":"1.0","id":"","source":"s","type":"t"}"#, 400, "attribute id"),
            (&[AS_ONE], r#"{"specversion":"1.0","id":"1","source":"s"}"#, 400, "attribute type"),
            (
                &[AS_ONE],
                r#"{"specversion":"1.0","id":"1","source":"s","type":"t","a-b":1}"#,
                400,
                "lower-case",
            ),
            (
                &[AS_ONE],
                r#"{"specversion":"1.0","id":"1","source":"s","type":"t","x":{}}"#,
                400,
                "attribute x",
            ),
            (
                &[AS_ONE],
                r#"{"specversion":"1.0","id":"1","source":"s","type":"t","data":1,"data_base64":""}"#,
                400,
                "not both",
            ),
            (
                &[AS_ONE],
                r#"{"specversion":"1.0","id":"1","source":"s","type":"t","time":"now"}"#,
                400,
                "RFC 3339",
            ),
            (&[AS_BATCH], r#"[{"specversion":"1.0"}]"#, 400, "event 0 of the batch"),
            (&[("content-type", "application/cloudevents+avro")], "x", 415, "avro"),
            (&[("content-encoding", "gzip")], "x", 415, "Content-Encoding"),
            (&[("ce-specversion", "1.0"), ("ce-id", "1")], "x", 400, "attribute source"),
        ];
        for (given, body, status, detail) in cases {
            let problem = refused(given, body);
            assert_eq!(problem.status.as_u16(), status, "{body}");
            assert!(problem.detail.as_deref().unwrap().contains(detail), "{body}: {:?}", problem.detail);
        }
    }

    #[test]
    fn bad_encodings_and_floods_are_refused() {
        let bad = [&CE[..], &[("ce-mood", "%ff")]].concat();
        assert!(refused(&bad, "").detail.unwrap().contains("ce-mood"));
        let many: Vec<_> = (0..65).map(|index| format!("windrose-property-{index}")).collect();
        let many: Vec<_> = many.iter().map(|name| (name.as_str(), "x")).collect();
        assert_eq!(refused(&many, "").status, StatusCode::BAD_REQUEST);
    }

    proptest! {
        #[test]
        fn no_request_breaks_the_reader(
            kind in prop_oneof!["application/cloudevents\\+json", "application/cloudevents-batch\\+json", "[ -~]{0,20}"],
            value in "[ -~]{0,20}",
            body in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..64),
                "[\\[{]{0,2}\"(data|id|specversion|data_base64)\": ?(1|null|\"[a-zA-Z=]{0,6}\"|\\{\\})[}\\]]{0,2}".prop_map(String::into_bytes),
            ],
        ) {
            let given = [("content-type", &*kind), ("ce-specversion", "1.0"), ("ce-id", &*value), ("ce-x", &*value)];
            let _ = read_body(&headers(&given), body.clone().into());
            let _ = read_body(&headers(&given[..1]), body.into());
        }
    }
}
