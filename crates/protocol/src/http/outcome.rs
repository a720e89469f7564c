//! What a service's answer means.

use super::{media, time};
use http::header::{CONTENT_TYPE, DATE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use std::time::Duration;
use windrose_event::{Cause, Outcome};

/// The longest sentence that is taken from a service, in bytes.
const MAX_DETAIL: usize = 256;
/// The largest body that is looked into for one.
const MAX_PROBLEM: usize = 16 * 1024;
/// The longest wait that a service can ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3_600);

/// The outcome that a service's answer is: 2xx accepts; 408, 425 and 429 are busy, 5xx is unavailable, both with the
/// service's `Retry-After`; everything else rejects, with what the service says why.
pub fn read_outcome(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Outcome {
    match status.as_u16() {
        200..=299 => Outcome::Accepted,
        408 | 425 | 429 => Outcome::Busy { retry_after: retry_after(headers) },
        500.. => Outcome::Unavailable { retry_after: retry_after(headers) },
        300..=399 => Outcome::rejected_because(
            Cause::ByService,
            format!("HTTP {}: it answered with a redirect, which is not followed", status.as_u16()),
        ),
        _ => Outcome::rejected_because(Cause::ByService, sentence(status, headers, body)),
    }
}

/// Seconds, or a date in relation to the response's own `Date` (RFC 9110 §10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = match text.parse() {
        Ok(seconds) => seconds,
        Err(_) => {
            let date = time::http_date(headers.get(DATE)?.to_str().ok()?)?;
            time::http_date(text)?.saturating_sub(date)
        }
    };
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

/// `HTTP 404: No such car: it was sold`.
fn sentence(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> String {
    let mut sentence = format!("HTTP {}", status.as_u16());
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if body.is_empty() || body.len() > MAX_PROBLEM {
        return sentence;
    }
    if media::is_json(content_type) {
        let problem: Value = serde_json::from_slice(body).unwrap_or_default();
        for member in ["title", "detail"] {
            if let Some(text) = problem.get(member).and_then(Value::as_str) {
                append(&mut sentence, text);
            }
        }
    } else if media::is_text(content_type)
        && !media::essence(content_type).eq_ignore_ascii_case("text/html")
        && let Ok(text) = std::str::from_utf8(body)
    {
        append(&mut sentence, text);
    }
    sentence
}

/// Appends what a service wrote, on one line and of a bounded length.
fn append(sentence: &mut String, text: &str) {
    let room = MAX_DETAIL.saturating_sub(sentence.len() + 2);
    let text = text.trim();
    if text.is_empty() || room == 0 {
        return;
    }
    sentence.push_str(": ");
    let mut left = room;
    for character in text.chars() {
        if character.len_utf8() > left {
            break;
        }
        left -= character.len_utf8();
        sentence.push(if character.is_control() { ' ' } else { character });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use http::HeaderValue;

    fn read(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Outcome {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect();
        read_outcome(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes())
    }

    fn detail(outcome: Outcome) -> String {
        match outcome {
            Outcome::Rejected(rejection) if rejection.cause == Cause::ByService => {
                rejection.detail.unwrap().to_string()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn statuses_mean_outcomes() {
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(read(status, &[], ""), Outcome::Accepted);
        }
        for status in [408, 425, 429] {
            assert_eq!(read(status, &[], ""), Outcome::Busy { retry_after: None });
        }
        for status in [500, 502, 503, 504, 599] {
            assert_eq!(read(status, &[], ""), Outcome::unavailable());
        }
        assert_eq!(detail(read(404, &[], "")), "HTTP 404");
        assert!(detail(read(307, &[], "")).contains("redirect"));
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let after = |seconds| Outcome::Unavailable { retry_after: Some(Duration::from_secs(seconds)) };
        assert_eq!(read(503, &[("retry-after", "7")], ""), after(7));
        assert_eq!(read(503, &[("retry-after", "99999999")], ""), after(3_600));
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(read(503, &[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT"), date], ""), after(30));
        assert_eq!(read(503, &[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT"), date], ""), after(0));
        assert_eq!(read(503, &[("retry-after", "soon"), date], ""), Outcome::unavailable());
    }

    #[test]
    fn the_service_may_say_why() {
        let problem = ("content-type", "application/problem+json");
        let body = r#"{"title":"No such car","detail":"It was\nsold"}"#;
        assert_eq!(detail(read(404, &[problem], body)), "HTTP 404: No such car: It was sold");
        assert_eq!(detail(read(422, &[("content-type", "text/plain")], "speed?\n")), "HTTP 422: speed?");
        assert_eq!(detail(read(404, &[("content-type", "text/html")], "<html>")), "HTTP 404");
        assert_eq!(detail(read(404, &[problem], "{")), "HTTP 404");
        let long = "\u{e9}".repeat(1_000);
        assert!(detail(read(400, &[("content-type", "text/plain")], &long)).len() <= MAX_DETAIL);
    }
}
