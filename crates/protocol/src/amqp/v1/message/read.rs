//! A message as everybody else knows it. The whole of it is kept besides, for those who speak AMQP 1.0 as well.

use super::attributes::header_of;
use super::ids::bytes_of;
use super::text::{json_of, text_of};
use super::{CONTENT_ENCODING, GROUP_ID, MESSAGE_ID, RETAIN, SUBJECT};
use crate::amqp::v1::codec::{Body, CodecError, Map, Message, Properties, Value};
use crate::amqp::v1::node;
use bytes::{Bytes, BytesMut};
use std::time::Duration;
use windrose_event::{Details, Filter, Original, Text, Timestamp};

/// Application properties that others are told; all travel with the message itself.
const MOST_PROPERTIES: usize = 256;

/// What a message carries.
#[derive(Debug)]
pub(crate) struct Content {
    /// Where it is to, if it says.
    pub(crate) to: Option<Text>,
    /// What it is about, if it says.
    pub(crate) subject: Option<Text>,
    /// Its body, as bytes.
    pub(crate) payload: Bytes,
    /// The rest of it.
    pub(crate) details: Box<Details>,
    /// Whether it must not be lost.
    pub(crate) durable: bool,
    /// How long it is worth delivering.
    pub(crate) expiry: Option<Duration>,
    /// Whether it becomes its address's last value.
    pub(crate) retain: bool,
}

/// Reads a message. `queues` are the addresses that are queues without saying so, for what it says of its reply.
pub(crate) fn read(bytes: Bytes, wall: Timestamp, queues: &[Filter]) -> Result<Content, CodecError> {
    let message = Message::read(&bytes)?;
    if !message.delivery_annotations_at.is_empty() {
        // They are for this hop alone.
        let at = message.delivery_annotations_at;
        let mut rest = BytesMut::with_capacity(bytes.len() - at.len());
        rest.extend_from_slice(bytes.get(..at.start).unwrap_or_default());
        rest.extend_from_slice(bytes.get(at.end..).unwrap_or_default());
        return read(rest.freeze(), wall, queues);
    }
    let mut content = Content {
        to: None,
        subject: None,
        payload: Bytes::new(),
        details: Box::default(),
        durable: false,
        expiry: None,
        retain: false,
    };
    if let Some(header) = &message.header {
        content.durable = header.durable;
        content.expiry = header.ttl.map(|millis| Duration::from_millis(millis.into()));
    }
    if let Some(annotations) = &message.message_annotations {
        content.retain = annotations.get(RETAIN) == Some(Value::Boolean(true));
    }
    if let Some(properties) = &message.properties {
        content.properties(properties, wall, queues);
    }
    if let Some(map) = &message.application_properties {
        content.headers(map);
    }
    content.body(&bytes, &message.body);
    content.details.original = Some(Original { form: Original::AMQP_1_0, bytes });
    Ok(content)
}

impl Content {
    fn properties(&mut self, properties: &Properties<'_>, wall: Timestamp, queues: &[Filter]) {
        self.to = properties.to.map(Text::from);
        self.subject = properties.subject.map(Text::from);
        if let Some(at) = properties.absolute_expiry_time {
            let millis = u64::try_from(at).unwrap_or(0).saturating_sub(wall.as_millis());
            let left = Duration::from_millis(millis);
            self.expiry = Some(self.expiry.map_or(left, |ttl| ttl.min(left)));
        }
        let details = &mut *self.details;
        details.content_type = properties.content_type.map(Text::from);
        details.reply_to = properties.reply_to.and_then(|address| node::place(address, queues));
        details.correlation = bytes_of(&properties.correlation_id);
        if details.correlation.is_none() && details.reply_to.is_some() {
            // Who gives no correlation-id has the answer name the message (part 3 §3.2.4).
            details.correlation = bytes_of(&properties.message_id);
        }
        let id = bytes_of(&properties.message_id).and_then(|id| Text::from_utf8(id).ok());
        let mut header = |name: &'static str, value: Option<Text>| {
            details.headers.extend(value.map(|value| (Text::from_static(name), value)));
        };
        header(MESSAGE_ID, id);
        header(SUBJECT, properties.subject.map(Text::from));
        header(CONTENT_ENCODING, properties.content_encoding.map(Text::from));
        header(GROUP_ID, properties.group_id.map(Text::from));
    }

    fn headers(&mut self, map: &Map<'_>) {
        for pair in map.iter().take(MOST_PROPERTIES) {
            let Ok((Value::String(name), value)) = pair else { continue };
            let Some(value) = text_of(&value) else { continue };
            self.details.headers.push((Text::from(&*header_of(name)), value));
        }
    }

    fn body(&mut self, bytes: &Bytes, body: &Body<'_>) {
        let json = match body {
            Body::None | Body::Value(Value::Null) => return,
            Body::Data(data) | Body::Value(Value::Binary(data)) => {
                self.payload = bytes.slice_ref(data);
                return;
            }
            Body::Value(Value::String(text)) => {
                self.payload = bytes.slice_ref(text.as_bytes());
                self.details.is_text = Some(true);
                return;
            }
            Body::Pieces(pieces) => {
                let mut whole = BytesMut::new();
                for piece in pieces.iter() {
                    if let Value::Binary(data) = piece {
                        whole.extend_from_slice(data);
                    }
                }
                self.payload = whole.freeze();
                return;
            }
            Body::Value(value) => json_of(value, 0),
            Body::Sequences(lists) => {
                let all = lists.iter().map(|list| json_of(&list, 1));
                let values = all.flat_map(|list| match list {
                    serde_json::Value::Array(values) => values,
                    other => vec![other],
                });
                serde_json::Value::Array(values.collect())
            }
        };
        self.payload = json.to_string().into();
        let details = &mut self.details;
        details.content_type.get_or_insert_with(|| Text::from_static("application/json"));
    }
}
