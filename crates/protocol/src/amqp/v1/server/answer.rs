//! Answers to attach, once the engine has said what there is.

use super::Server;
use super::attach::{New, OUTCOMES, queue};
use super::filters::Filters;
use super::link::{BindTo, Incoming, Link, Outgoing, Route, outcome_bits};
use super::session::mark;
use crate::amqp::v1::codec::{
    Attach, DeliveryState, Durability, ErrorInfo, MapWriter, Performative, ReceiverSettleMode, Role, Source,
    Target, Terminus, condition, put_described,
};
use crate::amqp::v1::node::address_of_queue;
use windrose_event::{
    Arranged, Arrangement, Binding, ConsumerId, Consuming, DeclineCause, Destination, Disposition, Intent,
    Tag, Text,
};

/// What the engine was asked of exchanges and queues, and for which link.
pub(super) struct Question {
    new: New,
    step: Step,
}

/// How far a link has got.
pub(super) enum Step {
    /// A sender's target is looked for, or made if it is this queue.
    Target { made: Option<Text> },
    /// A sender's queue is there, and is another than would have been made: it is as good.
    There,
    /// A queue is made for a sender that asked for a new one.
    Dynamic,
    /// A queue is made for a receiver, to be bound.
    Declare(BindTo),
    /// The queue is bound.
    Bind(Text),
    /// What is not needed any more is removed: nobody waits.
    Remove,
}

/// The description of a node's life: it ends with the link that made it (part 3 §3.5.10).
const DELETE_ON_CLOSE: u8 = 0x2b;

/// The most a link has of publications, sent and to be sent; links share what there may be of all.
const ALL_CREDIT: u32 = 32_768;

impl Server {
    /// Asks the engine about exchanges and queues.
    pub(super) fn arrange(&mut self, new: New, step: Step, arrangement: Arrangement) {
        let index = self.questions.insert(Question { new, step });
        // There is one question for each link at most, and one for each that went: far fewer than there are tags.
        let tag = Tag(u16::try_from(index + 1).unwrap_or(u16::MAX));
        self.intend(Intent::Arrange { tag, arrangement: Box::new(arrangement) });
    }

    /// The engine's answer.
    pub(super) fn arranged(&mut self, tag: Tag, result: Result<Arranged, windrose_event::Declined>) {
        let Some(Question { new, step }) = self.questions.try_remove(usize::from(tag.0).wrapping_sub(1))
        else {
            return;
        };
        if self.questions.is_empty() {
            self.questions = slab::Slab::new();
        }
        let Some(session) = self.sessions.get_mut(&new.channel) else { return };
        match session.links.get_mut(&new.handle) {
            Some(Link::Asked(asked)) if asked.key == new.key => {}
            // It was detached meanwhile.
            _ => return,
        }
        let Some(Link::Asked(mut asked)) = session.links.insert(new.handle, Link::Detaching(new.local))
        else {
            return;
        };
        let (route, body) = (asked.route.take(), std::mem::take(&mut asked.body));
        asked.body = body.clone();
        let Ok(attach) = asked.attach() else { return };
        match (step, result) {
            (Step::Target { .. } | Step::There, Ok(_)) => {
                self.answer_sender(new, &attach, route.unwrap_or(Route::Anonymous), None);
            }
            (Step::Target { made: Some(name) }, Err(declined))
                if declined.cause == DeclineCause::Precondition =>
            {
                let again = asked.again(body, route);
                self.put_back(new, again);
                self.arrange(new, Step::There, Arrangement::DeclareQueue(queue(name, false)));
            }
            (Step::Dynamic, Ok(arranged)) => match address_of_queue(&arranged.queue) {
                Ok(address) => {
                    self.answer_sender(new, &attach, Route::Address(address), Some(arranged.queue))
                }
                Err(problem) => {
                    self.refuse_link(new, &attach, ErrorInfo::new(condition::INTERNAL_ERROR, problem));
                }
            },
            (Step::Declare(bind), Ok(arranged)) => {
                let again = asked.again(body, route);
                self.put_back(new, again);
                let binding = Binding {
                    source: bind.exchange,
                    destination: Destination::Queue(arranged.queue.clone()),
                    key: bind.key,
                    headers: bind.headers,
                };
                self.arrange(new, Step::Bind(arranged.queue), Arrangement::Bind(binding));
            }
            (Step::Bind(name), Ok(_)) => {
                let again = asked.again(body, route);
                self.put_back(new, again);
                self.consume(new, &attach, windrose_event::Source::Queue { name, or_new: None });
            }
            (Step::Remove, _) => {}
            (_, Err(declined)) => {
                let error = ErrorInfo::new(condition_of(declined.cause), &declined.detail);
                self.refuse_link(new, &attach, error);
            }
        }
    }

    fn put_back(&mut self, new: New, asked: super::link::Asked) {
        if let Some(session) = self.sessions.get_mut(&new.channel) {
            session.links.insert(new.handle, Link::Asked(Box::new(asked)));
        }
    }

    /// A sender may send.
    pub(super) fn answer_sender(
        &mut self,
        new: New,
        attach: &Attach<'_>,
        route: Route,
        dynamic: Option<Text>,
    ) {
        let Some(session) = self.sessions.get_mut(&new.channel) else { return };
        let asked = match attach.target {
            Some(Terminus::Target(target)) => target,
            _ => Target::default(),
        };
        let mut life = MapWriter::new();
        let mut described = Vec::new();
        put_described(&mut described, DELETE_ON_CLOSE);
        described.push(0x45);
        life.raw(b"\xa3\x0flifetime-policy", &described);
        let target = Target {
            address: dynamic.as_deref().or(asked.address),
            dynamic_node_properties: dynamic.as_ref().map(|_| life.map()),
            // Nothing of a target is kept: what was accepted is the engine's.
            durable: Durability::None,
            expiry_policy: asked.expiry_policy.map(|_| "link-detach"),
            timeout: 0,
            ..asked
        };
        let unsettled = self.suspended.as_deref_mut().and_then(|suspended| suspended.resume(attach, new.key));
        let answer = Attach {
            name: attach.name,
            handle: new.local,
            role: Role::Receiver,
            snd_settle_mode: attach.snd_settle_mode,
            rcv_settle_mode: attach.rcv_settle_mode,
            source: attach.source,
            target: Some(Terminus::Target(target)),
            unsettled: unsettled.as_ref().map(MapWriter::map),
            max_message_size: Some(self.config.payload_bytes.into()),
            ..Attach::default()
        };
        Performative::Attach(answer).write(session.local, self.transmit.buffer());
        self.frames.sent += 1;
        let share = ALL_CREDIT / self.links.max(1).next_power_of_two();
        let link = Incoming {
            key: new.key,
            local: new.local,
            name: attach.name.into(),
            route,
            delivery_count: attach.initial_delivery_count.unwrap_or(0),
            credit: 0,
            unsettled: 0,
            window: u32::from(self.config.receive_maximum).min(share).max(1),
            flow_due: false,
            second: attach.rcv_settle_mode == ReceiverSettleMode::Second,
            outcomes: attach.source.map_or(u8::MAX, |source| outcome_bits(&source.outcomes)),
            partial: None,
            dynamic,
        };
        session.links.insert(new.handle, Link::In(Box::new(link)));
        self.owe_link_flow(new.channel, new.handle);
    }

    /// The engine's answer to a receiver's wish.
    pub(super) fn consuming(&mut self, id: ConsumerId, result: Result<Consuming, windrose_event::Declined>) {
        let Some(consumer) = self.consumers.get_mut(id.0 as usize) else { return };
        if consumer.canceled {
            return;
        }
        let (channel, handle, key) = (consumer.channel, consumer.handle, consumer.key);
        if result.is_err() {
            self.consumers.remove(id.0 as usize);
        }
        let Some(session) = self.sessions.get_mut(&channel) else { return };
        let asked = match session.links.get_mut(&handle) {
            Some(link @ Link::Asked(_)) => match std::mem::replace(link, Link::Detaching(0)) {
                Link::Asked(asked) if asked.key == key => asked,
                other => {
                    *link = other;
                    return;
                }
            },
            _ => return,
        };
        let new = New { channel, handle, key, local: asked.local };
        let Ok(attach) = asked.attach() else { return };
        match result {
            Ok(consuming) => self.answer_receiver(new, &attach, id, &consuming, &asked),
            Err(declined) => {
                let error = ErrorInfo::new(condition_of(declined.cause), &declined.detail);
                self.refuse_link(new, &attach, error);
            }
        }
    }

    fn answer_receiver(
        &mut self,
        new: New,
        attach: &Attach<'_>,
        id: ConsumerId,
        consuming: &Consuming,
        asked_link: &super::link::Asked,
    ) {
        let asked = attach.source.unwrap_or_default();
        let filters = Filters::read(asked.filter.as_ref());
        let kept = asked_link.kept.is_some();
        let Some(session) = self.sessions.get_mut(&new.channel) else { return };
        let mut life = MapWriter::new();
        let mut described = Vec::new();
        put_described(&mut described, DELETE_ON_CLOSE);
        described.push(0x45);
        life.raw(b"\xa3\x0flifetime-policy", &described);
        let source = Source {
            address: consuming.address.as_ref().map(|address| address.as_str()).or(asked.address),
            dynamic_node_properties: asked.dynamic.then(|| life.map()),
            durable: if kept { asked.durable } else { Durability::None },
            timeout: if kept { asked.timeout } else { 0 },
            filter: (!filters.applied.is_empty()).then(|| filters.applied.map()),
            outcomes: if asked.outcomes.is_empty() { OUTCOMES } else { asked.outcomes },
            ..asked
        };
        let answer = Attach {
            name: attach.name,
            handle: new.local,
            role: Role::Sender,
            snd_settle_mode: attach.snd_settle_mode,
            rcv_settle_mode: attach.rcv_settle_mode,
            source: Some(source),
            target: attach.target,
            initial_delivery_count: Some(0),
            ..Attach::default()
        };
        Performative::Attach(answer).write(session.local, self.transmit.buffer());
        self.frames.sent += 1;
        let credit = asked_link.credit;
        let (taken, drain) = credit.unwrap_or_default();
        let link = Outgoing {
            key: new.key,
            local: new.local,
            name: attach.name.into(),
            consumer: id.0,
            delivery_count: 0,
            credit: taken,
            supplied: 0,
            granted: 0,
            drain,
            flow_due: false,
            default_outcome: asked
                .default_outcome
                .map_or(Disposition::Accepted, |state| disposition_of(&state)),
            max_message_size: attach.max_message_size.filter(|most| *most > 0).unwrap_or(u64::MAX),
            wild: asked_link.wild,
            kept: asked_link.kept.clone(),
        };
        session.links.insert(new.handle, Link::Out(Box::new(link)));
        if credit.is_some() {
            self.grant(new.channel, new.handle);
        }
    }

    /// A link's peer is to hear of its credit.
    pub(super) fn owe_link_flow(&mut self, channel: u16, handle: u32) {
        let Some(session) = self.sessions.get_mut(&channel) else { return };
        let due = match session.links.get_mut(&handle) {
            Some(Link::In(link)) => &mut link.flow_due,
            Some(Link::Out(link)) => &mut link.flow_due,
            _ => return,
        };
        if !std::mem::replace(due, true) {
            session.flows.push(handle);
            mark(&mut self.dirty, channel, session);
        }
    }
}

/// What a receiver's state means to the engine.
pub(super) fn disposition_of(state: &DeliveryState<'_>) -> Disposition {
    match *state {
        DeliveryState::Rejected(_) => Disposition::Rejected,
        DeliveryState::Released | DeliveryState::Other(_) => Disposition::Released,
        // Proton's clients say so of deliveries that failed, and leave the flag out: it counts in any case.
        DeliveryState::Modified { undeliverable_here, .. } => {
            Disposition::Modified { failed: true, undeliverable_here }
        }
        DeliveryState::Accepted | DeliveryState::Received { .. } => Disposition::Accepted,
    }
}

/// Why nothing can be consumed, or a target is none (part 2 §2.8.15).
pub(super) const fn condition_of(cause: DeclineCause) -> &'static str {
    match cause {
        DeclineCause::NotFound => condition::NOT_FOUND,
        DeclineCause::Precondition => condition::PRECONDITION_FAILED,
        DeclineCause::Locked => condition::RESOURCE_LOCKED,
        DeclineCause::NotPermitted => condition::UNAUTHORIZED_ACCESS,
        DeclineCause::Quota => condition::RESOURCE_LIMIT_EXCEEDED,
        DeclineCause::BadName => condition::INVALID_FIELD,
        DeclineCause::Unsupported => condition::NOT_IMPLEMENTED,
    }
}
