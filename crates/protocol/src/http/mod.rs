//! REST and CloudEvents, as pure mappings between HTTP messages and events.
//!
//! North, an [`Event`](windrose_event::Event) becomes a CloudEvent 1.0.2 in a request to a service, in one of the modes
//! of the HTTP protocol binding: [`write_binary`] (§3.1), [`write_structured`] (§3.2) and [`write_batch`] (§3.3); the
//! service's answer, which on HTTP/1.1 a [`ResponseReader`] reads, becomes an outcome by [`read_outcome`]. South, a
//! request becomes what is published by [`read_body`] and [`Wishes`]; outcomes become [`Problem`]s; subscriptions are
//! written as server-sent events by [`write_frame`].
//!
//! # Attributes
//!
//! | attribute | value |
//! |---|---|
//! | `id` | the event's identifier |
//! | `source` | `windrose://NODE/devices/ID`, `/owners/ID`, `/services/NAME` or `/anonymous/SESSION` |
//! | `type` | `io.windrose.event` |
//! | `subject` | the event's address |
//! | `time` | when the node received it, RFC 3339 in microseconds |
//! | `deviceid`, `ownerid` | which thing and whose, only if the registry said so; always ours |
//! | `protocol` | how it came in: `mqtt`, `http`; always ours |
//! | `address` | the event's address, only if the sender gave a `subject` of its own; always ours |
//! | `traceparent`, `tracestate` | the sender's trace (W3C Trace Context), also as HTTP headers of these names |
//!
//! A sender may give attributes itself: as `ce-*` headers, or as MQTT 5 user properties, with the prefix `ce-` or, if
//! one of them is `specversion`, without it (CloudEvents MQTT binding §3.1). These win over ours for `id`, `source`,
//! `type`, `subject` and `time`; nothing that a sender says wins for the attributes that are always ours.
//!
//! Any other named value (MQTT 5: user property) becomes an extension attribute if its name, in lower case, is 1 to 20
//! letters and digits. In binary mode the others travel as headers `windrose-property-NAME`, as far as the name is fit
//! for a header; what goes beyond 64 values or 4 KiB of them is left out.

mod attributes;
mod binary;
mod body;
mod client;
mod credentials;
mod envelope;
mod est;
mod media;
mod openapi;
mod outcome;
mod paths;
mod problem;
mod sse;
mod structured;
mod time;
mod wishes;

#[cfg(test)]
mod samples;

pub use binary::{write_binary, write_binary_lines, write_content_type};
pub use body::{Body, MAX_BATCH_EVENTS, Received, read_body};
pub use client::{Ended, MAX_BODY, MAX_HEAD, Response, ResponseReader, Violation};
pub use credentials::read_credentials;
pub use est::{
    AuthorityResource, MAX_AUTHORITY_BODY, read_certificate_request, read_status_question, refused,
    write_enrolled,
};
pub use media::{BATCH, EVENT_STREAM, JSON, PROBLEM, STRUCTURED};
pub use openapi::openapi;
pub use outcome::read_outcome;
pub use paths::{PathError, Query, Resource, read_path};
pub use problem::Problem;
pub use sse::{HEARTBEAT, write_frame};
pub use structured::{write_batch, write_structured};
pub use wishes::{Wishes, read_duration};
