//! Exchanges, queues and bindings of the whole node (AMQP 0-9-1 §3.1).
//!
//! Every shard knows all of them, so that the shard of a publisher finds every queue that wants an event by itself. Shard 0
//! decides what becomes of each wish, in one order; it tells the others, and who asked is answered once all have it. What
//! waits in a queue is at one shard, its home, and nothing of that is known here.

mod clerk;
mod decide;
mod decline;
mod matching;
mod words;

pub(crate) use clerk::{Ask, Asks, Clerk, Step, Then};
pub(crate) use decide::Means;
pub(crate) use decline::{locked, no_exchange, no_queue, refused};
pub(crate) use matching::{Bound, MatchedQueue};
pub use words::TopologyMessage;
pub(crate) use words::{Change, Decided, Entry, Order, Question, Word};

use crate::io::{QueueId, ShardId};
use rustc_hash::{FxHashMap, FxHashSet};
use slab::Slab;
use std::sync::Arc;
use windrose_event::{
    Binding, ConnectionId, Destination, ExchangeDeclaration, ExchangeKind, Filter, HeadersTest, Identity,
    Overflow, PREDECLARED, QueueDeclaration, Text, TopicPattern, address_of, filter_of, prefix_of,
};

/// A binding's place in this shard's table.
pub(crate) type BindingId = u32;

/// The beginning of the names that the node gives to queues.
pub(crate) const GIVEN: &str = "amq.gen-";

/// All exchanges, queues and bindings, as far as they are applied here.
#[derive(Debug)]
pub(crate) struct Topology {
    exchanges: FxHashMap<Text, Exchange>,
    queues: FxHashMap<QueueId, Registered>,
    named: FxHashMap<Text, QueueId>,
    /// Private queues that outlive their consumers, by names that peers have no other way to say.
    kept: FxHashMap<Text, QueueId>,
    bindings: Slab<Road>,
    ids: FxHashMap<Arc<Binding>, BindingId>,
}

/// What every binding of an exchange has to know of it.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) name: Text,
    pub(crate) kind: ExchangeKind,
    /// The levels that its addresses begin with.
    pub(crate) prefix: String,
}

/// An exchange.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) head: Arc<Head>,
    pub(crate) declaration: ExchangeDeclaration,
    /// Whether it is always there.
    pub(crate) predeclared: bool,
    /// Bindings from it.
    outgoing: FxHashSet<BindingId>,
    /// Bindings to it.
    incoming: FxHashSet<BindingId>,
}

impl Exchange {
    /// Whether anything is bound to it.
    pub(crate) fn is_used(&self) -> bool {
        !self.outgoing.is_empty()
    }
}

/// A queue, as every shard knows it.
#[derive(Debug)]
pub(crate) struct Registered {
    pub(crate) id: QueueId,
    pub(crate) name: Text,
    /// Where what waits in it is.
    pub(crate) home: ShardId,
    /// The connection that alone may use it, if it is exclusive.
    pub(crate) owner: Option<(ShardId, ConnectionId)>,
    pub(crate) declaration: Arc<QueueDeclaration>,
    /// Whether it is private to a consumer that may come back.
    pub(crate) kept: bool,
    bindings: FxHashSet<BindingId>,
}

impl Registered {
    /// Whether somebody else may not use it.
    pub(crate) fn is_locked(&self, shard: ShardId, connection: ConnectionId) -> bool {
        self.owner.is_some_and(|owner| owner != (shard, connection))
    }

    /// Whether it outlives the process: not what ends with a connection.
    pub(crate) fn is_lasting(&self) -> bool {
        self.declaration.durable && self.owner.is_none() && !self.kept
    }

    /// Whether it refuses what it has no room for, so that publishers are to be told.
    pub(crate) fn rejects(&self) -> bool {
        let overflow = self.declaration.options.overflow;
        matches!(overflow, Some(Overflow::RejectPublish | Overflow::RejectPublishDlx))
    }
}

/// A way from addresses to a queue, or on to another exchange.
#[derive(Debug)]
struct Road {
    /// The exchange that it begins at; `None`: a queue's own name.
    source: Option<Arc<Head>>,
    to: Target,
    filter: Filter,
    /// What the filter cannot say of the routing key.
    pattern: Option<TopicPattern>,
    headers: Option<HeadersTest>,
    /// Who made it: what must be kept from somebody does not go by its binding.
    by: Option<Arc<Identity>>,
    binding: Option<Arc<Binding>>,
    /// Whether it outlives the process.
    lasting: bool,
}

#[derive(Debug)]
enum Target {
    Queue(QueueId),
    Exchange(Arc<Head>),
}

/// A road that begins or ends: what the index of subscriptions has to know.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) id: BindingId,
    pub(crate) filter: Filter,
    /// Whether it is a part of ways that begin at other addresses.
    pub(crate) chained: bool,
    /// The binding, if it was to outlive the process and has ended.
    pub(crate) lasting: Option<Arc<Binding>>,
}

impl Default for Topology {
    fn default() -> Self {
        let mut topology = Self {
            exchanges: FxHashMap::default(),
            queues: FxHashMap::default(),
            named: FxHashMap::default(),
            kept: FxHashMap::default(),
            bindings: Slab::new(),
            ids: FxHashMap::default(),
        };
        for (name, kind) in PREDECLARED {
            topology.insert_exchange(ExchangeDeclaration {
                name: Text::from_static(name),
                passive: false,
                kind,
                durable: true,
                auto_delete: false,
                internal: name == "amq.rabbitmq.trace",
                alternate: None,
            });
            if let Some(exchange) = topology.exchanges.get_mut(name) {
                exchange.predeclared = true;
            }
        }
        topology
    }
}

impl Topology {
    /// An exchange, by its name; the default one is none.
    pub(crate) fn exchange(&self, name: &str) -> Option<&Exchange> {
        self.exchanges.get(name)
    }

    /// The exchange whose addresses begin with that level, if that is not the namespace itself.
    pub(crate) fn exchange_at(&self, level: &str) -> Option<&Exchange> {
        // Nearly all names are levels as they are; only those with characters that levels cannot have are coded.
        let named = self.exchanges.get(level).filter(|exchange| exchange.head.prefix == level);
        if named.is_some() || !level.contains('%') {
            return named;
        }
        self.exchanges.values().find(|exchange| exchange.head.prefix == level)
    }

    /// A queue, by its name.
    pub(crate) fn queue(&self, name: &str) -> Option<&Registered> {
        self.queues.get(self.named.get(name)?)
    }

    /// A queue that is private to a consumer which may come back.
    pub(crate) fn kept(&self, name: &str) -> Option<&Registered> {
        self.queues.get(self.kept.get(name)?)
    }

    /// A queue, by its number.
    pub(crate) fn by_id(&self, id: QueueId) -> Option<&Registered> {
        self.queues.get(&id)
    }

    /// How many exchanges there are that are not always there.
    pub(crate) fn exchanges(&self) -> usize {
        self.exchanges.len() - PREDECLARED.len()
    }

    /// How many queues there are.
    pub(crate) fn queues(&self) -> usize {
        self.queues.len()
    }

    /// How many bindings there are, without those that queues have by their names.
    pub(crate) fn bindings(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is that binding.
    pub(crate) fn is_bound(&self, binding: &Binding) -> bool {
        self.ids.contains_key(binding)
    }

    /// Whether an exchange outlives the process.
    pub(crate) fn is_exchange_lasting(&self, name: &str) -> bool {
        self.exchanges.get(name).is_some_and(|exchange| exchange.declaration.durable)
    }

    /// Whether a binding outlives the process: both of its ends do.
    pub(crate) fn would_last(&self, binding: &Binding) -> bool {
        let to = match &binding.destination {
            Destination::Queue(name) => self.queue(name.as_str()).is_some_and(Registered::is_lasting),
            Destination::Exchange(name) => self.is_exchange_lasting(name.as_str()),
        };
        to && self.is_exchange_lasting(binding.source.as_str())
    }

    /// Enters an exchange.
    pub(crate) fn insert_exchange(&mut self, declaration: ExchangeDeclaration) {
        let ExchangeDeclaration { name, kind, .. } = &declaration;
        let head = Arc::new(Head { name: name.clone(), kind: *kind, prefix: prefix_of(name.as_str()) });
        let exchange = Exchange {
            head,
            predeclared: false,
            outgoing: FxHashSet::default(),
            incoming: FxHashSet::default(),
            declaration,
        };
        self.exchanges.insert(exchange.head.name.clone(), exchange);
    }

    /// Removes an exchange with the bindings from it and to it.
    pub(crate) fn remove_exchange(&mut self, name: &str) -> Vec<Turn> {
        let Some(exchange) = self.exchanges.get(name) else { return Vec::new() };
        let roads: Vec<_> = exchange.outgoing.iter().chain(&exchange.incoming).copied().collect();
        let turns = roads.into_iter().filter_map(|id| self.remove_road(id)).collect();
        self.exchanges.remove(name);
        turns
    }

    /// Enters a queue. It is always bound to the address of its name, unless it is private.
    pub(crate) fn insert_queue(&mut self, entry: Entry) -> Option<Turn> {
        let Entry { id, name, home, owner, declaration, kept } = entry;
        let names = if kept { &mut self.kept } else { &mut self.named };
        names.insert(name.clone(), id);
        let address = (!kept).then(|| address_of("", name.as_str()).ok()).flatten();
        let bindings = FxHashSet::default();
        self.queues.insert(id, Registered { id, name, home, owner, declaration, kept, bindings });
        let (source, to) = (None, Target::Queue(id));
        let filter = Filter::from(&address?);
        Some(self.insert_road(Road {
            source,
            to,
            filter,
            pattern: None,
            headers: None,
            by: None,
            binding: None,
            lasting: false,
        }))
    }

    /// Removes a queue with its bindings.
    pub(crate) fn remove_queue(&mut self, id: QueueId) -> (Option<Registered>, Vec<Turn>) {
        let Some(queue) = self.queues.get(&id) else { return (None, Vec::new()) };
        let roads: Vec<_> = queue.bindings.iter().copied().collect();
        let turns = roads.into_iter().filter_map(|id| self.remove_road(id)).collect();
        let queue = self.queues.remove(&id);
        if let Some(queue) = &queue {
            let names = if queue.kept { &mut self.kept } else { &mut self.named };
            if names.get(&queue.name) == Some(&id) {
                names.remove(&queue.name);
            }
        }
        (queue, turns)
    }

    /// Enters a binding. One that is there, or has no ends, is not entered.
    pub(crate) fn bind(&mut self, binding: &Arc<Binding>, by: Option<Arc<Identity>>) -> Option<Turn> {
        if self.ids.contains_key(&**binding) {
            return None;
        }
        let lasting = self.would_last(binding);
        let source = self.exchanges.get(&binding.source)?.head.clone();
        let to = match &binding.destination {
            Destination::Queue(name) => Target::Queue(self.queue(name.as_str())?.id),
            Destination::Exchange(name) => Target::Exchange(self.exchanges.get(name)?.head.clone()),
        };
        let key = binding.key.as_str();
        let (filter, pattern) = filter_of(source.kind, source.name.as_str(), key).ok()?;
        let headers =
            (source.kind == ExchangeKind::Headers).then(|| binding.headers.clone().unwrap_or_default());
        let (source, binding) = (Some(source), Some(binding.clone()));
        Some(self.insert_road(Road { source, to, filter, pattern, headers, by, binding, lasting }))
    }

    /// Takes a binding out.
    pub(crate) fn unbind(&mut self, binding: &Binding) -> Option<Turn> {
        self.remove_road(*self.ids.get(binding)?)
    }

    fn insert_road(&mut self, road: Road) -> Turn {
        let filter = road.filter.clone();
        let source = road.source.clone();
        let place = self.bindings.vacant_entry();
        // A binding takes more than a hundred bytes: memory ends before 32 bits do.
        let id = place.key() as BindingId;
        match &road.to {
            Target::Queue(queue) => {
                if let Some(queue) = self.queues.get_mut(queue) {
                    queue.bindings.insert(id);
                }
            }
            Target::Exchange(head) => {
                if let Some(exchange) = self.exchanges.get_mut(&head.name) {
                    exchange.incoming.insert(id);
                }
            }
        }
        if let Some(binding) = &road.binding {
            self.ids.insert(binding.clone(), id);
        }
        place.insert(road);
        let source = source.and_then(|head| self.exchanges.get_mut(&head.name));
        let chained = source.is_some_and(|exchange| {
            exchange.outgoing.insert(id);
            !exchange.incoming.is_empty()
        });
        Turn { id, filter, chained, lasting: None }
    }

    fn remove_road(&mut self, id: BindingId) -> Option<Turn> {
        let road = self.bindings.try_remove(id as usize)?;
        match &road.to {
            Target::Queue(queue) => {
                if let Some(queue) = self.queues.get_mut(queue) {
                    queue.bindings.remove(&id);
                }
            }
            Target::Exchange(head) => {
                if let Some(exchange) = self.exchanges.get_mut(&head.name) {
                    exchange.incoming.remove(&id);
                }
            }
        }
        if let Some(binding) = &road.binding {
            self.ids.remove(binding);
        }
        let source = road.source.as_ref().and_then(|head| self.exchanges.get_mut(&head.name));
        let chained = source.is_some_and(|exchange| {
            exchange.outgoing.remove(&id);
            !exchange.incoming.is_empty()
        });
        let lasting = road.binding.filter(|_| road.lasting);
        Some(Turn { id, filter: road.filter, chained, lasting })
    }
}
