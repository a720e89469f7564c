//! What the hook answers.

use crate::json::read_object;
use crate::tokens::claims::{Claims, groups, kept, name};
use crate::{Fetched, Vouched, read_rfc3339};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{Principal, Proof, Refusal, RefusalCause, Timestamp};

/// What it says of a claim; `Ok(None)`: it does not know them.
pub(super) type Answer = Result<Option<Arc<Vouched>>, Refusal>;

/// Reads an answer.
pub(super) fn read(fetched: &Fetched, now: Timestamp) -> Answer {
    let refused =
        |cause| Err(Refusal { cause, detail: format!("the identity hook answered {}", fetched.status) });
    match fetched.status {
        200 => {
            let claims = read_object(&fetched.body)
                .map_err(|problem| unavailable(&format!("its answer cannot be read: {problem}")))?;
            let vouched = vouch(&claims).map_err(|problem| unavailable(&problem))?;
            if vouched.proof.until.is_some_and(|until| until <= now) {
                let detail = "the identity hook says that it ended already".to_owned();
                return Err(Refusal { cause: RefusalCause::BadCredentials, detail });
            }
            Ok(Some(Arc::new(vouched)))
        }
        401 => refused(RefusalCause::BadCredentials),
        403 => refused(RefusalCause::NotAllowed),
        404 => Ok(None),
        status => Err(unavailable(&format!("it answered with the status {status}"))),
    }
}

/// Nothing can be said of anybody.
pub(super) fn unavailable(problem: &str) -> Refusal {
    Refusal {
        cause: RefusalCause::Unavailable,
        detail: format!("the identity hook cannot be used: {problem}"),
    }
}

fn vouch(answer: &Claims) -> Result<Vouched, String> {
    let named = |what: &str| name(answer, what).map_err(|problem| format!("its answer {problem}"));
    let principal = match (named("device")?, named("owner")?, named("service")?) {
        (Some(id), owner, _) => Principal::Device { id, owner },
        (None, Some(id), _) => Principal::Owner { id },
        (None, None, Some(name)) => Principal::Service { name },
        (None, None, None) => return Err("its answer names no device, owner or service".to_owned()),
    };
    let flag = |what: &str| match answer.get(what) {
        None => Ok(false),
        Some(Value::Bool(value)) => Ok(*value),
        Some(_) => Err(format!("its answer's {what} is neither true nor false")),
    };
    let until = match answer.get("until") {
        None | Some(Value::Null) => None,
        Some(value) => {
            Some(time(value).ok_or("its answer's until is no time: give seconds since 1970, or RFC 3339")?)
        }
    };
    let claims = match answer.get("claims") {
        None | Some(Value::Null) => Arc::default(),
        Some(Value::Object(claims)) => kept(claims),
        Some(_) => return Err("its answer's claims are no object".to_owned()),
    };
    Ok(Vouched {
        by: "hook".into(),
        principal,
        groups: groups(answer, "groups"),
        registered: flag("registered")?,
        proof: Arc::new(Proof { until, claims, enrols_only: flag("enrol_only")?, ..Proof::default() }),
    })
}

fn time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => read_rfc3339(text),
        number => {
            let seconds = number.as_f64().filter(|seconds| (0.0..1e12).contains(seconds))?;
            Some(Timestamp::default() + Duration::from_secs_f64(seconds))
        }
    }
}
