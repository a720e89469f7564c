//! What HTTP/1.1 is spoken over: TCP, or TLS over it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// A transport that is up.
pub(super) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Transport {
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }

    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    /// Writes what can be written now, which may be nothing. What TLS has taken still has to be flushed.
    pub(super) fn try_write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = match (self, slices) {
            // One piece costs the kernel less than a list of one.
            (Self::Plain(stream), [one]) => stream.try_write(one),
            (Self::Plain(stream), _) => stream.try_write_vectored(slices),
            (Self::Tls(stream), _) => {
                let mut cx = Context::from_waker(Waker::noop());
                match Pin::new(&mut *stream).poll_write_vectored(&mut cx, slices) {
                    Poll::Ready(written) => {
                        // Whoever flushes later is told of a failure, too.
                        let _ = Pin::new(stream).poll_flush(&mut cx);
                        written
                    }
                    Poll::Pending => Ok(0),
                }
            }
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            written => written,
        }
    }

    /// Carries on with what was taken and not yet sent.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }
}
