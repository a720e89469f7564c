//! Content: payloads in another representation, for routes that say `as: json`. Only the representation changes: SenML is
//! not resolved (RFC 8428 §4.6), numbers keep their values, subscribers get what was sent.

mod binary;
mod labels;
mod text;

use std::borrow::Cow;
use std::fmt::Display;
use std::sync::Arc;
use windrose_event::{Cause, Rejection};

/// How deep arrays, maps and tags may be in one another.
const MOST_DEPTH: usize = 64;

/// A media type in CBOR that has a twin in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// CBOR (RFC 8949).
    Plain,
    /// Sensor measurements (RFC 8428 §12.3).
    Senml,
    /// A stream of sensor measurements (RFC 8428 §12.3).
    Sensml,
    /// Fetching from and patching sensor measurements (RFC 8790 §5).
    SenmlEtch,
}

impl Form {
    const ALL: [Self; 4] = [Self::Plain, Self::Senml, Self::Sensml, Self::SenmlEtch];

    /// The form that a media type names, if it is one of them.
    pub(crate) fn of_cbor(content_type: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| is_type(content_type, form.cbor()))
    }

    /// The form whose twin in JSON a media type names.
    fn of_json(content_type: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| is_type(content_type, form.json()))
    }

    /// Its media type in CBOR.
    const fn cbor(self) -> &'static str {
        match self {
            Self::Plain => "application/cbor",
            Self::Senml => "application/senml+cbor",
            Self::Sensml => "application/sensml+cbor",
            Self::SenmlEtch => "application/senml-etch+cbor",
        }
    }

    /// Its media type in JSON.
    pub(crate) const fn json(self) -> &'static str {
        match self {
            Self::Plain => "application/json",
            Self::Senml => "application/senml+json",
            Self::Sensml => "application/sensml+json",
            Self::SenmlEtch => "application/senml-etch+json",
        }
    }

    /// Whether it is an array of records with labels (RFC 8428 §6).
    const fn is_pack(self) -> bool {
        !matches!(self, Self::Plain)
    }
}

/// A payload in CBOR, as JSON of at most `most` bytes.
pub(crate) fn to_json(form: Form, payload: &[u8], most: usize) -> Result<Vec<u8>, Rejection> {
    text::write(form, payload, most)
}

/// A reply in JSON, in CBOR: its media type and bytes. `None`: it is something else, and stays what it is.
pub(crate) fn to_cbor(content_type: &str, payload: &[u8]) -> Option<(&'static str, Vec<u8>)> {
    let form = Form::of_json(content_type)?;
    let value = serde_json::from_slice(payload).ok()?;
    Some((form.cbor(), binary::write(form, &value)?))
}

/// Whether a media type is that one, whatever parameters it has.
fn is_type(content_type: &str, wanted: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(wanted)
}

/// A payload that is not what it says it is.
fn bad(why: impl Display) -> Rejection {
    let detail: Arc<str> = format!("its CBOR cannot be written as JSON: {why}").into();
    Rejection { cause: Cause::BadPayload, detail: Some(detail) }
}

/// A map's key as JSON has it.
type Key<'a> = Cow<'a, str>;

#[cfg(test)]
mod tests;
