//! One connection to a member: connecting, and one request and its answer over it.

use super::local::LocalExecutor;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use windrose_policy::{HttpVersion, Member, Pool};

/// The largest answer that is read.
const MAX_BODY: usize = 1 << 20;
/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 16;
/// The room for an answer's head.
const READ_BUFFER: usize = 64 * 1024;
/// How often a connection that is shared by many requests is asked whether it still lives.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// How long the answer to that may take.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// How to reach a member.
pub(super) struct Connector {
    host: Arc<str>,
    port: u16,
    /// The host, if it is an address already.
    literal: Option<IpAddr>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// Whether HTTP/2 is spoken without being agreed on.
    http2_only: bool,
    time_limit: Duration,
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
    /// The document's trouble: told when the pool was taken into use.
    NoTls,
    Resolve(io::Error),
    NoAddress,
    Connect(SocketAddr, io::Error),
    Tls(io::Error),
    /// The connection ended before an answer began.
    Closed(hyper::Error),
    /// What came was not HTTP, or ended amid an answer.
    Garbage(hyper::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTls => f.write_str("the pool's ca cannot be used; correct it and reload"),
            Self::Resolve(error) => write!(f, "its name cannot be resolved: {error}"),
            Self::NoAddress => f.write_str("its name has no address"),
            Self::Connect(address, error) => write!(f, "cannot connect to {address}: {error}"),
            Self::Tls(error) => write!(f, "the TLS handshake failed: {error}"),
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
        let tls = tls.filter(|_| member.tls).and_then(|config| {
            let name = ServerName::try_from(member.host.to_string()).ok()?;
            Some((TlsConnector::from(config), name))
        });
        Self {
            host: Arc::clone(&member.host),
            port: member.port,
            literal: member.host.parse().ok(),
            tls,
            http2_only: pool.http_version == HttpVersion::Http2,
            time_limit: pool.timeout,
        }
    }

    /// Whether TLS can be had, for a member that needs it.
    pub(super) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// A new connection.
    pub(super) async fn connect(&self) -> Result<Connection, Failure> {
        let stream = self.reach().await?;
        // A request is written whole: it must not wait for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let Some((connector, name)) = &self.tls else {
            return handshake(stream, self.http2_only).await;
        };
        let stream = connector.connect(name.clone(), stream).await.map_err(Failure::Tls)?;
        let http2 = self.http2_only || stream.get_ref().1.alpn_protocol() == Some(b"h2");
        handshake(stream, http2).await
    }

    async fn reach(&self) -> Result<TcpStream, Failure> {
        if let Some(ip) = self.literal {
            let address = SocketAddr::new(ip, self.port);
            return TcpStream::connect(address).await.map_err(|error| Failure::Connect(address, error));
        }
        let found = lookup_host((&*self.host, self.port)).await.map_err(Failure::Resolve)?;
        let addresses: Vec<_> = found.take(MAX_ADDRESSES).collect();
        // One address that swallows packets must not use up the time of the others.
        let share = self.time_limit / u32::try_from(addresses.len()).unwrap_or(1).max(1);
        let mut failure = Failure::NoAddress;
        for address in addresses {
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => failure = Failure::Connect(address, error),
                Err(_) => failure = Failure::Connect(address, io::ErrorKind::TimedOut.into()),
            }
        }
        Err(failure)
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
