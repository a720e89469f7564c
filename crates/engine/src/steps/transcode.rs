//! Deliver, before it: payloads in CBOR become JSON for the routes that say `as: json`, and their replies CBOR again.

use crate::content::{self, Form};
use crate::engine::Engine;
use crate::io::Reply;
use crate::receipts::Receipt;
use crate::steps::route::Target;
use smallvec::SmallVec;
use std::sync::Arc;
use windrose_event::{Details, Event, Now, Outcome};

/// How many times larger than `limits.payload_bytes` a payload may be as JSON.
const GROWTH: usize = 4;

/// An event as pools get it.
pub(super) struct North<'a> {
    /// As it came.
    pub(super) event: &'a Arc<Event>,
    /// With a payload in JSON, and what it was in before.
    pub(super) json: Option<(Arc<Event>, Form)>,
}

impl North<'_> {
    /// The event for one target, and what its payload was in before it became JSON.
    #[inline]
    pub(super) fn to(&self, target: &Target) -> (&Arc<Event>, Option<Form>) {
        match &self.json {
            Some((event, form)) if target.as_json => (event, Some(*form)),
            _ => (self.event, None),
        }
    }
}

impl Engine {
    /// Writes an event's payload as JSON, once for all targets that want it so. If that cannot be done those targets are
    /// dropped and its sender hears of it: its payload is not what it says it is.
    #[inline]
    pub(super) fn transcode(
        &mut self,
        now: Now,
        event: &Arc<Event>,
        targets: &mut SmallVec<[Target; 2]>,
        receipt: &mut Receipt,
    ) -> Option<(Arc<Event>, Form)> {
        if !targets.iter().any(|target| target.as_json) {
            return None;
        }
        // What is empty (it clears a last value) is in no representation.
        let form = event.content_type().and_then(|content_type| Form::of_cbor(content_type))?;
        if event.payload.is_empty() {
            return None;
        }
        let most = (self.limits().payload_bytes as usize).saturating_mul(GROWTH);
        match content::to_json(form, &event.payload, most) {
            Ok(json) => {
                let details = event.details.as_deref().cloned().unwrap_or_default();
                let details =
                    Details { content_type: Some(form.json().into()), is_text: Some(true), ..details };
                let json =
                    Event { payload: json.into(), details: Some(Box::new(details)), ..Event::clone(event) };
                Some((Arc::new(json), form))
            }
            Err(rejection) => {
                self.counts.drop(rejection.cause.name());
                self.note_rejected(now, &event.origin, &event.address, &rejection);
                let outcome = Outcome::Rejected(rejection);
                for target in targets.iter().filter(|target| target.as_json) {
                    self.counts.routed(target.route, &outcome);
                }
                targets.retain(|target| !target.as_json);
                receipt.note(outcome);
                None
            }
        }
    }
}

/// A reply in the representation that its asker speaks: CBOR if it asked in CBOR, unless the reply has no twin in it.
pub(super) fn reply_in(form: Option<Form>, reply: Reply) -> Reply {
    let twin = form
        .and(reply.content_type.as_ref())
        .and_then(|content_type| content::to_cbor(content_type, &reply.payload));
    match twin {
        Some((content_type, cbor)) => Reply { content_type: Some(content_type.into()), payload: cbor.into() },
        None => reply,
    }
}
