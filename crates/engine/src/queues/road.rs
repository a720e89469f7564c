//! Road: what a queue needs of its engine while it works: where deliveries go, who counts, who writes down.

use super::consumer::{At, Slot};
use super::item::{Item, Lost};
use crate::backlog::QueueBounds;
use crate::counts::Counts;
use crate::io::{Output, ShardId, Word};
use crate::journal::{Gate, Record, SessionNumber};
use crate::shards::Shards;
use std::collections::VecDeque;
use windrose_event::{Declined, Directive, Now, Supply, Tag};

/// The engine, as far as a queue needs it.
pub(crate) struct Road<'a> {
    pub(crate) now: Now,
    pub(crate) here: ShardId,
    pub(crate) bounds: QueueBounds,
    /// Whether what comes is taken whatever the document's bounds are: its sender was told so. That is no more than can be on its
    /// way between shards.
    pub(crate) promised: bool,
    pub(crate) outputs: &'a mut VecDeque<Output>,
    pub(crate) shards: &'a mut Shards,
    pub(crate) counts: &'a mut Counts,
    pub(crate) gate: Option<&'a mut Gate>,
    /// Consumers of shards that have no room for more just now.
    pub(crate) starved: Vec<(ShardId, Slot)>,
    /// What got out of queues and may go by a dead-letter exchange.
    pub(crate) lost: &'a mut VecDeque<Lost>,
}

impl Road<'_> {
    /// Brings a consumer an event.
    #[inline]
    pub(crate) fn supply(&mut self, at: At, supply: Supply) {
        let At { shard, connection, .. } = at;
        if shard == self.here {
            self.outputs.push_back(Output::Directive { connection, directive: Directive::Supply(supply) });
        } else {
            self.shards.say(shard, Word::Supply { connection, supply });
            if let Some(credit) = self.shards.credit_mut(shard) {
                // Whoever is the next finds it gone, if it is.
                let _ = credit.take();
            }
        }
    }

    /// Tells a consumer that nothing more waits.
    pub(crate) fn drained(&mut self, at: At, limit: u64) {
        let At { shard, connection, consumer } = at;
        if shard == self.here {
            let directive = Directive::Drained { consumer, limit };
            self.outputs.push_back(Output::Directive { connection, directive });
        } else {
            self.shards.say(shard, Word::Drained { connection, consumer, limit });
        }
    }

    /// Tells a consumer that it gets no more.
    pub(crate) fn canceled(&mut self, at: At, because: Option<Declined>) {
        let At { shard, connection, consumer } = at;
        if shard == self.here {
            let directive = Directive::Canceled { consumer, because };
            self.outputs.push_back(Output::Directive { connection, directive });
        } else {
            self.shards.say(shard, Word::Canceled { connection, consumer, because });
        }
    }

    /// Writes down that an event waits.
    pub(crate) fn queued(&mut self, queue: SessionNumber, position: u64, item: &Item) {
        if let Some(gate) = &mut self.gate {
            gate.record(Record::Queued { session: queue, position, message: item.to_record() });
        }
    }

    /// Writes down that somebody may have seen an event.
    pub(crate) fn launched(&mut self, queue: SessionNumber, position: u64, tag: Tag) {
        if let Some(gate) = &mut self.gate {
            gate.record(Record::Launched { session: queue, position, tag });
        }
    }

    /// Writes down that an event is done with.
    pub(crate) fn done(&mut self, queue: SessionNumber, position: u64) {
        if let Some(gate) = &mut self.gate {
            gate.record(Record::Done { session: queue, position });
        }
    }
}
