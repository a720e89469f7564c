//! Devices, owners and services: listed, added, shown, changed, removed, revoked.

use super::answer::{Fault, done, json};
use super::{Answered, Caller, Managed, act, body, credentials, directory};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json as object};
use std::sync::Arc;
use windrose_identity::{Act, Kind, Listing, MOST_LISTED, NewDevice, StatusFilter};
use windrose_protocol::http::Query;

/// Somebody new.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    id: String,
    owner: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
    attributes: Option<Map<String, Value>>,
    #[serde(default)]
    credentials: Vec<credentials::New>,
}

/// What changes; what is left out stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    groups: Option<Vec<String>>,
    attributes: Option<Map<String, Value>>,
}

/// Why.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reason {
    pub(super) reason: Option<String>,
}

pub(super) async fn list(kind: Kind, managed: Managed, query: Option<String>) -> Answered {
    let listing = listing(kind, query.as_deref())?;
    let limit = listing.limit;
    let list = directory(&managed)?.list(listing).await?;
    let mut answer = Map::new();
    // A full page may be the last one: the next is empty then.
    if let Some(last) = list.last().filter(|_| list.len() == limit) {
        answer.insert("after".to_owned(), object!(&*last.id));
    }
    let list = list.iter().map(windrose_identity::Summary::json).collect();
    answer.insert(format!("{}s", kind.name()), list);
    Ok(json(StatusCode::OK, &Value::Object(answer)))
}

fn listing(kind: Kind, query: Option<&str>) -> Result<Listing, Fault> {
    let query = Query::new(query);
    let text =
        |name| query.get(name).filter(|value| !value.is_empty()).map(|value| Arc::<str>::from(&*value));
    let mut listing =
        Listing { owner: text("owner"), group: text("group"), after: text("after"), ..Listing::of(kind) };
    if listing.owner.is_some() && kind != Kind::Device {
        return Err(Fault::bad("only devices have an owner"));
    }
    if let Some(status) = text("status") {
        let filter = StatusFilter::ALL.into_iter().find(|filter| filter.name() == &*status);
        listing.status = Some(filter.ok_or_else(|| {
            let names = StatusFilter::ALL.map(StatusFilter::name).join(", ");
            Fault::bad(format!("the query's status is one of {names}"))
        })?);
    }
    if let Some(limit) = text("limit") {
        let limit = limit.parse().ok().filter(|limit| (1..=MOST_LISTED).contains(limit));
        listing.limit = limit
            .ok_or_else(|| Fault::bad(format!("the query's limit is a number from 1 to {MOST_LISTED}")))?;
    }
    Ok(listing)
}

pub(super) async fn add(
    kind: Kind,
    managed: Managed,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Answered {
    let new: New = body::read(&headers, &body)?;
    let id: Arc<str> = new.id.into();
    if kind != Kind::Device && (new.owner.is_some() || !new.credentials.is_empty()) {
        return Err(Fault::bad("only devices come with an owner or credentials; add credentials afterwards"));
    }
    if kind == Kind::Service && new.attributes.is_some() {
        return Err(Fault::bad("services have no attributes"));
    }
    let groups = names(new.groups);
    let attributes = body::attributes(new.attributes);
    let new = match kind {
        Kind::Device => {
            let mut credentials = Vec::with_capacity(new.credentials.len());
            for credential in new.credentials {
                credentials.push(credential.read(&id).await?);
            }
            let owner = new.owner.map(Arc::from);
            Act::AddDevice(NewDevice { id: Arc::clone(&id), owner, groups, attributes, credentials })
        }
        Kind::Owner => Act::AddOwner { id: Arc::clone(&id), groups, attributes },
        Kind::Service => Act::AddService { name: Arc::clone(&id), groups },
    };
    act(&managed, &caller, new).await?;
    let mut response = details(kind, &managed, &id, StatusCode::CREATED).await?;
    // A name can hold what a path cannot: then there is no such header.
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/{}s/{id}", kind.name())) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

pub(super) async fn show(kind: Kind, managed: Managed, id: String) -> Answered {
    details(kind, &managed, &id, StatusCode::OK).await
}

pub(super) async fn change(
    kind: Kind,
    managed: Managed,
    caller: Caller,
    id: String,
    headers: HeaderMap,
    body: Bytes,
) -> Answered {
    let change: Change = body::read(&headers, &body)?;
    let subject = kind.subject(&id);
    if change.groups.is_none() && change.attributes.is_none() {
        return Err(Fault::bad("nothing is to change: say groups, attributes or both"));
    }
    if let Some(groups) = change.groups {
        act(&managed, &caller, Act::SetGroups { subject: subject.clone(), groups: names(groups) }).await?;
    }
    if let Some(attributes) = change.attributes {
        let attributes = body::attributes(Some(attributes));
        act(&managed, &caller, Act::SetAttributes { subject, attributes }).await?;
    }
    details(kind, &managed, &id, StatusCode::OK).await
}

pub(super) async fn remove(kind: Kind, managed: Managed, caller: Caller, id: String) -> Answered {
    act(&managed, &caller, Act::Remove(kind.subject(&id))).await?;
    Ok(done())
}

pub(super) async fn revoke(
    kind: Kind,
    managed: Managed,
    caller: Caller,
    id: String,
    headers: HeaderMap,
    body: Bytes,
) -> Answered {
    let Reason { reason } = body::read(&headers, &body)?;
    act(&managed, &caller, Act::Revoke { subject: kind.subject(&id), reason }).await?;
    details(kind, &managed, &id, StatusCode::OK).await
}

pub(super) async fn reinstate(kind: Kind, managed: Managed, caller: Caller, id: String) -> Answered {
    act(&managed, &caller, Act::Reinstate { subject: kind.subject(&id) }).await?;
    details(kind, &managed, &id, StatusCode::OK).await
}

/// How many there are of each.
pub(super) async fn counts(State(managed): State<Managed>) -> Answered {
    let counts = directory(&managed)?.counts().await?;
    Ok(json(StatusCode::OK, &counts.json()))
}

/// All that may be told of somebody.
pub(super) async fn details(kind: Kind, managed: &Managed, id: &str, status: StatusCode) -> Answered {
    let details = directory(managed)?.details(kind.subject(id)).await?;
    match details {
        Some(details) => Ok(json(status, &details.json())),
        None => Err(Fault::not_found(format!("there is no {} `{id}`", kind.name()))),
    }
}

pub(super) fn names(names: Vec<String>) -> Vec<Arc<str>> {
    names.into_iter().map(Arc::from).collect()
}
