//! Where a response ends, and whether its connection goes on (RFC 9112 §6.3 and §9.3).

use super::head::Violation;
use http::StatusCode;

/// How long a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes.
    Length(u64),
    /// Chunks, the last of which is empty.
    Chunked,
    /// Until the connection ends.
    UntilEnd,
}

/// What the headers say of that.
pub(super) struct FramingReader {
    /// HTTP/1.1, not 1.0.
    persistent: bool,
    length: Option<u64>,
    /// The last transfer coding, if there is any, is `chunked`.
    chunked: Option<bool>,
    close: bool,
    keep_alive: bool,
}

impl FramingReader {
    pub(super) fn new(persistent: bool) -> Self {
        Self { persistent, length: None, chunked: None, close: false, keep_alive: false }
    }

    /// Takes in a header, if it is one of those that matter.
    pub(super) fn read(&mut self, name: &str, value: &[u8]) -> Result<(), Violation> {
        if name.eq_ignore_ascii_case("content-length") {
            for length in elements(value) {
                let length = number(length).ok_or(Violation::Length)?;
                if self.length.is_some_and(|known| known != length) {
                    return Err(Violation::Length);
                }
                self.length = Some(length);
            }
            if self.length.is_none() {
                return Err(Violation::Length);
            }
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            if let Some(last) = elements(value).last() {
                self.chunked = Some(last.eq_ignore_ascii_case(b"chunked"));
            }
        } else if name.eq_ignore_ascii_case("connection") {
            for option in elements(value) {
                self.close |= option.eq_ignore_ascii_case(b"close");
                self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            }
        }
        Ok(())
    }

    /// How long the body is, and whether the connection can have another request after it.
    pub(super) fn finish(self, status: StatusCode) -> (Framing, bool) {
        let keep_alive = !self.close && (self.persistent || self.keep_alive);
        if status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            return (Framing::Length(0), keep_alive);
        }
        match (self.chunked, self.length) {
            // Who says both may mean to smuggle: the connection is not trusted with another request.
            (Some(true), length) => (Framing::Chunked, keep_alive && self.persistent && length.is_none()),
            (Some(false), _) | (None, None) => (Framing::UntilEnd, false),
            (None, Some(length)) => (Framing::Length(length), keep_alive),
        }
    }
}

/// The elements of a list, without blanks; empty ones are none.
fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

fn number(digits: &[u8]) -> Option<u64> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}
