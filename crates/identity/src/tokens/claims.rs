//! What a token's claims mean here: whether it is for us and good now, and whom it names (RFC 7519 §4.1).

use super::jws::quoted;
use crate::{Vouched, is_name};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{Principal, Proof, Timestamp};
use windrose_policy::TokenIssuer;

/// Names and values that access rules can ask for.
const MOST_CLAIMS: usize = 64;
/// Bytes of a name or a value.
const MOST_BYTES: usize = 256;
/// Groups of one token.
const MOST_GROUPS: usize = 64;
/// Claims that are of no use in access rules.
const TECHNICAL: [&str; 4] = ["exp", "iat", "jti", "nbf"];

pub(crate) type Claims = Map<String, Value>;

/// Whether a token comes from the issuer, is for us, and is good now. Returns when it ends.
pub(super) fn check(policy: &TokenIssuer, claims: &Claims, now: Timestamp) -> Result<Timestamp, String> {
    if let Some(expected) = &policy.issuer
        && claims.get("iss").and_then(Value::as_str) != Some(expected)
    {
        return Err("is another issuer's".to_owned());
    }
    if !policy.audience.is_empty() && !is_for(policy, claims.get("aud")) {
        let audience = claims.get("aud").map(Value::to_string).unwrap_or_default();
        return Err(format!("is for {}, not for the audience of the document", quoted(&audience)));
    }
    let end = time(claims, "exp")?.ok_or("has no end (exp), and one without is not taken")?;
    // Whoever is let in by the leeway stays until it is over.
    let end = end + policy.leeway;
    if end <= now {
        return Err(format!("ended {} s ago", now.since(end).as_secs()));
    }
    if let Some(start) = time(claims, "nbf")?
        && start > now + policy.leeway
    {
        return Err(format!("is not good before {} s from now", start.since(now).as_secs()));
    }
    Ok(end)
}

fn is_for(policy: &TokenIssuer, audience: Option<&Value>) -> bool {
    let is_ours =
        |value: &Value| value.as_str().is_some_and(|one| policy.audience.iter().any(|our| **our == *one));
    match audience {
        Some(Value::Array(list)) => list.iter().any(is_ours),
        Some(one) => is_ours(one),
        None => false,
    }
}

/// A time of a token: seconds since 1970, with a fraction if they like (RFC 7519 §2, NumericDate).
fn time(claims: &Claims, name: &str) -> Result<Option<Timestamp>, String> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_f64().filter(|seconds| (0.0..1e12).contains(seconds));
    let seconds = seconds.ok_or_else(|| format!("has a time that is none ({name})"))?;
    Ok(Some(Timestamp::default() + Duration::from_secs_f64(seconds)))
}

/// Whom a token names. It has been verified.
pub(super) fn vouch(policy: &TokenIssuer, claims: &Claims, until: Timestamp) -> Result<Vouched, String> {
    let named = |claim: &Option<Arc<str>>| match claim {
        Some(claim) => name(claims, claim),
        None => Ok(None),
    };
    let principal = match (named(&policy.device)?, named(&policy.owner)?, named(&policy.service)?) {
        (Some(id), owner, _) => Principal::Device { id, owner },
        (None, Some(id), _) => Principal::Owner { id },
        (None, None, Some(name)) => Principal::Service { name },
        (None, None, None) => {
            let asked = [&policy.device, &policy.owner, &policy.service];
            let asked: Vec<&str> = asked.into_iter().flatten().map(|claim| &**claim).collect();
            return Err(format!("names nobody: it has no claim {}", asked.join(", ")));
        }
    };
    Ok(Vouched {
        by: Arc::clone(&policy.name),
        principal,
        groups: policy.groups.as_ref().map(|claim| groups(claims, claim)).unwrap_or_default(),
        registered: policy.registered,
        proof: Arc::new(Proof { until: Some(until), claims: kept(claims), ..Proof::default() }),
    })
}

/// The groups that a claim lists. What can be none is left out.
pub(crate) fn groups(claims: &Claims, claim: &str) -> Arc<[Arc<str>]> {
    words(find(claims, claim)).filter(|group| is_name(group)).take(MOST_GROUPS).map(Arc::from).collect()
}

/// The name of somebody, if the claim is there.
pub(crate) fn name(claims: &Claims, claim: &str) -> Result<Option<Arc<str>>, String> {
    match find(claims, claim) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match scalar(value).filter(|text| is_name(text)) {
            Some(text) => Ok(Some(text.into())),
            None => Err(format!("has a claim {claim} that is no name: {}", quoted(&value.to_string()))),
        },
    }
}

/// A claim by its name, or else by a path through objects such as `realm_access.roles`.
fn find<'c>(claims: &'c Claims, claim: &str) -> Option<&'c Value> {
    if let Some(value) = claims.get(claim) {
        return Some(value);
    }
    let mut steps = claim.split('.');
    let first = claims.get(steps.next()?)?;
    steps.try_fold(first, |value, step| value.get(step))
}

/// The words of a claim that is a list, or a text with blanks between them (RFC 8693 §4.2).
fn words(value: Option<&Value>) -> Box<dyn Iterator<Item = String> + '_> {
    match value {
        Some(Value::Array(list)) => Box::new(list.iter().filter_map(scalar)),
        Some(Value::String(text)) => Box::new(text.split_ascii_whitespace().map(str::to_owned)),
        _ => Box::new(std::iter::empty()),
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

/// What access rules may ask for: names and single values, in ascending order. What does not fit is left out, and a rule
/// that asks for it does not apply.
pub(crate) fn kept(claims: &Claims) -> Arc<[(Arc<str>, Arc<str>)]> {
    let mut all = Vec::new();
    for (name, value) in claims {
        if TECHNICAL.contains(&name.as_str()) || name.len() > MOST_BYTES {
            continue;
        }
        let name: Arc<str> = name.as_str().into();
        let mut keep = |text: String| {
            if text.len() <= MOST_BYTES && all.len() < MOST_CLAIMS {
                all.push((Arc::clone(&name), Arc::from(text)));
            }
        };
        match value {
            // One text, and a list by its meaning (RFC 6749 §3.3).
            Value::String(_) if &*name == "scope" => words(Some(value)).for_each(&mut keep),
            Value::Array(_) => words(Some(value)).for_each(&mut keep),
            one => scalar(one).into_iter().for_each(&mut keep),
        }
    }
    all.sort_unstable();
    all.into()
}
