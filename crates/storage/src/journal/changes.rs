//! Changes: what records amount to before they are written. What came and went since the last commit costs no writing: a
//! message that was queued, sent and acknowledged in between leaves no trace.

use super::topology::{binding_key, exchange_key, write_binding, write_exchange};
use super::value::{Key, Letter, key, subscription_key};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use windrose_engine::{
    MessageRecord, QueueRecord, Record, SessionNumber, SessionRecord, SubscriptionRecord, TakenState,
};
use windrose_event::{Event, Tag};

/// What a key is to be.
#[derive(Debug)]
pub(super) enum Change {
    Put {
        value: Value,
        /// Whether the key is not in the table: taking it out again is no change.
        fresh: bool,
    },
    Remove,
}

#[derive(Debug)]
pub(super) enum Value {
    Session(Box<SessionRecord>),
    Queue(Box<QueueRecord>),
    Taken(TakenState),
    Subscription(Box<SubscriptionRecord>),
    Flight { tag: Tag, received: bool },
    Message(MessageRecord),
}

/// Changes that are not written yet.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Sessions that are over: all of theirs goes first.
    pub(super) ended: BTreeSet<SessionNumber>,
    pub(super) sessions: BTreeMap<Key, Change>,
    /// The newest value of each address.
    pub(super) retained: HashMap<String, Arc<Event>>,
    /// Exchanges and bindings that are to be there, or not, in the order of their keys.
    pub(super) topology: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Records that these changes come of.
    pub(super) records: u64,
}

impl Changes {
    /// Whether nothing is to be written.
    pub(super) fn is_empty(&self) -> bool {
        self.ended.is_empty()
            && self.sessions.is_empty()
            && self.retained.is_empty()
            && self.topology.is_empty()
    }

    /// Takes a record in.
    pub(super) fn add(&mut self, record: Record) {
        self.records += 1;
        match record {
            Record::Session(record) => {
                let key = key(record.number, Letter::Session, &[]);
                self.put(key, Value::Session(record), false);
            }
            Record::Ended(session) => self.end(session),
            Record::Subscribed { session, subscription } => {
                let key = subscription_key(session, &subscription.filter, subscription.group.as_deref());
                self.put(key, Value::Subscription(subscription), false);
            }
            Record::Unsubscribed { session, filter, group } => {
                self.remove(subscription_key(session, &filter, group.as_deref()));
            }
            Record::Exchange(exchange) => {
                let key = exchange_key(exchange.name.as_str());
                self.topology.insert(key, Some(write_exchange(&exchange)));
            }
            Record::ExchangeGone(name) => drop(self.topology.insert(exchange_key(name.as_str()), None)),
            Record::Queue(record) => {
                let key = key(record.number, Letter::Queue, &[]);
                self.put(key, Value::Queue(record), false);
            }
            Record::Bound(record) => {
                self.topology.insert(binding_key(&record.binding), Some(write_binding(&record)));
            }
            Record::Unbound(binding) => drop(self.topology.insert(binding_key(&binding), None)),
            Record::Queued { session, position, message } => {
                let key = key(session, Letter::Message, &position.to_be_bytes());
                self.put(key, Value::Message(message), true);
            }
            Record::Launched { session, position, tag } => {
                let key = key(session, Letter::Flight, &position.to_be_bytes());
                self.put(key, Value::Flight { tag, received: false }, true);
            }
            Record::Received { session, position, tag } => {
                self.remove(key(session, Letter::Message, &position.to_be_bytes()));
                let key = key(session, Letter::Flight, &position.to_be_bytes());
                self.put(key, Value::Flight { tag, received: true }, false);
            }
            Record::Done { session, position } => {
                self.remove(key(session, Letter::Message, &position.to_be_bytes()));
                self.remove(key(session, Letter::Flight, &position.to_be_bytes()));
            }
            Record::Taken { session, tag, state, .. } => {
                let key = key(session, Letter::Taken, &tag.0.to_be_bytes());
                self.put(key, Value::Taken(state), state == TakenState::Pending);
            }
            Record::Released { session, tag, .. } => {
                self.remove(key(session, Letter::Taken, &tag.0.to_be_bytes()));
            }
            Record::Retained(event) => self.retain(event),
            Record::Expect { .. } | Record::Part { .. } => {}
        }
    }

    /// `fresh`: nothing was ever written under this key, unless a change that waits says otherwise.
    fn put(&mut self, key: Key, value: Value, fresh: bool) {
        let fresh = match self.sessions.get(&key) {
            Some(Change::Put { fresh, .. }) => *fresh,
            Some(Change::Remove) => false,
            None => fresh,
        };
        self.sessions.insert(key, Change::Put { value, fresh });
    }

    fn remove(&mut self, key: Key) {
        if let Some(Change::Put { fresh: true, .. }) = self.sessions.get(&key) {
            self.sessions.remove(&key);
        } else {
            self.sessions.insert(key, Change::Remove);
        }
    }

    fn end(&mut self, session: SessionNumber) {
        let from = Key::from_slice(&session.0.to_be_bytes());
        let to = Key::from_slice(&session.0.wrapping_add(1).to_be_bytes());
        let keys: Vec<Key> = self.sessions.range(from..to).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.sessions.remove(&key);
        }
        self.ended.insert(session);
    }

    fn retain(&mut self, event: Arc<Event>) {
        let address = event.address.as_str();
        match self.retained.get(address) {
            Some(known) if !supersedes((event.time, event.id), (known.time, known.id)) => {}
            _ => {
                self.retained.insert(address.to_owned(), event);
            }
        }
    }
}

/// A clock that was set back further than this is believed.
const CLOCK_SLACK: std::time::Duration = std::time::Duration::from_secs(10);

type Stamp = (windrose_event::Timestamp, windrose_event::EventId);

/// Whether a last value takes another's place: the later one stays, unless its time lies so far ahead that the clock must
/// have been set back since.
pub(super) fn supersedes(new: Stamp, known: Stamp) -> bool {
    new >= known || known.0.since(new.0) > CLOCK_SLACK
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: SessionNumber = SessionNumber(7);

    #[test]
    fn what_came_and_went_is_not_written() {
        let mut changes = Changes::default();
        changes.add(Record::Launched { session: SESSION, position: 1, tag: Tag(1) });
        changes.add(Record::Done { session: SESSION, position: 1 });
        assert_eq!(changes.sessions.len(), 1, "the message may have been written before: {changes:?}");
        assert!(matches!(changes.sessions.values().next(), Some(Change::Remove)));
    }

    #[test]
    fn what_was_written_before_and_came_again_is_taken_out() {
        let mut changes = Changes::default();
        let event = windrose_event::EventId::from_u128(1);
        let pending = Record::Taken { session: SESSION, tag: Tag(1), event, state: TakenState::Pending };
        changes.add(Record::Released { session: SESSION, tag: Tag(1), event: None });
        changes.add(pending.clone());
        changes.add(Record::Released { session: SESSION, tag: Tag(1), event: None });
        assert!(matches!(changes.sessions.values().next(), Some(Change::Remove)), "{changes:?}");
        let mut changes = Changes::default();
        changes.add(pending);
        changes.add(Record::Released { session: SESSION, tag: Tag(1), event: None });
        assert!(changes.is_empty(), "{changes:?}");
    }

    #[test]
    fn a_session_that_is_over_leaves_nothing_to_write() {
        let mut changes = Changes::default();
        changes.add(Record::Launched { session: SESSION, position: 1, tag: Tag(1) });
        changes.add(Record::Launched { session: SessionNumber(8), position: 1, tag: Tag(1) });
        changes.add(Record::Ended(SESSION));
        assert_eq!(changes.sessions.len(), 1);
        assert_eq!(changes.ended.len(), 1);
    }
}
