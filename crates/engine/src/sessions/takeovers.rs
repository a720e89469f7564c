//! Takeovers: names whose session is on its way to a connection of this shard.

use super::Ticket;
use crate::io::ShardId;
use crate::timers::Timers;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{ConnectionId, Moment, Principal};

/// How long another shard may take to hand a session over before it is given up.
pub(crate) const HAND_OVER_WITHIN: Duration = Duration::from_secs(5);

/// Somebody else who claims a name.
#[derive(Clone, Debug)]
pub struct Rival {
    /// The shard of its connection.
    pub shard: ShardId,
    /// Who.
    pub principal: Principal,
    /// Where its connection comes from.
    pub peer: Option<SocketAddr>,
}

/// What is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The directory's word who holds the session.
    Locating,
    /// The session itself, from that shard.
    Taking(ShardId),
}

/// A name that a connection of this shard claims.
#[derive(Debug)]
pub(crate) struct Takeover {
    /// The newest connection that wants it; `None` if it went away meanwhile.
    pub(crate) claimant: Option<ConnectionId>,
    /// Who claims it.
    pub(crate) principal: Principal,
    pub(crate) stage: Stage,
    /// Those on other shards who claimed the name after us.
    pub(crate) waiting: SmallVec<[Rival; 1]>,
    /// Whether the session left for a later claim while the directory had not answered ours.
    pub(crate) superseded: bool,
    /// When waiting for the other shard ends.
    until: Option<Moment>,
}

/// How a claim began.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Claimed {
    /// Nobody here was claiming the name: ask the directory.
    First,
    /// An earlier connection was; it is to be closed, if it is still there.
    Instead(Option<ConnectionId>),
}

/// All names that are being claimed.
#[derive(Debug, Default)]
pub(crate) struct Takeovers {
    by_name: FxHashMap<Arc<str>, Takeover>,
    /// What the directory was asked, by the connection that it was asked for, which may be gone when it answers.
    asked: FxHashMap<ConnectionId, Arc<str>>,
    timers: Timers<Arc<str>>,
    /// Where sessions went whose publications are still answered by way of us, and which ones.
    departed: FxHashMap<Arc<str>, (ShardId, Vec<Ticket>)>,
}

impl Takeovers {
    /// A connection claims a name.
    pub(crate) fn claim(
        &mut self,
        name: &Arc<str>,
        connection: ConnectionId,
        principal: Principal,
    ) -> Claimed {
        if let Some(takeover) = self.by_name.get_mut(name) {
            takeover.principal = principal;
            return Claimed::Instead(takeover.claimant.replace(connection));
        }
        let takeover = Takeover {
            claimant: Some(connection),
            principal,
            stage: Stage::Locating,
            waiting: SmallVec::new(),
            superseded: false,
            until: None,
        };
        self.by_name.insert(name.clone(), takeover);
        self.asked.insert(connection, name.clone());
        Claimed::First
    }

    /// The name that the directory was asked about for a connection.
    pub(crate) fn answered(&mut self, connection: ConnectionId) -> Option<Arc<str>> {
        self.asked.remove(&connection)
    }

    /// The claim on a name.
    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Takeover> {
        self.by_name.get_mut(name)
    }

    /// The connections that claim a name.
    pub(crate) fn claimants(&self) -> Vec<ConnectionId> {
        self.by_name.values().filter_map(|takeover| takeover.claimant).collect()
    }

    /// The session is asked of another shard, which has until [`HAND_OVER_WITHIN`].
    pub(crate) fn take_from(&mut self, name: &Arc<str>, shard: ShardId, now: Moment) {
        if let Some(takeover) = self.by_name.get_mut(name) {
            let until = now + HAND_OVER_WITHIN;
            takeover.stage = Stage::Taking(shard);
            takeover.until = Some(until);
            self.timers.insert(until, name.clone());
        }
    }

    /// Ends a claim.
    pub(crate) fn finish(&mut self, name: &str) -> Option<Takeover> {
        let (name, takeover) = self.by_name.remove_entry(name)?;
        if let Some(until) = takeover.until {
            self.timers.remove(until, name);
        }
        Some(takeover)
    }

    /// The claiming connection went away; what was asked for stays asked for.
    pub(crate) fn abandon(&mut self, name: &str, connection: ConnectionId) {
        if let Some(takeover) = self.by_name.get_mut(name)
            && takeover.claimant == Some(connection)
        {
            takeover.claimant = None;
        }
    }

    /// A name whose session did not come in time.
    pub(crate) fn pop_due(&mut self, now: Moment) -> Option<Arc<str>> {
        let (_, name) = self.timers.pop_due(now)?;
        if let Some(takeover) = self.by_name.get_mut(&name) {
            takeover.until = None;
        }
        Some(name)
    }

    /// When the next name is given up.
    pub(crate) fn next_timeout(&self) -> Option<Moment> {
        self.timers.next()
    }

    /// A session left for `shard` while answers to these publications of its still come by way of this shard.
    pub(crate) fn departed(&mut self, name: &Arc<str>, shard: ShardId, tickets: Vec<Ticket>) {
        if tickets.is_empty() {
            self.departed.remove(name);
        } else {
            self.departed.insert(name.clone(), (shard, tickets));
        }
    }

    /// A session came: answers to its publications find it here.
    pub(crate) fn returned(&mut self, name: &str) {
        self.departed.remove(name);
    }

    /// Where the answer to a publication of a session that left goes. Asked once for each.
    pub(crate) fn forward_answer(&mut self, name: &str, ticket: Ticket) -> Option<ShardId> {
        let (shard, tickets) = self.departed.get_mut(name)?;
        let shard = *shard;
        let index = tickets.iter().position(|known| *known == ticket)?;
        tickets.swap_remove(index);
        if tickets.is_empty() {
            self.departed.remove(name);
        }
        Some(shard)
    }
}
