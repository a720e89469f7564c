//! The server's side of a TLS handshake: the first words are read before it is decided who answers them.

use super::clients::take_refused;
use rustls::ServerConnection;
use rustls::server::{Accepted, Acceptor};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The room for one read of a client's first words.
const ROOM: usize = 4_096;

/// How long a client that is sent away may take to leave, and how many bytes of its are dropped meanwhile.
const LINGER: Duration = Duration::from_millis(500);
const MOST_DROPPED: usize = 128 * 1024;

/// A fatal alert, not encrypted yet: there is no such server here (RFC 6066 §3, RFC 8446 §6).
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// Reads a client's first words (ClientHello). The caller bounds the time; rustls bounds the bytes. An error has been
/// told to the peer by an alert, as far as it listens.
pub(crate) async fn read_hello<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> io::Result<Accepted> {
    let mut acceptor = Acceptor::default();
    // On the heap: the task that waits here may live on for as long as its connection does.
    let mut room = Vec::with_capacity(ROOM);
    loop {
        room.clear();
        if stream.read_buf(&mut room).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the peer left amid the handshake"));
        }
        let mut bytes = room.as_slice();
        // All of it, before anybody looks: what is left here would be lost. (An empty read would be taken for the end.)
        while !bytes.is_empty() {
            acceptor.read_tls(&mut bytes)?;
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => return Ok(accepted),
            Ok(None) => {}
            Err((error, mut alert)) => {
                let mut words = Vec::new();
                alert.write_all(&mut words)?;
                part(stream, &words).await;
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
    }
}

/// Answers a client's first words until both sides have shown who they are. What is then still to be written (session
/// tickets) and to be read (the client's next words, most often) is left in the connection: it can go out with the first
/// answer. The caller bounds the time. An error has been told to the peer by an alert, as far as it listens.
pub(crate) async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    connection: &mut ServerConnection,
) -> io::Result<()> {
    let mut room = Vec::with_capacity(ROOM);
    while connection.is_handshaking() {
        write_all(stream, connection, &mut room).await?;
        room.clear();
        if stream.read_buf(&mut room).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the peer left amid the handshake"));
        }
        let mut bytes = room.as_slice();
        while !bytes.is_empty() {
            connection.read_tls(&mut bytes)?;
            // Of an earlier handshake, perhaps.
            take_refused();
            if let Err(error) = connection.process_new_packets() {
                let error = match take_refused() {
                    Some(whose) => io::Error::other(format!("{error}; the certificate is of {whose}")),
                    None => io::Error::new(io::ErrorKind::InvalidData, error),
                };
                let mut words = Vec::new();
                while connection.wants_write() {
                    connection.write_tls(&mut words)?;
                }
                part(stream, &words).await;
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Sends the last words to a client. What it is still writing is read and dropped, for a moment: the system would cut the
/// connection over it, and the client would not hear why it is sent away.
async fn part<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, words: &[u8]) {
    let parting = async {
        stream.write_all(words).await?;
        stream.shutdown().await?;
        let mut room = Vec::with_capacity(ROOM);
        let mut dropped = 0;
        while dropped < MOST_DROPPED && stream.read_buf(&mut room).await? > 0 {
            dropped += room.len();
            room.clear();
        }
        io::Result::Ok(())
    };
    // Whether it listened or not.
    let _ = tokio::time::timeout(LINGER, parting).await;
}

/// Writes what TLS has to say, by way of `room`.
async fn write_all<S: AsyncWrite + Unpin>(
    stream: &mut S,
    connection: &mut ServerConnection,
    room: &mut Vec<u8>,
) -> io::Result<()> {
    room.clear();
    while connection.wants_write() {
        connection.write_tls(room)?;
    }
    stream.write_all(room).await
}

/// Tells a client that there is no server of the name that it asked for.
pub(crate) async fn refuse_name<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    part(stream, &UNRECOGNIZED_NAME).await;
}
