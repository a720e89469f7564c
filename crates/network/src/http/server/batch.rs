//! A batch: several events in one request, each with an outcome of its own.

use super::caller::Caller;
use super::publish::publication;
use super::respond::{self, Content};
use http::{Response, StatusCode};
use serde_json::{Value, json};
use windrose_event::{Address, Cause, Outcome, Tag};
use windrose_protocol::http::{Problem, Received, Wishes};

/// Events of one batch that are under way at once.
const WINDOW: usize = 64;

/// Publishes the events in order. The answer is that of the worst outcome, with each event's own in `results`.
pub(super) async fn publish(
    caller: &Caller,
    address: Option<&Address>,
    events: Vec<Received>,
    wishes: &Wishes,
) -> Result<Result<Response<Content>, Problem>, Problem> {
    // What nobody answers is an event that credit ran out for.
    let mut results = vec![(Outcome::Busy { retry_after: None }, false); events.len()];
    let mut under_way: Vec<(Tag, usize)> = Vec::with_capacity(WINDOW);
    let mut events = events.into_iter().enumerate().peekable();
    loop {
        while under_way.len() < WINDOW
            && !caller.exchange.is_paused()
            && let Some((index, received)) = events.next()
        {
            match publication(address, received, wishes) {
                Ok(publication) => under_way.push((caller.send(publication), index)),
                Err(problem) => {
                    let detail = problem.detail.unwrap_or_default();
                    results[index].0 = Outcome::rejected_because(Cause::BadAddress, &*detail);
                }
            }
        }
        if under_way.is_empty() {
            break;
        }
        let (tag, outcome, heard) = caller.settled().await?;
        if let Some(position) = under_way.iter().position(|(sent, _)| *sent == tag) {
            let (_, index) = under_way.swap_remove(position);
            caller.forget(tag, wishes.assurance, &outcome);
            results[index] = (outcome, heard);
        }
    }
    Ok(summary(&results))
}

fn summary(results: &[(Outcome, bool)]) -> Result<Response<Content>, Problem> {
    let worst = results.iter().fold(Outcome::Accepted, |worst, (outcome, _)| worst.worst(outcome.clone()));
    let results: Value = results.iter().map(|(outcome, heard)| one(outcome, *heard)).collect();
    match Problem::of_outcome(&worst) {
        Some(problem) => Err(Problem { results: Some(results), ..problem }),
        None => {
            let body = json!({"outcome": worst.name(), "results": results});
            Ok(respond::json(StatusCode::ACCEPTED, body.to_string()))
        }
    }
}

fn one(outcome: &Outcome, heard: bool) -> Value {
    let mut result = json!({"outcome": outcome.name()});
    match Problem::of_outcome(outcome) {
        Some(problem) => result["detail"] = Value::from(problem.detail.unwrap_or_default()),
        None => result["heard"] = Value::from(heard),
    }
    result
}
