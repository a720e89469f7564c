//! Requests: asking a thing, and waiting for its answer.

use super::caller::closed;
use super::publish::publication;
use super::respond::{self, Content};
use super::{Connection, intake};
use http::request::Parts;
use http::{Response, StatusCode};
use hyper::body::Incoming;
use std::time::Duration;
use tokio::time::timeout;
use windrose_event::{Address, Directive, Intent, Outcome, Publish};
use windrose_protocol::http::{Body, Problem, Query, Wishes, read_body};

/// How long an answer is waited for, unless the caller says otherwise.
const WAIT: Duration = Duration::from_secs(10);
/// The longest that an answer is waited for.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Publishes an event that asks for an answer, and answers with that.
pub(super) async fn post(
    connection: &Connection,
    parts: &Parts,
    body: Incoming,
    address: Address,
) -> Result<Response<Content>, Problem> {
    let bad = |detail| Problem::new(StatusCode::BAD_REQUEST, "malformed", detail);
    let wait = Query::new(parts.uri.query()).duration("wait").map_err(bad)?.unwrap_or(WAIT).min(MAX_WAIT);
    // The answer comes to the caller: it cannot be wished for elsewhere.
    let wishes = Wishes { reply_to: None, ..Wishes::read(&parts.headers)? };
    let caller = connection.caller(parts).await?;
    let body = intake::read(connection, parts, body).await?;
    let Body::One(received) = read_body(&parts.headers, body)? else {
        return Err(bad("a request is one event, not a batch".to_owned()));
    };
    let publication = publication(Some(&address), received, &wishes)?;
    if caller.exchange.is_paused() {
        return respond::outcome(&Outcome::Busy { retry_after: None }, false);
    }
    let asked = caller.tag();
    caller.exchange.intent(Intent::Request(Publish { tag: asked, again: false, publication }));
    let answered = async {
        loop {
            match caller.exchange.directive().await {
                Directive::Reply { tag, event } if tag == asked => return Ok(event),
                Directive::Settle { tag, outcome, heard } if tag == asked => {
                    if let Some(problem) = Problem::of_outcome(&outcome) {
                        return Err(if heard { problem } else { unheard(problem) });
                    }
                }
                Directive::Close(reason) => return Err(closed(&reason)),
                _ => {}
            }
        }
    };
    let answer = timeout(wait, answered).await.map_err(|_| {
        // The exchange ends with this request, so that a late answer finds nobody.
        Problem::new(
            StatusCode::GATEWAY_TIMEOUT,
            "timed_out",
            format!("no answer came within {} ms", wait.as_millis()),
        )
    })??;
    connection.callers.keep(caller);
    Ok(respond::event(&connection.host.snapshot().node.name, &answer))
}

fn unheard(problem: Problem) -> Problem {
    match problem.status {
        StatusCode::SERVICE_UNAVAILABLE => {
            Problem { detail: Some("nobody listens at this address now; try again later".into()), ..problem }
        }
        _ => problem,
    }
}
