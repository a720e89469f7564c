//! Step 3, identify: a claim becomes an identity, before anything of an old session is touched.

use crate::connections::{Opening, Stage};
use crate::counts::ListenerIndex;
use crate::engine::Engine;
use crate::io::Output;
use crate::requests::ReplyAddress;
use crate::sessions::{Claimed, SessionKey};
use crate::steps::listen::Entry;
use std::sync::Arc;
use windrose_event::{
    CloseReason, ConnectionId, Identity, Now, Origin, Permission, Refusal, RefusalCause, Verdict, Will,
};

/// Proof that an event's sender is known. Only this step makes it, only `inspect` takes it.
#[derive(Debug)]
pub(crate) struct Identified {
    connection: ConnectionId,
    session: SessionKey,
    listener: ListenerIndex,
    origin: Arc<Origin>,
}

impl Identified {
    /// The connection.
    pub(crate) const fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// Its session.
    pub(crate) const fn session(&self) -> SessionKey {
        self.session
    }

    /// Its listener.
    pub(crate) const fn listener(&self) -> ListenerIndex {
        self.listener
    }

    /// Gives away who it is and by which road it came.
    pub(crate) fn into_origin(self) -> Arc<Origin> {
        self.origin
    }

    /// Who it is and by which road it came.
    pub(crate) const fn origin(&self) -> &Arc<Origin> {
        &self.origin
    }
}

impl Engine {
    /// Who an open connection is.
    pub(crate) fn identify(&self, connection: ConnectionId) -> Option<Identified> {
        let known = self.connections.get(connection)?;
        let Stage::Open { session, origin } = &known.stage else { return None };
        Some(Identified { connection, session: *session, listener: known.tally, origin: origin.clone() })
    }

    /// The registry's answer.
    pub(crate) fn identified(&mut self, now: Now, id: ConnectionId, verdict: Verdict) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if !matches!(connection.stage, Stage::Identifying(_)) {
            return;
        }
        let identity = match verdict.and_then(|identity| self.may_open(id, identity)) {
            Ok(identity) => identity,
            Err(refusal) => return self.refuse(now, id, refusal),
        };
        let Some(connection) = self.connections.get_mut(id) else { return };
        let Stage::Identifying(open) = std::mem::replace(&mut connection.stage, Stage::New { refuse: None })
        else {
            return;
        };
        let assigned = open.session.is_none();
        let name = match &open.session {
            Some(name) => name.clone(),
            None => assigned_name(self.random.token()),
        };
        let is_exchange = Origin::is_ephemeral(open.protocol);
        let principal = identity.principal.clone();
        let opening = Opening { open, identity, name: name.clone(), assigned };
        connection.stage = Stage::Claiming(Box::new(opening));
        if is_exchange {
            // An exchange's session ends with it and nobody can ask for it by name: no directory needs to know.
            return self.begin(now, id);
        }
        match self.takeovers.claim(&name, id, principal) {
            Claimed::First => self.outputs.push_back(Output::Locate { connection: id, session: name }),
            Claimed::Instead(Some(earlier)) => {
                self.send_away(now, earlier, CloseReason::TakenOver, false, Entry::Kept);
            }
            Claimed::Instead(None) => {}
        }
    }

    /// Whether somebody who is known may open a session now, with the will that it brings.
    fn may_open(&self, id: ConnectionId, identity: Identity) -> Verdict {
        if self.draining {
            return Err(shutting_down());
        }
        let will = match self.connections.get(id).map(|connection| &connection.stage) {
            Some(Stage::Identifying(open)) => open.will.as_deref(),
            _ => None,
        };
        match will {
            Some(will) if !self.may_will(&identity, will) => Err(Refusal {
                cause: RefusalCause::NotAllowed,
                detail: format!(
                    "{identity} may not publish its will on '{}': allow it in 'access', or look at 'limits'",
                    will.publication.address
                ),
            }),
            _ => Ok(identity),
        }
    }

    /// Whether somebody may have that published when its connection is lost.
    pub(crate) fn may_will(&self, identity: &Identity, will: &Will) -> bool {
        let publication = &will.publication;
        !ReplyAddress::is_meant(&publication.address)
            && self.check(identity, Permission::Publish, publication).is_ok()
    }
}

/// A session's name made of random bits, written as a UUID of version 4 (RFC 9562).
fn assigned_name(random: u128) -> Arc<str> {
    let id = random & !(0xf << 76 | 0b11 << 62) | 0x4 << 76 | 0b10 << 62;
    let (a, b, c) = (id >> 96, (id >> 80) & 0xffff, (id >> 64) & 0xffff);
    format!("auto-{a:08x}-{b:04x}-{c:04x}-{:04x}-{:012x}", (id >> 48) & 0xffff, id & 0xffff_ffff_ffff).into()
}

/// The refusal of whoever comes while the node shuts down.
pub(crate) fn shutting_down() -> Refusal {
    Refusal { cause: RefusalCause::ShuttingDown, detail: "the node is shutting down".to_owned() }
}
