//! Devices: whose they are, whose they were, and codes for getting a first certificate.

use super::answer::{Fault, json};
use super::subjects::details;
use super::{Answered, Caller, Managed, act, body, directory};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json as object};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use windrose_event::Timestamp;
use windrose_identity::{Act, CodePurpose, Kind, Lookup, MOST_LISTED, Ownership, new_code, rfc3339};
use windrose_protocol::http::{Query, read_duration};

/// How long a code is good if nobody says.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Whose a device becomes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewOwner {
    owner: String,
    code: Option<String>,
}

/// What a code is for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewCode {
    lifetime: Option<String>,
    purpose: Option<String>,
}

pub(super) async fn claim(
    State(managed): State<Managed>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answered {
    let NewOwner { owner, code } = body::read(&headers, &body)?;
    let code = code.map(|code| Lookup::code(code.as_bytes()));
    let device = Arc::from(id.as_str());
    act(&managed, &caller, Act::Claim { device, owner: owner.into(), code }).await?;
    details(Kind::Device, &managed, &id, StatusCode::OK).await
}

pub(super) async fn transfer(
    State(managed): State<Managed>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answered {
    let NewOwner { owner, code } = body::read(&headers, &body)?;
    if code.is_some() {
        return Err(Fault::bad("a transfer needs no code: a claim does"));
    }
    let device = Arc::from(id.as_str());
    act(&managed, &caller, Act::Transfer { device, owner: owner.into() }).await?;
    details(Kind::Device, &managed, &id, StatusCode::OK).await
}

pub(super) async fn release(
    State(managed): State<Managed>,
    caller: Caller,
    Path(id): Path<String>,
) -> Answered {
    act(&managed, &caller, Act::Release { device: Arc::from(id.as_str()) }).await?;
    details(Kind::Device, &managed, &id, StatusCode::OK).await
}

/// Makes a one-time code. It is told here and never again.
pub(super) async fn enrol_code(
    State(managed): State<Managed>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answered {
    let NewCode { lifetime, purpose } = body::read(&headers, &body)?;
    let lifetime = match lifetime {
        Some(text) => read_duration(&text)
            .filter(|lifetime| !lifetime.is_zero())
            .ok_or_else(|| Fault::bad("lifetime is a duration such as 1h or 24h"))?,
        None => LIFETIME,
    };
    let purposes = [CodePurpose::Enrol, CodePurpose::Claim];
    let purpose = match purpose {
        Some(text) => purposes
            .into_iter()
            .find(|purpose| purpose.name() == text)
            .ok_or_else(|| Fault::bad("purpose is enrol or claim"))?,
        None => CodePurpose::Enrol,
    };
    let until = later(lifetime).ok_or_else(|| Fault::bad("lifetime is too long"))?;
    let code = new_code().map_err(|why| Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", why))?;
    let lookup = Lookup::code(code.reveal());
    act(&managed, &caller, Act::AddCode { device: id.into(), code: lookup, purpose, until }).await?;
    let code = String::from_utf8_lossy(code.reveal());
    let answer = object!({"code": code, "purpose": purpose.name(), "until": rfc3339(until)});
    Ok(json(StatusCode::CREATED, &answer))
}

/// So long from now.
fn later(wait: Duration) -> Option<Timestamp> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
    u64::try_from(now.checked_add(wait)?.as_micros()).ok().map(Timestamp::from_micros)
}

pub(super) async fn history(
    State(managed): State<Managed>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answered {
    let query = Query::new(query.as_deref());
    let number = |name: &str| {
        let text = query.get(name).filter(|text| !text.is_empty());
        text.map(|text| {
            text.parse::<u64>().map_err(|_| Fault::bad(format!("the query's {name} is a number")))
        })
        .transpose()
    };
    let before = number("before")?;
    let limit =
        number("limit")?.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(100).clamp(1, MOST_LISTED);
    let list = directory(&managed)?.history(&id, before, limit).await?;
    let mut answer = Map::new();
    if let Some(last) = list.last().filter(|_| list.len() == limit) {
        answer.insert("before".to_owned(), last.number.into());
    }
    answer.insert("history".to_owned(), list.iter().map(Ownership::json).collect());
    Ok(json(StatusCode::OK, &Value::Object(answer)))
}
