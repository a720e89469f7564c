//! At the door: what a new connection says before anybody knows whose it is.
//!
//! In this order, each only where the document asks for it: a PROXY header, TLS, then the first words, which tell apart
//! the listeners that share a port.

use super::Shard;
use super::accept::Guest;
use super::candidates::Candidates;
use super::early::{Early, Transport};
use super::upgrade::{Choice, choose};
use crate::http::server::{ConnectionFacts, serve};
use crate::tls::{Agreed, Chosen, certificate_claim, chain_claim, read_hello, refuse_name, shake_hands};
use rustls_pki_types::CertificateDer;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use windrose_event::{CertificateClaim, Claim};
use windrose_identity::Anchors;
use windrose_policy::{Listener, Protocol};
use windrose_protocol::proxy;
use windrose_protocol::websocket::WebSocket;

/// The largest WebSocket frame that is taken, if `limits.packet_bytes` is not larger. Frames are not put together, so it
/// bounds no memory: a larger one is a lie, or a client that should be told early.
const FRAME_BYTES: u64 = 16 << 20;

/// A connection whose listener is not known yet.
pub(super) struct Visitor {
    pub(super) shard: Rc<Shard>,
    /// Where it comes from.
    pub(super) peer: SocketAddr,
    /// The server name that it asked for, as a proxy tells it.
    name: Option<String>,
    /// Its certificate.
    certificate: Option<Arc<CertificateClaim>>,
    /// Counts it for as long as it is at the door.
    guest: Guest,
}

/// Leads a connection to its listener.
pub(super) async fn welcome(
    guest: Guest,
    candidates: Rc<Candidates>,
    mut stream: Early<TcpStream>,
    peer: SocketAddr,
) {
    let shard = Rc::clone(&guest.0);
    let mut visitor = Visitor { shard, peer, name: None, certificate: None, guest };
    if candidates.first().proxy_protocol && visitor.hear_proxy(&candidates, &mut stream).await.is_none() {
        return;
    }
    if candidates.first().tls.is_some() {
        visitor.shake_hands(&candidates, stream).await;
        return;
    }
    match candidates.named(visitor.name.as_deref()) {
        Some(candidates) => visitor.enter(candidates, stream).await,
        None => {
            visitor.refuse(candidates.first(), "server_name", "no listener has the name that the proxy tells")
        }
    }
}

impl Visitor {
    /// Reads what a proxy says of the connection. `None`: it is refused.
    async fn hear_proxy(&mut self, candidates: &Candidates, stream: &mut Early<TcpStream>) -> Option<()> {
        let reading = async {
            loop {
                match proxy::read(stream.early()) {
                    Ok(Some(header)) => return Ok(header),
                    Ok(None) => stream.read_early().await.map_err(|error| error.to_string())?,
                    Err(error) => return Err(error.to_string()),
                }
            }
        };
        let problem = match timeout(self.shard.handshake_timeout(), reading).await {
            Ok(Ok(header)) => {
                stream.consume(header.length);
                self.believe(header);
                return Some(());
            }
            Ok(Err(problem)) => problem,
            Err(_) => "the header took longer than limits.handshake_timeout".to_owned(),
        };
        self.refuse(candidates.first(), "proxy_protocol", &problem);
        None
    }

    /// The operator says that only their proxy connects here: what it says is so.
    fn believe(&mut self, header: proxy::Header) {
        self.peer = header.source.unwrap_or(self.peer);
        self.name = header.authority;
        let tls = header.tls.filter(|tls| tls.is_verified);
        self.certificate = tls.and_then(|tls| {
            let whole = tls.certificate.as_deref().and_then(certificate_claim);
            let named = || {
                let name = tls.common_name?;
                // The subject has more parts than its common name: what we are not told must not be recognised.
                Some(CertificateClaim { common_name: Some(name), ..CertificateClaim::default() })
            };
            whole.or_else(named).map(Arc::new)
        });
        if let Some(id) = header.unique_id.filter(|id| !id.is_empty()) {
            tracing::debug!(peer = %self.peer, unique_id = %id.escape_ascii(), "a proxy's connection");
        }
    }

    /// TLS: the client's first words choose the certificate, and narrow down who it wants.
    async fn shake_hands(mut self, candidates: &Candidates, mut stream: Early<TcpStream>) {
        let limit = self.shard.handshake_timeout();
        let deadline = tokio::time::Instant::now() + limit;
        let hello = tokio::time::timeout_at(deadline, read_hello(&mut stream)).await;
        let Some((accepted, rest)) = self.shaken(candidates, hello) else { return };
        let hello = accepted.client_hello();
        let Some(candidates) = candidates.named(hello.server_name().or(self.name.as_deref())) else {
            let detail = match hello.server_name() {
                Some(name) => format!("no listener is for the server name {name}"),
                None => "the client names no server, and every listener is for some".to_owned(),
            };
            refuse_name(&mut stream).await;
            self.refuse(candidates.first(), "server_name", &detail);
            return;
        };
        // HTTP's versions are agreed on if HTTP is what the client offers, or all that there is (RFC 7301).
        let offers = |names: &[&[u8]]| {
            let mut offers = hello.alpn().into_iter().flatten();
            offers.any(|offer| names.contains(&offer))
        };
        let agreed = if candidates.rest().is_some()
            && (candidates.only().is_some() || offers(&[b"h2", b"http/1.1"]))
        {
            Agreed::Http
        } else if candidates.stream(Protocol::Coap).is_some() && offers(&[b"coap"]) {
            Agreed::Coap
        } else {
            Agreed::Nothing
        };
        let entry = candidates.first().tls.as_deref().unwrap_or_default();
        let Some(Chosen { config, authorities }) = self.shard.tls.server(entry, &hello, agreed) else {
            self.refuse(candidates.first(), "tls", "its tls entry has no certificates loaded");
            return;
        };
        let shaken = shake_hands(&mut stream, (accepted, rest), Arc::clone(&config));
        let shaken = tokio::time::timeout_at(deadline, shaken).await;
        let Some(tls) = self.shaken(&candidates, shaken) else { return };
        self.recognise(tls.peer_certificates(), &authorities);
        if let Some(listener) = candidates.only_stream() {
            // Nothing is to be found out any more: no stream is needed that others could read.
            let claim = claim(listener, self.peer, self.certificate);
            drop(self.guest);
            self.shard.enter(stream.secured_by(tls), &mut [], None, Arc::clone(listener), claim);
            return;
        }
        // The handshake is over: the one that would begin gives way to it, and what is left of it to say goes out.
        let adopted = TlsAcceptor::from(config).accept_with(stream, |begun| *begun = *tls);
        let adopted = tokio::time::timeout_at(deadline, adopted).await;
        let Some(stream) = self.shaken(&candidates, adopted) else { return };
        self.enter(candidates, Early::new(stream)).await;
    }

    /// Takes note of the client's certificate. What a proxy tells of a client comes first: the certificate of this TLS
    /// would be the proxy's own.
    fn recognise(&mut self, certificates: Option<&[CertificateDer<'_>]>, authorities: &Anchors) {
        if self.certificate.is_none() {
            let own = certificates.and_then(|chain| chain_claim(chain, authorities));
            self.certificate = own.map(Arc::new);
        }
    }

    /// `None`: the handshake failed, which is counted and told.
    fn shaken<T>(
        &self,
        candidates: &Candidates,
        result: Result<io::Result<T>, tokio::time::error::Elapsed>,
    ) -> Option<T> {
        match result {
            Ok(Ok(shaken)) => return Some(shaken),
            Ok(Err(error)) => self.refuse(candidates.first(), "tls", &error.to_string()),
            Err(_) => {
                let detail = "the handshake took longer than limits.handshake_timeout";
                self.refuse(candidates.first(), "tls_timeout", detail);
            }
        }
        None
    }

    /// Finds the one listener, and hands the connection over.
    async fn enter<S>(self, candidates: Candidates, mut stream: Early<S>)
    where
        Early<S>: Transport,
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + 'static,
    {
        let Some(choice) = choose(&self, &candidates, &mut stream).await else { return };
        let (listener, websocket) = match choice {
            Choice::Rest(listener) => {
                let host = self.shard.host();
                let facts = ConnectionFacts { listener, peer: self.peer, certificate: self.certificate };
                let guest = self.guest;
                // A task of its own: this one has room for all that a connection may do at the door.
                tokio::task::spawn_local(async move {
                    serve(stream, facts, host).await;
                    drop(guest);
                });
                return;
            }
            Choice::Stream(listener) => (listener, None),
            Choice::WebSocket(listener) => {
                let packet_bytes = self.shard.snapshot().limits.packet_bytes;
                let limit = FRAME_BYTES.max(packet_bytes.into());
                let websocket = WebSocket::new(limit);
                // A frame of CoAP is a message (RFC 8323 §4.2), of MQTT and AMQP any piece of its stream.
                let websocket = match listener.protocol {
                    Protocol::Coap => websocket.with_ends(),
                    _ => websocket,
                };
                (listener, Some(Box::new(websocket)))
            }
        };
        let claim = claim(&listener, self.peer, self.certificate);
        // From here on the pump counts it.
        drop(self.guest);
        let (parts, mut words) = stream.into_parts();
        self.shard.enter(parts, &mut words, websocket, listener, claim);
    }

    pub(super) fn refuse(&self, listener: &Listener, cause: &'static str, detail: &str) {
        self.shard.refuse(listener, self.peer, cause, detail);
    }
}

/// What is known of a connection before its first packet.
pub(super) fn claim(
    listener: &Listener,
    peer: SocketAddr,
    certificate: Option<Arc<CertificateClaim>>,
) -> Claim {
    Claim { listener: Arc::clone(&listener.name), peer: Some(peer), certificate, ..Claim::default() }
}
