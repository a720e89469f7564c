//! What comes from the server: queues that the document has consumed from, and one queue of the client's own that is bound
//! to what local clients subscribe to (AMQP 0-9-1 §1.7, §1.8).

use super::open::QUEUE_TAG;
use super::publish::REPLIES_TAG;
use super::{CHANNEL, Client, State, message};
use crate::amqp::client::{ClientOutput, MessageCause};
use crate::amqp::v091::codec::{
    BasicAck, BasicConsume, BasicNack, BasicReject, CodecError, ContentHeader, Properties, QueueBind,
    QueueDeclare, QueueDelete, QueueUnbind, Table, TableBuf, Value,
};
use bytes::Bytes;
use windrose_event::{
    Address, Cause, Filter, Now, Outcome, Publication, TOPIC_EXCHANGE, Tag, address_of, pattern_of,
};

/// How long the server keeps the client's own queue without a connection, in milliseconds: longer than any outage that a
/// sender waits through.
const QUEUE_EXPIRY: i32 = 3_600_000;

/// The consumer tag of the client's own queue.
const OWN_TAG: &str = "own";

/// What is answered in the order asked.
pub(super) enum Asked {
    /// queue.bind, for the subscription of that number.
    Bind(u32),
    /// queue.unbind.
    Unbind,
    /// queue.declare.
    Declare,
}

/// What a content is for.
pub(super) enum Purpose {
    /// basic.deliver.
    Deliver { tag: u64, again: bool, exchange: Box<str>, key: Box<str>, cause: MessageCause },
    /// basic.deliver of a reply.
    Reply,
    /// basic.return.
    Return { key: Box<str> },
}

/// A content that is coming.
pub(super) struct Incoming {
    pub(super) purpose: Purpose,
    /// Flags and list of the content header; `None`: it has not come.
    properties: Option<Bytes>,
    missing: u64,
    body: Vec<u8>,
    /// Whether it is larger than we take.
    too_large: bool,
}

impl Incoming {
    pub(super) fn new(purpose: Purpose) -> Self {
        Self { purpose, properties: None, missing: 0, body: Vec::new(), too_large: false }
    }
}

/// What is wrong with a server that sends frames in another order.
pub(super) const OUT_OF_ORDER: CodecError =
    CodecError::frame("a frame came that is not the one which is due");

impl Client {
    pub(crate) fn subscribe(&mut self, now: Now, filter: &Filter, identifier: u32) -> bool {
        if self.state != State::Open {
            return false;
        }
        let config = self.config.clone();
        let key = pattern_of(filter);
        if config.exchange.is_empty() || key.len() > 255 {
            // Nothing can be bound to the default exchange.
            self.put(ClientOutput::Subscribed { identifier, granted: false });
            return true;
        }
        self.declare(now);
        self.stale.retain(|stale| stale != filter);
        let bind = QueueBind {
            queue: &config.name,
            exchange: &config.exchange,
            routing_key: &key,
            no_wait: false,
            arguments: Table::default(),
        };
        self.say(now, CHANNEL, bind);
        self.asked.push_back(Asked::Bind(identifier));
        true
    }

    pub(crate) fn unsubscribe(&mut self, now: Now, filter: &Filter) -> bool {
        self.stale.push(filter.clone());
        if self.state == State::Open {
            self.unbind_stale(now);
        }
        true
    }

    /// Unbinds what nobody wants any more.
    pub(super) fn unbind_stale(&mut self, now: Now) {
        if self.stale.is_empty() {
            return;
        }
        self.declare(now);
        let config = self.config.clone();
        for filter in std::mem::take(&mut self.stale) {
            let routing_key = &*pattern_of(&filter);
            let (queue, exchange) = (&*config.name, &*config.exchange);
            self.say(now, CHANNEL, QueueUnbind { queue, exchange, routing_key, arguments: Table::default() });
            self.asked.push_back(Asked::Unbind);
        }
    }

    /// Makes the client's own queue, unless it is there. What an earlier process left is removed first.
    fn declare(&mut self, now: Now) {
        if self.declared {
            return;
        }
        self.declared = true;
        let config = self.config.clone();
        let queue = &*config.name;
        if !self.cleared {
            self.cleared = true;
            let delete = QueueDelete { queue, if_unused: false, if_empty: false, no_wait: true };
            self.say(now, CHANNEL, delete);
        }
        let mut arguments = TableBuf::new();
        arguments.put("x-expires", Value::I32(QUEUE_EXPIRY));
        let declare = QueueDeclare {
            queue,
            passive: false,
            durable: true,
            exclusive: false,
            auto_delete: false,
            no_wait: false,
            arguments: arguments.table(),
        };
        self.say(now, CHANNEL, declare);
        self.asked.push_back(Asked::Declare);
        let consume = BasicConsume {
            queue,
            consumer_tag: OWN_TAG,
            no_local: false,
            no_ack: false,
            exclusive: false,
            no_wait: true,
            arguments: Table::default(),
        };
        self.say(now, CHANNEL, consume);
    }

    /// queue.declare-ok, queue.bind-ok, queue.unbind-ok: what was asked first is done.
    pub(super) fn answered(&mut self, fits: impl Fn(&Asked) -> bool) -> Result<(), CodecError> {
        match self.asked.pop_front().filter(fits) {
            Some(Asked::Bind(identifier)) => {
                self.put(ClientOutput::Subscribed { identifier, granted: true });
                Ok(())
            }
            Some(Asked::Unbind | Asked::Declare) => Ok(()),
            None => Err(OUT_OF_ORDER),
        }
    }

    /// What a consumer tag stands for.
    pub(super) fn purpose(tag: u64, consumer: &str, again: bool, exchange: &str, key: &str) -> Purpose {
        if consumer == REPLIES_TAG {
            return Purpose::Reply;
        }
        let is_queue = consumer.starts_with(QUEUE_TAG);
        let cause = if is_queue { MessageCause::Queue } else { MessageCause::Subscriptions };
        Purpose::Deliver { tag, again, exchange: exchange.into(), key: key.into(), cause }
    }

    /// A content header.
    pub(super) fn header(&mut self, now: Now, header: ContentHeader<'_>) -> Result<(), CodecError> {
        let most = u64::from(self.config.payload_bytes);
        let Some(incoming) = self.incoming.as_mut().filter(|incoming| incoming.properties.is_none()) else {
            return Err(OUT_OF_ORDER);
        };
        incoming.properties = Some(Bytes::copy_from_slice(header.properties));
        incoming.missing = header.body_size;
        incoming.too_large = header.body_size > most;
        self.finish(now)
    }

    /// A part of a body.
    pub(super) fn body(&mut self, now: Now, part: &[u8]) -> Result<(), CodecError> {
        let Some(incoming) = self.incoming.as_mut().filter(|incoming| incoming.properties.is_some()) else {
            return Err(OUT_OF_ORDER);
        };
        incoming.missing = incoming.missing.checked_sub(part.len() as u64).ok_or(OUT_OF_ORDER)?;
        if !incoming.too_large {
            incoming.body.extend_from_slice(part);
        }
        self.finish(now)
    }

    /// Acts on a content when it is whole.
    fn finish(&mut self, now: Now) -> Result<(), CodecError> {
        let Some(incoming) = self.incoming.take_if(|incoming| incoming.missing == 0) else { return Ok(()) };
        let Incoming { purpose, properties: raw, body, too_large, .. } = incoming;
        let raw = raw.unwrap_or_default();
        let properties = Properties::read(&raw)?;
        match purpose {
            Purpose::Return { key } => self.returned(&key, properties.message_id.unwrap_or_default()),
            Purpose::Reply => {
                if !too_large {
                    let correlation = properties.correlation_id.unwrap_or_default();
                    self.replied(correlation, properties.content_type, body.into());
                }
            }
            Purpose::Deliver { tag, again, exchange, key, cause } => {
                let mine = self.owe(tag)?;
                match self.publication(&exchange, &key, &raw, properties, body, too_large) {
                    Ok(publication) => {
                        let publication = Box::new(publication);
                        self.put(ClientOutput::Message { tag: mine, publication, again, cause });
                    }
                    // It is no better the next time.
                    Err(cause) => self.settle(now, mine, &Outcome::rejected(cause)),
                }
            }
        }
        Ok(())
    }

    fn publication(
        &self,
        exchange: &str,
        key: &str,
        raw: &[u8],
        properties: Properties<'_>,
        body: Vec<u8>,
        too_large: bool,
    ) -> Result<Publication, Cause> {
        if too_large {
            return Err(Cause::TooLarge);
        }
        // The exchange that events are published to is the namespace, whatever its name.
        let ours = *exchange == *self.config.exchange;
        let address = address_of(if ours { TOPIC_EXCHANGE } else { exchange }, key);
        let address: Address = address.map_err(|_| Cause::BadAddress)?;
        let slashes = address.as_bytes().iter().filter(|&&byte| byte == b'/').count();
        if slashes >= usize::from(self.config.address_levels) {
            return Err(Cause::BadAddress);
        }
        Ok(message::read(address, exchange, key, raw, properties, body.into()))
    }

    /// Notes an acknowledgement that is due.
    fn owe(&mut self, theirs: u64) -> Result<Tag, CodecError> {
        if self.unsettled.len() >= usize::from(u16::MAX) {
            return Err(CodecError::frame("more is unacknowledged than was allowed"));
        }
        loop {
            self.last_tag = self.last_tag.checked_add(1).unwrap_or(1);
            if let std::collections::hash_map::Entry::Vacant(entry) = self.unsettled.entry(self.last_tag) {
                entry.insert(theirs);
                return Ok(Tag(self.last_tag));
            }
        }
    }

    /// What became of a message. One that could not be taken now goes back to its queue; one that never will be goes where
    /// the queue's dead letters go.
    pub(crate) fn settle(&mut self, now: Now, tag: Tag, outcome: &Outcome) {
        let Some(delivery_tag) = self.unsettled.remove(&tag.0) else { return };
        if self.state != State::Open {
            return;
        }
        match outcome {
            Outcome::Accepted => self.say(now, CHANNEL, BasicAck { delivery_tag, multiple: false }),
            Outcome::Rejected(_) => self.say(now, CHANNEL, BasicReject { delivery_tag, requeue: false }),
            Outcome::Busy { .. } | Outcome::TimedOut | Outcome::Unavailable { .. } => {
                self.say(now, CHANNEL, BasicNack { delivery_tag, multiple: false, requeue: true });
            }
        }
    }
}
