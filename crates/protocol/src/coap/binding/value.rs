//! Representations of events: content formats, entity-tags, conditions (RFC 7252 §5.5, §5.10).

use crate::coap::codec::{Code, Options, option};
use crate::coap::{Response, format, link};
use serde_json::Value;
use smallvec::SmallVec;
use windrose_event::{Event, Now};

/// What tells an address's last values apart (RFC 7252 §5.10.6).
pub(super) type ETag = [u8; 8];

/// The entity-tag of an event: no two events have the same identifier.
pub(super) fn etag(event: &Event) -> ETag {
    let id = event.id.as_u128();
    (((id >> 64) ^ id) as u64).to_be_bytes()
}

/// The entity-tags among a request's options that can be of ours.
pub(super) fn etags(options: Options<'_>, number: u16) -> SmallVec<[ETag; 1]> {
    options.values(number).filter_map(|value| value.try_into().ok()).collect()
}

/// Which value there must be.
#[derive(Clone, Debug)]
enum IfMatch {
    /// Any.
    Any,
    /// One that has one of these entity-tags.
    OneOf(SmallVec<[ETag; 1]>),
}

/// What must hold before a request is performed (RFC 7252 §5.10.8).
#[derive(Clone, Debug, Default)]
pub(super) struct Conditions {
    if_match: Option<IfMatch>,
    /// If-None-Match: there is no value.
    if_none: bool,
}

impl Conditions {
    pub(super) fn read(options: Options<'_>) -> Self {
        let if_match = if options.values(option::IF_MATCH).any(<[u8]>::is_empty) {
            Some(IfMatch::Any)
        } else {
            let given = options.has(option::IF_MATCH);
            given.then(|| IfMatch::OneOf(etags(options, option::IF_MATCH)))
        };
        Self { if_match, if_none: options.has(option::IF_NONE_MATCH) }
    }

    /// Whether there are none.
    pub(super) const fn is_empty(&self) -> bool {
        self.if_match.is_none() && !self.if_none
    }

    /// Whether they hold for a last value.
    pub(super) fn hold(&self, value: Option<&Event>) -> bool {
        let matches = match (&self.if_match, value) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(IfMatch::Any), Some(_)) => true,
            (Some(IfMatch::OneOf(tags)), Some(event)) => tags.contains(&etag(event)),
        };
        matches && !(self.if_none && value.is_some())
    }
}

/// The content format in which an event is told to somebody who accepts one, or anything; `None`: it cannot be. What nobody
/// has said the format of is told as what it is.
#[expect(clippy::option_option, reason = "no format is another answer than no representation")]
pub(super) fn format_for(event: &Event, accept: Option<u16>) -> Option<Option<u16>> {
    let known = link::format_of(event);
    let Some(accept) = accept else { return Some(known) };
    let fits = match known {
        Some(known) => known == accept,
        None if event.content_type().is_some() => accept == format::OCTETS,
        None => match accept {
            format::OCTETS => true,
            format::TEXT => std::str::from_utf8(&event.payload).is_ok(),
            format::JSON => serde_json::from_slice::<Value>(&event.payload).is_ok(),
            _ => false,
        },
    };
    fits.then_some(Some(accept))
}

/// 2.05 with an event's payload, whole.
pub(super) fn content(now: Now, event: &Event, format: Option<u16>) -> Response {
    let mut response = Response::new(Code::CONTENT);
    response.options.insert(option::ETAG, &etag(event));
    if let Some(format) = format {
        response.options.insert_uint(option::CONTENT_FORMAT, format.into());
    }
    insert_max_age(now, event, &mut response);
    response.payload = event.payload.clone();
    response
}

/// 2.03: the client has that value already.
pub(super) fn valid(now: Now, event: &Event) -> Response {
    let mut response = Response::new(Code::VALID);
    response.options.insert(option::ETAG, &etag(event));
    insert_max_age(now, event, &mut response);
    response
}

/// What expires is fresh for as long as it lives; of everything else the default is as good as any (RFC 7252 §5.10.5).
fn insert_max_age(now: Now, event: &Event, response: &mut Response) {
    if let Some(expires) = event.expires {
        let seconds = expires.since(now.wall).as_secs();
        response.options.insert_uint(option::MAX_AGE, u32::try_from(seconds).unwrap_or(u32::MAX));
    }
}

/// 4.06: there is no representation of the format that is accepted (RFC 7252 §5.9.2.7).
pub(super) fn not_acceptable() -> Response {
    Response::diagnostic(Code::NOT_ACCEPTABLE, "it is of another content format than Accept asks for")
}
