//! POST, PUT and DELETE: publishing events.

use super::respond::{self, Content};
use super::{Connection, batch, intake};
use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use hyper::body::Incoming;
use windrose_event::{Address, Assurance, Publication};
use windrose_protocol::http::{Body, Problem, Received, Wishes, read_body};

/// Publishes an event, or a batch of them. Without an address in the path, events bring theirs along.
pub(super) async fn post(
    connection: &Connection,
    parts: &Parts,
    body: Incoming,
    address: Option<Address>,
) -> Result<Response<Content>, Problem> {
    let wishes = Wishes::read(&parts.headers)?;
    let caller = connection.caller(parts).await?;
    let body = intake::read(connection, parts, body).await?;
    let response = match read_body(&parts.headers, body)? {
        Body::One(received) => {
            let (outcome, heard) = caller.publish(publication(address.as_ref(), received, &wishes)?).await?;
            respond::outcome(&outcome, heard)
        }
        Body::Batch(events) => batch::publish(&caller, address.as_ref(), events, &wishes).await?,
    };
    connection.callers.keep(caller);
    response
}

/// Publishes an event that becomes its address's last value.
pub(super) async fn put(
    connection: &Connection,
    parts: &Parts,
    body: Incoming,
    address: Address,
) -> Result<Response<Content>, Problem> {
    let wishes = Wishes::read(&parts.headers)?;
    let caller = connection.caller(parts).await?;
    let body = intake::read(connection, parts, body).await?;
    let Body::One(received) = read_body(&parts.headers, body)? else {
        return Err(malformed("an address has one last value; send one event, not a batch"));
    };
    if received.payload.is_empty() {
        return Err(malformed("an empty value cannot be kept; DELETE clears the last value"));
    }
    let publication = Publication { retain: true, ..publication(Some(&address), received, &wishes)? };
    let (outcome, heard) = caller.set(publication).await?;
    connection.callers.keep(caller);
    respond::outcome(&outcome, heard)
}

/// Clears an address's last value.
pub(super) async fn delete(
    connection: &Connection,
    parts: &Parts,
    address: Address,
) -> Result<Response<Content>, Problem> {
    let caller = connection.caller(parts).await?;
    let publication = Publication {
        address,
        payload: Bytes::new(),
        assurance: Assurance::AtLeastOnce,
        retain: true,
        expiry: None,
        details: None,
    };
    let (outcome, heard) = caller.set(publication).await?;
    connection.callers.keep(caller);
    respond::outcome(&outcome, heard)
}

/// What a sender gave and wished for, as a publication.
pub(super) fn publication(
    address: Option<&Address>,
    received: Received,
    wishes: &Wishes,
) -> Result<Publication, Problem> {
    let Received { subject, payload, mut details } = received;
    let address = match (address, subject) {
        (Some(address), _) => address.clone(),
        (None, Some(subject)) => Address::new(subject).map_err(|error| {
            Problem::new(
                StatusCode::BAD_REQUEST,
                "bad_address",
                format!("the subject is the event's address, and is none: {error}"),
            )
        })?,
        (None, None) => {
            return Err(malformed("an event needs an address: in the path, or as a CloudEvent's subject"));
        }
    };
    details.reply_to.clone_from(&wishes.reply_to);
    details.correlation.clone_from(&wishes.correlation);
    let plain = details == Default::default();
    Ok(Publication {
        address,
        payload,
        assurance: wishes.assurance,
        retain: false,
        expiry: wishes.expiry,
        details: (!plain).then(|| Box::new(details)),
    })
}

fn malformed(detail: &'static str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "malformed", detail)
}
