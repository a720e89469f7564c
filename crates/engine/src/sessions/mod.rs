//! Sessions: what this shard keeps of its peers, connected or not.

mod duplicates;
mod outbox;
mod recent;
mod session;
mod takeovers;

pub use duplicates::TakenOver;
pub(crate) use duplicates::{Duplicates, counted_on};
pub use outbox::Parcel;
pub(crate) use outbox::{Awaits, Next, Offered, Outbox, Restored, Room};
pub(crate) use recent::Progress;
pub use session::Session;
pub(crate) use session::{CatchUp, GHOST_STAYS, Inbound, Pending, same_owner, same_principal};
pub use takeovers::Rival;
pub(crate) use takeovers::{Claimed, Stage, Takeovers};

use crate::io::ShardId;
use crate::standing::{Marks, Wanted};
use crate::table::Table;
use crate::timers::Timers;
use hashbrown::HashTable;
use rustc_hash::{FxBuildHasher, FxHashMap};
use std::hash::BuildHasher;
use std::sync::Arc;
use windrose_event::Moment;

/// A session's place in this shard's table, until the session ends.
pub(crate) type SessionKey = u32;

/// Tells an exactly-once publication from others that had the same tag.
pub(crate) type Ticket = u64;

/// This shard's sessions, by key and by name.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    table: Table<Session>,
    /// Keys that were in use, and the first that never was.
    free: Vec<SessionKey>,
    fresh: SessionKey,
    /// Keys by the names of their sessions, which are not stored once more.
    names: HashTable<SessionKey>,
    /// What stays for a moment of sessions that were handed over.
    ghosts: FxHashMap<Arc<str>, SessionKey>,
    timers: Timers<SessionKey>,
    /// Whom changes may be about, by key.
    marks: Marks,
}

impl Sessions {
    /// Enters a session. One that is ephemeral cannot be found by its name.
    pub(crate) fn insert(&mut self, session: Session) -> SessionKey {
        let is_named = !session.ephemeral;
        // Bounded by `limits.sessions` and `limits.connections`, both of 32 bits.
        let key = self.free.pop().unwrap_or_else(|| {
            self.fresh += 1;
            self.fresh - 1
        });
        self.table.put(key, session);
        self.mark(key);
        if is_named {
            self.enter_name(key);
        }
        key
    }

    /// A session is known as somebody else than before, or by another proof.
    pub(crate) fn mark(&mut self, key: SessionKey) {
        if let Some(session) = self.table.get(key) {
            self.marks.set(key, &session.origin.identity);
        }
    }

    /// The sessions that changes may be about. Few are that are not.
    pub(crate) fn concerned(&self, wanted: &Wanted<'_>) -> Vec<SessionKey> {
        self.marks.places(|mark| wanted.may_concern(mark))
    }

    /// Takes a session out, with its name and timer.
    pub(crate) fn remove(&mut self, key: SessionKey) -> Option<Session> {
        let mut session = self.table.take(key)?;
        self.free.push(key);
        self.marks.clear(key);
        if session.moved_to.is_none() {
            self.forget_name(&session.name, key);
        } else if self.ghosts.get(&session.name) == Some(&key) {
            self.ghosts.remove(&session.name);
        }
        if let Some(due) = session.timer.take() {
            self.timers.remove(due, key);
        }
        Some(session)
    }

    /// Takes a session out for another shard, and leaves a ghost in its place until `until`.
    pub(crate) fn hand_over(&mut self, key: SessionKey, to: ShardId, until: Moment) -> Option<Session> {
        let place = self.table.get_mut(key)?;
        let ghost = place.ghost(to, until);
        let mut session = std::mem::replace(place, ghost);
        self.marks.clear(key);
        self.forget_name(&session.name, key);
        self.ghosts.insert(session.name.clone(), key);
        if let Some(due) = session.timer.take() {
            self.timers.remove(due, key);
        }
        self.rearm(key);
        Some(session)
    }

    /// What stays of the session of that name, if it was handed over a moment ago.
    pub(crate) fn find_ghost(&self, name: &str) -> Option<SessionKey> {
        self.ghosts.get(name).copied()
    }

    /// The session of that name.
    pub(crate) fn find(&self, name: &str) -> Option<SessionKey> {
        let has_it = |key: &SessionKey| self.table.get(*key).is_some_and(|session| *session.name == *name);
        self.names.find(hash(name), has_it).copied()
    }

    /// Lets a session be found by its name, and none that had the name before.
    fn enter_name(&mut self, key: SessionKey) {
        let Some(session) = self.table.get(key) else { return };
        if let Some(former) = self.find(&session.name) {
            self.forget_name(&session.name.clone(), former);
        }
        let Some(session) = self.table.get(key) else { return };
        let table = &self.table;
        let rehash = |key: &SessionKey| table.get(*key).map_or(0, |session| hash(&session.name));
        self.names.insert_unique(hash(&session.name), key, rehash);
    }

    /// Lets a session not be found by its name any more.
    fn forget_name(&mut self, name: &str, key: SessionKey) {
        if let Ok(entry) = self.names.find_entry(hash(name), |known| *known == key) {
            entry.remove();
        }
    }

    /// A session.
    pub(crate) fn get(&self, key: SessionKey) -> Option<&Session> {
        self.table.get(key)
    }

    /// A session, to be changed.
    pub(crate) fn get_mut(&mut self, key: SessionKey) -> Option<&mut Session> {
        self.table.get_mut(key)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.table.len() - self.ghosts.len()
    }

    /// Enters a session's timer anew after what it waits for has changed.
    pub(crate) fn rearm(&mut self, key: SessionKey) {
        let Some(session) = self.table.get_mut(key) else { return };
        let due = session.due();
        if due == session.timer {
            return;
        }
        if let Some(old) = std::mem::replace(&mut session.timer, due) {
            self.timers.remove(old, key);
        }
        if let Some(due) = due {
            self.timers.insert(due, key);
        }
    }

    /// The next session that has something due; its timer is to be entered anew.
    pub(crate) fn pop_due(&mut self, now: Moment) -> Option<SessionKey> {
        let (_, key) = self.timers.pop_due(now)?;
        if let Some(session) = self.get_mut(key) {
            session.timer = None;
        }
        Some(key)
    }

    /// When the next session has something due.
    pub(crate) fn next_timeout(&self) -> Option<Moment> {
        self.timers.next()
    }
}

fn hash(name: &str) -> u64 {
    FxBuildHasher.hash_one(name)
}
