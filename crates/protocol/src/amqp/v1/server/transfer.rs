//! Transfers of the peer's: deliveries in one frame or in many, and publications that they are (part 2 §2.6.14).

use super::attach;
use super::link::{Incoming, Link, Route};
use super::outcome::{Said, condition_of};
use super::runs::Run;
use super::session::mark;
use super::settle::{DeliveryTag, Publication};
use super::{Failure, Server};
use crate::amqp::Output;
use crate::amqp::v1::codec::{
    DeliveryState, Disposition, ErrorInfo, Performative, ReceiverSettleMode, Role, Symbols, Transfer,
    condition,
};
use crate::amqp::v1::message::{self, Content};
use crate::amqp::v1::node;
use bytes::Bytes;
use smallvec::SmallVec;
use windrose_event::{
    Address, Assurance, Cause, Intent, Now, Publication as Event, Publish, Tag, Text, address_of,
    is_namespace,
};

/// Bytes that a message may have besides its payload.
const BESIDES: usize = 64 * 1024;
/// Messages of which half is here, at their largest, that one connection may have.
const MOST_PARTIAL: usize = 4;

/// A delivery of which more is to come.
pub(super) struct Partial {
    delivery: Delivery,
    buffer: Vec<u8>,
}

impl Partial {
    pub(super) fn len(&self) -> usize {
        self.buffer.len()
    }
}

/// What a delivery's transfers say of it.
struct Delivery {
    id: u32,
    tag: DeliveryTag,
    format: u32,
    settled: bool,
    second: bool,
    resume: bool,
}

impl Server {
    /// Transfer came.
    #[inline]
    pub(super) fn transfer(
        &mut self,
        now: Now,
        channel: u16,
        transfer: &Transfer<'_>,
        payload: &[u8],
    ) -> Result<(), Failure> {
        let handle = transfer.handle;
        let session = self.sessions.get_mut(&channel).ok_or(Failure::no_session())?;
        if session.ending {
            return Ok(());
        }
        session.count_incoming()?;
        if session.flow_due {
            mark(&mut self.dirty, channel, session);
        }
        let link = match session.links.get_mut(&handle) {
            Some(Link::In(link)) => link,
            Some(Link::Detaching(_)) => return Ok(()),
            Some(Link::Asked(_)) => {
                let problem = "a delivery came without credit";
                return Err(Failure::link(handle, condition::TRANSFER_LIMIT_EXCEEDED, problem));
            }
            Some(Link::Out(_)) => {
                let problem = "a transfer came from a link's receiver";
                return Err(Failure::link(handle, condition::NOT_ALLOWED, problem));
            }
            None => return Err(Failure::unattached()),
        };
        let most = self.config.payload_bytes as usize + BESIDES;
        if link.partial.is_some() {
            return self.go_on(now, channel, transfer, payload, most);
        }
        let delivery = begun(link, transfer)?;
        if let Some(last) = session.last_delivery
            && delivery.id.wrapping_sub(last).wrapping_sub(1) > u32::MAX / 2
        {
            let problem = "a delivery-id is not after the one before";
            return Err(Failure::session(condition::NOT_ALLOWED, problem));
        }
        session.last_delivery = Some(delivery.id);
        link.credit -= 1;
        link.delivery_count = link.delivery_count.wrapping_add(1);
        if transfer.aborted {
            return self.top_up(channel, handle);
        }
        if !transfer.more {
            return self.publish(now, channel, handle, delivery, Bytes::copy_from_slice(payload));
        }
        self.partial_bytes += payload.len();
        link.partial = Some(Box::new(Partial { delivery, buffer: payload.to_vec() }));
        self.check_partial(handle, most)
    }

    /// One more part of a delivery.
    fn go_on(
        &mut self,
        now: Now,
        channel: u16,
        transfer: &Transfer<'_>,
        payload: &[u8],
        most: usize,
    ) -> Result<(), Failure> {
        let handle = transfer.handle;
        let Some(Link::In(link)) =
            self.sessions.get_mut(&channel).and_then(|session| session.links.get_mut(&handle))
        else {
            return Ok(());
        };
        let Some(partial) = &mut link.partial else { return Ok(()) };
        if transfer.delivery_id.is_some_and(|id| id != partial.delivery.id)
            || transfer.delivery_tag.is_some_and(|tag| tag != &*partial.delivery.tag)
        {
            let problem = "a delivery began before the one before it was complete";
            return Err(Failure::link(handle, condition::NOT_ALLOWED, problem));
        }
        if !transfer.aborted && partial.len() + payload.len() > most {
            let problem = "a message is larger than max-message-size";
            return Err(Failure::link(handle, condition::MESSAGE_SIZE_EXCEEDED, problem));
        }
        partial.delivery.settled |= transfer.settled == Some(true);
        if transfer.more && !transfer.aborted {
            partial.buffer.extend_from_slice(payload);
            self.partial_bytes += payload.len();
            return self.check_partial(handle, most);
        }
        let Some(mut partial) = link.partial.take() else { return Ok(()) };
        self.partial_bytes = self.partial_bytes.saturating_sub(partial.len());
        if transfer.aborted {
            return self.top_up(channel, handle);
        }
        partial.buffer.extend_from_slice(payload);
        self.publish(now, channel, handle, partial.delivery, partial.buffer.into())
    }

    fn check_partial(&self, handle: u32, most: usize) -> Result<(), Failure> {
        if self.partial_bytes <= MOST_PARTIAL * most {
            return Ok(());
        }
        let problem = "too much of messages is here that are not complete";
        Err(Failure::link(handle, condition::RESOURCE_LIMIT_EXCEEDED, problem))
    }

    /// A sender that used up enough of its credit gets more.
    fn top_up(&mut self, channel: u16, handle: u32) -> Result<(), Failure> {
        if let Some(session) = self.sessions.get_mut(&channel)
            && let Some(Link::In(link)) = session.links.get_mut(&handle)
            && !self.paused
            && link.wants_flow()
        {
            self.owe_link_flow(channel, handle);
        }
        Ok(())
    }

    /// A delivery is complete: it is published.
    fn publish(
        &mut self,
        now: Now,
        channel: u16,
        handle: u32,
        delivery: Delivery,
        bytes: Bytes,
    ) -> Result<(), Failure> {
        if delivery.resume && self.resumed(channel, handle, &delivery.tag, delivery.id) {
            return self.top_up(channel, handle);
        }
        let Some(session) = self.sessions.get_mut(&channel) else { return Ok(()) };
        let Some(Link::In(link)) = session.links.get_mut(&handle) else { return Ok(()) };
        let read = match delivery.format {
            0 => message::read(bytes, now.wall, &self.config.queues),
            _ => Err(crate::amqp::v1::codec::CodecError {
                condition: condition::NOT_IMPLEMENTED,
                problem: "the message's format is not AMQP's own",
            }),
        };
        let content = match read {
            Ok(content) if content.payload.len() > self.config.payload_bytes as usize => {
                let problem = "a message is larger than max-message-size";
                return Err(Failure::link(handle, condition::MESSAGE_SIZE_EXCEEDED, problem));
            }
            Ok(content) => content,
            Err(error) => {
                let refused =
                    Refused { cause: Cause::Malformed, condition: error.condition, detail: error.problem };
                return self.refuse_publication(channel, handle, &delivery, refused);
            }
        };
        let (through, address) = match target(&link.route, &content, &self.config.queues) {
            Ok(target) => target,
            Err(detail) => {
                let condition = condition_of(Cause::BadAddress);
                let refused = Refused { cause: Cause::BadAddress, condition, detail };
                return self.refuse_publication(channel, handle, &delivery, refused);
            }
        };
        let mut tag = Tag::NONE;
        if !delivery.settled {
            // There are fewer links' windows than tags: there is one.
            let Delivery { id, second, tag: delivery_tag, .. } = delivery;
            let index = self.publications.insert(Publication {
                channel,
                handle,
                key: link.key,
                id,
                second,
                silent: false,
                tag: delivery_tag,
            });
            match u16::try_from(index + 1) {
                Ok(number) => tag = Tag(number),
                Err(_) => {
                    self.publications.remove(index);
                    if let Some(run) = Run::put(&mut session.told, id, true, Said::Released) {
                        run.write(Role::Receiver, session.local, self.transmit.buffer());
                        self.frames.sent += 1;
                    }
                    mark(&mut self.dirty, channel, session);
                    return self.top_up(channel, handle);
                }
            }
            link.unsettled += 1;
        }
        let assurance =
            if delivery.settled && !content.durable { Assurance::AtMostOnce } else { Assurance::AtLeastOnce };
        let publication = Event {
            address,
            payload: content.payload,
            assurance,
            retain: content.retain && self.config.retain_available,
            expiry: content.expiry,
            details: Some(content.details),
        };
        let publish = Publish { tag, again: delivery.resume, publication };
        let wants_flow = delivery.settled && !self.paused && link.wants_flow();
        self.outputs.push_back(Output::Intent(match through {
            None => Intent::Publish(publish),
            Some(exchange) => Intent::PublishThrough { exchange, publish: Box::new(publish) },
        }));
        if wants_flow {
            self.owe_link_flow(channel, handle);
        }
        Ok(())
    }

    /// A message that cannot be published is rejected.
    fn refuse_publication(
        &mut self,
        channel: u16,
        handle: u32,
        delivery: &Delivery,
        refused: Refused,
    ) -> Result<(), Failure> {
        let Refused { cause, condition, detail } = refused;
        let Some(session) = self.sessions.get_mut(&channel) else { return Ok(()) };
        let Some(Link::In(link)) = session.links.get_mut(&handle) else { return Ok(()) };
        let address = match &link.route {
            Route::Address(address) => Some(address.clone()),
            Route::Exchange { name, key } => address_of(name, key.as_deref().unwrap_or_default()).ok(),
            Route::Anonymous => None,
        };
        if let Some(address) = address.or_else(|| Address::new(Text::from_static("$nowhere")).ok()) {
            self.outputs.push_back(Output::Intent(Intent::Refused { address, cause, detail }));
        }
        if !delivery.settled {
            let state = Some(DeliveryState::Rejected(Some(ErrorInfo::new(condition, detail))));
            let disposition = Disposition {
                role: Role::Receiver,
                first: delivery.id,
                settled: true,
                state,
                ..Disposition::default()
            };
            Performative::Disposition(disposition).write(session.local, self.transmit.buffer());
            self.frames.sent += 1;
        }
        self.top_up(channel, handle)
    }
}

struct Refused {
    cause: Cause,
    condition: &'static str,
    detail: &'static str,
}

/// A delivery's first transfer.
fn begun(link: &Incoming, transfer: &Transfer<'_>) -> Result<Delivery, Failure> {
    let bad = |problem| Failure::link(transfer.handle, condition::INVALID_FIELD, problem);
    let id = transfer.delivery_id.ok_or(bad("a delivery's first transfer has no delivery-id"))?;
    let tag = transfer.delivery_tag.ok_or(bad("a delivery's first transfer has no delivery-tag"))?;
    if tag.len() > 32 {
        return Err(bad("a delivery-tag is longer than 32 bytes"));
    }
    if link.credit == 0 {
        let problem = "a delivery came without credit";
        return Err(Failure::link(transfer.handle, condition::TRANSFER_LIMIT_EXCEEDED, problem));
    }
    Ok(Delivery {
        id,
        tag: SmallVec::from_slice(tag),
        format: transfer.message_format.unwrap_or(0),
        settled: transfer.settled == Some(true),
        second: transfer.rcv_settle_mode.map_or(link.second, |mode| mode == ReceiverSettleMode::Second),
        resume: transfer.resume,
    })
}

/// Where a message goes: through which exchange, to which address.
fn target(
    route: &Route,
    content: &Content,
    queues: &[windrose_event::Filter],
) -> Result<(Option<Text>, Address), &'static str> {
    match route {
        Route::Address(address) => Ok((None, address.clone())),
        Route::Exchange { name, key } => {
            let key = key.as_ref().or(content.subject.as_ref());
            let key = key.map(|key| key.as_str()).unwrap_or_default();
            let address = address_of(name, key).map_err(|_| "the subject is no routing key")?;
            Ok(((!is_namespace(name)).then(|| name.clone()), address))
        }
        Route::Anonymous => {
            let to = content.to.as_ref().ok_or("the message does not say where it is to")?;
            let node = node::parse(to, &Symbols::None, queues)?;
            match attach::route(&node)? {
                // It says itself where it is to: there is no end of that.
                Route::Anonymous => Err("the message does not say where it is to"),
                route => target(&route, content, queues),
            }
        }
    }
}
