//! The head of a response: status line and headers (RFC 9112 §4 and §5).

use super::framing::{Framing, FramingReader};
use http::header::{CONTENT_TYPE, DATE, HeaderName, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use std::fmt;
use std::mem::MaybeUninit;

/// The longest head that is read.
pub const MAX_HEAD: usize = 64 * 1024;
/// The most headers of a head.
const MAX_HEADERS: usize = 100;

/// What came is not the response that HTTP/1.1 asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The head cannot be parsed.
    Head(httparse::Error),
    /// The head is longer than is read.
    HeadTooLong,
    /// `101 Switching Protocols`, which nobody asked for.
    Switched,
    /// A `Content-Length` that is no number, or several that differ.
    Length,
    /// The chunks of the body are not well-formed.
    Chunk,
    /// Bytes without a request that they could answer.
    Unasked,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head(error) => write!(f, "its head is not HTTP/1.1 ({error})"),
            Self::HeadTooLong => write!(f, "its head is longer than {} KiB", MAX_HEAD / 1024),
            Self::Switched => f.write_str("it switches to another protocol, which it was not asked for"),
            Self::Length => f.write_str("its content-length is no number, or is said twice"),
            Self::Chunk => f.write_str("its body is not in well-formed chunks"),
            Self::Unasked => f.write_str("it came without a request"),
        }
    }
}

impl std::error::Error for Violation {}

/// A whole head.
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) framing: Framing,
    /// Whether the connection outlives the response.
    pub(super) keep_alive: bool,
    /// Its length in bytes.
    pub(super) len: usize,
}

impl Head {
    /// Reads a head, with the headers that say something of an answer unless it is a success and `keep` is not set.
    /// `None`: it is not whole.
    pub(super) fn read(bytes: &[u8], keep: bool) -> Result<Option<Self>, Violation> {
        let mut room = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; MAX_HEADERS];
        let mut parsed = httparse::Response::new(&mut []);
        let status = httparse::ParserConfig::default().parse_response_with_uninit_headers(
            &mut parsed,
            bytes,
            &mut room,
        );
        let len = match status.map_err(Violation::Head)? {
            httparse::Status::Complete(len) => len,
            httparse::Status::Partial => return Ok(None),
        };
        let code = parsed.code.unwrap_or_default();
        let status = StatusCode::from_u16(code).map_err(|_| Violation::Head(httparse::Error::Status))?;
        let keep = keep || !status.is_success();
        let mut headers = HeaderMap::new();
        let mut framing = FramingReader::new(parsed.version == Some(1));
        for header in parsed.headers.iter() {
            framing.read(header.name, header.value)?;
            if keep
                && let Some(name) = telling(header.name)
                && let Ok(value) = HeaderValue::from_bytes(header.value)
            {
                headers.append(name, value);
            }
        }
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Violation::Switched);
        }
        let (framing, keep_alive) = framing.finish(status);
        Ok(Some(Self { status, headers, framing, keep_alive, len }))
    }
}

/// The headers that outcomes and replies are made of.
fn telling(name: &str) -> Option<HeaderName> {
    [CONTENT_TYPE, DATE, RETRY_AFTER].into_iter().find(|known| name.eq_ignore_ascii_case(known.as_str()))
}
