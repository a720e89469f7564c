//! Attach: links begin (part 2 §2.6.3).

use super::answer::Step;
use super::filters::Filters;
use super::link::{Asked, BindTo, Consumer, Link, Route};
use super::{Failure, Server};
use crate::amqp::v1::codec::{
    Attach, Detach, Durability, ErrorInfo, Performative, Role, SenderSettleMode, Source, Symbols, Target,
    Terminus, condition,
};
use crate::amqp::v1::node::{self, Node};
use std::time::Duration;
use windrose_event::{
    Address, Arrangement, Assurance, Consume, ConsumerId, ExchangeDeclaration, ExchangeKind, Filter, Intent,
    QueueDeclaration, QueueOptions, RetainedDelivery, SubscriptionRequest, TOPIC_EXCHANGE, Text, address_of,
    filter_of, is_namespace,
};

/// Why a link is not made.
pub(super) struct Declined {
    pub(super) condition: &'static str,
    pub(super) problem: &'static str,
}

const fn declined(condition: &'static str, problem: &'static str) -> Declined {
    Declined { condition, problem }
}

/// How long a queue that was made for a link stays when nobody uses it.
const DYNAMIC_EXPIRES: Duration = Duration::from_secs(600);

/// A link that is being made.
#[derive(Clone, Copy)]
pub(super) struct New {
    pub(super) channel: u16,
    pub(super) handle: u32,
    pub(super) key: u32,
    pub(super) local: u32,
}

impl Server {
    /// Attach came.
    pub(super) fn attach(&mut self, channel: u16, attach: &Attach<'_>, body: &[u8]) -> Result<(), Failure> {
        let (most, links) = (self.config.links, self.links);
        let Some(session) = self.session(channel)? else { return Ok(()) };
        if attach.handle >= most {
            return Err(Failure::connection(condition::FRAMING_ERROR, "a handle is over handle-max"));
        }
        if session.links.contains_key(&attach.handle) {
            return Err(Failure::session(condition::HANDLE_IN_USE, "a link is attached with this handle"));
        }
        let Some(local) = session.local_handle(attach.handle) else {
            let problem = "there are more links than its handle-max has room for";
            return Err(Failure::session(condition::NOT_ALLOWED, problem));
        };
        session.links.insert(attach.handle, Link::Detaching(local));
        self.links += 1;
        let key = self.next_key;
        self.next_key = self.next_key.wrapping_add(1);
        let new = New { channel, handle: attach.handle, key, local };
        self.steal(new, attach);
        let made = if links >= most {
            Err(declined(condition::RESOURCE_LIMIT_EXCEEDED, "there are too many links on this connection"))
        } else {
            match attach.role {
                Role::Sender => self.attach_sender(new, attach, body),
                Role::Receiver => self.attach_receiver(new, attach, body),
            }
        };
        if let Err(Declined { condition, problem }) = made {
            self.refuse_link(new, attach, ErrorInfo::new(condition, problem));
        }
        Ok(())
    }

    /// A link of the same name is the same link: where it was attached before, it is no more (part 2 §2.6.1).
    fn steal(&mut self, new: New, attach: &Attach<'_>) {
        let name = Some((attach.name, attach.role));
        let mut all = self.sessions.iter().flat_map(|(channel, session)| {
            session.links.iter().map(|(handle, link)| (*channel, *handle, link))
        });
        let Some((channel, handle, _)) = all.find(|(_, _, link)| link.name() == name) else { return };
        drop(all);
        debug_assert!((channel, handle) != (new.channel, new.handle));
        let error = ErrorInfo::new(condition::STOLEN, "the link was attached anew");
        self.detach_link(channel, handle, Some(error));
    }

    fn attach_sender(&mut self, new: New, attach: &Attach<'_>, body: &[u8]) -> Result<(), Declined> {
        let target = match attach.target {
            Some(Terminus::Target(target)) => target,
            Some(Terminus::Coordinator { .. }) => {
                return Err(declined(condition::NOT_IMPLEMENTED, "there are no transactions here"));
            }
            Some(Terminus::Other) => {
                return Err(declined(condition::NOT_IMPLEMENTED, "the target is none that is known"));
            }
            None => Target::default(),
        };
        if attach.initial_delivery_count.is_none() {
            return Err(declined(
                condition::INVALID_FIELD,
                "a sender's attach has no initial-delivery-count",
            ));
        }
        if target.dynamic {
            if target.address.is_some() {
                return Err(declined(condition::INVALID_FIELD, "a dynamic target has an address"));
            }
            let options = QueueOptions { expires: Some(DYNAMIC_EXPIRES), ..QueueOptions::default() };
            let declaration = QueueDeclaration { options, ..QueueDeclaration::default() };
            self.put_asked(new, body, None);
            self.arrange(new, Step::Dynamic, Arrangement::DeclareQueue(declaration));
            return Ok(());
        }
        let Some(address) = target.address else {
            self.answer_sender(new, attach, Route::Anonymous, None);
            return Ok(());
        };
        let bad = |problem| declined(condition::INVALID_FIELD, problem);
        let node = node::parse(address, &target.capabilities, &self.config.queues).map_err(bad)?;
        let route = route(&node).map_err(bad)?;
        let (made, arrangement) = match node {
            Node::Queue { name, make } => {
                (make.then(|| name.clone()), Arrangement::DeclareQueue(queue(name, make)))
            }
            Node::Exchange { name, .. } if !is_namespace(&name) => (None, check(name)),
            _ => {
                self.answer_sender(new, attach, route, None);
                return Ok(());
            }
        };
        self.put_asked(new, body, Some(route));
        self.arrange(new, Step::Target { made }, arrangement);
        Ok(())
    }

    fn attach_receiver(&mut self, new: New, attach: &Attach<'_>, body: &[u8]) -> Result<(), Declined> {
        let Some(source) = attach.source else {
            return Err(declined(condition::INVALID_FIELD, "a receiver's attach has no source"));
        };
        let bad = |problem| declined(condition::INVALID_FIELD, problem);
        if source.dynamic {
            if source.address.is_some() {
                return Err(bad("a dynamic source has an address"));
            }
            self.put_asked(new, body, None);
            self.consume(new, attach, windrose_event::Source::Replies);
            return Ok(());
        }
        let Some(address) = source.address else { return Err(bad("a source has no address")) };
        let filters = Filters::read(source.filter.as_ref());
        let mut node = node::parse(address, &source.capabilities, &self.config.queues).map_err(bad)?;
        if let Some(binding) = filters.binding {
            // A binding is to an exchange: the address names it.
            let name = match node {
                Node::Exchange { name, .. } | Node::Queue { name, .. } | Node::Plain(name) => name,
            };
            node = Node::Exchange { name, key: Some(binding) };
        }
        let from = match node {
            Node::Queue { name, make } => {
                let or_new = make.then(|| Box::new(queue(name.clone(), true)));
                windrose_event::Source::Queue { name, or_new }
            }
            Node::Plain(pattern) => {
                let filter = Filter::new(&pattern).map_err(|_| bad("the address is no filter"))?;
                self.subscription(attach, &source, filter, filters.headers, filters.no_local)
            }
            Node::Exchange { name, key } => {
                let key = key.unwrap_or_else(|| Text::from_static("#"));
                let in_namespace = is_namespace(&name);
                let filter = filter_of(ExchangeKind::Topic, &name, &key);
                match filter.map_err(|_| bad("the binding key is too long"))? {
                    (filter, None) if in_namespace => {
                        self.subscription(attach, &source, filter, filters.headers, filters.no_local)
                    }
                    _ => {
                        let exchange = if name.is_empty() { Text::from_static(TOPIC_EXCHANGE) } else { name };
                        let bind = BindTo { exchange, key, headers: filters.headers };
                        let exclusive = QueueDeclaration {
                            exclusive: true,
                            auto_delete: true,
                            ..QueueDeclaration::default()
                        };
                        self.put_asked(new, body, None);
                        self.arrange(new, Step::Declare(bind), Arrangement::DeclareQueue(exclusive));
                        return Ok(());
                    }
                }
            }
        };
        self.put_asked(new, body, None);
        self.consume(new, attach, from);
        Ok(())
    }

    /// A subscription of a link's own; with the capability `shared`, its part of one that all links of its name have.
    fn subscription(
        &self,
        attach: &Attach<'_>,
        source: &Source<'_>,
        filter: Filter,
        headers: Option<windrose_event::HeadersTest>,
        no_local: bool,
    ) -> windrose_event::Source {
        let group = source.capabilities.has("shared").then(|| {
            // Clients that tell links of one name apart append to it what they count them by.
            Text::from(attach.name.split('|').next().unwrap_or(attach.name))
        });
        let retained = if group.is_some() { RetainedDelivery::Never } else { RetainedDelivery::Always };
        let request = SubscriptionRequest {
            filter,
            group,
            assurance: if attach.snd_settle_mode == SenderSettleMode::Settled {
                Assurance::AtMostOnce
            } else {
                Assurance::AtLeastOnce
            },
            no_local,
            retain_as_published: false,
            own_copy: true,
            retained,
            identifier: None,
        };
        windrose_event::Source::Address { request, headers, kept: self.kept(attach, source) }
    }

    /// Under which name a link's subscription is kept when it is detached, and for how long (part 3 §3.5.6).
    fn kept(&self, attach: &Attach<'_>, source: &Source<'_>) -> Option<(Text, Duration)> {
        let time = match (source.expiry_policy, source.timeout) {
            (Some("never"), _) => Duration::MAX,
            (_, 0) if source.durable == Durability::None => return None,
            // Durable, without a word of for how long: that is what never is for.
            (None, 0) => Duration::MAX,
            (Some(_), 0) => return None,
            (_, seconds) => Duration::from_secs(seconds.into()),
        };
        Some((Text::from(format!("{}|{}", self.container, attach.name)), time))
    }

    /// Asks the engine for a consumer.
    pub(super) fn consume(&mut self, new: New, attach: &Attach<'_>, from: windrose_event::Source) {
        let New { channel, handle, key, .. } = new;
        let presettled = attach.snd_settle_mode == SenderSettleMode::Settled;
        let consumer =
            self.consumers.insert(Consumer { channel, handle, key, canceled: false, unsettled: 0 }) as u32;
        if let Some(Link::Asked(asked)) =
            self.sessions.get_mut(&channel).and_then(|session| session.links.get_mut(&handle))
        {
            asked.consumer = Some(consumer);
            if let windrose_event::Source::Address { request, kept, .. } = &from {
                asked.wild = request.filter.is_wild();
                asked.kept = kept.as_ref().map(|(name, _)| Box::new((name.clone(), request.filter.clone())));
            }
        }
        let consumer = ConsumerId(consumer);
        self.intend(Intent::Consume(Box::new(Consume {
            consumer,
            from,
            exclusive: false,
            presettled,
            limit: 0,
        })));
    }

    fn put_asked(&mut self, new: New, body: &[u8], route: Option<Route>) {
        let asked = Asked {
            key: new.key,
            local: new.local,
            body: body.into(),
            route,
            credit: None,
            consumer: None,
            wild: false,
            kept: None,
        };
        if let Some(session) = self.sessions.get_mut(&new.channel) {
            session.links.insert(new.handle, Link::Asked(Box::new(asked)));
        }
    }

    /// A link is not made: it is attached without its end here, and detached with the reason (part 2 §2.6.3).
    pub(super) fn refuse_link(&mut self, new: New, attach: &Attach<'_>, error: ErrorInfo<'_>) {
        let Some(session) = self.sessions.get_mut(&new.channel) else { return };
        session.links.insert(new.handle, Link::Detaching(new.local));
        let answer = Attach {
            name: attach.name,
            handle: new.local,
            role: attach.role.other(),
            snd_settle_mode: attach.snd_settle_mode,
            rcv_settle_mode: attach.rcv_settle_mode,
            // The end that is the peer's own is told as it said it, ours is none.
            source: attach.source.filter(|_| attach.role == Role::Sender),
            target: attach.target.filter(|_| attach.role == Role::Receiver),
            initial_delivery_count: (attach.role == Role::Receiver).then_some(0),
            ..Attach::default()
        };
        let out = self.transmit.buffer();
        Performative::Attach(answer).write(session.local, out);
        Performative::Detach(Detach { handle: new.local, closed: true, error: Some(error) })
            .write(session.local, out);
        self.frames.sent += 2;
    }
}

/// Where a sender's messages go that names this.
pub(super) fn route(node: &Node) -> Result<Route, &'static str> {
    Ok(match node {
        Node::Queue { name, .. } => Route::Address(node::address_of_queue(name)?),
        Node::Plain(address) => {
            Route::Address(Address::new(address.clone()).map_err(|_| "the address cannot be published to")?)
        }
        Node::Exchange { name, key: Some(key) } if is_namespace(name) => {
            Route::Address(address_of(name, key).map_err(|_| "the key is no address")?)
        }
        Node::Exchange { name, key } => Route::Exchange { name: name.clone(), key: key.clone() },
    })
}

/// A queue that a link names: made if there is none, or else there must be one.
pub(super) fn queue(name: Text, make: bool) -> QueueDeclaration {
    QueueDeclaration { name: Some(name), passive: !make, durable: true, ..QueueDeclaration::default() }
}

/// Whether an exchange is there.
fn check(name: Text) -> Arrangement {
    Arrangement::DeclareExchange(ExchangeDeclaration {
        name,
        passive: true,
        kind: ExchangeKind::Direct,
        durable: true,
        auto_delete: false,
        internal: false,
        alternate: None,
    })
}

/// All outcomes that there are (part 3 §3.4).
pub(super) const OUTCOMES: Symbols<'static> =
    Symbols::Slice(&["amqp:accepted:list", "amqp:rejected:list", "amqp:released:list", "amqp:modified:list"]);
