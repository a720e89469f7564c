//! The shard as the host of exchanges.

use super::Shard;
use crate::exchange::{ExchangeHost, ExchangeQueue};
use bytes::Bytes;
use std::fmt::Display;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use windrose_event::{CloseCause, ConnectionId, Enrolment, Intent};
use windrose_policy::{Listener, Snapshot};

/// A shard that hosts exchanges.
pub(super) struct Host(pub(super) Rc<Shard>);

impl Shard {
    /// This shard as the host of exchanges.
    pub(super) fn host(self: &Rc<Self>) -> Rc<dyn ExchangeHost> {
        Rc::new(Host(Rc::clone(self)))
    }
}

impl ExchangeHost for Host {
    fn connect(&self, listener: &Arc<Listener>, peer: SocketAddr, queue: Rc<ExchangeQueue>) -> ConnectionId {
        let now = self.0.now();
        let id = self.0.core.borrow_mut().pump.connect_exchange(now, Arc::clone(listener), Some(peer), queue);
        self.0.act(now);
        id
    }

    fn intent(&self, exchange: ConnectionId, intent: Intent) {
        let now = self.0.now();
        self.0.core.borrow_mut().pump.intent(now, exchange, intent);
        self.0.act(now);
    }

    fn drained(&self, exchange: ConnectionId) {
        let now = self.0.now();
        self.0.core.borrow_mut().pump.written(now, exchange);
        self.0.act(now);
    }

    fn disconnect(&self, exchange: ConnectionId) {
        self.0.remove(exchange, CloseCause::Goodbye);
    }

    fn ended_badly(&self, listener: &Listener, peer: SocketAddr, cause: &CloseCause, problem: &dyn Display) {
        let name = cause.name();
        self.0.handshakes.borrow_mut().close(listener, name);
        if *cause == CloseCause::Lost {
            // Callers leave as they please: the reader of an event stream has no other way to end it.
            tracing::debug!(listener = %listener.name, %peer, %problem, "an HTTP connection was lost");
        } else if let Some(suppressed) = self.0.notices.borrow_mut().allow(self.0.now(), name) {
            tracing::warn!(listener = %listener.name, %peer, cause = name, %problem, suppressed,
                "an HTTP connection ended badly");
        }
    }

    fn enrolment(&self) -> Arc<dyn Enrolment> {
        Arc::clone(&self.0.enrolment)
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        self.0.snapshot()
    }

    fn is_draining(&self) -> bool {
        self.0.draining.get()
    }

    fn public_keys(&self) -> Option<Bytes> {
        self.0.signer.public_keys()
    }
}
