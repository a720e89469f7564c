//! The PROXY protocol, versions 1 and 2: what a proxy says of a connection before the connection's own bytes
//! (<https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>; sections below are its).
//!
//! Whoever can write such a header can claim any address and any certificate. It is read only where the operator says
//! that a proxy of theirs is the only one who can connect.

mod crc32c;
#[cfg(test)]
mod tests;
mod v1;
mod v2;

use std::fmt;
use std::net::SocketAddr;

/// What a proxy says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// How many bytes it has: the connection's own follow.
    pub length: usize,
    /// Where the connection comes from; `None`: the proxy speaks for itself, or does not know.
    pub source: Option<SocketAddr>,
    /// The server name that the client asked for (§2.2.2, PP2_TYPE_AUTHORITY).
    pub authority: Option<String>,
    /// The protocol that the client and the proxy agreed on (§2.2.1, PP2_TYPE_ALPN).
    pub alpn: Option<Vec<u8>>,
    /// What the proxy calls the connection (§2.2.5, PP2_TYPE_UNIQUE_ID).
    pub unique_id: Option<Vec<u8>>,
    /// The client's TLS, if it had any (§2.2.6, PP2_TYPE_SSL).
    pub tls: Option<Tls>,
}

/// What a proxy says of a client's TLS (§2.2.6).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// The version, such as `TLSv1.3`.
    pub version: Option<String>,
    /// The client brought a certificate, and the proxy verified it.
    pub is_verified: bool,
    /// The common name in the client's certificate.
    pub common_name: Option<String>,
    /// The client's certificate, in DER.
    pub certificate: Option<Vec<u8>>,
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderError(pub &'static str);

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for HeaderError {}

/// Reads a header, if it is there whole. What is wrong is told as soon as it is seen.
pub fn read(bytes: &[u8]) -> Result<Option<Header>, HeaderError> {
    match bytes.first() {
        None => Ok(None),
        Some(b'P') => v1::read(bytes),
        Some(_) => v2::read(bytes),
    }
}

/// Whether `bytes` begin with `prefix`; `None` if there are too few of them to know.
fn begins(bytes: &[u8], prefix: &[u8]) -> Option<bool> {
    let length = bytes.len().min(prefix.len());
    let agree = bytes.iter().zip(prefix).all(|(byte, wanted)| byte == wanted);
    (!agree || length == prefix.len()).then_some(agree)
}
