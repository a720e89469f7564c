//! An event's CloudEvents attributes, in one order for every mode (CloudEvents §3.1).

use super::time;
use crate::uri::SEGMENT;
use percent_encoding::utf8_percent_encode;
use std::borrow::Cow;
use windrose_event::{Event, EventId, Principal, Text};

/// The `type` of an event whose sender gave none.
pub(super) const DEFAULT_TYPE: &str = "io.windrose.event";

/// Named values of one event that are looked at.
const MAX_VALUES: usize = 64;
/// Bytes of named values, names included, that travel with one event.
const MAX_VALUE_BYTES: usize = 4_096;
/// The longest name of an extension attribute (CloudEvents §3.1, naming conventions).
const MAX_EXTENSION_NAME: usize = 20;

/// Names that no named value of a sender may take, whatever it is (in lower case).
const RESERVED: [&str; 15] = [
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "dataschema",
    "data",
    "deviceid",
    "ownerid",
    "protocol",
    "address",
    "traceparent",
    "tracestate",
];

/// The name of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name<'a> {
    SpecVersion,
    Id,
    Source,
    Type,
    Subject,
    Time,
    DataSchema,
    DeviceId,
    OwnerId,
    Protocol,
    Address,
    TraceParent,
    TraceState,
    /// Letters and digits, in any case: written in lower case.
    Extension(&'a str),
    /// A named value that cannot be an attribute; only binary mode has a place for it.
    Property(&'a str),
}

impl<'a> Name<'a> {
    /// As structured mode writes it, if it has a place for it.
    pub(super) fn text(self) -> Option<&'a str> {
        Some(match self {
            Self::SpecVersion => "specversion",
            Self::Id => "id",
            Self::Source => "source",
            Self::Type => "type",
            Self::Subject => "subject",
            Self::Time => "time",
            Self::DataSchema => "dataschema",
            Self::DeviceId => "deviceid",
            Self::OwnerId => "ownerid",
            Self::Protocol => "protocol",
            Self::Address => "address",
            Self::TraceParent => "traceparent",
            Self::TraceState => "tracestate",
            Self::Extension(name) => name,
            Self::Property(_) => return None,
        })
    }
}

/// A part of an attribute's value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Piece<'a> {
    /// Characters that headers and JSON take as they are. Most of what is written is of this kind.
    Plain(&'a [u8]),
    /// Any text, in UTF-8.
    Text(&'a [u8]),
}

impl<'a> Piece<'a> {
    /// What a sender gave, or what is written if it gave nothing.
    fn given_or(given: Option<&'a str>, ours: &'a [u8]) -> Self {
        given.map_or(Self::Plain(ours), |given| Self::Text(given.as_bytes()))
    }

    /// What [`segment`] made of a name.
    fn segment(segment: &'a str) -> Self {
        if segment.contains('%') { Self::Text(segment.as_bytes()) } else { Self::Plain(segment.as_bytes()) }
    }
}

/// Calls `write` with each attribute's name and the pieces of its value.
pub(super) fn each(node: &str, event: &Event, mut write: impl FnMut(Name<'_>, &[Piece<'_>])) {
    let headers = event.headers();
    let given = Given::read(headers);
    write(Name::SpecVersion, &[Piece::Plain(b"1.0")]);
    write(Name::Id, &[Piece::given_or(given.id, &uuid(event.id))]);
    match given.source {
        Some(source) => write(Name::Source, &[Piece::Text(source.as_bytes())]),
        None => {
            let (kind, name) = source(event);
            let (node, name) = (segment(node), segment(name));
            let (node, name) = (Piece::segment(&node), Piece::segment(&name));
            write(Name::Source, &[Piece::Plain(b"windrose://"), node, Piece::Plain(kind.as_bytes()), name]);
        }
    }
    write(Name::Type, &[Piece::given_or(given.kind, DEFAULT_TYPE.as_bytes())]);
    let address = event.address.as_bytes();
    write(Name::Subject, &[Piece::Text(given.subject.map_or(address, str::as_bytes))]);
    write(Name::Time, &[Piece::given_or(given.time, &time::rfc3339(event.time))]);
    let mut text = |name: Name<'_>, text: &str| write(name, &[Piece::Text(text.as_bytes())]);
    if let Some(schema) = given.schema {
        text(Name::DataSchema, schema);
    }
    let identity = &event.origin.identity;
    if let Some(device) = identity.device() {
        text(Name::DeviceId, device);
    }
    if let Some(owner) = identity.owner() {
        text(Name::OwnerId, owner);
    }
    write(Name::Protocol, &[Piece::Plain(event.origin.protocol.as_bytes())]);
    if given.subject.is_some() {
        write(Name::Address, &[Piece::Text(address)]);
    }
    let mut text = |name: Name<'_>, text: &str| write(name, &[Piece::Text(text.as_bytes())]);
    if let Some(parent) = given.traceparent {
        text(Name::TraceParent, parent);
        if let Some(state) = given.tracestate {
            text(Name::TraceState, state);
        }
    }
    if !headers.is_empty() {
        named_values(headers, given.bare, &mut text);
    }
}

/// An event's `type` and `id`, for those who need nothing else.
pub(super) fn with_type_and_id<T>(event: &Event, read: impl FnOnce(&str, &str) -> T) -> T {
    let given = Given::read(event.headers());
    let ours = uuid(event.id);
    read(given.kind.unwrap_or(DEFAULT_TYPE), given.id.unwrap_or(text(&ours)))
}

fn named_values(headers: &[(Text, Text)], bare: bool, write: &mut impl FnMut(Name<'_>, &str)) {
    let mut room = MAX_VALUE_BYTES;
    let headers = headers.get(..MAX_VALUES).unwrap_or(headers);
    for (index, (name, value)) in headers.iter().enumerate() {
        let Some(name) = name_of(name, bare) else { continue };
        // Names may repeat among an event's values, but not among attributes: the first one counts.
        let repeated = headers.iter().take(index).filter_map(|(earlier, _)| name_of(earlier, bare)).any(
            |earlier| match (earlier, name) {
                (Name::Extension(earlier), Name::Extension(name)) => earlier.eq_ignore_ascii_case(name),
                _ => false,
            },
        );
        let (Name::Extension(word) | Name::Property(word)) = name else { continue };
        let Some(left) = room.checked_sub(word.len() + value.len()) else { continue };
        if !repeated {
            room = left;
            write(name, value);
        }
    }
}

/// What a sender's named value is written as, if as anything.
fn name_of(name: &str, bare: bool) -> Option<Name<'_>> {
    let stripped = strip_prefix(name);
    let word = stripped.unwrap_or(name);
    let fits = (1..=MAX_EXTENSION_NAME).contains(&word.len())
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let reserved = RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(word));
    match (fits && !reserved, stripped.is_some()) {
        (true, _) => Some(Name::Extension(word)),
        // What calls itself an attribute and is none, or is one that has been written already.
        (false, true) => None,
        (false, false) if reserved && (bare || is_trace(word)) => None,
        (false, false) => Some(Name::Property(name)),
    }
}

/// The attributes that a sender gave itself.
#[derive(Default)]
struct Given<'a> {
    /// Whether names without the prefix are attributes.
    bare: bool,
    id: Option<&'a str>,
    source: Option<&'a str>,
    kind: Option<&'a str>,
    subject: Option<&'a str>,
    time: Option<&'a str>,
    schema: Option<&'a str>,
    traceparent: Option<&'a str>,
    tracestate: Option<&'a str>,
}

impl<'a> Given<'a> {
    fn read(headers: &'a [(Text, Text)]) -> Self {
        let mut given = Self::default();
        if headers.is_empty() {
            return given;
        }
        given.bare = headers
            .iter()
            .any(|(name, version)| name.eq_ignore_ascii_case("specversion") && version.as_str() == "1.0");
        for (name, value) in headers.iter().take(MAX_VALUES) {
            let stripped = strip_prefix(name);
            let word = stripped.unwrap_or(name);
            if stripped.is_none() && !given.bare && !is_trace(word) {
                continue;
            }
            given.take(word, value);
        }
        given
    }

    fn take(&mut self, word: &str, value: &'a str) {
        let is = |name: &str| word.eq_ignore_ascii_case(name);
        let (slot, fits) = if is("id") {
            (&mut self.id, true)
        } else if is("source") {
            (&mut self.source, true)
        } else if is("type") {
            (&mut self.kind, true)
        } else if is("subject") {
            (&mut self.subject, true)
        } else if is("time") {
            (&mut self.time, time::is_rfc3339(value))
        } else if is("dataschema") {
            (&mut self.schema, true)
        } else if is("traceparent") {
            (&mut self.traceparent, is_traceparent(value))
        } else if is("tracestate") {
            (&mut self.tracestate, value.bytes().all(|byte| matches!(byte, b' '..=b'~')))
        } else {
            return;
        };
        if slot.is_none() && fits && !value.is_empty() && value.len() <= MAX_VALUE_BYTES {
            *slot = Some(value);
        }
    }
}

fn strip_prefix(name: &str) -> Option<&str> {
    let (prefix, word) = name.split_at_checked(3)?;
    prefix.eq_ignore_ascii_case("ce-").then_some(word)
}

fn is_trace(word: &str) -> bool {
    word.eq_ignore_ascii_case("traceparent") || word.eq_ignore_ascii_case("tracestate")
}

/// Whether it reads as W3C Trace Context §3.2 writes it: version, trace, parent and flags in hexadecimal.
fn is_traceparent(value: &str) -> bool {
    value.len() == 55
        && value.bytes().enumerate().all(|(index, byte)| match index {
            2 | 35 | 52 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

fn source(event: &Event) -> (&'static str, &str) {
    match &event.origin.identity.principal {
        Principal::Anonymous => ("/anonymous/", &event.origin.session),
        Principal::Device { id, .. } => ("/devices/", id),
        Principal::Owner { id } => ("/owners/", id),
        Principal::Service { name } => ("/services/", name),
    }
}

fn segment(text: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() | (byte == b'-') | (byte == b'_') | (byte == b'.');
    if text.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
        return Cow::Borrowed(text);
    }
    utf8_percent_encode(text, SEGMENT).into()
}

/// The identifier as [`EventId`]'s `Display` writes it, without the formatter's cost.
fn uuid(id: EventId) -> [u8; 36] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    /// Where each byte's two digits stand.
    const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
    let mut out = [b'-'; 36];
    for (byte, place) in id.as_u128().to_be_bytes().into_iter().zip(PLACES) {
        out[place] = HEX[usize::from(byte >> 4)];
        out[place + 1] = HEX[usize::from(byte & 0xf)];
    }
    out
}

/// What this file writes itself is ASCII.
fn text(ascii: &[u8]) -> &str {
    std::str::from_utf8(ascii).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use windrose_event::Timestamp;

    #[test]
    fn identifiers_are_written_as_their_display_does() {
        for count in [0, 1, 0x10_0000, u32::MAX] {
            let id = EventId::new(Timestamp::from_micros(1_795_245_379_123_456), 0x2a5_5a5a_5a5a, count);
            assert_eq!(text(&uuid(id)), id.to_string());
        }
    }

    #[test]
    fn trace_parents_are_checked() {
        assert!(is_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
        assert!(!is_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0\n"));
        assert!(!is_traceparent("4bf92f3577b34da6a3ce929d0e0e4736"));
    }
}
