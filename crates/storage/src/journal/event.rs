//! Events and who published them, as they are written down.
//!
//! An event: version 1, or 2 if its details have more than there was in that; time and identifier (8 and 16 bytes, the highest first, so that two values of one address can be
//! told apart without reading more); address; flags; expiry; payload; details; origin. Groups and owned devices of a
//! publisher are not written: they say what it may do, and it has done it.

use super::bytes::{Reader, Writer};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{
    Address, Assurance, Death, Details, Event, EventId, Identity, Origin, Original, Principal, Publication,
    Text, Timestamp, Will,
};

const VERSION: u8 = 1;

/// The version of events whose details say how their sender wrote them, or in which queues they died.
const EXTENDED: u8 = 2;

/// Protocols that can have published something.
const PROTOCOLS: &[&str] = &["mqtt", "http", "coap", "amqp"];

/// Publishers that were read: events of one publisher share what is known of it, as they did before.
#[derive(Default)]
pub(super) struct Origins(HashMap<Bytes, Arc<Origin>>);

pub(super) fn write_event(event: &Event) -> Vec<u8> {
    let is_extended = |details: &Details| details.original.is_some() || !details.deaths.is_empty();
    let extended = event.details.as_deref().is_some_and(is_extended);
    let mut writer = Writer::new(if extended { EXTENDED } else { VERSION });
    writer.0.reserve(96 + event.address.as_bytes().len() + event.payload.len());
    writer.0.extend_from_slice(&event.time.as_micros().to_be_bytes());
    writer.0.extend_from_slice(&event.id.as_u128().to_be_bytes());
    writer.bytes(event.address.as_bytes());
    writer.byte(event.assurance as u8 | u8::from(event.retain) << 2);
    writer.option(event.expires, |writer, at| writer.number(at.as_micros()));
    writer.bytes(&event.payload);
    writer.option(event.details.as_deref(), write_details);
    if let Some(details) = event.details.as_deref().filter(|_| extended) {
        write_extension(&mut writer, details);
    }
    write_origin(&mut writer, &event.origin, false);
    writer.0
}

pub(super) fn read_event(bytes: Bytes, origins: &mut Origins) -> Option<Event> {
    let extended = bytes.first() == Some(&EXTENDED);
    let mut reader = Reader::new(bytes, if extended { EXTENDED } else { VERSION })?;
    let time = Timestamp::from_micros(u64::from_be_bytes(reader.take(8)?.as_ref().try_into().ok()?));
    let id = EventId::from_u128(u128::from_be_bytes(reader.take(16)?.as_ref().try_into().ok()?));
    let address = Address::from_bytes(reader.bytes()?).ok()?;
    let flags = reader.byte()?;
    let expires = reader.option(|reader| reader.number().map(Timestamp::from_micros))?;
    let payload = reader.bytes()?;
    let mut details = reader.option(read_details)?.map(Box::new);
    if let Some(details) = details.as_mut().filter(|_| extended) {
        read_extension(&mut reader, details)?;
    }
    let origin = origins.read(&mut reader)?;
    let (assurance, retain) = (assurance(flags & 3)?, flags & 4 != 0);
    Some(Event { id, time, address, origin, assurance, retain, expires, payload, details })
}

/// The time and identifier of an event that is written down, and whether it has a payload.
pub(super) fn peek_event(bytes: &[u8]) -> Option<(Timestamp, EventId, bool)> {
    let time = u64::from_be_bytes(bytes.get(1..9)?.try_into().ok()?);
    let id = u128::from_be_bytes(bytes.get(9..25)?.try_into().ok()?);
    let version = bytes.first().copied().filter(|version| matches!(*version, VERSION | EXTENDED))?;
    let mut reader = Reader::new(Bytes::copy_from_slice(bytes), version)?;
    reader.take(24)?;
    reader.bytes()?;
    reader.byte()?;
    reader.option(Reader::number)?;
    let has_payload = reader.number()? > 0;
    Some((Timestamp::from_micros(time), EventId::from_u128(id), has_payload))
}

pub(super) fn assurance(number: u8) -> Option<Assurance> {
    match number {
        0 => Some(Assurance::AtMostOnce),
        1 => Some(Assurance::AtLeastOnce),
        2 => Some(Assurance::ExactlyOnce),
        _ => None,
    }
}

pub(super) fn write_will(writer: &mut Writer, will: &Will) {
    let Publication { address, payload, assurance, retain, expiry, details } = &will.publication;
    writer.bytes(address.as_bytes());
    writer.bytes(payload);
    writer.byte(*assurance as u8 | u8::from(*retain) << 2);
    writer.option(*expiry, write_duration);
    writer.option(details.as_deref(), write_details);
    write_duration(writer, will.delay);
}

pub(super) fn read_will(reader: &mut Reader) -> Option<Will> {
    let address = Address::from_bytes(reader.bytes()?).ok()?;
    let payload = reader.bytes()?;
    let flags = reader.byte()?;
    let (assurance, retain) = (assurance(flags & 3)?, flags & 4 != 0);
    let expiry = reader.option(read_duration)?;
    let details = reader.option(read_details)?.map(Box::new);
    let publication = Publication { address, payload, assurance, retain, expiry, details };
    Some(Will { publication, delay: read_duration(reader)? })
}

/// In microseconds; what is longer than those can say is for ever.
pub(super) fn write_duration(writer: &mut Writer, duration: Duration) {
    writer.number(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
}

pub(super) fn read_duration(reader: &mut Reader) -> Option<Duration> {
    reader.number().map(Duration::from_micros)
}

fn write_details(writer: &mut Writer, details: &Details) {
    let Details { content_type, is_text, reply_to, correlation, headers, original: _, deaths: _ } = details;
    writer.option(content_type.as_ref(), |writer, text| writer.bytes(text.as_bytes()));
    writer.option(*is_text, |writer, is_text| writer.byte(u8::from(is_text)));
    writer.option(reply_to.as_ref(), |writer, address| writer.bytes(address.as_bytes()));
    writer.option(correlation.as_ref(), |writer, bytes| writer.bytes(bytes));
    writer.list(headers.iter(), |writer, (name, value)| {
        writer.bytes(name.as_bytes());
        writer.bytes(value.as_bytes());
    });
}

fn read_details(reader: &mut Reader) -> Option<Details> {
    let text = |reader: &mut Reader| Text::from_utf8(reader.bytes()?).ok();
    Some(Details {
        content_type: reader.option(text)?,
        is_text: reader.option(Reader::flag)?,
        reply_to: reader.option(|reader| Address::from_bytes(reader.bytes()?).ok())?,
        correlation: reader.option(Reader::bytes)?,
        headers: reader.list(|reader| Some((text(reader)?, text(reader)?)))?,
        ..Details::default()
    })
}

fn write_extension(writer: &mut Writer, details: &Details) {
    writer.option(details.original.as_ref(), |writer, Original { form, bytes }| {
        writer.text(form);
        writer.bytes(bytes);
    });
    writer.list(details.deaths.iter(), |writer, death| {
        let Death { queue, reason, count, time, exchange, key } = death;
        writer.bytes(queue.as_bytes());
        writer.text(reason);
        writer.number(u64::from(*count));
        writer.number(time.as_micros());
        writer.bytes(exchange.as_bytes());
        writer.bytes(key.as_bytes());
    });
}

fn read_extension(reader: &mut Reader, details: &mut Details) -> Option<()> {
    let text = |reader: &mut Reader| Text::from_utf8(reader.bytes()?).ok();
    details.original = reader.option(|reader| {
        let form = Original::form_named(&reader.text()?)?;
        Some(Original { form, bytes: reader.bytes()? })
    })?;
    details.deaths = reader.list(|reader| {
        let queue = text(reader)?;
        let reason = reader.text()?;
        Some(Death {
            queue,
            reason: Death::REASONS.into_iter().find(|known| **known == *reason)?,
            count: u32::try_from(reader.number()?).ok()?,
            time: Timestamp::from_micros(reader.number()?),
            exchange: text(reader)?,
            key: text(reader)?,
        })
    })?;
    Some(())
}

/// `whole`: with what it may do.
pub(super) fn write_origin(writer: &mut Writer, origin: &Origin, whole: bool) {
    write_identity(writer, &origin.identity, whole);
    writer.text(&origin.session);
    writer.text(origin.protocol);
    writer.text(&origin.listener);
}

/// `whole`: with what it may do.
pub(super) fn write_identity(writer: &mut Writer, identity: &Identity, whole: bool) {
    // What proved it is the business of the connection that is gone.
    let Identity { principal, groups, owned, proof: _ } = identity;
    match principal {
        Principal::Anonymous => writer.byte(0),
        Principal::Device { id, owner } => {
            writer.byte(1);
            writer.text(id);
            writer.option(owner.as_deref(), Writer::text);
        }
        Principal::Owner { id } => {
            writer.byte(2);
            writer.text(id);
        }
        Principal::Service { name } => {
            writer.byte(3);
            writer.text(name);
        }
    }
    let (groups, owned): (&[_], &[_]) = if whole { (groups, owned) } else { (&[], &[]) };
    writer.list(groups.iter(), |writer, group| writer.text(group));
    writer.list(owned.iter(), |writer, device| writer.text(device));
}

pub(super) fn read_identity(reader: &mut Reader) -> Option<Identity> {
    let principal = match reader.byte()? {
        0 => Principal::Anonymous,
        1 => Principal::Device { id: reader.text()?, owner: reader.option(Reader::text)? },
        2 => Principal::Owner { id: reader.text()? },
        3 => Principal::Service { name: reader.text()? },
        _ => return None,
    };
    let groups = reader.list(Reader::text)?.into();
    let owned = reader.list(Reader::text)?.into();
    Some(Identity { principal, groups, owned, proof: None })
}

fn read_origin(reader: &mut Reader) -> Option<Origin> {
    let identity = read_identity(reader)?;
    let session = reader.text()?;
    let protocol = reader.bytes()?;
    let protocol = PROTOCOLS.iter().find(|known| known.as_bytes() == protocol.as_ref())?;
    Some(Origin { identity, session, protocol, listener: reader.text()? })
}

impl Origins {
    pub(super) fn read(&mut self, reader: &mut Reader) -> Option<Arc<Origin>> {
        let from = reader.position();
        let rest = reader.between(from, usize::MAX);
        // It stands at the end, so what is left is the key.
        if let Some(known) = self.0.get(&rest) {
            return Some(known.clone());
        }
        let origin = Arc::new(read_origin(reader)?);
        // A copy: the key must not hold the payload that it was read with.
        self.0.insert(Bytes::copy_from_slice(&rest), origin.clone());
        Some(origin)
    }
}
