//! What comes from the server: subscriptions, queues and answers, each by a link of its own (part 2 §2.6.10, §2.6.12).

use super::link::{Link, Purpose};
use super::{Client, State, message};
use crate::amqp::client::{ClientOutput, MessageCause};
use crate::amqp::v1::codec::{
    Attach, CodecError, DeliveryState, Detach, Disposition, ErrorInfo, Flow, Performative, Role, Source,
    Symbols, Target, Terminus, Transfer, condition,
};
use bytes::Bytes;
use std::collections::hash_map::Entry;
use windrose_event::{Filter, Now, Outcome, Tag};

/// The most that may be unsettled of one subscription: there may be hundreds.
const MOST_OF_ONE: u32 = 64;

/// Where answers come to.
#[derive(Debug)]
pub(super) enum Replies {
    /// Nobody asked for an answer yet.
    Unasked,
    /// The server was asked for an address.
    Asked,
    /// This is it.
    At(String),
    /// It has none to give.
    Nowhere,
}

/// A message that is coming in several transfers.
pub(super) struct Arriving {
    handle: u32,
    delivery: u32,
    settled: bool,
    bytes: Vec<u8>,
    /// Whether it is larger than we take.
    too_large: bool,
}

/// A message that is not settled.
pub(super) struct Unsettled {
    handle: u32,
    /// `None`: the server has settled it.
    delivery: Option<u32>,
}

impl Client {
    pub(crate) fn subscribe(&mut self, now: Now, filter: &Filter, identifier: u32) -> bool {
        if self.state != State::Open {
            return false;
        }
        let address = self.config.address.of_filter(filter);
        let purpose = Purpose::Subscription { identifier, filter: filter.clone() };
        self.receive_from(now, Some(&address), purpose);
        true
    }

    pub(crate) fn unsubscribe(&mut self, now: Now, filter: &Filter) -> bool {
        if self.state == State::Open
            && let Some(handle) = self.links.subscription(filter)
        {
            self.detach(now, handle);
        }
        true
    }

    /// Takes messages from the queues that the document has consumed from.
    pub(super) fn consume(&mut self, now: Now) {
        let config = self.config.clone();
        for address in &config.consume {
            self.receive_from(now, Some(address), Purpose::Queue { address: address.to_string() });
        }
    }

    /// Whether a request can be sent now: the address for answers is known, or there is none.
    pub(super) fn hears_replies(&mut self, now: Now) -> bool {
        match self.replies {
            Replies::Unasked => {
                self.replies = Replies::Asked;
                self.receive_from(now, None, Purpose::Replies);
                false
            }
            Replies::Asked => false,
            Replies::At(_) | Replies::Nowhere => true,
        }
    }

    fn receive_from(&mut self, now: Now, address: Option<&str>, purpose: Purpose) {
        let (handle, link) = self.links.open(&self.config.name, purpose);
        let name = link.name.clone();
        let capabilities = match link.purpose {
            Purpose::Queue { .. } => Symbols::One("queue"),
            _ => Symbols::None,
        };
        let source = Source { address, dynamic: address.is_none(), capabilities, ..Source::default() };
        let attach = Attach {
            name: &name,
            handle,
            role: Role::Receiver,
            source: Some(source),
            target: Some(Terminus::Target(Target { address: Some(&name), ..Target::default() })),
            ..Attach::default()
        };
        self.say(now, &Performative::Attach(attach));
    }

    /// The server attaches its end of a link.
    pub(super) fn attached(&mut self, now: Now, attach: &Attach<'_>) -> Result<(), CodecError> {
        const UNKNOWN: CodecError = CodecError::decode("the server attaches a link that is none of ours");
        let (handle, link) = self.links.attach(attach.name, attach.handle).ok_or(UNKNOWN)?;
        let source = attach.source.as_ref();
        match &link.purpose {
            // One that it refuses has no terminus, and its detach follows (part 2 §2.6.3).
            Purpose::Send { .. } => self.send_on(now, handle),
            _ if source.is_none() => {}
            Purpose::Replies => {
                link.count = attach.initial_delivery_count.unwrap_or(0);
                self.replies = match source.and_then(|source| source.address) {
                    Some(address) => Replies::At(address.to_owned()),
                    None => Replies::Nowhere,
                };
                self.grant(now, handle);
                self.send_waiting(now);
            }
            Purpose::Queue { .. } => {
                link.count = attach.initial_delivery_count.unwrap_or(0);
                self.grant(now, handle);
            }
            Purpose::Subscription { identifier, .. } => {
                let identifier = *identifier;
                link.count = attach.initial_delivery_count.unwrap_or(0);
                self.put(ClientOutput::Subscribed { identifier, granted: true });
                self.grant(now, handle);
            }
        }
        Ok(())
    }

    /// The server gives a link up.
    pub(super) fn detached(&mut self, now: Now, theirs: u32, error: Option<&ErrorInfo<'_>>) {
        let Some(handle) = self.links.ours(theirs) else { return };
        let Some(link) = self.links.remove(handle) else { return };
        let detach = Detach { handle, closed: true, error: None };
        self.say(now, &Performative::Detach(detach));
        let why = error.map(|error| format!("{} {}", error.condition, error.description.unwrap_or_default()));
        let why = why.unwrap_or_else(|| "without a reason".to_owned());
        match link.purpose {
            Purpose::Send { address: None, waiting } => {
                self.sender_ended(handle, waiting, error);
                self.leave(Some(format!("the server ended the link to its anonymous terminus: {why}")));
            }
            Purpose::Send { waiting, .. } => self.sender_ended(handle, waiting, error),
            Purpose::Subscription { identifier, .. } => {
                self.put(ClientOutput::Subscribed { identifier, granted: false });
            }
            Purpose::Queue { address } => {
                // The next connection finds it, or says that it is not there.
                self.leave(Some(format!("the server ended the link from '{address}': {why}")));
            }
            Purpose::Replies => {
                self.replies = Replies::Nowhere;
                self.send_waiting(now);
            }
        }
    }

    /// Gives a link credit for as much as may be unsettled, when half of it is used up.
    fn grant(&mut self, now: Now, handle: u32) {
        let most = u32::from(self.config.prefetch);
        let Some(link) = self.links.get_mut(handle) else { return };
        let most = match link.purpose {
            Purpose::Subscription { .. } => most.min(MOST_OF_ONE),
            _ => most,
        };
        let wanted = most.saturating_sub(link.unsettled);
        if link.credit > most / 2 || wanted <= link.credit {
            return;
        }
        link.credit = wanted;
        let flow = Flow {
            handle: Some(handle),
            delivery_count: Some(link.count),
            link_credit: Some(link.credit),
            ..self.session_flow()
        };
        self.say(now, &Performative::Flow(flow));
    }

    /// A transfer, with the part of a message that it carries.
    pub(super) fn transferred(
        &mut self,
        now: Now,
        transfer: &Transfer<'_>,
        part: &[u8],
    ) -> Result<(), CodecError> {
        const UNKNOWN: CodecError = CodecError::decode("a transfer came for a link that is not attached");
        const UNBIDDEN: CodecError = CodecError {
            condition: condition::TRANSFER_LIMIT_EXCEEDED,
            problem: "a transfer came for which there was no credit",
        };
        self.next_incoming = self.next_incoming.wrapping_add(1);
        self.incoming_window = self.incoming_window.saturating_sub(1);
        self.keep_window(now);
        let Some(handle) = self.links.ours(transfer.handle) else {
            // The server has not heard yet that we gave the link up.
            self.arriving = None;
            return Ok(());
        };
        let mut arriving = match self.arriving.take() {
            Some(arriving) if arriving.handle == handle => arriving,
            Some(_) => return Err(CodecError::decode("a message began amid another")),
            None => {
                let link = self.links.get_mut(handle).ok_or(UNKNOWN)?;
                if matches!(link.purpose, Purpose::Send { .. }) {
                    return Err(UNKNOWN);
                }
                link.credit = link.credit.checked_sub(1).ok_or(UNBIDDEN)?;
                link.count = link.count.wrapping_add(1);
                let delivery =
                    transfer.delivery_id.ok_or(CodecError::field("a transfer has no delivery-id"))?;
                Arriving { handle, delivery, settled: false, bytes: Vec::new(), too_large: false }
            }
        };
        if transfer.aborted {
            self.grant(now, handle);
            return Ok(());
        }
        arriving.settled |= transfer.settled == Some(true);
        // What is said of a payload comes on top of it.
        let most = self.config.payload_bytes as usize + self.config.frame_bytes as usize;
        arriving.too_large |= arriving.bytes.len() + part.len() > most;
        if !arriving.too_large {
            arriving.bytes.extend_from_slice(part);
        }
        if transfer.more {
            self.arriving = Some(arriving);
            return Ok(());
        }
        self.arrived(now, arriving)
    }

    /// A whole message.
    fn arrived(&mut self, now: Now, arriving: Arriving) -> Result<(), CodecError> {
        let Arriving { handle, delivery, settled, bytes, too_large } = arriving;
        let tag = self.owe(handle, (!settled).then_some(delivery))?;
        let bytes = Bytes::from(bytes);
        let config = self.config.clone();
        let read = if too_large { None } else { message::read(bytes, now) };
        let Some(link) = self.links.get_mut(handle) else { return Ok(()) };
        link.unsettled += 1;
        let refused = Outcome::rejected(windrose_event::Cause::BadPayload);
        let Some(content) = read else {
            self.settle(now, tag, &refused);
            return Ok(());
        };
        let (address, cause) = match &link.purpose {
            Purpose::Replies => {
                if let Some(token) = content.token() {
                    let (content_type, payload) = content.answer();
                    self.put(ClientOutput::Replied { token, content_type, payload });
                }
                self.settle(now, tag, &Outcome::Accepted);
                return Ok(());
            }
            Purpose::Queue { address } => {
                (message::of_queue(&content, address, &config.address), MessageCause::Queue)
            }
            Purpose::Subscription { identifier, filter } => {
                let address = message::of_filter(&content, filter, &config.address);
                (address, MessageCause::Subscription(*identifier))
            }
            Purpose::Send { .. } => return Ok(()),
        };
        let levels = usize::from(config.address_levels);
        let fits = |address: &windrose_event::Address| {
            address.as_bytes().iter().filter(|&&byte| byte == b'/').count() < levels
        };
        let small = content.payload_bytes() <= config.payload_bytes as usize;
        match address.filter(fits) {
            Some(address) if small => {
                let (publication, again) = content.into_publication(address);
                self.put(ClientOutput::Message { tag, publication, again, cause });
            }
            // It is no better the next time.
            _ => self.settle(now, tag, &refused),
        }
        Ok(())
    }

    /// Notes that something is to be settled.
    fn owe(&mut self, handle: u32, delivery: Option<u32>) -> Result<Tag, CodecError> {
        if self.unsettled.len() >= usize::from(u16::MAX) {
            return Err(CodecError::decode("more is unsettled than was allowed"));
        }
        loop {
            self.last_tag = self.last_tag.checked_add(1).unwrap_or(1);
            if let Entry::Vacant(entry) = self.unsettled.entry(self.last_tag) {
                entry.insert(Unsettled { handle, delivery });
                return Ok(Tag(self.last_tag));
            }
        }
    }

    pub(crate) fn settle(&mut self, now: Now, tag: Tag, outcome: &Outcome) {
        let Some(Unsettled { handle, delivery }) = self.unsettled.remove(&tag.0) else { return };
        if self.state != State::Open {
            return;
        }
        if let Some(first) = delivery {
            let state = match outcome {
                Outcome::Accepted => DeliveryState::Accepted,
                Outcome::Rejected(rejection) => {
                    let description = rejection.detail.as_deref();
                    let condition = "windrose:rejected";
                    DeliveryState::Rejected(Some(ErrorInfo { condition, description, info: None }))
                }
                Outcome::Busy { .. } | Outcome::Unavailable { .. } => DeliveryState::Released,
                Outcome::TimedOut => DeliveryState::Modified {
                    delivery_failed: true,
                    undeliverable_here: false,
                    message_annotations: None,
                },
            };
            let disposition = Disposition {
                role: Role::Receiver,
                first,
                last: None,
                settled: true,
                state: Some(state),
                batchable: false,
            };
            self.say(now, &Performative::Disposition(disposition));
        }
        if let Some(Link { unsettled, .. }) = self.links.get_mut(handle) {
            *unsettled = unsettled.saturating_sub(1);
            self.grant(now, handle);
        }
    }
}
