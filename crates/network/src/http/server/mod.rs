//! The REST listener: one HTTP connection, from its first byte to its end.
//!
//! Each request is an exchange with the shard's engine (DESIGN §4); while a caller's credentials stay the same, its
//! connection keeps the exchange for the next request.

mod ask;
mod authority;
mod batch;
mod caller;
mod intake;
mod life;
mod patience;
mod publish;
mod respond;
mod router;
mod stream;
mod value;

use super::local::LocalExecutor;
use crate::exchange::ExchangeHost;
use caller::Callers;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use life::Life;
use patience::Patience;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use windrose_event::{CertificateClaim, CloseCause};
use windrose_policy::Listener;

/// The room for a request's head, and for what waits to be written.
const BUFFER: usize = 64 * 1024;
/// Headers of one request.
const MAX_HEADERS: usize = 128;
/// Requests of one HTTP/2 connection at once.
const MAX_STREAMS: u32 = 64;
/// How often an HTTP/2 connection is asked whether it still lives.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// How long requests that are under way may take once the connection is over.
const FINISH: Duration = Duration::from_secs(60);
/// How long a connection without any may take to say good-bye.
const GOODBYE: Duration = Duration::from_secs(1);

/// What the transport knows of a connection.
pub struct ConnectionFacts {
    /// The listener that accepted it.
    pub listener: Arc<Listener>,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// The client's certificate, if it brought one that the transport verified.
    pub certificate: Option<Arc<CertificateClaim>>,
}

/// What the requests of one connection share.
struct Connection {
    facts: ConnectionFacts,
    host: Rc<dyn ExchangeHost>,
    callers: Callers,
    life: Rc<Life>,
}

/// Answers requests until the connection ends: by its peer, by its limits of time, or because the node shuts down.
/// Must run on a thread that runs a `LocalSet`.
pub async fn serve<S>(io: S, facts: ConnectionFacts, host: Rc<dyn ExchangeHost>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let snapshot = host.snapshot();
    let life = Rc::new(Life::new(snapshot.limits.connect_timeout));
    let io = TokioIo::new(Patience::new(io, Rc::clone(&life), snapshot.limits.write_timeout));
    drop(snapshot);
    let (listener, peer) = (Arc::clone(&facts.listener), facts.peer);
    let connection = Rc::new(Connection { facts, host, callers: Callers::default(), life });
    let mut builder = auto::Builder::new(LocalExecutor);
    builder.http1().max_buf_size(BUFFER).max_headers(MAX_HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(BUFFER as u32);
    let service = service_fn(|request| {
        let connection = Rc::clone(&connection);
        async move { Ok::<_, Infallible>(router::answer(connection, request).await) }
    });
    let mut http = pin!(builder.serve_connection(io, service));
    let ended = tokio::select! {
        biased;
        ended = http.as_mut() => ended,
        () = connection.is_over() => {
            http.as_mut().graceful_shutdown();
            let grace = if connection.life.is_busy() { FINISH } else { GOODBYE };
            timeout(grace, http).await.unwrap_or(Ok(()))
        }
    };
    let cause = match &ended {
        Err(error) if is_lost(&**error) => CloseCause::Lost,
        Err(_) => CloseCause::Protocol("not HTTP".into()),
        Ok(()) if connection.life.was_slow() => CloseCause::NoOpen,
        Ok(()) => return,
    };
    let slow = "a request's head took longer than limits.connect_timeout";
    let problem = ended.as_ref().err().map_or_else(|| slow.to_owned(), ToString::to_string);
    connection.host.ended_badly(&listener, peer, &cause, &problem);
}

impl Connection {
    /// Ends when nothing more is expected of the connection.
    async fn is_over(&self) {
        tokio::select! {
            () = self.life.is_over() => {}
            () = self.callers.shut_down() => {}
        }
    }
}

/// Whether the transport failed or the peer left, rather than that what came is not HTTP.
fn is_lost(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut error = Some(error);
    while let Some(cause) = error {
        let left = cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_incomplete_message);
        if left || cause.is::<std::io::Error>() {
            return true;
        }
        error = cause.source();
    }
    false
}
