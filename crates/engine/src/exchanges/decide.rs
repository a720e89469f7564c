//! Deciding: what becomes of a wish, by what there is. Shard 0 does it, for all.

use super::decline::{
    default_exchange, inequivalent, locked, no_exchange, no_queue, predeclared, reserved, too_many,
};
use super::{Change, Decided, Entry, GIVEN, Order, Topology};
use crate::io::{QueueId, ShardId};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{
    Binding, ConnectionId, DeclineCause, Declined, Destination, ExchangeDeclaration, Overflow,
    QueueDeclaration, QueueOptions, Text,
};
use windrose_policy::Limits;

/// The longest name of an exchange or a queue, in bytes: it must fit where protocols write it (AMQP 0-9-1 §4.2.5.3).
const LONGEST_NAME: usize = 255;

/// What a decision needs besides what there is.
pub(crate) struct Means<'a> {
    pub(crate) limits: &'a Limits,
    /// Who asks.
    pub(crate) asker: ShardId,
    /// A number for a queue that is made.
    pub(crate) number: &'a mut dyn FnMut() -> QueueId,
    /// Bits that cannot be guessed.
    pub(crate) token: u128,
}

impl Topology {
    /// Decides. What changes by it is not applied yet.
    pub(crate) fn decide(
        &self,
        order: &Order,
        means: &mut Means<'_>,
    ) -> Result<(Vec<Change>, Decided), Declined> {
        let done = |changes| Ok((changes, Decided::Done));
        match order {
            Order::DeclareExchange(declaration) => done(self.declare_exchange(declaration, means.limits)?),
            Order::DeleteExchange { name, if_unused } => done(self.delete_exchange(name, *if_unused)?),
            Order::DeclareQueue { declaration, by, kept } => {
                self.declare_queue(declaration, *by, *kept, means)
            }
            Order::RemoveQueue(id) => {
                let mut changes = vec![Change::QueueGone(*id)];
                if let Some(queue) = self.queues.get(id) {
                    self.orphans(&queue.bindings, &mut changes);
                }
                done(changes)
            }
            Order::Bind { binding, by, identity } => {
                self.check_ends(binding, means.asker, *by)?;
                if self.is_bound(binding) {
                    return done(Vec::new());
                }
                if self.bindings() >= means.limits.bindings as usize {
                    return Err(too_many(self.bindings(), "bindings", "bindings"));
                }
                done(vec![Change::Bound { binding: binding.clone(), by: Some(identity.clone()) }])
            }
            Order::Unbind { binding, by } => {
                if let Destination::Queue(name) = &binding.destination
                    && self.queue(name.as_str()).is_some_and(|queue| queue.is_locked(means.asker, *by))
                {
                    return Err(locked(name.as_str()));
                }
                let Some(id) = self.ids.get(&**binding) else { return done(Vec::new()) };
                let mut changes = vec![Change::Unbound(binding.clone())];
                self.orphans([id], &mut changes);
                done(changes)
            }
        }
    }

    fn declare_exchange(
        &self,
        wanted: &ExchangeDeclaration,
        limits: &Limits,
    ) -> Result<Vec<Change>, Declined> {
        let name = wanted.name.as_str();
        if name.is_empty() {
            return Err(default_exchange());
        }
        if let Some(exchange) = self.exchanges.get(name) {
            return if wanted.passive { Ok(()) } else { same_exchange(wanted, &exchange.declaration) }
                .map(|()| Vec::new());
        }
        if wanted.passive {
            return Err(no_exchange(name));
        }
        check_name("exchange", name)?;
        if self.exchanges() >= limits.exchanges as usize {
            return Err(too_many(self.exchanges(), "exchanges", "exchanges"));
        }
        Ok(vec![Change::Exchange(wanted.clone())])
    }

    fn delete_exchange(&self, name: &Text, if_unused: bool) -> Result<Vec<Change>, Declined> {
        if name.is_empty() {
            return Err(default_exchange());
        }
        // Whoever wants it gone has what it wants.
        let Some(exchange) = self.exchanges.get(name) else { return Ok(Vec::new()) };
        if exchange.predeclared {
            return Err(predeclared(name.as_str()));
        }
        if if_unused && exchange.is_used() {
            let detail = format!("exchange '{name}' in vhost '/' in use");
            return Err(Declined { cause: DeclineCause::Precondition, detail });
        }
        let mut changes = vec![Change::ExchangeGone(name.clone())];
        self.orphans(exchange.incoming.iter().chain(&exchange.outgoing), &mut changes);
        Ok(changes)
    }

    fn declare_queue(
        &self,
        wanted: &Arc<QueueDeclaration>,
        by: ConnectionId,
        kept: bool,
        means: &mut Means<'_>,
    ) -> Result<(Vec<Change>, Decided), Declined> {
        let known = wanted.name.as_ref().map(|name| {
            let known = if kept { self.kept(name.as_str()) } else { self.queue(name.as_str()) };
            (name, known)
        });
        if let Some((name, Some(queue))) = known {
            let exclusive = queue.owner.is_some();
            let differs = !wanted.passive && !kept && exclusive != wanted.exclusive;
            if queue.is_locked(means.asker, by) || differs {
                return Err(locked(name.as_str()));
            }
            if !wanted.passive && !kept {
                same_queue(name.as_str(), wanted, &queue.declaration)?;
            }
            return Ok((
                Vec::new(),
                Decided::Queue { id: queue.id, name: queue.name.clone(), home: queue.home },
            ));
        }
        let name = match known {
            Some((name, None)) if wanted.passive => return Err(no_queue(name.as_str())),
            Some((name, _)) => {
                if !kept {
                    check_name("queue", name.as_str())?;
                }
                name.clone()
            }
            None => Text::from(format!("{GIVEN}{}", URL_SAFE_NO_PAD.encode(means.token.to_be_bytes()))),
        };
        if self.queues() >= means.limits.queues as usize {
            return Err(too_many(self.queues(), "queues", "queues"));
        }
        let home = means.asker;
        let id = (means.number)();
        let entry = Entry {
            id,
            name: name.clone(),
            home,
            owner: wanted.exclusive.then_some((home, by)),
            declaration: wanted.clone(),
            kept,
        };
        Ok((vec![Change::Queue(entry)], Decided::Queue { id, name, home }))
    }

    /// Whether what is bound and what it is bound to are there, and may be bound.
    fn check_ends(&self, binding: &Binding, asker: ShardId, by: ConnectionId) -> Result<(), Declined> {
        if binding.source.is_empty() {
            return Err(default_exchange());
        }
        match &binding.destination {
            Destination::Queue(name) => match self.queue(name.as_str()) {
                Some(queue) if queue.is_locked(asker, by) => return Err(locked(name.as_str())),
                Some(_) => {}
                None => return Err(no_queue(name.as_str())),
            },
            Destination::Exchange(name) if name.is_empty() => return Err(default_exchange()),
            Destination::Exchange(name) if !self.exchanges.contains_key(name) => {
                return Err(no_exchange(name.as_str()));
            }
            Destination::Exchange(_) => {}
        }
        match self.exchanges.get(&binding.source) {
            Some(_) => Ok(()),
            None => Err(no_exchange(binding.source.as_str())),
        }
    }

    /// Exchanges that go because nothing is bound to them any more once these bindings are gone, and those that follow.
    fn orphans<'a>(
        &'a self,
        going: impl IntoIterator<Item = &'a super::BindingId>,
        changes: &mut Vec<Change>,
    ) {
        let mut left = rustc_hash::FxHashMap::<&Text, usize>::default();
        let mut gone: Vec<&Text> = Vec::new();
        for change in changes.iter() {
            if let Change::ExchangeGone(name) = change
                && let Some(exchange) = self.exchanges.get(name)
            {
                gone.push(&exchange.head.name);
            }
        }
        let mut work: Vec<super::BindingId> = going.into_iter().copied().collect();
        while let Some(id) = work.pop() {
            let road = self.bindings.get(id as usize);
            let Some(source) = road.and_then(|road| road.source.as_ref()) else { continue };
            let Some(exchange) = self.exchanges.get(&source.name) else { continue };
            let left = left.entry(&exchange.head.name).or_insert(exchange.outgoing.len());
            *left = left.saturating_sub(1);
            let name = &exchange.head.name;
            if *left == 0 && exchange.declaration.auto_delete && !gone.contains(&name) {
                gone.push(name);
                changes.push(Change::ExchangeGone(name.clone()));
                work.extend(&exchange.incoming);
            }
        }
    }
}

fn check_name(what: &str, name: &str) -> Result<(), Declined> {
    if name.starts_with("amq.") {
        return Err(reserved(what, name));
    }
    if name.len() > LONGEST_NAME {
        let detail =
            format!("the {what}'s name has {} bytes, at most {LONGEST_NAME} are allowed", name.len());
        return Err(Declined { cause: DeclineCause::BadName, detail });
    }
    Ok(())
}

/// A value in quotes.
struct Quoted<T>(T);

impl<T: Display> Display for Quoted<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "'{}'", self.0)
    }
}

/// A value of a table of arguments, with its type, or `none`.
struct Argument<T>(Option<T>, &'static str);

impl<T: Display> Display for Argument<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(value) => write!(f, "the value '{value}' of type '{}'", self.1),
            None => f.write_str("none"),
        }
    }
}

fn same_exchange(wanted: &ExchangeDeclaration, is: &ExchangeDeclaration) -> Result<(), Declined> {
    let name = wanted.name.as_str();
    let differs = |argument: &str, received: &dyn Display, current: &dyn Display| {
        Err(inequivalent(argument, "exchange", name, &received, &current))
    };
    if wanted.kind != is.kind {
        return differs("type", &Quoted(wanted.kind.name()), &Quoted(is.kind.name()));
    }
    if wanted.durable != is.durable {
        return differs("durable", &Quoted(wanted.durable), &Quoted(is.durable));
    }
    if wanted.auto_delete != is.auto_delete {
        return differs("auto_delete", &Quoted(wanted.auto_delete), &Quoted(is.auto_delete));
    }
    if wanted.internal != is.internal {
        return differs("internal", &Quoted(wanted.internal), &Quoted(is.internal));
    }
    if wanted.alternate != is.alternate {
        let argument = |name: &Option<Text>| Argument(name.clone(), "longstr");
        return differs("alternate-exchange", &argument(&wanted.alternate), &argument(&is.alternate));
    }
    Ok(())
}

fn same_queue(name: &str, wanted: &QueueDeclaration, is: &QueueDeclaration) -> Result<(), Declined> {
    let differs = |argument: &str, received: &dyn Display, current: &dyn Display| {
        Err(inequivalent(argument, "queue", name, &received, &current))
    };
    if wanted.durable != is.durable {
        return differs("durable", &Quoted(wanted.durable), &Quoted(is.durable));
    }
    if wanted.auto_delete != is.auto_delete {
        return differs("auto_delete", &Quoted(wanted.auto_delete), &Quoted(is.auto_delete));
    }
    let (wanted, is) = (arguments(&wanted.options), arguments(&is.options));
    for ((argument, kind, received), (_, _, current)) in wanted.into_iter().zip(is) {
        if received != current {
            return differs(argument, &Argument(received, kind), &Argument(current, kind));
        }
    }
    Ok(())
}

/// A queue's arguments, as clients write them.
fn arguments(options: &QueueOptions) -> [(&'static str, &'static str, Option<String>); 8] {
    let millis = |wait: Option<Duration>| wait.map(|wait| wait.as_millis().to_string());
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let text = |text: &Option<Text>| text.as_ref().map(|text| text.as_str().to_owned());
    let overflow = options.overflow.map(|overflow| match overflow {
        Overflow::DropHead => "drop-head",
        Overflow::RejectPublish => "reject-publish",
        Overflow::RejectPublishDlx => "reject-publish-dlx",
    });
    [
        ("x-message-ttl", "signedint", millis(options.message_ttl)),
        ("x-expires", "signedint", millis(options.expires)),
        ("x-max-length", "signedint", number(options.max_length)),
        ("x-max-length-bytes", "signedint", number(options.max_length_bytes)),
        ("x-overflow", "longstr", overflow.map(str::to_owned)),
        ("x-dead-letter-exchange", "longstr", text(&options.dead_letter_exchange)),
        ("x-dead-letter-routing-key", "longstr", text(&options.dead_letter_routing_key)),
        ("x-single-active-consumer", "bool", options.single_active_consumer.then(|| "true".to_owned())),
    ]
}
