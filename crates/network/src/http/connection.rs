//! One connection to a member: connecting, and one request and its answer over it.

use super::local::LocalExecutor;
use crate::dial::{DialError, Dialer, Stream};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ClientConfig;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use windrose_policy::{HttpVersion, Member, Pool};

/// The largest answer that is read.
const MAX_BODY: usize = 1 << 20;
/// The room for an answer's head.
const READ_BUFFER: usize = 64 * 1024;
/// How often a connection that is shared by many requests is asked whether it still lives.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// How long the answer to that may take.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// How to reach a member.
pub(super) struct Connector {
    dialer: Dialer,
    /// Whether HTTP/2 is spoken without being agreed on.
    http2_only: bool,
}

/// A connection that is ready for a request.
pub(super) enum Connection {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// A member's answer.
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// `None`: longer than is read, and the connection is of no more use.
    pub(super) body: Option<Bytes>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    Dial(DialError),
    /// The connection ended before an answer began.
    Closed(hyper::Error),
    /// What came was not HTTP, or ended amid an answer.
    Garbage(hyper::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dial(error) => fmt::Display::fmt(error, f),
            Self::Closed(error) => write!(f, "it closed the connection without an answer: {}", Chain(error)),
            Self::Garbage(error) => write!(f, "its answer is not understood: {}", Chain(error)),
        }
    }
}

/// An error with what caused it.
struct Chain<'a>(&'a hyper::Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = std::error::Error::source(self.0);
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl From<hyper::Error> for Failure {
    fn from(error: hyper::Error) -> Self {
        // A connection that HTTP/2 gives up gracefully, or that ends between two requests, has answered nothing.
        if error.is_canceled() || error.is_closed() || error.is_incomplete_message() || is_io(&error) {
            Self::Closed(error)
        } else {
            Self::Garbage(error)
        }
    }
}

/// Whether the transport failed, and not what was said over it.
fn is_io(error: &hyper::Error) -> bool {
    !error.is_parse() && std::error::Error::source(error).is_some_and(|source| source.is::<io::Error>())
}

impl Connector {
    pub(super) fn new(pool: &Pool, member: &Member, tls: Option<Arc<ClientConfig>>) -> Self {
        let dialer = Dialer::new(pool, member, tls);
        Self { dialer, http2_only: pool.http_version == HttpVersion::Http2 }
    }

    /// Whether TLS can be had, for a member that needs it.
    pub(super) fn can_secure(&self) -> bool {
        self.dialer.can_secure()
    }

    /// A new connection.
    pub(super) async fn connect(&self) -> Result<Connection, Failure> {
        match self.dialer.dial().await.map_err(Failure::Dial)? {
            Stream::Plain(stream) => handshake(stream, self.http2_only).await,
            Stream::Tls(stream) => {
                let http2 = self.http2_only || stream.get_ref().1.alpn_protocol() == Some(b"h2");
                handshake(*stream, http2).await
            }
        }
    }
}

async fn handshake<S>(stream: S, http2: bool) -> Result<Connection, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let io = TokioIo::new(stream);
    if http2 {
        let (sender, connection) = http2::Builder::new(LocalExecutor)
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .handshake(io)
            .await?;
        // How it ended is told by the requests that it fails.
        tokio::task::spawn_local(async move { drop(connection.await) });
        Ok(Connection::Http2(sender))
    } else {
        let (sender, connection) = http1::Builder::new().max_buf_size(READ_BUFFER).handshake(io).await?;
        tokio::task::spawn_local(async move { drop(connection.await) });
        Ok(Connection::Http1(sender))
    }
}

impl Connection {
    /// Whether the protocol lets several requests share it.
    pub(super) fn is_http2(&self) -> bool {
        matches!(self, Self::Http2(_))
    }

    /// Waits until it takes a request; an error means that it is closed.
    pub(super) async fn ready(&mut self) -> Result<(), Failure> {
        match self {
            Self::Http1(sender) => sender.ready().await?,
            Self::Http2(sender) => sender.ready().await?,
        }
        Ok(())
    }

    pub(super) fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender) => sender.is_closed(),
        }
    }

    /// Sends a request and reads its whole answer.
    pub(super) async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Response, Failure> {
        let response = match self {
            Self::Http1(sender) => sender.send_request(request).await?,
            Self::Http2(sender) => sender.send_request(request).await?,
        };
        let (parts, body) = response.into_parts();
        let body = read(body).await.map_err(Failure::Garbage)?;
        Ok(Response { status: parts.status, headers: parts.headers, body })
    }
}

/// The whole body, or `None` if it is longer than is read.
async fn read(mut body: Incoming) -> Result<Option<Bytes>, hyper::Error> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while !body.is_end_stream() {
        let Some(frame) = body.frame().await else { break };
        let Ok(data) = frame?.into_data() else { continue };
        if first.len() + rest.len() + data.len() > MAX_BODY {
            return Ok(None);
        }
        // Most answers are one piece, which needs no copy.
        if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    if rest.is_empty() {
        return Ok(Some(first));
    }
    let mut whole = BytesMut::with_capacity(first.len() + rest.len());
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&rest);
    Ok(Some(whole.freeze()))
}
