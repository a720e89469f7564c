//! What is written down of exchanges, queues and bindings.
//!
//! A queue stands in the table `sessions` with what waits in it. Table `topology`: `E` and an exchange's name, or `B` and a
//! binding as it is written down; the values say the rest. Each value begins with the version of its form.

use super::bytes::{Reader, Writer};
use super::event::{read_duration, read_identity, write_duration, write_identity};
use bytes::Bytes;
use std::sync::Arc;
use windrose_engine::{BindingRecord, QueueRecord, SessionNumber};
use windrose_event::{
    Binding, Destination, ExchangeDeclaration, ExchangeKind, HeadersTest, Overflow, QueueDeclaration,
    QueueOptions, Text,
};

const VERSION: u8 = 1;

/// The letters of keys.
pub(super) const EXCHANGE: u8 = b'E';
pub(super) const BINDING: u8 = b'B';

pub(super) fn exchange_key(name: &str) -> Vec<u8> {
    let mut key = vec![EXCHANGE];
    key.extend_from_slice(name.as_bytes());
    key
}

pub(super) fn write_exchange(exchange: &ExchangeDeclaration) -> Vec<u8> {
    let ExchangeDeclaration { name, passive: _, kind, durable: _, auto_delete, internal, alternate } =
        exchange;
    let mut writer = Writer::new(VERSION);
    writer.bytes(name.as_bytes());
    writer.text(kind.name());
    writer.byte(u8::from(*auto_delete) | u8::from(*internal) << 1);
    writer.option(alternate.as_ref(), |writer, name| writer.bytes(name.as_bytes()));
    writer.0
}

pub(super) fn read_exchange(bytes: Bytes) -> Option<ExchangeDeclaration> {
    let mut reader = Reader::new(bytes, VERSION)?;
    let name = text(&mut reader)?;
    let kind = ExchangeKind::named(&reader.text()?)?;
    let flags = reader.byte()?;
    let (auto_delete, internal) = (flags & 1 != 0, flags & 2 != 0);
    let alternate = reader.option(text)?;
    Some(ExchangeDeclaration { name, passive: false, kind, durable: true, auto_delete, internal, alternate })
}

pub(super) fn write_queue(queue: &QueueRecord) -> Vec<u8> {
    let QueueDeclaration { name, auto_delete, options, .. } = &*queue.declaration;
    let mut writer = Writer::new(VERSION);
    writer.option(name.as_ref(), |writer, name| writer.bytes(name.as_bytes()));
    writer.byte(u8::from(*auto_delete) | u8::from(options.single_active_consumer) << 1);
    writer.option(options.message_ttl, write_duration);
    writer.option(options.expires, write_duration);
    writer.option(options.max_length, Writer::number);
    writer.option(options.max_length_bytes, Writer::number);
    writer.byte(match options.overflow {
        None => 0,
        Some(Overflow::DropHead) => 1,
        Some(Overflow::RejectPublish) => 2,
        Some(Overflow::RejectPublishDlx) => 3,
    });
    for name in [&options.dead_letter_exchange, &options.dead_letter_routing_key] {
        writer.option(name.as_ref(), |writer, name| writer.bytes(name.as_bytes()));
    }
    writer.0
}

pub(super) fn read_queue(number: SessionNumber, bytes: Bytes) -> Option<QueueRecord> {
    let mut reader = Reader::new(bytes, VERSION)?;
    let name = reader.option(text)?;
    let flags = reader.byte()?;
    let options = QueueOptions {
        message_ttl: reader.option(read_duration)?,
        expires: reader.option(read_duration)?,
        max_length: reader.option(Reader::number)?,
        max_length_bytes: reader.option(Reader::number)?,
        overflow: match reader.byte()? {
            0 => None,
            1 => Some(Overflow::DropHead),
            2 => Some(Overflow::RejectPublish),
            3 => Some(Overflow::RejectPublishDlx),
            _ => return None,
        },
        dead_letter_exchange: reader.option(text)?,
        dead_letter_routing_key: reader.option(text)?,
        single_active_consumer: flags & 2 != 0,
    };
    let declaration = QueueDeclaration {
        name,
        passive: false,
        durable: true,
        exclusive: false,
        auto_delete: flags & 1 != 0,
        options,
    };
    Some(QueueRecord { number, declaration: Arc::new(declaration) })
}

pub(super) fn binding_key(binding: &Binding) -> Vec<u8> {
    let Binding { source, destination, key, headers } = binding;
    let mut writer = Writer(vec![BINDING, VERSION]);
    writer.bytes(source.as_bytes());
    let (kind, name) = match destination {
        Destination::Queue(name) => (0, name),
        Destination::Exchange(name) => (1, name),
    };
    writer.byte(kind);
    writer.bytes(name.as_bytes());
    writer.bytes(key.as_bytes());
    writer.option(headers.as_ref(), |writer, HeadersTest { any, wanted }| {
        writer.byte(u8::from(*any));
        writer.list(wanted.iter(), |writer, (name, value)| {
            writer.bytes(name.as_bytes());
            writer.option(value.as_ref(), |writer, value| writer.bytes(value.as_bytes()));
        });
    });
    writer.0
}

pub(super) fn write_binding(binding: &BindingRecord) -> Vec<u8> {
    let mut writer = Writer::new(VERSION);
    writer.option(binding.by.as_deref(), |writer, by| write_identity(writer, by, true));
    writer.0
}

pub(super) fn read_binding(key: Bytes, value: Bytes) -> Option<BindingRecord> {
    let mut reader = Reader::new(key.slice(1.min(key.len())..), VERSION)?;
    let source = text(&mut reader)?;
    let is_exchange = reader.flag()?;
    let name = text(&mut reader)?;
    let destination = if is_exchange { Destination::Exchange(name) } else { Destination::Queue(name) };
    let key = text(&mut reader)?;
    let headers = reader.option(|reader| {
        let any = reader.flag()?;
        let wanted = reader.list(|reader| Some((text(reader)?, reader.option(text)?)))?;
        Some(HeadersTest { any, wanted })
    })?;
    let by = Reader::new(value, VERSION)?.option(read_identity)?.map(Arc::new);
    Some(BindingRecord { binding: Arc::new(Binding { source, destination, key, headers }), by })
}

/// A copy: what is read must not hold the buffer that it was read from.
fn text(reader: &mut Reader) -> Option<Text> {
    Text::copy_from_utf8(&reader.bytes()?).ok()
}
