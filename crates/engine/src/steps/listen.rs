//! Step 1, listen: connections come, are refused, and go.

use crate::brakes::Brake;
use crate::connections::{Connection, Stage};
use crate::counts::bump;
use crate::engine::Engine;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{Close, CloseCause, CloseReason, ConnectionId, Directive, Now, Refusal, RefusalCause};
use windrose_policy::Listener;

/// Whether the directory is told when a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It is told that this shard does not hold the name any more.
    Forgotten,
    /// It is not, because another session of that name follows here.
    Kept,
}

/// How a connection ends.
pub(crate) struct Ending {
    /// The cause's name in metrics.
    pub(crate) cause: &'static str,
    /// Whether the will is published.
    pub(crate) with_will: bool,
    /// How long the session is kept instead of what was agreed, if the peer said.
    pub(crate) keep: Option<Duration>,
    /// What the directory is told if the session ends.
    pub(crate) entry: Entry,
}

impl Engine {
    /// A transport is up. One too many is refused when it opens its session, in its protocol's words.
    pub(crate) fn connect(
        &mut self,
        now: Now,
        id: ConnectionId,
        listener: Arc<Listener>,
        peer: Option<SocketAddr>,
    ) {
        if let Some(former) = self.connections.tenant(id.slot) {
            self.lost(now, former, &CloseCause::Lost);
        }
        let refuse = if self.draining {
            Some(RefusalCause::ShuttingDown)
        } else if self.connections.len() >= self.share_of(self.limits().connections) {
            Some(RefusalCause::Quota)
        } else {
            None
        };
        let tally = self.counts.listener(&listener.name, listener.protocol.name());
        let counts = self.counts.at(tally);
        counts.connections += 1;
        counts.opened += 1;
        self.connections.insert(id, Connection::new(listener, tally, peer, refuse));
    }

    /// The transport is gone without a word from the machine.
    pub(crate) fn lost(&mut self, now: Now, id: ConnectionId, cause: &CloseCause) {
        self.note_misbehaviour(now, id, cause);
        let ending = Ending { cause: cause.name(), with_will: true, keep: None, entry: Entry::Forgotten };
        self.disconnect(now, id, ending);
    }

    /// The machine said how the connection ended.
    pub(crate) fn close(&mut self, now: Now, id: ConnectionId, close: &Close) {
        let Close { cause, with_will, keep } = close;
        self.note_misbehaviour(now, id, cause);
        let ending =
            Ending { cause: cause.name(), with_will: *with_will, keep: *keep, entry: Entry::Forgotten };
        self.disconnect(now, id, ending);
    }

    /// Ends a connection whose session was never opened, and says why in the log.
    pub(crate) fn refuse(&mut self, now: Now, id: ConnectionId, refusal: Refusal) {
        let Some(connection) = self.connections.get(id) else { return };
        let cause = refusal.cause.name();
        bump(&mut self.counts.at(connection.tally).refused, cause);
        if let Some(suppressed) = self.notices.allow(now, cause) {
            let session = match &connection.stage {
                Stage::Claiming(opening) => Some(&*opening.name),
                Stage::Identifying(open) => open.session.as_deref(),
                _ => None,
            };
            tracing::warn!(
                listener = &*connection.listener.name,
                peer = connection.peer.map(tracing::field::display),
                session,
                cause,
                detail = %refusal.detail,
                suppressed,
                "connection refused"
            );
        }
        self.direct(id, Directive::Refuse(refusal));
        let ending = Ending { cause: "refused", with_will: false, keep: None, entry: Entry::Forgotten };
        self.disconnect(now, id, ending);
    }

    /// Ends a connection for a reason of ours.
    pub(crate) fn send_away(
        &mut self,
        now: Now,
        id: ConnectionId,
        reason: CloseReason,
        with_will: bool,
        entry: Entry,
    ) {
        let ending = Ending { cause: reason.name(), with_will, keep: None, entry };
        self.direct(id, Directive::Close(reason));
        self.disconnect(now, id, ending);
    }

    /// The node shuts down: nothing new is read, and who has all its answers is told to leave.
    pub(crate) fn drain(&mut self, now: Now) {
        self.draining = true;
        self.shards.settle();
        for id in self.connections.ids() {
            self.refresh(id);
            self.leave_if_drained(now, id);
        }
    }

    /// While the node shuts down: sends a connection away once all that it sent is settled. One that has opened nothing
    /// is not read from any more, so it never will.
    pub(crate) fn leave_if_drained(&mut self, now: Now, id: ConnectionId) {
        let done = |connection: &Connection| match connection.stage {
            Stage::New { .. } => true,
            Stage::Identifying(_) | Stage::Claiming(_) => false,
            Stage::Open { .. } => connection.unsettled == 0,
        };
        if self.draining && self.connections.get(id).is_some_and(done) {
            self.send_away(now, id, CloseReason::ShuttingDown, false, Entry::Forgotten);
        }
    }

    /// Forgets a connection; its session goes on without it, or ends.
    pub(crate) fn disconnect(&mut self, now: Now, id: ConnectionId, ending: Ending) {
        let Some(connection) = self.connections.remove(id) else { return };
        let counts = self.counts.at(connection.tally);
        counts.connections -= 1;
        bump(&mut counts.closed, ending.cause);
        self.counts.paused -= u64::from(connection.paused);
        for brake in &connection.brakes {
            let here = &self.connections;
            let is_here = |id: ConnectionId| here.get(id).is_some();
            match *brake {
                Brake::Pool(key) => {
                    if let Some(pool) = self.pools.get_mut(key) {
                        pool.braked_credit().leave(is_here);
                    }
                }
                Brake::Shard(shard) => {
                    if let Some(credit) = self.shards.credit_mut(shard) {
                        credit.leave(is_here);
                    }
                }
                // It is found gone when its turn comes.
                Brake::Keeper => {}
            }
        }
        for (token, _) in &connection.requests {
            self.requests.take(*token);
        }
        if let Some(consumers) = connection.consumers {
            self.drop_consumers(now, id, *consumers);
        }
        match connection.stage {
            Stage::Open { session, .. } => self.detach(now, session, id, &ending),
            Stage::Claiming(opening) => self.takeovers.abandon(&opening.name, id),
            Stage::New { .. } | Stage::Identifying(_) => {}
        }
    }

    /// Says in the log what a peer did wrong, if it did.
    fn note_misbehaviour(&mut self, now: Now, id: ConnectionId, cause: &CloseCause) {
        let detail = match cause {
            CloseCause::Protocol(detail) => detail,
            CloseCause::NoOpen => "nothing was opened within 'limits.connect_timeout'",
            _ => return,
        };
        let Some(connection) = self.connections.get(id) else { return };
        if let Some(suppressed) = self.notices.allow(now, cause.name()) {
            let session = connection.session().and_then(|session| self.sessions.get(session));
            tracing::warn!(
                listener = &*connection.listener.name,
                peer = connection.peer.map(tracing::field::display),
                session = session.map(|session| &*session.name),
                cause = cause.name(),
                detail,
                suppressed,
                "connection closed: its peer broke the protocol"
            );
        }
    }
}
