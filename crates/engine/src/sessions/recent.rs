//! Recent: what a session that moves between shards has had already, though it may come once more by another way.

use super::GHOST_STAYS;
use crate::io::ShardId;
use rustc_hash::FxHashSet;
use windrose_event::{Event, EventId, Moment};

/// Events that are remembered at most.
const MOST_RECENT: usize = 65_536;

/// How far a shard has come with the events of each shard, itself among them, by the shards' numbers. Each shard's events
/// have growing identifiers and arrive in their order.
pub(crate) type Progress = Vec<Option<EventId>>;

/// An event can reach a session that moved by several ways: it was delivered before the move and comes to the new shard
/// once more for others there; or it comes to the new shard and to the session's ghost on the old one.
#[derive(Debug)]
pub(crate) struct Recent {
    /// What the shards that it was at had seen when it left.
    seen: Progress,
    /// What it got since it moved.
    events: FxHashSet<EventId>,
    /// When all ways but the direct one have ended.
    until: Moment,
}

impl Recent {
    /// The session leaves a shard that has come so far.
    pub(super) fn left(former: Option<Box<Self>>, progress: Progress) -> Box<Self> {
        // What it got on the way here may still come by a longer one.
        let mut recent = former.unwrap_or_else(|| {
            Box::new(Self { seen: Vec::new(), events: FxHashSet::default(), until: Moment::default() })
        });
        recent.seen.resize(recent.seen.len().max(progress.len()), None);
        for (seen, more) in recent.seen.iter_mut().zip(progress) {
            *seen = (*seen).max(more);
        }
        recent
    }

    /// The session arrived, and its ghost stays behind for a moment.
    pub(super) fn arrived(&mut self, now: Moment) {
        self.until = now + 2 * GHOST_STAYS;
    }

    /// Whether nothing can come by another way any more.
    pub(super) fn is_over(&self, now: Moment) -> bool {
        self.until <= now || self.events.len() >= MOST_RECENT
    }

    /// Whether the event, forwarded by `source` if by any, was had before. Then it is noted as had.
    pub(super) fn had(&mut self, event: &Event, source: Option<ShardId>) -> bool {
        let seen = source.and_then(|source| *self.seen.get(usize::from(source.0))?);
        seen.is_some_and(|seen| event.id <= seen) || !self.events.insert(event.id)
    }
}
