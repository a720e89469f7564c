//! Accepting: a shard's own socket for each place that is listened on, bound beside the other shards' with `SO_REUSEPORT`.

use super::Shard;
use super::candidates::Candidates;
use super::early::{Early, Parts};
use super::welcome::{claim, welcome};
use bytes::BytesMut;
use socket2::SockRef;
use std::cell::RefCell;
use std::io::Read;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use windrose_policy::Listener;

/// How long to wait after the system could not accept (out of files, most often).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections for as long as somebody listens there.
pub(crate) async fn accept(shard: Rc<Shard>, candidates: Rc<RefCell<Rc<Candidates>>>, socket: TcpListener) {
    loop {
        let accepted = socket.accept().await;
        let candidates = Rc::clone(&candidates.borrow());
        match accepted {
            Ok((stream, peer)) => {
                if !shard.has_room() {
                    // Those who have left already make room first.
                    tokio::task::yield_now().await;
                }
                admit(&shard, candidates, stream, peer);
            }
            Err(error) => {
                let notice = shard.notices.borrow_mut().allow(shard.now(), "accept_failed");
                if let Some(suppressed) = notice {
                    tracing::warn!(listener = %candidates.first().name, %error, suppressed,
                        "cannot accept connections; raise the limit of open files if that is the cause");
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn admit(shard: &Rc<Shard>, candidates: Rc<Candidates>, stream: TcpStream, peer: SocketAddr) {
    if shard.draining.get() || !shard.has_room() {
        let cause = if shard.draining.get() { "shutting_down" } else { "quota" };
        let detail = "limits.connections is reached or the node shuts down";
        shard.refuse(candidates.first(), peer, cause, detail);
        return;
    }
    // Its first words are there already, most often: nobody has to wake up for them. Anything else that there is to know
    // (it left, it says nothing yet) its next reader finds out.
    let mut scratch = shard.scratch.borrow_mut();
    let length = (&*SockRef::from(&stream)).read(&mut scratch).unwrap_or(0);
    let words = scratch.get_mut(..length).unwrap_or_default();
    if let Some(listener) = candidates.plain_stream() {
        let claim = claim(listener, peer, None);
        let parts = Parts { stream, tls: None, sealed: BytesMut::new() };
        shard.enter(parts, words, None, Arc::clone(listener), claim);
        return;
    }
    let stream = Early::with(stream, words);
    drop(scratch);
    tokio::task::spawn_local(welcome(Guest::new(shard), candidates, stream, peer));
}

/// A transport that the pump does not know, counted against `limits.connections` for as long as this lives.
pub(super) struct Guest(pub(super) Rc<Shard>);

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

impl Shard {
    /// Counts a connection that is not let in, and says why.
    pub(super) fn refuse(&self, listener: &Listener, peer: SocketAddr, cause: &'static str, detail: &str) {
        self.handshakes.borrow_mut().refuse(listener, cause);
        if let Some(suppressed) = self.notices.borrow_mut().allow(self.now(), cause) {
            tracing::warn!(listener = %listener.name, %peer, cause, detail, suppressed, "connection refused");
        }
    }
}
