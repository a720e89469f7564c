//! A connection that is made without waiting, in plain text or with TLS, and what it has to say and to hear.

use crate::Result;
use mio::net::TcpStream;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Linux's number for a connection that is being made; std has no kind for it.
const EINPROGRESS: i32 = 115;

/// A client's end of a connection.
pub(super) struct Dialled {
    /// Its socket.
    pub(super) stream: TcpStream,
    /// Its TLS, if it has it.
    pub(super) tls: Option<Box<ClientConnection>>,
    /// What the server has said so far.
    pub(super) answer: Vec<u8>,
}

impl Dialled {
    /// Begins a connection from an address to a server.
    pub(super) fn begin(source: IpAddr, server: SocketAddr, tls: Option<&Arc<ClientConfig>>) -> Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
        if let Err(error) = socket.connect(&server.into())
            && error.raw_os_error() != Some(EINPROGRESS)
        {
            return Err(format!("connecting from {source}: {error}").into());
        }
        let tls = match tls {
            Some(config) => {
                let name = ServerName::IpAddress(server.ip().into());
                Some(Box::new(ClientConnection::new(Arc::clone(config), name)?))
            }
            None => None,
        };
        Ok(Self { stream: TcpStream::from_std(socket.into()), tls, answer: Vec::new() })
    }

    /// Says something; with TLS it is kept until the handshake is done and [`Dialled::exchange`] is called.
    pub(super) fn say(&mut self, words: &[u8]) -> std::io::Result<()> {
        match &mut self.tls {
            Some(tls) => tls.writer().write_all(words),
            None => self.stream.write_all(words),
        }
    }

    /// Moves bytes between the socket, TLS if any, and the answer.
    pub(super) fn exchange(&mut self, scratch: &mut [u8]) -> std::io::Result<()> {
        let Some(tls) = &mut self.tls else {
            return drain(&mut self.stream, scratch, &mut self.answer);
        };
        loop {
            while tls.wants_write() {
                match tls.write_tls(&mut self.stream) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    other => other?,
                };
            }
            match tls.read_tls(&mut self.stream) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
            tls.process_new_packets().map_err(std::io::Error::other)?;
            drain(&mut tls.reader(), scratch, &mut self.answer)?;
        }
    }
}

/// Reads until nothing more is there.
fn drain(source: &mut impl Read, scratch: &mut [u8], into: &mut Vec<u8>) -> std::io::Result<()> {
    loop {
        match source.read(scratch) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => into.extend(scratch.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}
