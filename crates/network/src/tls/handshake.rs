//! The server's side of a TLS handshake on a non-blocking socket.

use rustls::{ServerConfig, ServerConnection};
use std::io::{self, Write};
use std::sync::Arc;
use tokio::net::TcpStream;

/// The largest first flight of a client that is looked at: a ClientHello is a record, at most 18 KB with its overhead.
const FLIGHT: usize = 4_096;

/// Shakes hands. The caller bounds the time. An error has been told to the peer by an alert, as far as it listens.
pub(crate) async fn handshake(
    stream: &mut TcpStream,
    config: Arc<ServerConfig>,
) -> io::Result<Box<ServerConnection>> {
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut tls = Box::new(connection);
    while tls.is_handshaking() {
        stream.readable().await?;
        let mut flight = [0; FLIGHT];
        let read = match stream.try_read(&mut flight) {
            Ok(0) => {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the peer left amid the handshake"));
            }
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        let mut bytes = flight.get(..read).unwrap_or_default();
        while !bytes.is_empty() {
            tls.read_tls(&mut bytes)?;
            if let Err(error) = tls.process_new_packets() {
                let _ = write(stream, &mut tls).await;
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
        write(stream, &mut tls).await?;
    }
    Ok(tls)
}

async fn write(stream: &TcpStream, tls: &mut ServerConnection) -> io::Result<()> {
    while tls.wants_write() {
        match tls.write_tls(&mut Nonblocking(stream)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

struct Nonblocking<'a>(&'a TcpStream);

impl Write for Nonblocking<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
