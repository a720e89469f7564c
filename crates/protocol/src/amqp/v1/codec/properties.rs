//! The properties of a message that never change (part 3 §3.2.4).

use super::format::descriptor;
use super::value::Value;
use super::{CodecError, Fields, ListWriter};

/// A message's properties.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Properties<'a> {
    /// Which message: a ulong, a UUID, a binary or a string.
    pub message_id: Value<'a>,
    /// Who made it.
    pub user_id: Option<&'a [u8]>,
    /// Where it is for.
    pub to: Option<&'a str>,
    /// What it is about.
    pub subject: Option<&'a str>,
    /// Where an answer should go.
    pub reply_to: Option<&'a str>,
    /// What it is an answer to: like a message-id.
    pub correlation_id: Value<'a>,
    /// The media type of its body.
    pub content_type: Option<&'a str>,
    /// How its body is encoded besides.
    pub content_encoding: Option<&'a str>,
    /// When it stops being worth delivering, in milliseconds since the Unix epoch.
    pub absolute_expiry_time: Option<i64>,
    /// When it was made.
    pub creation_time: Option<i64>,
    /// The group that it is part of.
    pub group_id: Option<&'a str>,
    /// Its number there.
    pub group_sequence: Option<u32>,
    /// The group that answers should be part of.
    pub reply_to_group_id: Option<&'a str>,
}

impl Default for Properties<'_> {
    fn default() -> Self {
        Self {
            message_id: Value::Null,
            user_id: None,
            to: None,
            subject: None,
            reply_to: None,
            correlation_id: Value::Null,
            content_type: None,
            content_encoding: None,
            absolute_expiry_time: None,
            creation_time: None,
            group_id: None,
            group_sequence: None,
            reply_to_group_id: None,
        }
    }
}

/// Addresses, too, may be of any type (part 3 §3.2.4); all known are strings.
fn text<'a>(fields: &mut Fields<'a>) -> Result<Option<&'a str>, CodecError> {
    Ok(fields.any()?.text())
}

fn id<'a>(fields: &mut Fields<'a>) -> Result<Value<'a>, CodecError> {
    let value = fields.any()?;
    let right =
        matches!(value, Value::Null | Value::Ulong(_) | Value::Uuid(_) | Value::Binary(_) | Value::String(_));
    if right {
        Ok(value)
    } else {
        Err(CodecError::decode("a message-id or correlation-id has a type that it cannot"))
    }
}

impl<'a> Properties<'a> {
    pub(super) fn read(mut fields: Fields<'a>) -> Result<Self, CodecError> {
        Ok(Self {
            message_id: id(&mut fields)?,
            user_id: fields.binary()?,
            to: text(&mut fields)?,
            subject: fields.string()?,
            reply_to: text(&mut fields)?,
            correlation_id: id(&mut fields)?,
            content_type: text(&mut fields)?,
            content_encoding: text(&mut fields)?,
            absolute_expiry_time: fields.timestamp()?,
            creation_time: fields.timestamp()?,
            group_id: fields.string()?,
            group_sequence: fields.uint()?,
            reply_to_group_id: fields.string()?,
        })
    }

    /// Appends them as a section.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut list = ListWriter::described(out, descriptor::PROPERTIES);
        list.value(&self.message_id);
        list.binary(self.user_id);
        list.string(self.to);
        list.string(self.subject);
        list.string(self.reply_to);
        list.value(&self.correlation_id);
        list.symbol(self.content_type);
        list.symbol(self.content_encoding);
        list.timestamp(self.absolute_expiry_time);
        list.timestamp(self.creation_time);
        list.string(self.group_id);
        list.uint(self.group_sequence);
        list.string(self.reply_to_group_id);
        list.finish();
    }
}
