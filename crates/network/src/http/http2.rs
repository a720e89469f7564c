//! HTTP/2 to a member, by hyper: one connection that all requests share.

use super::connector::{Cause, Failure};
use super::local::LocalExecutor;
use bytes::{Bytes, BytesMut};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use windrose_protocol::http::{MAX_BODY, Response};

/// How often a connection that is shared by many requests is asked whether it still lives.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// How long the answer to that may take.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// A handle of a connection.
#[derive(Clone)]
pub(super) struct Http2(http2::SendRequest<Full<Bytes>>);

/// Begins to speak HTTP/2.
pub(super) async fn handshake<S>(stream: S) -> Result<Http2, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let (sender, connection) = http2::Builder::new(LocalExecutor)
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .handshake(TokioIo::new(stream))
        .await?;
    // How it ended is told by the requests that it fails.
    tokio::task::spawn_local(async move { drop(connection.await) });
    Ok(Http2(sender))
}

impl Http2 {
    pub(super) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Sends a request and reads its whole answer.
    pub(super) async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Response, Failure> {
        let response = self.0.send_request(request).await?;
        let (parts, body) = response.into_parts();
        let body = read(body).await.map_err(|error| Failure::Garbage(Cause::Http2(error)))?;
        Ok(Response { status: parts.status, headers: parts.headers, body, reusable: true })
    }
}

impl From<hyper::Error> for Failure {
    fn from(error: hyper::Error) -> Self {
        // A connection that HTTP/2 gives up gracefully, or that ends between two requests, has answered nothing.
        if error.is_canceled() || error.is_closed() || error.is_incomplete_message() || is_io(&error) {
            Self::Closed(Cause::Http2(error))
        } else {
            Self::Garbage(Cause::Http2(error))
        }
    }
}

/// Whether the transport failed, and not what was said over it.
fn is_io(error: &hyper::Error) -> bool {
    !error.is_parse() && std::error::Error::source(error).is_some_and(|source| source.is::<io::Error>())
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
