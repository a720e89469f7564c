//! How exchanges, queues and bindings come to be the same on all shards: shard 0 decides, all apply, who asked is answered.

use crate::engine::Engine;
use crate::exchanges::{
    Ask, Change, Decided, Entry, Means, Order, Question, Registered, Step, Then, TopologyMessage, Turn, Word,
    no_queue,
};
use crate::io::{QueueId, ShardId, ShardMessage};
use crate::journal::{BindingRecord, KeptQueue, QueueRecord, Record};
use std::sync::Arc;
use windrose_event::{
    Arranged, ConnectionId, Declined, Directive, ExchangeDeclaration, Now, QueueDeclaration, Text,
};

/// Who decides.
const DECIDER: ShardId = ShardId(0);

/// How often a queue is declared anew that was there when shard 0 decided and is gone when its home is asked.
const MOST_VANISHED: u8 = 3;

impl Engine {
    /// A word from another shard.
    pub(crate) fn hear_topology(&mut self, now: Now, from: ShardId, word: Word) {
        match word {
            Word::Order { ask, order } => self.decide(now, from, ask, &order),
            Word::Ordered { ask, result } => self.ordered(now, ask, result),
            Word::Changes { number, changes } => {
                for change in changes.iter() {
                    self.apply(now, change);
                }
                self.say_of_topology(from, Word::Applied { number });
            }
            Word::Applied { number } => {
                self.clerk.applied(from, number);
                self.answer_orders(now);
            }
            Word::Question { ask, queue, question } => {
                let answer = self.answer_question(now, queue, question);
                self.say_of_topology(from, Word::Answer { ask, answer });
            }
            Word::Answer { ask, answer } => {
                if let Some(ask) = self.asks.take(ask) {
                    self.counted(now, ask, answer);
                }
            }
        }
    }

    /// Declares a queue, and then does what is asked. Access is checked.
    pub(crate) fn declare_queue(
        &mut self,
        now: Now,
        connection: ConnectionId,
        declaration: QueueDeclaration,
        then: Then,
    ) {
        match self.may_declare_queue(connection, &declaration) {
            Ok(()) => self.declare(now, connection, Arc::new(declaration), false, then),
            Err(declined) => self.arranged(now, connection, then, Err(declined)),
        }
    }

    /// Declares a private queue that outlives its consumer under a name of its own kind, and then does what is asked.
    pub(crate) fn declare_kept(&mut self, now: Now, connection: ConnectionId, name: Text, then: Then) {
        let declaration = QueueDeclaration { name: Some(name), ..QueueDeclaration::default() };
        self.declare(now, connection, Arc::new(declaration), true, then);
    }

    fn declare(
        &mut self,
        now: Now,
        connection: ConnectionId,
        declaration: Arc<QueueDeclaration>,
        kept: bool,
        then: Then,
    ) {
        let step = Step::Declaring { declaration: declaration.clone(), kept, vanished: 0 };
        let order = Order::DeclareQueue { declaration, by: connection, kept };
        self.order(now, Ask { connection, then, step }, order);
    }

    /// A queue ended at its home, here, by itself: all are told.
    pub(crate) fn queue_ended(&mut self, now: Now, id: QueueId) {
        self.send_order(now, 0, Order::RemoveQueue(id));
    }

    /// Has shard 0 decide.
    pub(crate) fn order(&mut self, now: Now, ask: Ask, order: Order) {
        let ask = self.asks.hold(ask);
        self.send_order(now, ask, order);
    }

    fn send_order(&mut self, now: Now, ask: u64, order: Order) {
        let here = self.shards.here();
        if here == DECIDER {
            self.decide(now, here, ask, &order);
        } else {
            self.say_of_topology(DECIDER, Word::Order { ask, order });
        }
    }

    /// Asks a queue's home, which has all that was published here before.
    pub(crate) fn question(&mut self, now: Now, home: ShardId, queue: QueueId, question: Question, ask: Ask) {
        if home == self.shards.here() {
            let answer = self.answer_question(now, queue, question);
            return self.counted(now, ask, answer);
        }
        self.shards.flush(&mut self.outputs, true);
        self.shards.unbrake();
        let ask = self.asks.hold(ask);
        self.say_of_topology(home, Word::Question { ask, queue, question });
    }

    fn answer_question(
        &mut self,
        now: Now,
        queue: QueueId,
        question: Question,
    ) -> Result<Option<(u32, u32)>, Declined> {
        match question {
            Question::Census => Ok(self.queue_census(now, queue)),
            Question::Purge => Ok(Some((self.purge_queue(now, queue), 0))),
            Question::Vacate { if_unused, if_empty } => {
                self.vacate_queue(now, queue, if_unused, if_empty).map(|waited| Some((waited, 0)))
            }
        }
    }

    /// Shard 0: decides, applies, and tells the others.
    fn decide(&mut self, now: Now, asker: ShardId, ask: u64, order: &Order) {
        let (gate, clerk) = (&mut self.gate, &mut self.clerk);
        let mut number = || match gate {
            Some(gate) => QueueId(gate.number().0),
            None => QueueId(clerk.queue_number()),
        };
        let token = self.random.token();
        let mut means = Means { limits: &self.snapshot.limits, asker, number: &mut number, token };
        let result = self.topology.decide(order, &mut means).map(|(changes, decided)| {
            self.spread_changes(now, changes);
            decided
        });
        self.clerk.owe(asker, ask, result);
        self.answer_orders(now);
    }

    fn spread_changes(&mut self, now: Now, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        // The others are told first: what is applied here may lead to another change, which must not overtake this one.
        let number = self.clerk.next();
        let changes: Arc<[Change]> = changes.into();
        for shard in self.shards.others() {
            self.say_of_topology(shard, Word::Changes { number, changes: changes.clone() });
        }
        for change in changes.iter() {
            self.record_change(change);
            self.apply(now, change);
        }
    }

    /// Shard 0: answers orders that all shards know of.
    fn answer_orders(&mut self, now: Now) {
        let others = self.shards.others().count();
        while let Some(owed) = self.clerk.due(others) {
            if owed.ask == 0 {
                continue;
            }
            if owed.asker == self.shards.here() {
                self.ordered(now, owed.ask, owed.result);
            } else {
                self.say_of_topology(owed.asker, Word::Ordered { ask: owed.ask, result: owed.result });
            }
        }
    }

    /// Shard 0 has decided what a peer of this shard asked.
    fn ordered(&mut self, now: Now, ask: u64, result: Result<Decided, Declined>) {
        let Some(Ask { connection, then, step }) = self.asks.take(ask) else { return };
        let decided = match result {
            Ok(decided) => decided,
            Err(declined) => return self.arranged(now, connection, then, Err(declined)),
        };
        match (step, decided) {
            (Step::Declaring { declaration, kept, vanished }, Decided::Queue { id, name, home }) => {
                let step = Step::Counting { name, declaring: Some((declaration, kept, vanished)) };
                self.question(now, home, id, Question::Census, Ask { connection, then, step });
            }
            (Step::Ended { messages }, _) => {
                let arranged = Arranged { messages, ..Arranged::default() };
                self.arranged(now, connection, then, Ok(arranged));
            }
            _ => self.arranged(now, connection, then, Ok(Arranged::default())),
        }
    }

    /// A queue's home has answered.
    fn counted(&mut self, now: Now, ask: Ask, answer: Result<Option<(u32, u32)>, Declined>) {
        let Ask { connection, then, step } = ask;
        let answer = match answer {
            Ok(answer) => answer,
            Err(declined) => return self.arranged(now, connection, then, Err(declined)),
        };
        match (step, answer) {
            (Step::Counting { name, .. }, Some((messages, consumers))) => {
                self.arranged(now, connection, then, Ok(Arranged { queue: name, messages, consumers }));
            }
            (Step::Counting { declaring: Some((declaration, kept, vanished)), .. }, None)
                if vanished < MOST_VANISHED =>
            {
                // It ended between the two answers; word of that has come to shard 0 by now.
                let order = Order::DeclareQueue { declaration: declaration.clone(), by: connection, kept };
                let step = Step::Declaring { declaration, kept, vanished: vanished + 1 };
                self.order(now, Ask { connection, then, step }, order);
            }
            (Step::Ending { queue }, answer) => {
                let messages = answer.map_or(0, |(waited, _)| waited);
                let step = Step::Ended { messages };
                self.order(now, Ask { connection, then, step }, Order::RemoveQueue(queue));
            }
            (Step::Counting { name, .. }, None) => {
                self.arranged(now, connection, then, Err(no_queue(name.as_str())));
            }
            (Step::Deciding | Step::Declaring { .. } | Step::Ended { .. }, _) => {
                self.arranged(now, connection, then, Ok(Arranged::default()));
            }
        }
    }

    /// Tells a peer what it arranged, or lets its consumer go on.
    pub(crate) fn arranged(
        &mut self,
        now: Now,
        connection: ConnectionId,
        then: Then,
        result: Result<Arranged, Declined>,
    ) {
        match then {
            Then::Answer(tag) => {
                if let Err(declined) = &result {
                    self.note_declined(now, connection, declined);
                }
                if self.connections.get(connection).is_some() {
                    self.direct(connection, Directive::Arranged { tag, result });
                }
            }
            Then::Consume(consume) => {
                self.consume_declared(now, connection, consume, result.map(|_| ()));
            }
        }
    }

    /// From now on it is so, on this shard.
    fn apply(&mut self, now: Now, change: &Change) {
        match change {
            Change::Exchange(declaration) => self.topology.insert_exchange(declaration.clone()),
            Change::ExchangeGone(name) => {
                for turn in self.topology.remove_exchange(name.as_str()) {
                    self.leave_road(&turn);
                }
            }
            Change::Queue(entry) => {
                if let Some(turn) = self.topology.insert_queue(entry.clone()) {
                    self.enter_road(&turn);
                }
                if entry.home == self.shards.here() {
                    let owner = entry.owner.map(|(_, connection)| connection);
                    self.queue_created(now, entry.id, &entry.name, &entry.declaration, owner);
                }
            }
            Change::QueueGone(id) => {
                let (_, turns) = self.topology.remove_queue(*id);
                for turn in turns {
                    self.leave_road(&turn);
                }
            }
            Change::Bound { binding, by } => {
                if let Some(turn) = self.topology.bind(binding, by.clone()) {
                    self.enter_road(&turn);
                }
            }
            Change::Unbound(binding) => {
                if let Some(turn) = self.topology.unbind(binding) {
                    self.leave_road(&turn);
                }
            }
        }
    }

    /// Takes in the exchanges, queues and bindings that outlived the process.
    pub(crate) fn recover_topology(
        &mut self,
        now: Now,
        exchanges: &[ExchangeDeclaration],
        queues: Vec<KeptQueue>,
        bindings: &[BindingRecord],
    ) {
        for declaration in exchanges {
            self.topology.insert_exchange(declaration.clone());
        }
        for KeptQueue { record, home, messages } in queues {
            let declaration = record.declaration;
            let (Some(id), Some(name)) = (QueueId::numbered(record.number), declaration.name.clone()) else {
                continue;
            };
            let (owner, kept) = (None, false);
            let entry = Entry { id, name: name.clone(), home, owner, declaration: declaration.clone(), kept };
            if let Some(turn) = self.topology.insert_queue(entry) {
                self.enter_road(&turn);
            }
            if home == self.shards.here() {
                self.queue_recovered(now, id, &name, &declaration, messages);
            }
        }
        for BindingRecord { binding, by } in bindings {
            if let Some(turn) = self.topology.bind(binding, by.clone()) {
                self.enter_road(&turn);
            }
        }
    }

    /// Shard 0: tells the keeper of a change, before it is applied, if it is to outlive the process.
    fn record_change(&mut self, change: &Change) {
        if self.gate.is_none() {
            return;
        }
        let record = match change {
            Change::Exchange(declaration) if declaration.durable => {
                Record::Exchange(Box::new(declaration.clone()))
            }
            Change::ExchangeGone(name) if self.topology.is_exchange_lasting(name.as_str()) => {
                Record::ExchangeGone(name.clone())
            }
            Change::Queue(entry) if entry.is_lasting() => {
                let named =
                    QueueDeclaration { name: Some(entry.name.clone()), ..(*entry.declaration).clone() };
                let record = QueueRecord { number: entry.id.number(), declaration: Arc::new(named) };
                Record::Queue(Box::new(record))
            }
            Change::QueueGone(id) if self.topology.by_id(*id).is_some_and(Registered::is_lasting) => {
                Record::Ended(id.number())
            }
            Change::Bound { binding, by } if self.topology.would_last(binding) => {
                Record::Bound(Box::new(BindingRecord { binding: binding.clone(), by: by.clone() }))
            }
            // Bindings are taken out of what is kept as their roads end.
            _ => return,
        };
        self.record(record);
    }

    fn enter_road(&mut self, turn: &Turn) {
        let before = self.is_wanted(&turn.filter);
        self.subscriptions.bind(&turn.filter, turn.id, turn.chained);
        self.note_interest(&turn.filter, before);
    }

    fn leave_road(&mut self, turn: &Turn) {
        let before = self.is_wanted(&turn.filter);
        if let Some(binding) = turn.lasting.as_ref().filter(|_| self.shards.here() == DECIDER) {
            self.record(Record::Unbound(binding.clone()));
        }
        self.subscriptions.unbind(&turn.filter, turn.id, turn.chained);
        self.note_interest(&turn.filter, before);
    }

    fn say_of_topology(&mut self, to: ShardId, word: Word) {
        self.tell(to, ShardMessage::Topology(Box::new(TopologyMessage(word))));
    }
}
