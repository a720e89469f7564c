//! The first words of a connection: MQTT, CoAP, AMQP, a request for a WebSocket, or REST.

use super::candidates::Candidates;
use super::early::Early;
use super::welcome::Visitor;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use windrose_policy::{Listener, Protocol};
use windrose_protocol::websocket::{Carried, Head, HeadError, Refused, head};

/// How long a client that is refused may take to read why.
const LINGER: Duration = Duration::from_secs(1);
/// Bytes that are read and thrown away meanwhile.
const LINGER_BYTES: usize = 64 * 1024;

/// Who a connection belongs to.
pub(super) enum Choice {
    /// MQTT, CoAP or AMQP.
    Stream(Arc<Listener>),
    /// The handshake is answered.
    WebSocket(Arc<Listener>),
    Rest(Arc<Listener>),
}

/// Why a connection belongs to nobody.
enum Stray {
    Left,
    /// HTTP, where there is none.
    NoHttp,
    /// A bad request for a WebSocket.
    Refused(Arc<Listener>, Refused),
}

impl From<io::Error> for Stray {
    fn from(_: io::Error) -> Self {
        Self::Left
    }
}

/// Reads as much as it takes to know whose a connection is. `None`: it is refused.
pub(super) async fn choose<S>(
    visitor: &Visitor,
    candidates: &Candidates,
    stream: &mut Early<S>,
) -> Option<Choice>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let first = candidates.first();
    match timeout(visitor.shard.connect_timeout(), find(candidates, stream)).await {
        Ok(Ok(choice)) => return Some(choice),
        Ok(Err(Stray::Left)) => visitor.shard.handshakes.borrow_mut().close(first, "lost"),
        Ok(Err(Stray::NoHttp)) => visitor.refuse(first, "protocol", "HTTP is not spoken here"),
        Ok(Err(Stray::Refused(listener, refused))) => {
            visitor.refuse(&listener, "websocket", &refused.to_string());
            let _ = timeout(LINGER, say_and_leave(stream, &refused)).await;
        }
        Err(_) => {
            visitor.refuse(first, "no_open", "nothing was asked for within limits.connect_timeout");
        }
    }
    None
}

async fn find<S>(candidates: &Candidates, stream: &mut Early<S>) -> Result<Choice, Stray>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let rest = candidates.rest().cloned();
    if candidates.only().is_some() {
        // With nothing to tell apart, nothing is read that its listener would not read itself.
        let stream = candidates.only_stream().cloned();
        if let Some(choice) = stream.map(Choice::Stream).or(rest.clone().map(Choice::Rest)) {
            return Ok(choice);
        }
    }
    while stream.early().len() < 2 {
        stream.read_early().await?;
    }
    // AMQP begins with its name (AMQP 1.0 §2.2, 0-9-1 §4.2.2), and so does no method of HTTP.
    if let Some(listener) = candidates.stream(Protocol::Amqp).filter(|_| stream.early().starts_with(b"AM")) {
        return Ok(Choice::Stream(Arc::clone(listener)));
    }
    // Every method of HTTP is letters (RFC 9110 §9.1). No packet of MQTT that begins a connection begins with one; the first
    // message of CoAP may, but then its code, 7.01, is what follows (RFC 8323 §3.2, §5.3).
    let is_http = stream.early().iter().take(2).all(u8::is_ascii_alphabetic);
    // What is no HTTP is answered by AMQP, if it is not for the others: with what AMQP would have had it say.
    let others = candidates.streams().find(|listener| listener.protocol != Protocol::Amqp);
    let other = others.or(candidates.stream(Protocol::Amqp)).filter(|_| !is_http);
    if let Some(listener) = other {
        return Ok(Choice::Stream(Arc::clone(listener)));
    }
    if candidates.websockets().next().is_none() {
        // What is no HTTP either is answered as bad HTTP.
        return rest.map(Choice::Rest).ok_or(Stray::NoHttp);
    }
    let head = loop {
        match head(stream.early()) {
            Ok(None) => stream.read_early().await?,
            Ok(Some(head)) => break Ok(head),
            Err(error) => break Err(error),
        }
    };
    let is_for_websocket = head.as_ref().is_ok_and(Head::wants_websocket);
    if let Some(listener) = rest.filter(|_| !is_for_websocket) {
        return Ok(Choice::Rest(listener));
    }
    upgrade(candidates, stream, head).await
}

/// Answers a request for a WebSocket.
async fn upgrade<S>(
    candidates: &Candidates,
    stream: &mut Early<S>,
    head: Result<Head, HeadError>,
) -> Result<Choice, Stray>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut websockets = candidates.websockets();
    // A request that nobody has the path of is counted at the first one.
    let fallback = websockets.next().map_or(candidates.first(), |(_, listener)| listener);
    let refuse = |listener: &Arc<Listener>, refused| Err(Stray::Refused(Arc::clone(listener), refused));
    let head = match head {
        Ok(head) => head,
        Err(error) => return refuse(fallback, error.refusal()),
    };
    let Some(listener) = candidates.websocket(head.path()) else {
        return refuse(fallback, Refused::not_found(candidates.websockets().map(|(path, _)| path)));
    };
    stream.consume(head.len());
    let carried = match listener.protocol {
        Protocol::Coap => Carried::COAP,
        Protocol::Amqp => Carried::AMQP,
        _ => Carried::MQTT,
    };
    match head.into_answer(carried) {
        Ok(accepted) => {
            stream.write_all(&accepted.response).await?;
            stream.flush().await?;
            Ok(Choice::WebSocket(Arc::clone(listener)))
        }
        Err(refused) => refuse(listener, refused),
    }
}

/// Closing with unread bytes would reset the connection and destroy the answer: what still comes is read.
async fn say_and_leave<S>(stream: &mut Early<S>, refused: &Refused) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(&refused.response()).await?;
    stream.shutdown().await?;
    let mut read = 0;
    while read < LINGER_BYTES {
        stream.consume(usize::MAX);
        stream.read_early().await?;
        read += stream.early().len();
    }
    Ok(())
}
