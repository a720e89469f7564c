//! Shelf: what records amount to, in memory. Simulations and tests keep their journal in it, and hold keepers against it.

use super::{
    BindingRecord, Kept, KeptMessage, KeptQueue, KeptSession, MessageRecord, QueueRecord, Record,
    SessionNumber, SessionRecord, SubscriptionRecord, TakenState,
};
use crate::io::ShardId;
use std::collections::BTreeMap;
use std::sync::Arc;
use windrose_event::{Event, ExchangeDeclaration, Filter, Tag};

/// All that is kept.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    sessions: BTreeMap<SessionNumber, Contents>,
    retained: BTreeMap<String, Arc<Event>>,
    exchanges: BTreeMap<String, ExchangeDeclaration>,
    bindings: Vec<BindingRecord>,
    starts: u32,
}

#[derive(Clone, Debug, Default)]
struct Contents {
    session: Option<SessionRecord>,
    /// If it is a queue's.
    queue: Option<QueueRecord>,
    subscriptions: Vec<SubscriptionRecord>,
    messages: BTreeMap<u64, MessageRecord>,
    /// Tags by position.
    tags: BTreeMap<u64, Tag>,
    taken: BTreeMap<Tag, TakenState>,
}

impl Shelf {
    /// Takes a record in.
    pub fn put(&mut self, record: Record) {
        match record {
            Record::Session(record) => {
                let number = record.number;
                self.of(number).session = Some(*record);
            }
            Record::Ended(session) => drop(self.sessions.remove(&session)),
            Record::Subscribed { session, subscription } => {
                let contents = self.of(session);
                contents.drop_subscription(&subscription.filter, subscription.group.as_deref());
                contents.subscriptions.push(*subscription);
            }
            Record::Unsubscribed { session, filter, group } => {
                self.of(session).drop_subscription(&filter, group.as_deref());
            }
            Record::Exchange(declaration) => {
                self.exchanges.insert(declaration.name.as_str().to_owned(), *declaration);
            }
            Record::ExchangeGone(name) => drop(self.exchanges.remove(name.as_str())),
            Record::Queue(record) => {
                let number = record.number;
                self.of(number).queue = Some(*record);
            }
            Record::Bound(record) => {
                self.bindings.retain(|known| known.binding != record.binding);
                self.bindings.push(*record);
            }
            Record::Unbound(binding) => self.bindings.retain(|known| known.binding != binding),
            Record::Queued { session, position, message } => {
                self.of(session).messages.insert(position, message);
            }
            Record::Launched { session, position, tag } => {
                self.of(session).tags.insert(position, tag);
            }
            Record::Received { session, position, tag } => {
                let contents = self.of(session);
                contents.messages.remove(&position);
                contents.tags.insert(position, tag);
            }
            Record::Done { session, position } => {
                let contents = self.of(session);
                contents.messages.remove(&position);
                contents.tags.remove(&position);
            }
            Record::Taken { session, tag, state, .. } => {
                self.of(session).taken.insert(tag, state);
            }
            Record::Released { session, tag, .. } => {
                self.of(session).taken.remove(&tag);
            }
            Record::Retained(event) => {
                let address = event.address.as_str().to_owned();
                let newer = |known: &Arc<Event>| (known.time, known.id) > (event.time, event.id);
                if !self.retained.get(&address).is_some_and(newer) {
                    self.retained.insert(address, event);
                }
            }
            Record::Expect { .. } | Record::Part { .. } => {}
        }
    }

    fn of(&mut self, session: SessionNumber) -> &mut Contents {
        self.sessions.entry(session).or_default()
    }

    /// What there is at a start.
    pub fn start(&mut self) -> Kept {
        self.starts += 1;
        // Traces of sessions that are over.
        self.sessions.retain(|_, contents| contents.session.is_some() || contents.queue.is_some());
        self.retained.retain(|_, event| !event.payload.is_empty());
        Kept {
            start: self.starts,
            sessions: self.sessions.values().filter_map(Contents::kept).collect(),
            retained: self.retained.values().cloned().collect(),
            exchanges: self.exchanges.values().cloned().collect(),
            queues: self.sessions.values().filter_map(Contents::kept_queue).collect(),
            bindings: self.bindings.iter().cloned().collect(),
        }
    }
}

impl Contents {
    fn drop_subscription(&mut self, filter: &Filter, group: Option<&str>) {
        self.subscriptions.retain(|known| known.filter != *filter || known.group.as_deref() != group);
    }

    fn kept_queue(&self) -> Option<KeptQueue> {
        let record = self.queue.clone()?;
        Some(KeptQueue { record, home: ShardId(0), messages: self.messages() })
    }

    fn kept(&self) -> Option<KeptSession> {
        Some(KeptSession {
            session: self.session.clone()?,
            subscriptions: self.subscriptions.clone(),
            messages: self.messages(),
            taken: self.taken.iter().map(|(tag, state)| (*tag, *state)).collect(),
        })
    }

    fn messages(&self) -> Vec<KeptMessage> {
        let mut messages: BTreeMap<u64, KeptMessage> = BTreeMap::new();
        for (position, message) in &self.messages {
            let message = KeptMessage { position: *position, tag: None, message: Some(message.clone()) };
            messages.insert(*position, message);
        }
        for (position, tag) in &self.tags {
            let entry = messages.entry(*position).or_insert(KeptMessage {
                position: *position,
                tag: None,
                message: None,
            });
            entry.tag = Some(*tag);
        }
        messages.into_values().collect()
    }
}
