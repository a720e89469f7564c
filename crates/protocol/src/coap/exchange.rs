//! A request and its response, without the message, datagram or frame that carried them.

use super::codec::{Code, Options, OptionsBuf};
use bytes::Bytes;
use smallvec::SmallVec;

/// What pairs a response with its request: chosen by the client, echoed by the server (RFC 7252 §5.3.1). Longer ones than
/// eight bytes are those of RFC 8974.
pub type Token = SmallVec<[u8; 16]>;

/// A request, as it stands in what was received.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method (RFC 7252 §5.8).
    pub code: Code,
    /// What its response will bear.
    pub token: &'a [u8],
    /// Its options, well-formed; every critical one is known (RFC 7252 §5.4.1).
    pub options: Options<'a>,
    /// Its payload; empty if there is none.
    pub payload: &'a [u8],
    /// Whether it came in a confirmable message, or by a transport that loses nothing.
    pub confirmable: bool,
}

/// A response or a notification that waits to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// What became of the request (RFC 7252 §5.9).
    pub code: Code,
    /// Its options.
    pub options: OptionsBuf,
    /// Its payload; empty if there is none.
    pub payload: Bytes,
}

impl Response {
    /// A response of a code alone.
    pub fn new(code: Code) -> Self {
        Self { code, ..Self::default() }
    }

    /// A response that says why, in words for people (RFC 7252 §5.5.2, diagnostic payload).
    pub fn diagnostic(code: Code, sentence: impl Into<Bytes>) -> Self {
        Self { code, options: OptionsBuf::default(), payload: sentence.into() }
    }

    /// The same with one more option.
    #[must_use]
    pub fn with(mut self, number: u16, value: &[u8]) -> Self {
        self.options.insert(number, value);
        self
    }

    /// The same with one more option that is a number.
    #[must_use]
    pub fn with_uint(mut self, number: u16, value: u32) -> Self {
        self.options.insert_uint(number, value);
        self
    }
}
