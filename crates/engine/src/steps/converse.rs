//! Step 3, identify, in more than one message: conversations pass between the registry and the peer, when a session is
//! opened and again while it is open.

use crate::connections::Stage;
use crate::engine::Engine;
use crate::io::Output;
use crate::sessions::same_principal;
use crate::steps::listen::Entry;
use crate::steps::standing::proven_until;
use bytes::Bytes;
use std::sync::Arc;
use windrose_event::{
    Claim, CloseReason, ConnectionId, Directive, Identity, Now, Origin, Refusal, RefusalCause, Secret, Step,
};

impl Engine {
    /// The peer of an open session wants to prove anew who it is.
    pub(crate) fn reidentify(&mut self, id: ConnectionId, claim: Box<Claim>) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if connection.session().is_some() && !connection.conversing {
            connection.conversing = true;
            connection.asked = self.lately.heard();
            self.outputs.push_back(Output::Converse { connection: id, claim });
        }
    }

    /// The peer answers a challenge.
    pub(crate) fn respond(&mut self, id: ConnectionId, response: Option<Secret>) {
        if self.connections.get(id).is_some_and(|connection| connection.conversing) {
            self.outputs.push_back(Output::Respond { connection: id, response });
        }
    }

    /// The registry's word in a conversation.
    pub(crate) fn conversed(&mut self, now: Now, id: ConnectionId, step: Step) {
        let Some(connection) = self.connections.get_mut(id).filter(|connection| connection.conversing) else {
            return;
        };
        if let Step::Challenge(data) = step {
            return self.direct(id, Directive::Challenge { data });
        }
        connection.conversing = false;
        match (&connection.stage, step) {
            (Stage::Open { .. }, Step::Known { identity, data }) => {
                self.reidentified(now, id, identity, data)
            }
            (Stage::Open { .. }, Step::Refused(refusal)) => self.not_reidentified(now, id, &refusal),
            (_, Step::Known { identity, data }) => {
                connection.data = data.map(Box::new);
                self.identified(now, id, Ok(identity));
            }
            (_, Step::Refused(refusal)) => self.identified(now, id, Err(refusal)),
            (_, Step::Challenge(_)) => {}
        }
    }

    /// The peer of an open session is known anew. Its session is its own: it cannot become somebody else's.
    fn reidentified(&mut self, now: Now, id: ConnectionId, identity: Identity, data: Option<Bytes>) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let Stage::Open { session, origin } = &mut connection.stage else { return };
        if self.lately.may_have_ended(&identity, connection.asked) {
            return self.send_away(now, id, CloseReason::Revoked, false, Entry::Forgotten);
        }
        self.topics.clear();
        if !same_principal(&origin.identity.principal, &identity.principal) {
            let detail =
                format!("the session is {}'s, and its peer proved to be {identity}", origin.identity);
            return self.not_reidentified(now, id, &Refusal { cause: RefusalCause::NotAllowed, detail });
        }
        let known = Arc::new(Origin { identity, ..Origin::clone(origin) });
        origin.clone_from(&known);
        let key = *session;
        if let Some(session) = self.sessions.get_mut(key) {
            session.expires = proven_until(now, &known.identity);
            session.origin = known;
        }
        self.sessions.mark(key);
        self.look_at_subscriptions(key);
        self.sessions.rearm(key);
        self.direct(id, Directive::Reidentified { data });
    }

    fn not_reidentified(&mut self, now: Now, id: ConnectionId, refusal: &Refusal) {
        if let Some(suppressed) = self.notices.allow(now, "not_reidentified")
            && let Some(connection) = self.connections.get(id)
        {
            tracing::warn!(
                listener = &*connection.listener.name,
                peer = connection.peer.map(tracing::field::display),
                cause = refusal.cause.name(),
                detail = %refusal.detail,
                suppressed,
                "connection closed: its peer could not prove anew who it is"
            );
        }
        self.send_away(now, id, CloseReason::NotPermitted, true, Entry::Forgotten);
    }
}
