//! Asking the registry, off the shard's thread when the answer takes work.

use super::Shard;
use std::rc::Rc;
use windrose_engine::Input;
use windrose_event::{Claim, ConnectionId, Now, Refusal, RefusalCause, Verdict};

/// Claims of one shard that may wait for the registry: a storm of password checks is refused, not queued for ever.
pub(super) const WAITING: usize = 4_096;

impl Shard {
    pub(super) fn identify(self: &Rc<Self>, now: Now, connection: ConnectionId, claim: Box<Claim>) {
        let own = self.brokers.identity(connection).or_else(|| self.devices.identity(connection)).map(Ok);
        if let Some(verdict) = own.or_else(|| self.registry.identify_at_once(&claim)) {
            self.core.borrow_mut().pump.input(now, Input::Identified { connection, verdict });
            return;
        }
        if self.identifying.get() >= WAITING {
            let verdict = Err(unavailable(format!("{WAITING} claims wait for the registry already")));
            self.core.borrow_mut().pump.input(now, Input::Identified { connection, verdict });
            return;
        }
        self.identifying.set(self.identifying.get() + 1);
        let shard = Rc::clone(self);
        let asked = tokio::task::spawn_local(self.registry.identify(claim));
        tokio::task::spawn_local(async move {
            let verdict: Verdict = asked
                .await
                .unwrap_or_else(|_| Err(unavailable("the registry failed while it answered".to_owned())));
            shard.identifying.set(shard.identifying.get() - 1);
            shard.input(Input::Identified { connection, verdict });
        });
    }
}

pub(super) fn unavailable(detail: String) -> Refusal {
    Refusal { cause: RefusalCause::Unavailable, detail }
}
