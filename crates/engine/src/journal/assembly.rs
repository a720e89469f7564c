//! Assembly: several shards' batches become one row of records that may be written, and it is known how far each shard's
//! records are in it.

use super::{Batch, Record};
use crate::io::ShardId;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use windrose_event::EventId;

/// Puts batches together. Sans-IO: a keeper feeds it and writes what comes out.
#[derive(Debug, Default)]
pub struct Assembly {
    /// The last record that each shard handed over.
    last: BTreeMap<ShardId, u64>,
    /// Events of which parts are missing. Bounded as events on their way between shards are: by their credit.
    open: FxHashMap<EventId, Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// Parts that have not come.
    missing: u32,
    /// Whether its records wait until all are here.
    whole: bool,
    /// The first record of each shard that waits for it.
    since: SmallVec<[(ShardId, u64); 2]>,
    records: Vec<Record>,
}

impl Open {
    fn wait(&mut self, shard: ShardId, number: u64) {
        match self.since.iter_mut().find(|(known, _)| *known == shard) {
            Some((_, first)) => *first = (*first).min(number),
            None => self.since.push((shard, number)),
        }
    }
}

impl Assembly {
    /// Takes a shard's next batch. What may be written now is added to `ready`: write all that one call adds together.
    pub fn take(&mut self, shard: ShardId, batch: Batch, ready: &mut Vec<Record>) {
        let Batch { first, records } = batch;
        if records.is_empty() {
            return;
        }
        self.last.insert(shard, first + records.len() as u64 - 1);
        // Records of an event may stand before the word that others have a part in it.
        for (number, record) in (first..).zip(&records) {
            if let Record::Expect { event, whole } = record {
                let open = self.open.entry(*event).or_default();
                open.missing += 1;
                open.whole |= *whole;
                open.wait(shard, number);
            }
        }
        for (number, record) in (first..).zip(records) {
            match record {
                Record::Expect { .. } => {}
                Record::Part { event } => self.part(event, (shard, number), ready),
                record => match record.event().and_then(|event| self.open.get_mut(&event)) {
                    Some(open) if open.whole => {
                        open.wait(shard, number);
                        open.records.push(record);
                    }
                    _ => ready.push(record),
                },
            }
        }
    }

    fn part(&mut self, event: EventId, from: (ShardId, u64), ready: &mut Vec<Record>) {
        let Some(open) = self.open.get_mut(&event) else { return };
        open.missing = open.missing.saturating_sub(1);
        if open.missing > 0 {
            // Whom this shard delivered it to exactly once must not see it either before it is stored.
            if open.whole {
                open.wait(from.0, from.1);
            }
        } else if let Some(open) = self.open.remove(&event) {
            ready.extend(open.records);
        }
    }

    /// How far each shard's records are stored, once all that [`Assembly::take`] has made ready is.
    pub fn progress(&self) -> BTreeMap<ShardId, u64> {
        let mut progress = self.last.clone();
        for (shard, number) in self.open.values().flat_map(|open| &open.since) {
            if let Some(last) = progress.get_mut(shard) {
                *last = (*last).min(number - 1);
            }
        }
        progress
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::journal::{SessionNumber, TakenState};
    use windrose_event::{Tag, Timestamp};

    const A: ShardId = ShardId(0);
    const B: ShardId = ShardId(1);

    fn event(count: u32) -> EventId {
        EventId::new(Timestamp::default(), 0, count)
    }

    fn taken(event: EventId) -> Record {
        let (session, tag) = (SessionNumber(1), Tag(1));
        Record::Taken { session, tag, event, state: TakenState::Pending }
    }

    fn done(position: u64) -> Record {
        Record::Done { session: SessionNumber(1), position }
    }

    #[test]
    fn an_event_of_two_shards_is_ready_when_both_have_told_their_part() {
        let mut assembly = Assembly::default();
        let mut ready = Vec::new();
        let whole = Record::Expect { event: event(1), whole: true };
        assembly.take(A, Batch { first: 1, records: vec![done(1), taken(event(1)), whole] }, &mut ready);
        assert_eq!(ready.len(), 1, "what is of no event is not held: {ready:?}");
        assembly.take(A, Batch { first: 4, records: vec![done(2)] }, &mut ready);
        assert_eq!((ready.len(), assembly.progress()[&A]), (2, 1));
        let records = vec![taken(event(1)), Record::Part { event: event(1) }];
        assembly.take(B, Batch { first: 1, records }, &mut ready);
        assert_eq!(ready.len(), 4);
        assert_eq!(assembly.progress().into_iter().collect::<Vec<_>>(), [(A, 4), (B, 2)]);
    }

    #[test]
    fn an_event_at_least_once_is_not_held_but_reported_late() {
        let mut assembly = Assembly::default();
        let mut ready = Vec::new();
        let expect = Record::Expect { event: event(1), whole: false };
        assembly.take(A, Batch { first: 1, records: vec![taken(event(1)), expect] }, &mut ready);
        assert_eq!((ready.len(), assembly.progress()[&A]), (1, 1));
        assembly.take(B, Batch { first: 1, records: vec![Record::Part { event: event(1) }] }, &mut ready);
        assert_eq!(assembly.progress()[&A], 2);
    }

    #[test]
    fn a_shard_that_sends_an_event_on_adds_a_part() {
        let mut assembly = Assembly::default();
        let mut ready = Vec::new();
        let expect = || Record::Expect { event: event(1), whole: true };
        assembly.take(A, Batch { first: 1, records: vec![taken(event(1)), expect()] }, &mut ready);
        let records = vec![expect(), Record::Part { event: event(1) }];
        assembly.take(B, Batch { first: 1, records }, &mut ready);
        assert!(ready.is_empty());
        assert_eq!(assembly.progress().into_values().collect::<Vec<_>>(), [0, 0]);
        let part = Record::Part { event: event(1) };
        assembly.take(ShardId(2), Batch { first: 1, records: vec![part] }, &mut ready);
        assert_eq!(ready.len(), 1);
        assert_eq!(assembly.progress().into_values().collect::<Vec<_>>(), [2, 2, 1]);
    }
}
