//! What a response to an event means (RFC 7252 §5.9).

use super::call::Failure;
use crate::coap::codec::{Code, option};
use crate::coap::exchange::Response;
use std::time::Duration;
use windrose_event::{Cause, Outcome};

/// The longest sentence that is taken from a peer, in bytes.
const MAX_DETAIL: usize = 256;
/// The longest wait that a peer can ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3_600);

/// What became of an event that a peer was asked to take: 2.xx accepts; 4.29 is busy and 5.xx unavailable, both for as long
/// as Max-Age says; no response is a time-out; everything else rejects, with what the peer says why.
pub fn outcome(result: &Result<Response, Failure>) -> Outcome {
    let response = match result {
        Ok(response) => response,
        Err(Failure::TimedOut) => return Outcome::TimedOut,
        Err(Failure::Unreachable | Failure::Reset | Failure::TooLarge | Failure::Nonsense(_)) => {
            return Outcome::unavailable();
        }
    };
    match (response.code, response.code.class()) {
        (_, 2) => Outcome::Accepted,
        (Code::TOO_MANY_REQUESTS, _) => Outcome::Busy { retry_after: max_age(response) },
        // It forgot blocks that it had: the whole may be sent again.
        (Code::REQUEST_ENTITY_INCOMPLETE, _) | (_, 5) => {
            Outcome::Unavailable { retry_after: max_age(response) }
        }
        (_, 4) => Outcome::rejected_because(Cause::ByService, sentence(response)),
        _ => Outcome::unavailable(),
    }
}

/// How long to wait, if the response says (RFC 7252 §5.9.3.4, RFC 8516 §3).
fn max_age(response: &Response) -> Option<Duration> {
    let seconds = response.options.as_options().uint(option::MAX_AGE)?;
    Some(Duration::from_secs(seconds.into()).min(MAX_RETRY_AFTER))
}

/// `CoAP 4.04 Not Found: no such car`.
pub(super) fn sentence(response: &Response) -> String {
    let mut sentence = format!("CoAP {:?}", response.code);
    // A diagnostic payload has no format of its own (RFC 7252 §5.5.2).
    let is_diagnostic = !response.options.as_options().has(option::CONTENT_FORMAT);
    if is_diagnostic
        && let Ok(text) = std::str::from_utf8(&response.payload)
        && !text.trim().is_empty()
    {
        sentence.push_str(": ");
        for character in text.trim().chars() {
            if sentence.len() + character.len_utf8() > MAX_DETAIL {
                break;
            }
            sentence.push(if character.is_control() { ' ' } else { character });
        }
    }
    sentence
}
