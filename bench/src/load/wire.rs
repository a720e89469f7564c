//! What carries a client's bytes: a TCP connection, with TLS or without.

use crate::Result;
use mio::net::TcpStream;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

/// A connection that blocks, as long as a client is being connected.
pub(super) enum Opening {
    /// Plain text.
    Plain(std::net::TcpStream),
    /// TLS.
    Tls(Box<StreamOwned<ClientConnection, std::net::TcpStream>>),
}

impl Opening {
    /// Connects; an answer may take as long as `patience` says.
    pub(super) fn to(
        address: SocketAddr,
        tls: Option<&Arc<ClientConfig>>,
        patience: Duration,
    ) -> Result<Self> {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        let Some(config) = tls else { return Ok(Self::Plain(stream)) };
        let name = ServerName::IpAddress(address.ip().into());
        let mut session = ClientConnection::new(Arc::clone(config), name)?;
        // What publishers may write is bounded by their windows, not here.
        session.set_buffer_limit(None);
        Ok(Self::Tls(Box::new(StreamOwned::new(session, stream))))
    }

    /// The same connection, which blocks no more.
    pub(super) fn unblock(self) -> Result<Wire> {
        let (tls, stream) = match self {
            Self::Plain(stream) => (None, stream),
            Self::Tls(both) => {
                let (session, stream) = both.into_parts();
                (Some(Box::new(session)), stream)
            }
        };
        stream.set_nonblocking(true)?;
        Ok(Wire { stream: TcpStream::from_std(stream), tls })
    }
}

impl Read for Opening {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(into),
            Self::Tls(stream) => stream.read(into),
        }
    }
}

impl Write for Opening {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// A connection that never blocks.
pub(super) struct Wire {
    /// Its socket.
    pub(super) stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

/// What one read brought.
pub(super) struct Got {
    /// Bytes of plain text; of a TLS record that is not whole yet, none.
    pub(super) bytes: usize,
    /// Whether the socket may have more.
    pub(super) more: bool,
}

impl Wire {
    /// The same socket again, to write to it from another thread; in plain text only.
    pub(super) fn writing_half(&self) -> Result<Self> {
        if self.tls.is_some() {
            return Err("a TLS connection cannot be written to from two threads".into());
        }
        let socket = std::net::TcpStream::from(self.stream.as_fd().try_clone_to_owned()?);
        Ok(Self { stream: TcpStream::from_std(socket), tls: None })
    }

    /// Reads once from the socket; its end is an error.
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<Got> {
        let Some(tls) = &mut self.tls else {
            return match self.stream.read(into)? {
                0 => Err(ErrorKind::UnexpectedEof.into()),
                bytes => Ok(Got { bytes, more: bytes == into.len() }),
            };
        };
        let mut source = Watched { stream: &mut self.stream, short: false };
        if tls.read_tls(&mut source)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let more = !source.short;
        tls.process_new_packets().map_err(io::Error::other)?;
        let mut bytes = 0;
        loop {
            match tls.reader().read(into.get_mut(bytes..).unwrap_or_default()) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => bytes += read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Got { bytes, more }),
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes what the socket takes; with TLS everything is taken, and kept until [`Wire::push`] has written it.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            Some(tls) => tls.writer().write(bytes),
            None => self.stream.write(bytes),
        }
    }

    /// Writes what TLS has kept.
    pub(super) fn push(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while tls.wants_write() {
            tls.write_tls(&mut self.stream)?;
        }
        Ok(())
    }

    /// Whether TLS keeps something that the socket has not taken.
    pub(super) fn is_behind(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }
}

/// A socket, and whether the last read emptied it.
struct Watched<'s> {
    stream: &'s mut TcpStream,
    short: bool,
}

impl Read for Watched<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(into)?;
        self.short = read < into.len();
        Ok(read)
    }
}
