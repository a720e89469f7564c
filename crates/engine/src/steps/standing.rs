//! Standing: what the registry says anew of somebody takes hold of the sessions that are open.

use crate::connections::Stage;
use crate::engine::Engine;
use crate::steps::listen::Entry;
use windrose_event::{CloseReason, IdentityChange, Now, Standing};

impl Engine {
    /// What is known of some is not as it was.
    pub(crate) fn identities_changed(&mut self, now: Now, changes: &[IdentityChange]) {
        for id in self.connections.ids() {
            let Some(connection) = self.connections.get(id) else { continue };
            let Stage::Open { origin, .. } = &connection.stage else { continue };
            let ended = changes.iter().any(|change| {
                matches!(change.standing, Standing::Ended | Standing::Quarantined)
                    && change.subject.concerns(&origin.identity)
            });
            if ended {
                self.send_away(now, id, CloseReason::Revoked, true, Entry::Forgotten);
            }
        }
    }
}
