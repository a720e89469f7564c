//! Connecting to a member, and what can go wrong with it.

use super::http2::{self, Http2};
use super::transport::Transport;
use crate::dial::{DialError, Dialer, Stream};
use rustls::ClientConfig;
use std::fmt;
use std::io;
use std::sync::Arc;
use windrose_policy::{HttpVersion, Member, Pool};
use windrose_protocol::http::Violation;

/// How to reach a member.
pub(super) struct Connector {
    dialer: Dialer,
    /// Whether HTTP/2 is spoken without being agreed on.
    http2_only: bool,
}

/// A new connection, by what is spoken on it.
pub(super) enum Connected {
    Http1(Transport),
    Http2(Http2),
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    Dial(DialError),
    /// The connection ended before an answer began.
    Closed(Cause),
    /// What came was not HTTP, or ended amid an answer.
    Garbage(Cause),
}

/// What ended a connection.
#[derive(Debug)]
pub(super) enum Cause {
    End,
    Transport(io::Error),
    Violation(Violation),
    Http2(hyper::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dial(error) => fmt::Display::fmt(error, f),
            Self::Closed(Cause::End) => f.write_str("it closed the connection without an answer"),
            Self::Closed(cause) => write!(f, "it closed the connection without an answer: {cause}"),
            Self::Garbage(Cause::End) => f.write_str("it closed the connection amid its answer"),
            Self::Garbage(cause) => write!(f, "its answer is not understood: {cause}"),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::End => f.write_str("the connection ended"),
            Self::Transport(error) => fmt::Display::fmt(error, f),
            Self::Violation(violation) => fmt::Display::fmt(violation, f),
            Self::Http2(error) => {
                write!(f, "{error}")?;
                let mut source = std::error::Error::source(error);
                while let Some(error) = source {
                    write!(f, ": {error}")?;
                    source = error.source();
                }
                Ok(())
            }
        }
    }
}

impl Connector {
    pub(super) fn new(pool: &Pool, member: &Member, tls: Option<Arc<ClientConfig>>) -> Self {
        let dialer = Dialer::new(pool, member, tls);
        Self { dialer, http2_only: pool.http_version == HttpVersion::Http2 }
    }

    /// A new connection.
    pub(super) async fn connect(&self) -> Result<Connected, Failure> {
        Ok(match self.dialer.dial().await.map_err(Failure::Dial)? {
            Stream::Plain(stream) if self.http2_only => Connected::Http2(http2::handshake(stream).await?),
            Stream::Plain(stream) => Connected::Http1(Transport::Plain(stream)),
            Stream::Tls(stream) if self.http2_only || stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                Connected::Http2(http2::handshake(*stream).await?)
            }
            Stream::Tls(stream) => Connected::Http1(Transport::Tls(stream)),
        })
    }
}
