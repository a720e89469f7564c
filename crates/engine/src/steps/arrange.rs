//! What peers arrange about exchanges and queues, and what they publish to exchanges.

use crate::engine::Engine;
use windrose_event::{
    Arrangement, Cause, ConnectionId, DeclineCause, Declined, Directive, Now, Outcome, Publish, Tag, Text,
};

impl Engine {
    /// Publishes to an exchange.
    pub(crate) fn publish_through(
        &mut self,
        _now: Now,
        connection: ConnectionId,
        _exchange: &Text,
        publish: &Publish,
    ) {
        let outcome = Outcome::rejected(Cause::NotFound);
        self.direct(connection, Directive::Settle { tag: publish.tag, outcome, heard: false });
    }

    /// Arranges something about exchanges and queues.
    pub(crate) fn arrange(
        &mut self,
        _now: Now,
        connection: ConnectionId,
        tag: Tag,
        _arrangement: &Arrangement,
    ) {
        self.direct(connection, Directive::Arranged { tag, result: Err(unsupported()) });
    }
}

/// Why something is declined that is not there yet.
pub(super) fn unsupported() -> Declined {
    Declined { cause: DeclineCause::Unsupported, detail: "not in this version".into() }
}
