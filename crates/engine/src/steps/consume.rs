//! How peers take events from queues, or have them brought.

use super::arrange::unsupported;
use crate::engine::Engine;
use windrose_event::{ConnectionId, Consume, ConsumerId, Directive, Now, Tag, Text};

impl Engine {
    /// Begins to supply a consumer.
    pub(crate) fn consume(&mut self, _now: Now, connection: ConnectionId, consume: &Consume) {
        let consumer = consume.consumer;
        self.direct(connection, Directive::Consuming { consumer, result: Err(unsupported()) });
    }

    /// Takes one event from a queue.
    pub(crate) fn pull(&mut self, connection: ConnectionId, tag: Tag, _consumer: ConsumerId, _queue: &Text) {
        self.direct(connection, Directive::Pulled { tag, result: Err(unsupported()) });
    }
}
