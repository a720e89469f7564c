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
    CloseReason, ConnectionId, Identity, Now, Open, Origin, Permission, Refusal, RefusalCause, Verdict, Will,
};
use windrose_policy::ClientIdRule;

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
        let asked = connection.asked;
        let verdict = verdict.and_then(|identity| self.still_stands(identity, asked));
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
                let peer = self.connections.get(id).and_then(|connection| connection.peer);
                let principal = self.takeovers.get_mut(&name).map(|takeover| takeover.principal.clone());
                if let Some(principal) = principal {
                    self.taken_over(now, &name, &principal, earlier, peer);
                }
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
        let open = match self.connections.get(id).map(|connection| &connection.stage) {
            Some(Stage::Identifying(open)) => Some(open),
            _ => None,
        };
        if let Some(refusal) = open.and_then(|open| self.unsuitable(&identity, open)) {
            return Err(refusal);
        }
        match open.and_then(|open| open.will.as_deref()) {
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

    /// Why somebody may not open that session, of all it may open.
    fn unsuitable(&self, identity: &Identity, open: &Open) -> Option<Refusal> {
        if identity.enrols_only() && !matches!(open.protocol, "http" | "coap") {
            let detail = format!(
                "what {identity} proved it by is good for enrolling only, which goes by HTTP and CoAP (RFC 7030, 9148)"
            );
            return Some(Refusal { cause: RefusalCause::NotAllowed, detail });
        }
        let bound = self.snapshot.identity.client_id == ClientIdRule::Device;
        let (Some(device), Some(session)) = (identity.device(), &open.session) else { return None };
        if !bound || Origin::is_ephemeral(open.protocol) || is_named_after(session, device) {
            return None;
        }
        let detail = format!(
            "the client identifier '{session}' is not {identity}'s own, as 'identity.client_id' asks: let it be the \
             device's id, or begin with that and one of '-', '.', ':', '_', '/'"
        );
        Some(Refusal { cause: RefusalCause::BadSession, detail })
    }

    /// Whether somebody may have that published when its connection is lost.
    pub(crate) fn may_will(&self, identity: &Identity, will: &Will) -> bool {
        let publication = &will.publication;
        !ReplyAddress::is_meant(&publication.address)
            && self.check(identity, Permission::Publish, publication).is_ok()
    }
}

/// Whether a session's name is a device's own (`identity.client_id: device`).
fn is_named_after(session: &str, device: &str) -> bool {
    session
        .strip_prefix(device)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.', ':', '_', '/']))
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
