//! Content headers: how long a body is, and what is said of it (AMQP 0-9-1 §4.2.6.1, class basic).

use super::read::{Reader, put_long, put_short};
use super::{CodecError, Table};

/// The class that content belongs to: there is no other in 0-9-1.
pub const BASIC: u16 = 60;

/// Flags of properties that are there (AMQP 0-9-1 §4.2.6.1): the first property has the highest bit.
pub mod property {
    /// A MIME type.
    pub const CONTENT_TYPE: u16 = 1 << 15;
    /// A MIME encoding.
    pub const CONTENT_ENCODING: u16 = 1 << 14;
    /// The table of headers.
    pub const HEADERS: u16 = 1 << 13;
    /// 1: transient, 2: persistent.
    pub const DELIVERY_MODE: u16 = 1 << 12;
    /// 0 to 9.
    pub const PRIORITY: u16 = 1 << 11;
    /// What a reply says again.
    pub const CORRELATION_ID: u16 = 1 << 10;
    /// Where to reply to.
    pub const REPLY_TO: u16 = 1 << 9;
    /// How long it is good for, in milliseconds, as text.
    pub const EXPIRATION: u16 = 1 << 8;
    /// What the application calls the message.
    pub const MESSAGE_ID: u16 = 1 << 7;
    /// When, in seconds since 1970.
    pub const TIMESTAMP: u16 = 1 << 6;
    /// What kind of message.
    pub const TYPE: u16 = 1 << 5;
    /// Who sent it; must be true.
    pub const USER_ID: u16 = 1 << 4;
    /// Which application sent it.
    pub const APP_ID: u16 = 1 << 3;
    /// Reserved; once the cluster.
    pub const CLUSTER_ID: u16 = 1 << 2;
}

/// A content header (AMQP 0-9-1 §4.2.6.1): a view of its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentHeader<'a> {
    /// The class, which must be the method's.
    pub class: u16,
    /// The body's length, in all its frames.
    pub body_size: u64,
    /// Property flags and list, not looked at yet.
    pub properties: &'a [u8],
}

impl<'a> ContentHeader<'a> {
    /// Reads a header frame's payload.
    ///
    /// # Errors
    /// It is too short.
    pub fn read(payload: &'a [u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(payload);
        let class = u16::from_be_bytes(reader.array()?);
        // RabbitMQ ignores the weight, which "must be zero"; so do we.
        let _weight: [u8; 2] = reader.array()?;
        let body_size = u64::from_be_bytes(reader.array()?);
        Ok(Self { class, body_size, properties: reader.rest() })
    }
}

/// The properties of class basic: views of their bytes. Short strings are not checked to be text, for nobody must write
/// text there.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Properties<'a> {
    /// A MIME type.
    pub content_type: Option<&'a [u8]>,
    /// A MIME encoding.
    pub content_encoding: Option<&'a [u8]>,
    /// What the application adds, and some extensions.
    pub headers: Option<Table<'a>>,
    /// 1: transient, 2: persistent.
    pub delivery_mode: Option<u8>,
    /// 0 to 9.
    pub priority: Option<u8>,
    /// What a reply says again.
    pub correlation_id: Option<&'a [u8]>,
    /// Where to reply to.
    pub reply_to: Option<&'a [u8]>,
    /// How long it is good for, in milliseconds, as text.
    pub expiration: Option<&'a [u8]>,
    /// What the application calls the message.
    pub message_id: Option<&'a [u8]>,
    /// When, in seconds since 1970.
    pub timestamp: Option<u64>,
    /// What kind of message.
    pub kind: Option<&'a [u8]>,
    /// Who sent it; must be true.
    pub user_id: Option<&'a [u8]>,
    /// Which application sent it.
    pub app_id: Option<&'a [u8]>,
    /// Reserved.
    pub cluster_id: Option<&'a [u8]>,
}

impl<'a> Properties<'a> {
    /// Reads property flags and list; tables in it are looked through.
    ///
    /// # Errors
    /// A property goes beyond the end, is malformed, or is not known.
    pub fn read(bytes: &'a [u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        let flags = u16::from_be_bytes(reader.array()?);
        if flags & 3 != 0 {
            return Err(CodecError::syntax("a content header has properties that class basic has not"));
        }
        let has = |flag: u16| flags & flag != 0;
        macro_rules! short {
            ($flag:ident) => {
                if has(property::$flag) { Some(reader.short_bytes()?) } else { None }
            };
        }
        macro_rules! octet {
            ($flag:ident) => {
                if has(property::$flag) { Some(u8::from_be_bytes(reader.array()?)) } else { None }
            };
        }
        let properties = Self {
            content_type: short!(CONTENT_TYPE),
            content_encoding: short!(CONTENT_ENCODING),
            headers: if has(property::HEADERS) { Some(Table::read(reader.long_bytes()?)?) } else { None },
            delivery_mode: octet!(DELIVERY_MODE),
            priority: octet!(PRIORITY),
            correlation_id: short!(CORRELATION_ID),
            reply_to: short!(REPLY_TO),
            expiration: short!(EXPIRATION),
            message_id: short!(MESSAGE_ID),
            timestamp: if has(property::TIMESTAMP) {
                Some(u64::from_be_bytes(reader.array()?))
            } else {
                None
            },
            kind: short!(TYPE),
            user_id: short!(USER_ID),
            app_id: short!(APP_ID),
            cluster_id: short!(CLUSTER_ID),
        };
        if reader.is_empty() {
            Ok(properties)
        } else {
            Err(CodecError::syntax("a content header goes on after its last property"))
        }
    }

    /// Appends property flags and list.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let mut flags = 0_u16;
        out.extend_from_slice(&[0, 0]);
        macro_rules! short {
            ($field:ident, $flag:ident) => {
                if let Some(text) = self.$field {
                    flags |= property::$flag;
                    put_short(out, text);
                }
            };
        }
        short!(content_type, CONTENT_TYPE);
        short!(content_encoding, CONTENT_ENCODING);
        if let Some(headers) = self.headers {
            flags |= property::HEADERS;
            put_long(out, headers.as_bytes());
        }
        if let Some(mode) = self.delivery_mode {
            flags |= property::DELIVERY_MODE;
            out.push(mode);
        }
        if let Some(priority) = self.priority {
            flags |= property::PRIORITY;
            out.push(priority);
        }
        short!(correlation_id, CORRELATION_ID);
        short!(reply_to, REPLY_TO);
        short!(expiration, EXPIRATION);
        short!(message_id, MESSAGE_ID);
        if let Some(timestamp) = self.timestamp {
            flags |= property::TIMESTAMP;
            out.extend_from_slice(&timestamp.to_be_bytes());
        }
        short!(kind, TYPE);
        short!(user_id, USER_ID);
        short!(app_id, APP_ID);
        short!(cluster_id, CLUSTER_ID);
        if let Some(place) = out.get_mut(start..start + 2) {
            place.copy_from_slice(&flags.to_be_bytes());
        }
    }
}
