//! The server's side of a TLS handshake: the first words are read before it is decided who answers them.

use super::clients::take_refused;
use rustls::server::{Accepted, AcceptedAlert, Acceptor, ServerConfig};
use rustls::{AlertDescription, Error, HandshakeKind, PeerMisbehaved, ProtocolVersion, ServerConnection};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The room for one read of a client's first words.
const ROOM: usize = 4_096;

/// How long a client that is sent away may take to leave, and how many bytes of its are dropped meanwhile.
const LINGER: Duration = Duration::from_millis(500);
const MOST_DROPPED: usize = 128 * 1024;

/// A client's first words, and what it said after them.
pub(crate) type Hello = (Accepted, Vec<u8>);

/// Reads a client's first words (ClientHello). The caller bounds the time; rustls bounds the bytes. An error has been
/// told to the peer by an alert, as far as it listens.
pub(crate) async fn read_hello<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> io::Result<Hello> {
    let mut acceptor = Acceptor::default();
    // On the heap: the task that waits here may live on for as long as its connection does.
    let mut room = Vec::with_capacity(ROOM);
    loop {
        room.clear();
        if stream.read_buf(&mut room).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the peer left amid the handshake"));
        }
        let mut bytes = room.as_slice();
        // Looked at after each step: how much rustls takes depends on what it knows of it. (An empty read would be taken for
        // the end.)
        while !bytes.is_empty() {
            if let Err(error) = acceptor.read_tls(&mut bytes) {
                part(stream, &fatal(AlertDescription::DecodeError)).await;
                return Err(error);
            }
            match acceptor.accept() {
                Ok(Some(accepted)) => return Ok((accepted, bytes.to_vec())),
                Ok(None) => {}
                Err((error, mut alert)) => {
                    part(stream, &last_words(&mut alert, &error)).await;
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
            }
        }
    }
}

/// Answers a client's first words until both sides have shown who they are. What is then still to be written (session
/// tickets) and to be read (the client's next words, most often) is left in the connection: it can go out with the first
/// answer. The caller bounds the time. An error has been told to the peer by an alert, as far as it listens.
pub(crate) async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    (accepted, rest): Hello,
    config: Arc<ServerConfig>,
) -> io::Result<Box<ServerConnection>> {
    let mut connection = match accepted.into_connection(config) {
        Ok(connection) => Box::new(connection),
        Err((error, mut alert)) => {
            part(stream, &last_words(&mut alert, &error)).await;
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
    };
    let mut room = Vec::with_capacity(ROOM);
    write_all(stream, &mut connection, &mut room).await?;
    // What came together with the first words is heard first: there may be nothing more to come.
    room.clear();
    room.extend(rest);
    loop {
        if let Err(Failure { cause, alert }) = hear(&mut connection, &room) {
            let mut words = Vec::new();
            while connection.wants_write() {
                connection.write_tls(&mut words)?;
            }
            words.extend(alert.into_iter().flatten());
            part(stream, &words).await;
            return Err(cause);
        }
        if !connection.is_handshaking() {
            return Ok(connection);
        }
        write_all(stream, &mut connection, &mut room).await?;
        room.clear();
        if stream.read_buf(&mut room).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the peer left amid the handshake"));
        }
    }
}

/// Why a handshake ends.
struct Failure {
    cause: io::Error,
    /// What is to be said after what TLS has to say.
    alert: Option<[u8; 7]>,
}

/// Has TLS take what was read.
fn hear(connection: &mut ServerConnection, mut bytes: &[u8]) -> Result<(), Failure> {
    loop {
        // (An empty read would be taken for the end.)
        if !bytes.is_empty()
            && let Err(cause) = connection.read_tls(&mut bytes)
        {
            let alert = is_open(connection).then(|| fatal(AlertDescription::DecodeError));
            return Err(Failure { cause, alert });
        }
        // Of an earlier handshake, perhaps.
        take_refused();
        if let Err(error) = connection.process_new_packets() {
            let is_silent = !connection.wants_write() && is_open(connection);
            let alert = if is_silent { unsaid(&error) } else { None };
            let cause = match take_refused() {
                Some(whose) => io::Error::other(format!("{error}; the certificate is of {whose}")),
                None => io::Error::new(io::ErrorKind::InvalidData, error),
            };
            return Err(Failure { cause, alert });
        }
        if bytes.is_empty() {
            return Ok(());
        }
    }
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

/// Tells a client that there is no server of the name that it asked for (RFC 6066 §3).
pub(crate) async fn refuse_name<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    part(stream, &fatal(AlertDescription::UnrecognisedName)).await;
}

/// Whether what we say is not encrypted: until the end of a handshake of TLS 1.2 that takes up no earlier session, for we
/// are the last to change ciphers then (RFC 5246 §7.3).
fn is_open(connection: &ServerConnection) -> bool {
    connection.protocol_version() == Some(ProtocolVersion::TLSv1_2)
        && connection.handshake_kind() == Some(HandshakeKind::Full)
        && connection.is_handshaking()
}

/// What a client that said hello for nothing is told.
fn last_words(alert: &mut AcceptedAlert, error: &Error) -> Vec<u8> {
    let mut words = Vec::new();
    // A vector takes all of it.
    let _ = alert.write_all(&mut words);
    if words.is_empty() {
        words.extend(unsaid(error).into_iter().flatten());
    }
    words
}

/// The alert for an error about which rustls ends a handshake without a word. `None`: the peer has said why it goes.
fn unsaid(error: &Error) -> Option<[u8; 7]> {
    let description = match error {
        Error::AlertReceived(_) => return None,
        Error::InvalidMessage(problem) => AlertDescription::from(*problem),
        Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::PeerMisbehaved(
            PeerMisbehaved::MessageInterleavedWithHandshakeMessage
            | PeerMisbehaved::TooManyWarningAlertsReceived,
        ) => AlertDescription::UnexpectedMessage,
        Error::PeerMisbehaved(_) => AlertDescription::IllegalParameter,
        _ => AlertDescription::HandshakeFailure,
    };
    Some(fatal(description))
}

/// A fatal alert that is not encrypted (RFC 8446 §6).
fn fatal(description: AlertDescription) -> [u8; 7] {
    [21, 3, 3, 0, 2, 2, description.into()]
}

#[cfg(test)]
mod tests;
