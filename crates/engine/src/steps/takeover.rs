//! Takeovers between shards: a session follows its owner to the shard of the owner's new connection.

use crate::engine::Engine;
use crate::io::{Handed, Output, ShardId, ShardMessage};
use crate::journal::Record;
use crate::sessions::{GHOST_STAYS, Parcel, Rival, Session, SessionKey, Stage, same_principal};
use crate::steps::listen::Entry;
use crate::steps::session::not_yours;
use std::sync::Arc;
use windrose_event::{CloseReason, ConnectionId, Directive, Now, Outcome, Refusal, RefusalCause, Tag};

/// No connection: the directory's answer is for nobody.
const NOBODY: ConnectionId = ConnectionId { slot: u32::MAX, generation: u32::MAX };

impl Engine {
    /// The directory's answer: the name is ours from now on, and who had it before.
    pub(crate) fn located(&mut self, now: Now, id: ConnectionId, holder: Option<ShardId>) {
        let Some(name) = self.takeovers.answered(id) else { return };
        let Some(takeover) = self.takeovers.get_mut(&name) else { return };
        match holder.filter(|holder| *holder != self.shards.here()) {
            Some(holder) => {
                let principal = takeover.principal.clone();
                let claimant = takeover.claimant.and_then(|id| self.connections.get(id));
                let peer = claimant.and_then(|connection| connection.peer);
                let held = self.sessions.find(&name).is_some();
                self.takeovers.take_from(&name, holder, now.moment);
                let rival = Rival { shard: self.shards.here(), principal, peer };
                self.tell(holder, ShardMessage::Take { session: name, rival, held });
            }
            None if takeover.superseded => {
                // A later claim elsewhere got the session while ours was on its way to the directory.
                if let Some(claimant) = takeover.claimant {
                    self.send_away(now, claimant, CloseReason::TakenOver, false, Entry::Kept);
                }
                if let Some(takeover) = self.takeovers.finish(&name) {
                    for rival in takeover.waiting {
                        self.take(now, name.clone(), rival, false);
                    }
                }
            }
            None => self.conclude(now, &name),
        }
    }

    /// Another shard wants a session, for a connection that came after ours. `held`: it has the session now, and hands it
    /// to us first.
    pub(crate) fn take(&mut self, now: Now, name: Arc<str>, rival: Rival, held: bool) {
        let from = rival.shard;
        let takeover = self.takeovers.get_mut(&name);
        let Some(session) = self.sessions.find(&name).and_then(|key| self.sessions.get(key)) else {
            match takeover {
                Some(takeover) if takeover.stage == Stage::Taking(from) && !held => self.give_up(now, &name),
                Some(takeover) => return takeover.waiting.push(rival),
                None => {}
            }
            return self.tell(from, ShardMessage::Hand { session: name, handed: Handed::Nothing });
        };
        if !same_principal(&session.origin.identity.principal, &rival.principal) {
            let handed = Handed::Denied(not_yours(session));
            // The directory has named the other shard on its word; set that right.
            self.outputs.push_back(Output::Locate { connection: NOBODY, session: name.clone() });
            return self.tell(from, ShardMessage::Hand { session: name, handed });
        }
        if let Some(takeover) = takeover
            && takeover.stage == Stage::Locating
        {
            takeover.superseded = true;
        }
        if let Some(old) = session.connection {
            self.taken_over(now, &name, &rival.principal, old, rival.peer);
            self.send_away(now, old, CloseReason::TakenOver, true, Entry::Kept);
        }
        // It may have ended with its connection.
        let key = self.sessions.find(&name);
        let session = key.and_then(|key| self.hand_over(now, key, from));
        let heard = self.lately.heard();
        let handed =
            session.map_or(Handed::Nothing, |session| Handed::Session { session: Box::new(session), heard });
        self.tell(from, ShardMessage::Hand { session: name, handed });
    }

    /// Another shard's answer: the session, if there was one.
    pub(crate) fn handed(&mut self, now: Now, from: ShardId, name: &Arc<str>, handed: Handed) {
        let expected =
            self.takeovers.get_mut(name).is_some_and(|takeover| takeover.stage == Stage::Taking(from));
        match handed {
            Handed::Session { session, heard } if self.sessions.find(name).is_none() => {
                let ended = self.lately.may_have_ended(&session.origin.identity, heard);
                let key = self.adopt(now, *session);
                if ended {
                    // Its owner was revoked while it was on its way here.
                    self.forget_will(key);
                    self.end_session(now, key, Entry::Kept);
                }
            }
            // It came so late that another was begun in its place.
            Handed::Session { session, .. } => {
                if let Some(number) = session.number {
                    self.record(Record::Ended(number));
                }
            }
            Handed::Nothing => {}
            Handed::Denied(detail) => {
                if expected && let Some(takeover) = self.takeovers.finish(name) {
                    if let Some(claimant) = takeover.claimant {
                        let refusal = Refusal { cause: RefusalCause::NotAllowed, detail: detail.clone() };
                        self.refuse(now, claimant, refusal);
                    }
                    for Rival { shard, .. } in takeover.waiting {
                        let handed = Handed::Denied(detail.clone());
                        self.tell(shard, ShardMessage::Hand { session: name.clone(), handed });
                    }
                }
                return;
            }
        }
        if expected {
            self.conclude(now, name);
        }
    }

    /// The other shard did not hand the session over in time: the claimant begins a new one.
    pub(crate) fn not_handed_in_time(&mut self, now: Now, name: &Arc<str>) {
        if let Some(suppressed) = self.notices.allow(now, "hand_over") {
            tracing::warn!(
                session = &**name,
                suppressed,
                "another shard did not hand the session over in time: it begins anew"
            );
        }
        self.conclude(now, name);
    }

    /// The answer to a publication that a session made before it came here.
    pub(crate) fn settled_elsewhere(
        &mut self,
        name: Arc<str>,
        tag: Tag,
        ticket: u64,
        outcome: Outcome,
        heard: bool,
    ) {
        if let Some(key) = self.sessions.find(&name) {
            if let Some(connection) = self.settle_taken(key, tag, ticket, outcome.is_accepted(), heard) {
                self.direct(connection, Directive::Settle { tag, outcome, heard });
            }
        } else if let Some(shard) = self.takeovers.forward_answer(&name, ticket) {
            self.tell(shard, ShardMessage::Settled { session: name, tag, ticket, outcome, heard });
        }
    }

    /// All that a claim waited for is here: its claimant begins, unless a later claim elsewhere waits.
    fn conclude(&mut self, now: Now, name: &Arc<str>) {
        let Some(takeover) = self.takeovers.finish(name) else { return };
        if takeover.waiting.is_empty() {
            match takeover.claimant {
                Some(claimant) => self.begin(now, claimant),
                None if self.sessions.find(name).is_none() => {
                    self.outputs.push_back(Output::Forget { session: name.clone() });
                }
                None => {}
            }
            return;
        }
        if let Some(claimant) = takeover.claimant {
            self.send_away(now, claimant, CloseReason::TakenOver, false, Entry::Kept);
        }
        for rival in takeover.waiting {
            self.take(now, name.clone(), rival, false);
        }
    }

    /// Another shard and this one wait for each other and neither has the session, because it ended amid their claims.
    /// Both give up: which claim was the later one shows when the claimants try again.
    fn give_up(&mut self, now: Now, name: &Arc<str>) {
        let Some(takeover) = self.takeovers.finish(name) else { return };
        if let Some(claimant) = takeover.claimant {
            self.send_away(now, claimant, CloseReason::TakenOver, false, Entry::Kept);
        }
        for Rival { shard, .. } in takeover.waiting {
            self.tell(shard, ShardMessage::Hand { session: name.clone(), handed: Handed::Nothing });
        }
        self.outputs.push_back(Output::Forget { session: name.clone() });
    }

    /// Takes a session out of this shard, whole. Its ghost keeps its subscriptions until all shards know those of the
    /// session where it is now, so that no event is missed between.
    fn hand_over(&mut self, now: Now, key: SessionKey, to: ShardId) -> Option<Session> {
        let mut session = self.sessions.hand_over(key, to, now.moment + GHOST_STAYS)?;
        session.left(self.shards.progress(self.ids.last()));
        self.counts.queued -= session.queued() as u64;
        let mut pending = session.pending();
        if !pending.is_empty() {
            self.receipts.readdress(key, to, &session.name, &mut pending);
        }
        self.takeovers.departed(&session.name, to, pending);
        Some(session)
    }

    /// An event that came to the session's ghost on another shard.
    pub(crate) fn late(&mut self, now: Now, name: &str, parcel: Parcel, more: Vec<Parcel>, expected: bool) {
        let event = parcel.event.id;
        let sessions = &self.sessions;
        let here = sessions.find(name).filter(|key| sessions.get(*key).is_some_and(Session::has_moved));
        // It may have gone on from here already.
        match here.or_else(|| sessions.find_ghost(name)) {
            Some(key) => self.offer(now, key, parcel, more, None),
            // It has ended: one that was begun anew by its name did not subscribe to this.
            None => self.reassign(now, parcel),
        }
        if expected {
            self.record(Record::Part { event });
        }
    }

    /// Takes in a session from another shard, still without a connection.
    fn adopt(&mut self, now: Now, mut session: Session) -> SessionKey {
        if let Some(ghost) = self.sessions.find_ghost(&session.name) {
            self.end_session(now, ghost, Entry::Kept);
        }
        self.takeovers.returned(&session.name);
        session.timer = None;
        session.arrived(now.moment);
        session.forget_askers();
        session.listener = self.counts.listener(&session.origin.listener, session.origin.protocol);
        self.counts.queued += session.queued() as u64;
        let key = self.sessions.insert(session);
        self.enter_subscriptions(key);
        self.sessions.rearm(key);
        key
    }

    /// Tells another shard.
    pub(crate) fn tell(&mut self, to: ShardId, message: ShardMessage) {
        self.outputs.push_back(Output::Shard { to, message });
    }
}
