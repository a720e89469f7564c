//! Accepting: a shard's own socket for each listener, bound beside the other shards' with `SO_REUSEPORT`.

use super::Shard;
use super::exchanges::Host;
use crate::exchange::ExchangeHost;
use crate::http::server::{ConnectionFacts, serve};
use crate::tls::{certificate_claim, handshake};
use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use windrose_event::{CertificateClaim, Claim};
use windrose_policy::{Listener, Protocol};

/// How long to wait after the system could not accept (out of files, most often).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections for as long as the listener exists.
pub(crate) async fn accept(shard: Rc<Shard>, listener: Rc<RefCell<Arc<Listener>>>, socket: TcpListener) {
    loop {
        let accepted = socket.accept().await;
        let listener = Arc::clone(&listener.borrow());
        match accepted {
            Ok((stream, peer)) => admit(&shard, &listener, stream, peer),
            Err(error) => {
                let notice = shard.notices.borrow_mut().allow(shard.now(), "accept_failed");
                if let Some(suppressed) = notice {
                    tracing::warn!(listener = %listener.name, %error, suppressed,
                        "cannot accept connections; raise the limit of open files if that is the cause");
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn admit(shard: &Rc<Shard>, listener: &Arc<Listener>, stream: TcpStream, peer: SocketAddr) {
    if shard.draining.get() || !shard.has_room() {
        let cause = if shard.draining.get() { "shutting_down" } else { "quota" };
        refuse(shard, listener, peer, cause, "limits.connections is reached or the node shuts down");
        return;
    }
    // Small packets must not wait for one another (MQTT acknowledgements at moderate rates).
    let _ = stream.set_nodelay(true);
    if listener.tls.is_none() && listener.protocol == Protocol::Mqtt {
        let claim = claim(listener, peer, None);
        shard.enter_mqtt(stream, None, Arc::clone(listener), claim);
        return;
    }
    let shard = Rc::clone(shard);
    let listener = Arc::clone(listener);
    let guest = Guest::new(&shard);
    tokio::task::spawn_local(async move {
        match listener.protocol {
            Protocol::Mqtt => enter_mqtt_tls(shard, listener, stream, peer).await,
            Protocol::Http => enter_http(shard, listener, stream, peer).await,
        }
        drop(guest);
    });
}

/// A transport that the pump does not know, counted against `limits.connections` for as long as this lives.
struct Guest(Rc<Shard>);

impl Guest {
    fn new(shard: &Rc<Shard>) -> Self {
        shard.doorstep.set(shard.doorstep.get() + 1);
        Self(Rc::clone(shard))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.doorstep.set(self.0.doorstep.get() - 1);
    }
}

async fn enter_mqtt_tls(shard: Rc<Shard>, listener: Arc<Listener>, mut stream: TcpStream, peer: SocketAddr) {
    let Some(config) = listener.tls.as_deref().and_then(|name| shard.tls.server(name)) else {
        refuse(&shard, &listener, peer, "tls", "its tls entry has no certificates loaded");
        return;
    };
    let Some(tls) = shake(&shard, &listener, peer, handshake(&mut stream, config)).await else { return };
    let certificate = tls.peer_certificates().and_then(<[_]>::first).and_then(|leaf| certificate_claim(leaf));
    let claim = claim(&listener, peer, certificate.map(Arc::new));
    shard.enter_mqtt(stream, Some(tls), listener, claim);
}

async fn enter_http(shard: Rc<Shard>, listener: Arc<Listener>, stream: TcpStream, peer: SocketAddr) {
    let host: Rc<dyn ExchangeHost> = Rc::new(Host(Rc::clone(&shard)));
    let Some(name) = listener.tls.clone() else {
        let facts = ConnectionFacts { listener, peer, certificate: None };
        serve(stream, facts, host).await;
        return;
    };
    let Some(config) = shard.tls.http_server(&name) else {
        refuse(&shard, &listener, peer, "tls", "its tls entry has no certificates loaded");
        return;
    };
    let acceptor = tokio_rustls::TlsAcceptor::from(config);
    let Some(stream) = shake(&shard, &listener, peer, acceptor.accept(stream)).await else { return };
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let certificate = certificate.and_then(|leaf| certificate_claim(leaf)).map(Arc::new);
    serve(stream, ConnectionFacts { listener, peer, certificate }, host).await;
}

/// Waits for a handshake, for as long as one may take. `None`: it failed, which is counted and told.
async fn shake<T>(
    shard: &Shard,
    listener: &Listener,
    peer: SocketAddr,
    handshake: impl Future<Output = io::Result<T>>,
) -> Option<T> {
    match timeout(shard.handshake_timeout(), handshake).await {
        Ok(Ok(shaken)) => return Some(shaken),
        Ok(Err(error)) => refuse(shard, listener, peer, "tls", &error.to_string()),
        Err(_) => {
            let detail = "the handshake took longer than limits.handshake_timeout";
            refuse(shard, listener, peer, "tls_timeout", detail);
        }
    }
    None
}

fn claim(listener: &Listener, peer: SocketAddr, certificate: Option<Arc<CertificateClaim>>) -> Claim {
    Claim { listener: Arc::clone(&listener.name), peer: Some(peer), certificate, ..Claim::default() }
}

/// Counts a connection that is not let in, and says why.
fn refuse(shard: &Shard, listener: &Listener, peer: SocketAddr, cause: &'static str, detail: &str) {
    shard.handshakes.borrow_mut().refuse(listener, cause);
    if let Some(suppressed) = shard.notices.borrow_mut().allow(shard.now(), cause) {
        tracing::warn!(listener = %listener.name, %peer, cause, detail, suppressed, "connection refused");
    }
}
