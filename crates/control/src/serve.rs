//! Serving the admin API on a listener that somebody else opened.

use crate::Peer;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// At most how many admin connections are open; more wait in the listener's backlog.
const CONNECTIONS: usize = 64;
/// How long a request's head may take: a peer that trickles must not hold one of the few places.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may live; a scraper simply opens the next.
const LIFETIME: Duration = Duration::from_secs(600);
/// How long to wait when the system has no descriptor left for the next connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves the admin API until `stop` is done. Must run on a tokio runtime with timers.
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => return,
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Some((stream, place)) => {
                let router = match stream.peer_addr() {
                    Ok(peer) => router.clone().layer(Extension(Peer(peer))),
                    Err(_) => router.clone(),
                };
                tokio::spawn(connection(stream, router, place));
            }
            None => return,
        }
    }
}

/// The next connection and its place; `None` once the places are closed for good.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return Some((stream, place)),
            Err(error) => {
                tracing::warn!(%error, "the admin API could not accept a connection; it goes on trying");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Router, _place: OwnedSemaphorePermit) {
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match tokio::time::timeout(LIFETIME, serving).await {
        Ok(Ok(())) | Err(_) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an admin connection ended early"),
    }
}
