//! The seam to the network: what is asked of services elsewhere, such as an issuer's keys.

use bytes::Bytes;
use std::fmt;
use std::time::Duration;
use windrose_event::Pending;

/// A request by HTTP. Its `Debug` shows neither headers nor body: passwords are in them.
#[derive(Clone)]
pub struct FetchRequest {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// `https://...`, or `http://...` where the caller allows it.
    pub url: String,
    /// Names and values of headers. Values can be secrets: never logged.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// How long all of it may take.
    pub timeout: Duration,
    /// How many bytes the answer may have.
    pub most: usize,
}

impl fmt::Debug for FetchRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchRequest")
            .field("method", &self.method)
            .field("url", &self.url)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The status code.
    pub status: u16,
    /// `Cache-Control: max-age`, if it says one.
    pub max_age: Option<Duration>,
    /// The body.
    pub body: Bytes,
}

/// Asks services elsewhere. Redirects are not followed.
pub trait Fetch: Send + Sync {
    /// Asks; the error is a sentence for the operator.
    fn fetch(&self, request: FetchRequest) -> Pending<Result<Fetched, String>>;
}
