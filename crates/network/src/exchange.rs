//! Exchanges: engine connections that are driven by code instead of a protocol machine.
//!
//! A REST request is such code: it opens an exchange, says what the caller wants as intents, and awaits directives. The
//! shard is the host; it knows an exchange as a connection whose directives go into an [`ExchangeQueue`].

use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt::Display;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use windrose_event::{CloseCause, ConnectionId, Directive, Enrolment, Intent};
use windrose_policy::{Listener, Snapshot};

/// A shard, as the code that drives exchanges sees it.
pub trait ExchangeHost {
    /// Tells the engine of a new exchange, and from now on pushes its directives into `queue`.
    fn connect(&self, listener: &Arc<Listener>, peer: SocketAddr, queue: Rc<ExchangeQueue>) -> ConnectionId;

    /// Hands an intent to the engine. Its directives may be in the queue before this returns.
    fn intent(&self, exchange: ConnectionId, intent: Intent);

    /// The exchange has read all of its queue: deliveries that were held for it may go on.
    fn drained(&self, exchange: ConnectionId);

    /// The exchange is gone.
    fn disconnect(&self, exchange: ConnectionId);

    /// A transport of exchanges ended badly: counts it by its cause, and says what the problem was.
    fn ended_badly(&self, listener: &Listener, peer: SocketAddr, cause: &CloseCause, problem: &dyn Display);

    /// The authority that things enrol with.
    fn enrolment(&self) -> Arc<dyn Enrolment>;

    /// The document in force: its limits and the node's name.
    fn snapshot(&self) -> Arc<Snapshot>;

    /// Whether the node shuts down.
    fn is_draining(&self) -> bool;

    /// The public keys of identity tokens, as a JWK Set (RFC 7517 §5), if the node signs any.
    fn public_keys(&self) -> Option<Bytes>;
}

/// What the host pushes into and an [`Exchange`] reads from. Its bound is the host's to keep: past its own measure of
/// [`ExchangeQueue::len`] it tells the engine `Congested`, until [`ExchangeHost::drained`].
#[derive(Debug, Default)]
pub struct ExchangeQueue {
    directives: RefCell<VecDeque<Directive>>,
    waker: RefCell<Option<Waker>>,
    paused: Cell<bool>,
}

impl ExchangeQueue {
    /// Appends a directive and wakes whoever awaits it.
    pub fn push(&self, directive: Directive) {
        self.directives.borrow_mut().push_back(directive);
        self.wake();
    }

    /// Directives that wait.
    pub fn len(&self) -> usize {
        self.directives.borrow().len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.directives.borrow().is_empty()
    }

    /// Says whether credit for what the exchange sends is gone (`Output::Pause`) or back (`Output::Resume`).
    pub fn set_paused(&self, paused: bool) {
        self.paused.set(paused);
        self.wake();
    }

    fn wake(&self) {
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// One exchange. Dropping it ends its session.
pub struct Exchange {
    id: ConnectionId,
    host: Rc<dyn ExchangeHost>,
    queue: Rc<ExchangeQueue>,
}

impl Exchange {
    /// A new exchange; its first intent must be `Open`.
    pub fn new(host: &Rc<dyn ExchangeHost>, listener: &Arc<Listener>, peer: SocketAddr) -> Self {
        let queue = Rc::new(ExchangeQueue::default());
        let id = host.connect(listener, peer, Rc::clone(&queue));
        Self { id, host: Rc::clone(host), queue }
    }

    /// The engine's name for it.
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// Says what the caller wants.
    pub fn intent(&self, intent: Intent) {
        self.host.intent(self.id, intent);
    }

    /// The next directive, once there is one.
    pub async fn directive(&self) -> Directive {
        poll_fn(|cx| self.poll_directive(cx)).await
    }

    /// The next directive, if there is one; otherwise `cx` is woken when there is.
    pub fn poll_directive(&self, cx: &mut Context<'_>) -> Poll<Directive> {
        if let Some(directive) = self.next() {
            return Poll::Ready(directive);
        }
        let mut waker = self.queue.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// The next directive, if there is one now.
    pub fn next(&self) -> Option<Directive> {
        // The borrow ends before the host is told, because the host may push at once.
        let directive = self.queue.directives.borrow_mut().pop_front();
        if directive.is_some() && self.queue.is_empty() {
            self.host.drained(self.id);
        }
        directive
    }

    /// Whether credit for what it sends is gone: a caller should be told to come back later.
    pub fn is_paused(&self) -> bool {
        self.queue.paused.get()
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.host.disconnect(self.id);
    }
}
