//! What a queue does at its home: its object's beginning and end, and what comes into it.

use crate::engine::Engine;
use crate::io::QueueId;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use windrose_event::{
    ConnectionId, Consume, DeclineCause, Declined, Directive, Event, Now, QueueDeclaration, Text,
};

/// What became of an event that was offered to a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    /// The queue has it, or dropped it as its options say.
    Taken,
    /// There is no room for it.
    #[allow(dead_code, reason = "queues without bounds never refuse")]
    Refused,
}

/// Queues whose home is here.
pub(crate) type Rows = FxHashMap<QueueId, VecDeque<Arc<Event>>>;

impl Engine {
    /// A queue begins here.
    pub(crate) fn queue_created(
        &mut self,
        now: Now,
        id: QueueId,
        _name: &Text,
        _declaration: &Arc<QueueDeclaration>,
        owner: Option<ConnectionId>,
    ) {
        self.rows.insert(id, VecDeque::new());
        if owner.is_some_and(|owner| self.connections.get(owner).is_none()) {
            self.rows.remove(&id);
            self.queue_ended(now, id);
        }
    }

    /// A queue ends, if it may: what waited in it is gone.
    pub(crate) fn vacate_queue(
        &mut self,
        _now: Now,
        id: QueueId,
        _if_unused: bool,
        if_empty: bool,
    ) -> Result<u32, Declined> {
        let waiting = self.rows.get(&id).map_or(0, VecDeque::len);
        if if_empty && waiting > 0 {
            let name = self.topology.by_id(id).map_or("", |queue| queue.name.as_str());
            let detail = format!("queue '{name}' in vhost '/' not empty");
            return Err(Declined { cause: DeclineCause::Precondition, detail });
        }
        self.rows.remove(&id);
        Ok(waiting as u32)
    }

    /// Removes what waits.
    pub(crate) fn purge_queue(&mut self, _now: Now, id: QueueId) -> u32 {
        self.rows.get_mut(&id).map_or(0, |row| row.drain(..).count() as u32)
    }

    /// How many events wait, and how many consume.
    pub(crate) fn queue_census(&mut self, _now: Now, id: QueueId) -> Option<(u32, u32)> {
        self.rows.get(&id).map(|row| (row.len() as u32, 0))
    }

    /// An event for a queue.
    pub(crate) fn offer_to_queue(
        &mut self,
        _now: Now,
        id: QueueId,
        event: &Arc<Event>,
        _from: Option<ConnectionId>,
    ) -> Offered {
        if let Some(row) = self.rows.get_mut(&id) {
            row.push_back(event.clone());
        }
        Offered::Taken
    }

    #[allow(clippy::boxed_local, reason = "it is kept when consumers are")]
    /// A queue that a consumer wanted is there, or not.
    pub(crate) fn consume_declared(
        &mut self,
        _now: Now,
        connection: ConnectionId,
        consume: Box<Consume>,
        result: Result<(), Declined>,
    ) {
        let consumer = consume.consumer;
        let result = result.and_then(|()| Err(super::arrange::unsupported()));
        self.direct(connection, Directive::Consuming { consumer, result });
    }
}
