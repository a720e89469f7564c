//! What a sender wishes for its event beside what the event says: headers of our own.

use super::body::header_value;
use super::problem::Problem;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use std::time::Duration;
use windrose_event::{Address, Assurance};

/// The longest correlation, in bytes.
const MAX_CORRELATION: usize = 4_096;

/// What a sender wishes for its event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wishes {
    /// `Windrose-Assurance: 0`, `1` or `2`: how surely the event is delivered. At least once, unless it says otherwise.
    pub assurance: Assurance,
    /// `Windrose-Expiry: 30s`: how long the event is worth delivering.
    pub expiry: Option<Duration>,
    /// `Windrose-Reply-To: devices/car-7/answers`: where an answer should go.
    pub reply_to: Option<Address>,
    /// `Windrose-Correlation: abc`: what the asker recognises its answer by.
    pub correlation: Option<Bytes>,
}

impl Wishes {
    /// Reads them from a request's headers.
    pub fn read(headers: &HeaderMap) -> Result<Self, Problem> {
        let assurance = match headers.get("windrose-assurance").map(HeaderValue::as_bytes) {
            Some(b"0") => Assurance::AtMostOnce,
            None | Some(b"1") => Assurance::AtLeastOnce,
            Some(b"2") => Assurance::ExactlyOnce,
            Some(_) => return Err(bad("Windrose-Assurance is 0, 1 or 2")),
        };
        let expiry = match headers.get("windrose-expiry") {
            Some(value) => Some(
                value
                    .to_str()
                    .ok()
                    .and_then(read_duration)
                    .filter(|expiry| !expiry.is_zero())
                    .ok_or_else(|| bad("Windrose-Expiry is a duration such as 30s, 500ms or 2h"))?,
            ),
            None => None,
        };
        let reply_to = match headers.get("windrose-reply-to") {
            Some(value) => {
                let text =
                    header_value(value.as_bytes()).ok_or_else(|| bad("Windrose-Reply-To is not UTF-8"))?;
                Some(Address::new(text).map_err(|error| {
                    Problem::new(
                        StatusCode::BAD_REQUEST,
                        "bad_address",
                        format!("Windrose-Reply-To is not an address: {error}"),
                    )
                })?)
            }
            None => None,
        };
        let correlation = match headers.get("windrose-correlation") {
            Some(value) if value.len() > MAX_CORRELATION => {
                return Err(bad("Windrose-Correlation is longer than 4,096 bytes"));
            }
            value => value.map(|value| Bytes::copy_from_slice(value.as_bytes())),
        };
        Ok(Self { assurance, expiry, reply_to, correlation })
    }
}

fn bad(detail: &'static str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "malformed", detail)
}

/// A duration as the document writes it: `500ms`, `2s`, `5m`, `1h`, `7d`; a number alone is seconds.
pub fn read_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let seconds = match unit {
        "ms" => return Some(Duration::from_millis(number)),
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn read(name: &'static str, value: &'static str) -> Result<Wishes, Problem> {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        Wishes::read(&headers)
    }

    #[test]
    fn without_headers_an_event_is_delivered_at_least_once() {
        let wishes = Wishes::read(&HeaderMap::new()).unwrap();
        assert_eq!(wishes.assurance, Assurance::AtLeastOnce);
        assert_eq!((wishes.expiry, wishes.reply_to, wishes.correlation), (None, None, None));
    }

    #[test]
    fn wishes_are_read() {
        assert_eq!(read("windrose-assurance", "2").unwrap().assurance, Assurance::ExactlyOnce);
        assert_eq!(read("windrose-expiry", "30s").unwrap().expiry, Some(Duration::from_secs(30)));
        assert_eq!(read("windrose-reply-to", "a/%C3%A9").unwrap().reply_to.unwrap().as_str(), "a/\u{e9}");
        assert_eq!(read("windrose-correlation", "abc").unwrap().correlation.unwrap(), "abc");
    }

    #[test]
    fn wishes_that_make_no_sense_are_refused() {
        for (name, value) in [
            ("windrose-assurance", "3"),
            ("windrose-expiry", "soon"),
            ("windrose-expiry", "0s"),
            ("windrose-expiry", "99999999999999999999s"),
            ("windrose-expiry", "9999999999999999999d"),
            ("windrose-reply-to", "a/#"),
        ] {
            assert_eq!(read(name, value).unwrap_err().status.as_u16(), 400, "{name}: {value}");
        }
    }
}
