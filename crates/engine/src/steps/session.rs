//! Step 2, session: opened provisionally, begun or taken up again once its owner is known, kept for a while after its
//! connection, ended.

use crate::connections::Stage;
use crate::engine::Engine;
use crate::io::Output;
use crate::journal::Record;
use crate::sessions::{Session, SessionKey, same_owner, same_principal};
use crate::steps::identify::shutting_down;
use crate::steps::listen::{Ending, Entry};
use crate::steps::standing::proven_until;
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{
    Accepted, CloseReason, ConnectionId, Directive, Now, Open, Origin, Refusal, RefusalCause,
};

impl Engine {
    /// A peer wants a session: first the registry is asked who it is.
    pub(crate) fn open(&mut self, now: Now, id: ConnectionId, mut open: Box<Open>) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let Stage::New { refuse } = connection.stage else { return };
        let claim = Box::new(std::mem::take(&mut open.claim));
        connection.asked = self.lately.heard();
        connection.stage = Stage::Identifying(open);
        match refuse {
            Some(RefusalCause::ShuttingDown) => self.refuse(now, id, shutting_down()),
            Some(cause) => {
                let detail = format!(
                    "{} connections are open on this shard, its part of 'limits.connections'",
                    self.connections.len()
                );
                self.refuse(now, id, Refusal { cause, detail });
            }
            None if claim.method.is_some() => {
                connection.conversing = true;
                self.outputs.push_back(Output::Converse { connection: id, claim });
            }
            None => self.outputs.push_back(Output::Identify { connection: id, claim }),
        }
    }

    /// Begins the session of a connection that is known, or lets it take up the one of its name on this shard.
    pub(crate) fn begin(&mut self, now: Now, id: ConnectionId) {
        let Some(connection) = self.connections.get(id) else { return };
        let Stage::Claiming(opening) = &connection.stage else { return };
        if self.draining {
            return self.refuse(now, id, shutting_down());
        }
        let name = opening.name.clone();
        let ephemeral = Origin::is_ephemeral(opening.open.protocol);
        let resume = opening.open.resume;
        let peer = connection.peer;
        let mut same_owner = true;
        if !ephemeral && let Some(session) = self.sessions.find(&name).and_then(|key| self.sessions.get(key))
        {
            if !same_principal(&session.origin.identity.principal, &opening.identity.principal) {
                let detail = not_yours(session);
                return self.refuse(now, id, Refusal { cause: RefusalCause::NotAllowed, detail });
            }
            same_owner = self::same_owner(&session.origin.identity, &opening.identity);
            if let Some(old) = session.connection {
                let principal = opening.identity.principal.clone();
                self.taken_over(now, &name, &principal, old, peer);
                self.send_away(now, old, CloseReason::TakenOver, true, Entry::Kept);
            }
        }
        // The session may have ended with its connection.
        let mut previous = if ephemeral { None } else { self.sessions.find(&name) };
        if let Some(key) = previous {
            let over = |session: &Session| session.expires.is_some_and(|expires| expires <= now.moment);
            if !resume || !same_owner || self.sessions.get(key).is_none_or(over) {
                self.end_session(now, key, Entry::Kept);
                previous = None;
            }
        }
        if previous.is_none() && self.sessions.len() >= self.share_of(self.limits().sessions) {
            if !ephemeral {
                self.outputs.push_back(Output::Forget { session: name });
            }
            let detail = format!(
                "{} sessions are held on this shard, its part of 'limits.sessions'",
                self.sessions.len()
            );
            return self.refuse(now, id, Refusal { cause: RefusalCause::Quota, detail });
        }
        self.attach(now, id, previous, ephemeral);
    }

    /// Joins a connection and its session, and tells the peer.
    fn attach(&mut self, now: Now, id: ConnectionId, previous: Option<SessionKey>, ephemeral: bool) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let Stage::Claiming(opening) = std::mem::replace(&mut connection.stage, Stage::New { refuse: None })
        else {
            return;
        };
        let tally = connection.tally;
        let data = connection.data.take().map(|data| *data);
        let open = opening.open;
        let origin = Arc::new(Origin {
            identity: opening.identity,
            session: opening.name.clone(),
            protocol: open.protocol,
            listener: connection.listener.name.clone(),
        });
        let key = match previous {
            Some(key) => key,
            None => {
                let session = Session::new(opening.name.clone(), origin.clone(), ephemeral);
                self.sessions.insert(session)
            }
        };
        self.connections.opened(id, key, origin.clone());
        let limits = &self.snapshot.limits;
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.origin = origin;
        session.connection = Some(id);
        session.ungranted = 0;
        session.listener = tally;
        session.congested = false;
        session.window = open.window.min(limits.session_in_flight).max(1);
        session.keep = if ephemeral { Duration::ZERO } else { open.keep.min(limits.session_expiry) };
        session.expires = proven_until(now, &session.origin.identity);
        session.will = open.will;
        session.will_due = None;
        self.sessions.mark(key);
        self.look_at_subscriptions(key);
        self.record_attached(now, key);
        let Some(session) = self.sessions.get_mut(key) else { return };
        let limits = &self.snapshot.limits;
        let accepted = Accepted {
            resumed: previous.is_some(),
            session: opening.name,
            assigned: opening.assigned,
            keep: session.keep,
            window: limits.receive_maximum,
            data,
        };
        self.direct(id, Directive::Accept(Box::new(accepted)));
        self.group_members_connected(key, true);
        self.sessions.rearm(key);
        self.pump(now, key);
    }

    /// A session's connection is gone.
    pub(crate) fn detach(&mut self, now: Now, key: SessionKey, id: ConnectionId, ending: &Ending) {
        let most = self.limits().session_expiry;
        let Some(session) = self.sessions.get_mut(key).filter(|session| session.is_at(id)) else { return };
        session.connection = None;
        session.congested = false;
        if let Some(keep) = ending.keep {
            session.keep = keep.min(most);
        }
        if ending.with_will {
            let delay = session.will.as_ref().map(|will| will.delay.min(session.keep));
            session.will_due = delay.map(|delay| now.moment + delay);
        } else {
            session.will = None;
        }
        if session.keep.is_zero() {
            return self.end_session(now, key, ending.entry);
        }
        session.expires = Some(now.moment + session.keep);
        let dropped = session.outbox.as_mut().map_or(0, |outbox| outbox.disconnected());
        self.counts.queued -= dropped as u64;
        self.record_session(now, key);
        self.group_members_connected(key, false);
        self.sessions.rearm(key);
        self.publish_due_will(now, key);
    }

    /// Something of a session is due: its will, its end, or last values that it still has to get.
    pub(crate) fn session_due(&mut self, now: Now, key: SessionKey) {
        self.publish_due_will(now, key);
        let Some(session) = self.sessions.get(key) else { return };
        if session.expires.is_some_and(|expires| expires <= now.moment) {
            return match session.connection {
                Some(id) => self.proven_no_longer(now, id),
                None => self.end_session(now, key, Entry::Forgotten),
            };
        }
        self.pump(now, key);
        self.sessions.rearm(key);
    }

    /// Ends a session that has no connection: its subscriptions go, its queue is dropped, its will is published.
    pub(crate) fn end_session(&mut self, now: Now, key: SessionKey, entry: Entry) {
        let Some(mut session) = self.sessions.remove(key) else { return };
        if let Some(number) = session.number {
            self.record(Record::Ended(number));
        }
        self.withdraw(key, &session);
        self.counts.queued -= session.queued() as u64;
        if entry == Entry::Forgotten && !session.ephemeral {
            self.outputs.push_back(Output::Forget { session: session.name.clone() });
        }
        if let Some(mut outbox) = session.outbox.take() {
            for parcel in outbox.take_shared() {
                self.reassign(now, parcel);
            }
        }
        if session.will_due.is_some()
            && let Some(will) = session.will.take()
        {
            self.publish_will(now, &session.origin, session.listener, *will);
        }
    }
}

/// Why somebody may not have a session: it is another's.
pub(crate) fn not_yours(session: &Session) -> String {
    format!(
        "the session '{}' belongs to {}: let each client use a session name of its own",
        session.name, session.origin.identity
    )
}
