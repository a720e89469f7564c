//! A stream of which something was read before it was known who would read it.

use bytes::{Buf, BytesMut};
use rustls::ServerConnection;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// The room for one read: most connections say with it all that there is to know.
const ROOM: usize = 2_048;

/// A stream, and what was read of it early, which its next reader gets first.
pub(super) struct Early<S> {
    stream: S,
    early: BytesMut,
}

/// A transport taken apart for a driver.
pub(super) struct Parts {
    pub(super) stream: TcpStream,
    pub(super) tls: Option<Box<ServerConnection>>,
    /// What was read of the stream and not decrypted yet.
    pub(super) sealed: BytesMut,
}

/// What connections come by.
pub(super) trait Transport: AsyncRead + AsyncWrite + Unpin + Sized + 'static {
    /// Takes it apart; also, what was read and is for the machine.
    fn into_parts(self) -> (Parts, BytesMut);
}

impl<S> Early<S> {
    pub(super) fn new(stream: S) -> Self {
        Self::with(stream, &[])
    }

    /// A stream of which this was read.
    pub(super) fn with(stream: S, early: &[u8]) -> Self {
        Self { stream, early: early.into() }
    }

    /// What was read early.
    pub(super) fn early(&self) -> &[u8] {
        &self.early
    }

    /// Forgets the first bytes of it.
    pub(super) fn consume(&mut self, length: usize) {
        self.early.advance(length.min(self.early.len()));
    }
}

impl<S: AsyncRead + Unpin> Early<S> {
    /// Reads more. The caller bounds how much. `UnexpectedEof`: the peer left.
    pub(super) async fn read_early(&mut self) -> io::Result<()> {
        self.early.reserve(ROOM);
        match self.stream.read_buf(&mut self.early).await? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the peer left")),
            _ => Ok(()),
        }
    }
}

impl Early<TcpStream> {
    /// Takes it apart after a handshake: what was read early is not decrypted yet.
    pub(super) fn secured_by(self, tls: Box<ServerConnection>) -> Parts {
        Parts { stream: self.stream, tls: Some(tls), sealed: self.early }
    }
}

impl Transport for Early<TcpStream> {
    fn into_parts(self) -> (Parts, BytesMut) {
        (Parts { stream: self.stream, tls: None, sealed: BytesMut::new() }, self.early)
    }
}

impl Transport for Early<TlsStream<Early<TcpStream>>> {
    fn into_parts(self) -> (Parts, BytesMut) {
        let (under, tls) = self.stream.into_inner();
        let (stream, sealed) = (under.stream, under.early);
        (Parts { stream, tls: Some(Box::new(tls)), sealed }, self.early)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Early<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
            // What TLS has to say by itself, such as that nothing is renegotiated (RFC 5246 §7.2.2), does not wait until
            // somebody writes. If it cannot be said, the next read tells.
            if read.is_pending() {
                let _ = Pin::new(&mut self.stream).poll_flush(cx);
            }
            return read;
        }
        let length = self.early.len().min(buffer.remaining());
        buffer.put_slice(&self.early.split_to(length));
        if self.early.is_empty() {
            self.early = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Early<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
