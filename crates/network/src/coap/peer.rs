//! A CoAP server that is asked, and the socket that requests to it go out by.

use super::link::Link;
use crate::Clock;
use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UdpSocket, lookup_host};
use tokio::sync::Mutex;
use tokio::time::timeout;
use windrose_protocol::coap::Response;
use windrose_protocol::coap::client::{ClientConfig, Failure, Outgoing};

/// A server.
pub(super) struct Peer {
    host: Arc<str>,
    port: u16,
    clock: Clock,
    config: ClientConfig,
    /// The socket in use. It is replaced when it fails, and when its message identifiers are used up.
    link: RefCell<Option<Rc<Link>>>,
    /// Held while one is made: others wait instead of making their own.
    opening: Mutex<()>,
}

impl Peer {
    pub(super) fn new(host: Arc<str>, port: u16, clock: Clock, config: ClientConfig) -> Self {
        Self { host, port, clock, config, link: RefCell::default(), opening: Mutex::new(()) }
    }

    /// Asks, and waits for the whole response, so long at most.
    pub(super) async fn ask(&self, request: Outgoing, limit: Duration) -> Result<Response, Failure> {
        let deadline = self.clock.now().moment + limit;
        match timeout(limit, self.link()).await {
            Ok(Ok(link)) => link.ask(request, deadline).await,
            Ok(Err(error)) => {
                tracing::debug!(host = %self.host, port = self.port, %error, "a CoAP server cannot be reached");
                Err(Failure::Unreachable)
            }
            Err(_) => Err(Failure::Unreachable),
        }
    }

    /// The socket in use, or a new one.
    async fn link(&self) -> io::Result<Rc<Link>> {
        let usable = || self.link.borrow().as_ref().filter(|link| link.is_usable()).map(Rc::clone);
        if let Some(link) = usable() {
            return Ok(link);
        }
        let _opening = self.opening.lock().await;
        if let Some(link) = usable() {
            return Ok(link);
        }
        let mut failure = io::Error::other("its name has no address");
        for address in lookup_host((&*self.host, self.port)).await? {
            match open(address).await {
                Ok(socket) => {
                    let link = Link::new(socket, self.clock, &self.config);
                    let former = self.link.borrow_mut().replace(Rc::clone(&link));
                    if let Some(former) = former {
                        former.retire();
                    }
                    return Ok(link);
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(link) = self.link.get_mut() {
            link.retire();
        }
    }
}

/// A socket of our own for one address: nobody else's datagrams arrive on it, and what its host refuses shows.
async fn open(address: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => ([0; 4], 0).into(),
        SocketAddr::V6(_) => ([0; 16], 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    // Until the runtime has seen that it can be written to, it would not try.
    socket.writable().await?;
    Ok(socket)
}
