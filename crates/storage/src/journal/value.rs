//! What is written down of sessions and their messages.
//!
//! Table `sessions`: the key is the session's number (8 bytes, the highest first), a letter, and what the letter says; so
//! all that belongs to a session stands together. Each value begins with the version of its form.
//!
//! | letter | then | value |
//! |---|---|---|
//! | `Q` | | a queue, if it is not a session |
//! | `S` | | the session itself |
//! | `T` | tag (2 bytes) | an exactly-once publication that its peer may send again |
//! | `U` | group, 0, filter | a subscription |
//! | `F` | position (8 bytes) | the tag of a message that was sent, and whether the peer has it |
//! | `M` | position (8 bytes) | a message: with its event, or with the number of one that several wait for |

use super::bytes::{Reader, Writer};
use super::event::{
    Origins, assurance, read_duration, read_event, read_will, write_duration, write_event, write_origin,
    write_will,
};
use bytes::Bytes;
use smallvec::SmallVec;
use std::sync::Arc;
use windrose_engine::{MessageRecord, Recall, SessionNumber, SessionRecord, SubscriptionRecord, TakenState};
use windrose_event::{Address, Event, EventId, Filter, Tag, Timestamp};

const VERSION: u8 = 1;

/// A key of the table `sessions`.
pub(super) type Key = SmallVec<[u8; 24]>;

/// What a key's letter says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Letter {
    Queue = b'Q',
    Session = b'S',
    Taken = b'T',
    Subscription = b'U',
    Flight = b'F',
    Message = b'M',
}

impl Letter {
    pub(super) fn of(key: &[u8]) -> Option<Self> {
        match key.get(8)? {
            b'Q' => Some(Self::Queue),
            b'S' => Some(Self::Session),
            b'T' => Some(Self::Taken),
            b'U' => Some(Self::Subscription),
            b'F' => Some(Self::Flight),
            b'M' => Some(Self::Message),
            _ => None,
        }
    }
}

pub(super) fn key(session: SessionNumber, letter: Letter, rest: &[u8]) -> Key {
    let mut key = Key::new();
    key.extend_from_slice(&session.0.to_be_bytes());
    key.push(letter as u8);
    key.extend_from_slice(rest);
    key
}

pub(super) fn subscription_key(session: SessionNumber, filter: &Filter, group: Option<&str>) -> Key {
    let mut key = key(session, Letter::Subscription, group.unwrap_or_default().as_bytes());
    key.push(0);
    key.extend_from_slice(filter.as_str().as_bytes());
    key
}

pub(super) fn session_of(key: &[u8]) -> Option<SessionNumber> {
    Some(SessionNumber(u64::from_be_bytes(key.get(..8)?.try_into().ok()?)))
}

pub(super) fn position_of(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(9..17)?.try_into().ok()?))
}

pub(super) fn tag_of(key: &[u8]) -> Option<Tag> {
    Some(Tag(u16::from_be_bytes(key.get(9..11)?.try_into().ok()?)))
}

pub(super) fn write_session(session: &SessionRecord) -> Vec<u8> {
    let mut writer = Writer::new(VERSION);
    writer.text(&session.name);
    write_duration(&mut writer, session.keep);
    writer.option(session.expires, |writer, at| writer.number(at.as_micros()));
    writer.option(session.will.as_deref(), write_will);
    writer.option(session.will_due, |writer, at| writer.number(at.as_micros()));
    write_origin(&mut writer, &session.origin, true);
    writer.0
}

pub(super) fn read_session(
    number: SessionNumber,
    bytes: Bytes,
    origins: &mut Origins,
) -> Option<SessionRecord> {
    let mut reader = Reader::new(bytes, VERSION)?;
    let timestamp = |reader: &mut Reader| reader.number().map(Timestamp::from_micros);
    Some(SessionRecord {
        number,
        name: reader.text()?,
        keep: read_duration(&mut reader)?,
        expires: reader.option(timestamp)?,
        will: reader.option(read_will)?.map(Box::new),
        will_due: reader.option(timestamp)?,
        origin: origins.read(&mut reader)?,
    })
}

pub(super) fn write_taken(state: TakenState) -> Vec<u8> {
    let state = match state {
        TakenState::Pending => 0,
        TakenState::Accepted { heard: false } => 1,
        TakenState::Accepted { heard: true } => 2,
    };
    vec![VERSION, state]
}

pub(super) fn read_taken(bytes: Bytes) -> Option<TakenState> {
    match Reader::new(bytes, VERSION)?.byte()? {
        0 => Some(TakenState::Pending),
        1 => Some(TakenState::Accepted { heard: false }),
        2 => Some(TakenState::Accepted { heard: true }),
        _ => None,
    }
}

pub(super) fn write_subscription(subscription: &SubscriptionRecord) -> Vec<u8> {
    let SubscriptionRecord {
        filter,
        group,
        assurance,
        no_local,
        retain_as_published,
        own_copy,
        identifier,
        recall,
    } = subscription;
    let mut writer = Writer::new(VERSION);
    writer.text(filter.as_str());
    writer.option(group.as_deref(), Writer::text);
    let flags = u8::from(*no_local) << 2 | u8::from(*retain_as_published) << 3 | u8::from(*own_copy) << 4;
    writer.byte(*assurance as u8 | flags);
    writer.number(u64::from(*identifier));
    writer.option(recall.as_ref(), |writer, recall| {
        writer.option(recall.after.as_ref(), |writer, after| writer.bytes(after.as_bytes()));
    });
    writer.0
}

pub(super) fn read_subscription(bytes: Bytes) -> Option<SubscriptionRecord> {
    let mut reader = Reader::new(bytes, VERSION)?;
    let filter = Filter::new(&reader.text()?).ok()?;
    let group = reader.option(Reader::text)?;
    let flags = reader.byte()?;
    Some(SubscriptionRecord {
        filter,
        group,
        assurance: assurance(flags & 3)?,
        no_local: flags & 4 != 0,
        retain_as_published: flags & 8 != 0,
        own_copy: flags & 16 != 0,
        identifier: u32::try_from(reader.number()?).ok()?,
        recall: reader.option(|reader| {
            let after = reader.option(|reader| Address::from_bytes(reader.bytes()?).ok())?;
            Some(Recall { after })
        })?,
    })
}

pub(super) fn write_flight(tag: Tag, received: bool) -> Vec<u8> {
    let [high, low] = tag.0.to_be_bytes();
    vec![VERSION, high, low, u8::from(received)]
}

/// The tag, and whether the peer has the message.
pub(super) fn read_flight(bytes: Bytes) -> Option<(Tag, bool)> {
    let mut reader = Reader::new(bytes, VERSION)?;
    let tag = u16::from_be_bytes(reader.take(2)?.as_ref().try_into().ok()?);
    Some((Tag(tag), reader.flag()?))
}

/// `shared`: the event is written once for all messages of it, and only named here.
pub(super) fn write_message(message: &MessageRecord, shared: bool) -> Vec<u8> {
    let MessageRecord { event, assurance, retain, subscriptions, share } = message;
    let mut writer = Writer::new(VERSION);
    writer.byte(*assurance as u8 | u8::from(*retain) << 2 | u8::from(shared) << 3);
    writer.list(subscriptions.iter(), |writer, identifier| writer.number(u64::from(*identifier)));
    writer.option(share.as_ref(), |writer, (group, filter)| {
        writer.text(group);
        writer.text(filter.as_str());
    });
    if shared {
        writer.0.extend_from_slice(&event.id.as_u128().to_be_bytes());
    } else {
        writer.0.extend_from_slice(&write_event(event));
    }
    writer.0
}

/// `find` gives events that several messages wait for.
pub(super) fn read_message(
    bytes: Bytes,
    origins: &mut Origins,
    find: impl FnOnce(EventId, &mut Origins) -> Option<Arc<Event>>,
) -> Option<MessageRecord> {
    let mut reader = Reader::new(bytes, VERSION)?;
    let flags = reader.byte()?;
    let subscriptions = reader.list(|reader| u32::try_from(reader.number()?).ok())?;
    let share = reader.option(|reader| Some((reader.text()?, Filter::new(&reader.text()?).ok()?)))?;
    let rest = reader.between(reader.position(), usize::MAX);
    let event = if flags & 8 == 0 {
        Arc::new(read_event(rest, origins)?)
    } else {
        find(EventId::from_u128(u128::from_be_bytes(rest.as_ref().try_into().ok()?)), origins)?
    };
    Some(MessageRecord {
        event,
        assurance: assurance(flags & 3)?,
        retain: flags & 4 != 0,
        subscriptions: subscriptions.into(),
        share,
    })
}

/// The event that a message only names, if it does.
pub(super) fn shared_event(message: &[u8]) -> Option<EventId> {
    if message.get(1)? & 8 == 0 {
        return None;
    }
    let id = message.get(message.len().checked_sub(16)?..)?;
    Some(EventId::from_u128(u128::from_be_bytes(id.try_into().ok()?)))
}
