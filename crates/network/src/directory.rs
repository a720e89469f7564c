//! The node-wide directory: which shard holds which session.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use windrose_engine::ShardId;

/// Which shard holds which session. Touched when sessions begin and end, never by an event.
#[derive(Debug, Default)]
pub struct Directory {
    holders: Mutex<HashMap<Arc<str>, ShardId>>,
}

impl Directory {
    /// Enters `shard` as the session's holder and returns who was it before.
    pub fn claim(&self, session: &Arc<str>, shard: ShardId) -> Option<ShardId> {
        self.lock().insert(Arc::clone(session), shard)
    }

    /// Removes the session if `shard` is still its holder.
    pub fn forget(&self, session: &str, shard: ShardId) {
        let mut holders = self.lock();
        if holders.get(session) == Some(&shard) {
            holders.remove(session);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, ShardId>> {
        // A map is whole between calls, whatever a panicking holder of the lock was doing.
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_goodbye_does_not_remove_the_new_holder() {
        let directory = Directory::default();
        let session: Arc<str> = "car-7".into();
        assert_eq!(directory.claim(&session, ShardId(0)), None);
        assert_eq!(directory.claim(&session, ShardId(1)), Some(ShardId(0)));
        directory.forget("car-7", ShardId(0));
        assert_eq!(directory.claim(&session, ShardId(0)), Some(ShardId(1)));
    }
}
