//! What peers arrange about exchanges and queues, and who may.

use crate::counts::bump;
use crate::engine::Engine;
use crate::exchanges::{
    Ask, GIVEN, MatchedQueue, Order, Question, Registered, Step, Then, locked, no_exchange, no_queue, refused,
};
use crate::io::{QueueId, ShardId};
use crate::steps::identify::Identified;
use std::sync::Arc;
use windrose_event::{
    Address, Arranged, Arrangement, Binding, ConnectionId, DeclineCause, Declined, Destination, Event,
    Filter, Identity, Now, Permission, QueueDeclaration, Tag, Text, address_of, filter_of, is_namespace,
    prefix_of,
};

impl Engine {
    /// Arranges something about exchanges and queues.
    pub(crate) fn arrange(&mut self, now: Now, connection: ConnectionId, tag: Tag, arrangement: Arrangement) {
        let then = Then::Answer(tag);
        let Some(by) = self.identify(connection) else { return };
        match self.may_arrange(&by, &arrangement) {
            Ok(()) => self.begin_arranging(now, &by, then, arrangement),
            Err(declined) => self.arranged(now, connection, then, Err(declined)),
        }
    }

    fn begin_arranging(&mut self, now: Now, by: &Identified, then: Then, arrangement: Arrangement) {
        let connection = by.connection();
        let step = Step::Deciding;
        let order = match arrangement {
            Arrangement::DeclareExchange(declaration) => Order::DeclareExchange(declaration),
            Arrangement::DeleteExchange { name, if_unused } => Order::DeleteExchange { name, if_unused },
            Arrangement::DeclareQueue(declaration) => {
                return self.declare_queue(now, connection, declaration, then);
            }
            Arrangement::DeleteQueue { name, if_unused, if_empty } => {
                let Some((id, home)) = self.topology.queue(name.as_str()).map(|queue| (queue.id, queue.home))
                else {
                    // Whoever wants it gone has what it wants.
                    return self.arranged(now, connection, then, Ok(Arranged::default()));
                };
                let ask = Ask { connection, then, step: Step::Ending { queue: id } };
                return self.question(now, home, id, Question::Vacate { if_unused, if_empty }, ask);
            }
            Arrangement::PurgeQueue { name } => {
                let Some((id, home)) = self.topology.queue(name.as_str()).map(|queue| (queue.id, queue.home))
                else {
                    return self.arranged(now, connection, then, Err(no_queue(name.as_str())));
                };
                let ask = Ask { connection, then, step: Step::Counting { name, declaring: None } };
                return self.question(now, home, id, Question::Purge, ask);
            }
            Arrangement::Bind(binding) => {
                let identity = Arc::new(by.origin().identity.clone());
                Order::Bind { binding: Arc::new(binding), by: connection, identity }
            }
            Arrangement::Unbind(binding) => Order::Unbind { binding: Arc::new(binding), by: connection },
        };
        self.order(now, Ask { connection, then, step }, order);
    }

    /// Whether somebody may do that.
    fn may_arrange(&self, by: &Identified, arrangement: &Arrangement) -> Result<(), Declined> {
        match arrangement {
            // Its own check comes with it, for consumers that bring a declaration need it, too.
            Arrangement::DeclareQueue(_) => Ok(()),
            Arrangement::DeclareExchange(declaration) if declaration.passive => Ok(()),
            Arrangement::DeclareExchange(declaration) => {
                self.may_send_through(by, &declaration.name)?;
                declaration.alternate.as_ref().map_or(Ok(()), |name| self.may_send_through(by, name))
            }
            Arrangement::DeleteExchange { name, .. } => self.may_send_through(by, name),
            Arrangement::DeleteQueue { name, .. } | Arrangement::PurgeQueue { name } => {
                match self.topology.queue(name.as_str()) {
                    Some(queue) => self.may_use(by, queue),
                    None => Ok(()),
                }
            }
            Arrangement::Bind(binding) => {
                self.may_lead_to(by, &binding.destination)?;
                self.may_hear(by, binding)
            }
            Arrangement::Unbind(binding) => match self.may_lead_to(by, &binding.destination) {
                // Whoever wants it gone has what it wants.
                Err(Declined { cause: DeclineCause::NotFound, .. }) => Ok(()),
                answer => answer,
            },
        }
    }

    /// Whether somebody may declare a queue. One that is given its name is told of by nobody else: that needs no rule.
    pub(crate) fn may_declare_queue(
        &self,
        connection: ConnectionId,
        declaration: &QueueDeclaration,
    ) -> Result<(), Declined> {
        let Some(name) = declaration.name.as_ref().filter(|_| !declaration.passive) else { return Ok(()) };
        let name = name.as_str();
        if name.starts_with(GIVEN) {
            return Ok(());
        }
        let Some(by) = self.identify(connection) else { return Err(no_queue(name)) };
        let address = address_of("", name).map_err(|error| bad_name("queue", name, error))?;
        self.check_levels(address.as_bytes()).map_err(|rejection| bad_name("queue", name, rejection))?;
        let identity = &by.origin().identity;
        let access = &self.snapshot.access;
        let may = access.permits(identity, Permission::Subscribe, &address)
            || !address.is_system() && access.permits(identity, Permission::Publish, &address);
        if !may || is_reply(address.as_str()) {
            return Err(refused("queue", name, identity));
        }
        Ok(())
    }

    /// A queue by its name, if somebody may use it.
    pub(crate) fn usable_queue(
        &self,
        connection: ConnectionId,
        name: &Text,
    ) -> Result<(QueueId, ShardId), Declined> {
        let queue = self.topology.queue(name.as_str()).ok_or_else(|| no_queue(name.as_str()))?;
        let by = self.identify(connection).ok_or_else(|| no_queue(name.as_str()))?;
        self.may_use(&by, queue)?;
        Ok((queue.id, queue.home))
    }

    /// Whether somebody may take from a queue, or end it.
    fn may_use(&self, by: &Identified, queue: &Registered) -> Result<(), Declined> {
        let name = queue.name.as_str();
        if queue.is_locked(self.shards.here(), by.connection()) {
            return Err(locked(name));
        }
        let identity = &by.origin().identity;
        let may = |address: Address| self.snapshot.access.permits(identity, Permission::Subscribe, &address);
        if name.starts_with(GIVEN) || address_of("", name).is_ok_and(may) {
            return Ok(());
        }
        Err(refused("queue", name, identity))
    }

    /// Whether somebody may send events to all that is bound to an exchange.
    fn may_send_through(&self, by: &Identified, name: &Text) -> Result<(), Declined> {
        // Shard 0 says that there is nothing to do about it.
        if name.is_empty() {
            return Ok(());
        }
        let identity = &by.origin().identity;
        let filter = if is_namespace(name.as_str()) { "#".to_owned() } else { prefix_of(name.as_str()) };
        let filter = Filter::new(&filter).map_err(|error| bad_name("exchange", name.as_str(), error))?;
        if self.snapshot.access.permits_filter(identity, Permission::Publish, &filter) {
            return Ok(());
        }
        Err(refused("exchange", name.as_str(), identity))
    }

    /// Whether somebody may have events led there.
    fn may_lead_to(&self, by: &Identified, destination: &Destination) -> Result<(), Declined> {
        match destination {
            Destination::Exchange(name) => self.may_send_through(by, name),
            Destination::Queue(name) => match self.topology.queue(name.as_str()) {
                Some(queue) => self.may_use(by, queue),
                None => Err(no_queue(name.as_str())),
            },
        }
    }

    /// Whether somebody may hear of what a binding is for.
    fn may_hear(&self, by: &Identified, binding: &Binding) -> Result<(), Declined> {
        let source = binding.source.as_str();
        // Shard 0 says that nothing can be bound to it.
        if source.is_empty() {
            return Ok(());
        }
        let exchange = self.topology.exchange(source).ok_or_else(|| no_exchange(source))?;
        let key = binding.key.as_str();
        let (filter, _) = filter_of(exchange.head.kind, source, key)
            .map_err(|error| bad_name("binding", binding.key.as_str(), error))?;
        self.check_levels(filter.as_str().as_bytes())
            .map_err(|rejection| bad_name("binding", key, rejection))?;
        let identity = &by.origin().identity;
        if is_reply(filter.as_str())
            || !self.snapshot.access.permits_filter(identity, Permission::Subscribe, &filter)
        {
            return Err(refused("exchange", source, identity));
        }
        Ok(())
    }

    /// The queues that an event at an address reaches by bindings that match it. Without headers, says whether the event's
    /// headers have a part in that; then not all are found.
    pub(crate) fn queues_of(
        &self,
        address: &Address,
        bindings: &[u32],
        headers: Option<&[(Text, Text)]>,
        queues: &mut Vec<MatchedQueue>,
    ) -> bool {
        let access = &self.snapshot.access;
        let withholds = |identity: &Identity| access.withholds(identity, address);
        let (index, address) = (&self.subscriptions, address.as_str());
        self.topology.follow(index, address, bindings, headers, &withholds, queues)
    }

    /// Whether anybody here or elsewhere wants an event.
    pub(crate) fn is_heard(&mut self, event: &Event) -> bool {
        let topic = self.topics.find(event.address.as_bytes());
        let audience = self.audience(&event.address, topic);
        let matches = &audience.matches;
        let mut heard = !matches.plain.is_empty() || !matches.groups.is_empty() || !matches.shards.is_empty();
        if let Some(bound) = &matches.bound
            && !heard
        {
            heard = !bound.queues.is_empty();
            if bound.by_headers {
                let mut queues = Vec::new();
                self.queues_of(&event.address, &bound.bindings, Some(event.headers()), &mut queues);
                heard = !queues.is_empty();
            }
        }
        self.dismiss(audience);
        heard
    }

    /// Counts what was declined, and says why unless there were many of the kind.
    pub(crate) fn note_declined(&mut self, now: Now, connection: ConnectionId, declined: &Declined) {
        bump(&mut self.counts.declined, declined.cause.name());
        let Some(by) = self.identify(connection) else { return };
        if let Some(suppressed) = self.notices.allow(now, "declined") {
            tracing::warn!(
                listener = &*by.origin().listener,
                session = &*by.origin().session,
                identity = %by.origin().identity,
                owner = by.origin().identity.owner().map(|owner| &**owner),
                cause = declined.cause.name(),
                detail = declined.detail,
                suppressed,
                "an arrangement about exchanges and queues was declined"
            );
        }
    }
}

/// Whether a path is where replies go: whatever the rules say, nobody listens in.
fn is_reply(path: &str) -> bool {
    path.split('/').next() == Some("$reply")
}

/// A name or a key that cannot be one here.
fn bad_name(what: &str, name: &str, error: impl std::fmt::Display) -> Declined {
    Declined {
        cause: DeclineCause::BadName,
        detail: format!("the {what} '{name}' is not acceptable: {error}"),
    }
}
