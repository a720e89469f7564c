//! PATCH and iPATCH: a merge patch of a last value (RFC 8132 §3, RFC 7396).

use super::pending::{Pending, Then};
use super::reply::Reply;
use super::request::Asked;
use super::value::Conditions;
use super::{Binding, outcome};
use crate::coap::codec::{Code, option};
use crate::coap::{Remote, Request, Response, format};
use bytes::Bytes;
use serde_json::{Map, Value};
use std::sync::Arc;
use windrose_event::{Details, Event, Intent, Now, Publication, Rejection};

impl Binding {
    /// Reads the value that is to be patched.
    pub(super) fn patch(
        &mut self,
        now: Now,
        remote: Remote,
        reply: Reply,
        request: &Request<'_>,
        asked: &Asked,
        mut publication: Publication,
    ) -> Result<(), Response> {
        if asked.format != Some(format::MERGE_PATCH) {
            let problem = "only application/merge-patch+json (52) is understood as a patch";
            return Err(Response::diagnostic(Code::UNSUPPORTED_CONTENT_FORMAT, problem)
                .with_uint(option::CONTENT_FORMAT, format::TEXT.into()));
        }
        let patch = serde_json::from_slice(&publication.payload)
            .map_err(|_| Response::diagnostic(Code::BAD_REQUEST, "the patch is not JSON"))?;
        publication.retain = true;
        let lane = self.lane(now, remote)?;
        self.check_brake(lane)?;
        let address = publication.address.clone();
        let conditions = Conditions::read(request.options);
        let then = Box::new(Then::Patch { publication, conditions, patch });
        self.ask(now, lane, Pending::Read { reply, then }, |tag| Intent::Read { tag, address })
    }

    /// Publishes what the patch makes of the value.
    pub(super) fn patched(
        &mut self,
        now: Now,
        lane: usize,
        reply: Reply,
        value: Result<Option<Arc<Event>>, Rejection>,
        (mut publication, conditions): (Publication, &Conditions),
        patch: Value,
    ) -> Result<(), Response> {
        let value = value.map_err(|rejection| outcome::rejected(&rejection, self.config.payload_bytes))?;
        if !conditions.hold(value.as_deref()) {
            return Err(Response::new(Code::PRECONDITION_FAILED));
        }
        let (target, code) = match &value {
            None => (Value::Null, Code::CREATED),
            Some(event) => {
                let target = serde_json::from_slice(&event.payload).map_err(|_| {
                    Response::diagnostic(Code::CONFLICT, "the last value is not JSON: it cannot be patched")
                })?;
                (target, Code::CHANGED)
            }
        };
        publication.payload = Bytes::from(merge(target, patch).to_string());
        // It is of the same kind as it was: SenML stays SenML.
        let before = value.as_ref().and_then(|event| event.content_type().cloned());
        let details: &mut Details = publication.details.get_or_insert_default();
        details.content_type = Some(before.unwrap_or_else(|| format::media_type(format::JSON)));
        self.publish(now, lane, reply, publication, code)
    }
}

/// RFC 7396 §2. Depth is bounded by the parser's.
fn merge(target: Value, patch: Value) -> Value {
    let Value::Object(patch) = patch else { return patch };
    let mut merged = match target {
        Value::Object(target) => target,
        _ => Map::new(),
    };
    for (name, value) in patch {
        if value.is_null() {
            merged.remove(&name);
        } else {
            let old = merged.remove(&name).unwrap_or_default();
            merged.insert(name, merge(old, value));
        }
    }
    Value::Object(merged)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn patches_merge_as_their_specification_says() {
        // RFC 7396, appendix A.
        for (target, patch, result) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
            (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
            (r#"{"a":"foo"}"#, "null", "null"),
            (r#"{"a":"foo"}"#, "\"bar\"", "\"bar\""),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"a":1,"e":null}"#),
            ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
            ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ] {
            let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            assert_eq!(merge(read(target), read(patch)), read(result), "{target} by {patch}");
        }
    }
}
