//! Which code an outcome is (DESIGN §6).

use crate::coap::Response;
use crate::coap::codec::{Code, option};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{Cause, CloseReason, Outcome, RefusalCause, Rejection};

/// When to come back, where nobody knows better.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The response that an outcome is; `accepted` if it was accepted. `most` is the largest payload that is taken.
pub(super) fn response(outcome: &Outcome, accepted: Code, most: u32) -> Response {
    match outcome {
        Outcome::Accepted => Response::new(accepted),
        Outcome::Busy { retry_after } => busy("too much is in flight; send it again later", *retry_after),
        Outcome::Unavailable { retry_after } => {
            unavailable("nobody could take it now; send it again later", *retry_after)
        }
        Outcome::TimedOut => Response::diagnostic(
            Code::GATEWAY_TIMEOUT,
            "no answer came in time; it may have been received all the same",
        ),
        Outcome::Rejected(rejection) => rejected(rejection, most),
    }
}

/// The response that a rejection is.
pub(super) fn rejected(rejection: &Rejection, most: u32) -> Response {
    let (code, sentence) = match rejection.cause {
        Cause::Malformed => (Code::BAD_REQUEST, "it breaks the protocol's rules"),
        Cause::BadAddress => (Code::BAD_REQUEST, "its path is not acceptable here"),
        Cause::BadPayload => (Code::BAD_REQUEST, "its payload is not what it says it is"),
        // Which rules there are is for the operator: the code is enough for the peer.
        Cause::NotPermitted => return Response::new(Code::FORBIDDEN),
        Cause::TooLarge => return too_large(most),
        Cause::ByService => (Code::BAD_REQUEST, "the service will not take it"),
        Cause::Quota => return busy(detail(rejection, "a limit of the sender is reached"), None),
        Cause::Unsupported => (Code::NOT_IMPLEMENTED, "this node does not do that"),
        Cause::Expired => (Code::BAD_REQUEST, "it expired before it could be delivered"),
        Cause::NotFound => (Code::NOT_FOUND, "what it should go through is not there"),
    };
    Response::diagnostic(code, detail(rejection, sentence))
}

/// The response of somebody who is not let in. The registry's own words are for the operator's log only.
pub(super) fn refused(cause: RefusalCause) -> Response {
    match cause {
        RefusalCause::BadCredentials | RefusalCause::AnonymousDenied | RefusalCause::Revoked => {
            Response::diagnostic(Code::UNAUTHORIZED, "credentials are needed that are valid here: use coaps")
        }
        RefusalCause::NotAllowed
        | RefusalCause::Quarantined
        | RefusalCause::BadSession
        | RefusalCause::UnknownMethod => Response::new(Code::FORBIDDEN),
        RefusalCause::Throttled => {
            Response::diagnostic(Code::TOO_MANY_REQUESTS, "too many wrong attempts; come back later")
        }
        RefusalCause::Quota => unavailable("too many connections; come back later", None),
        RefusalCause::ShuttingDown => unavailable("the node is shutting down", None),
        RefusalCause::Unavailable => unavailable("the registry could not be asked", None),
    }
}

/// The response to what waited when the engine ended its connection.
pub(super) fn closed(reason: &CloseReason) -> Response {
    match reason {
        CloseReason::NotPermitted => Response::new(Code::FORBIDDEN),
        CloseReason::Revoked | CloseReason::Expired => Response::new(Code::UNAUTHORIZED),
        CloseReason::Quarantined => Response::new(Code::FORBIDDEN),
        CloseReason::ShuttingDown => unavailable("the node is shutting down", None),
        CloseReason::TakenOver | CloseReason::Quota | CloseReason::OutOfOrder | CloseReason::Failed(_) => {
            unavailable("the connection to the node's core ended; send it again", None)
        }
    }
}

/// 4.29, with when to come back (RFC 8516 §4).
pub(super) fn busy(sentence: impl Into<Bytes>, retry_after: Option<Duration>) -> Response {
    Response::diagnostic(Code::TOO_MANY_REQUESTS, sentence)
        .with_uint(option::MAX_AGE, seconds(retry_after.unwrap_or(RETRY_AFTER)))
}

/// 5.03, with when to come back (RFC 7252 §5.9.3.4).
pub(super) fn unavailable(sentence: impl Into<Bytes>, retry_after: Option<Duration>) -> Response {
    Response::diagnostic(Code::SERVICE_UNAVAILABLE, sentence)
        .with_uint(option::MAX_AGE, seconds(retry_after.unwrap_or(RETRY_AFTER)))
}

/// 4.13, with the largest payload that is taken (RFC 7252 §5.9.2.9).
pub(super) fn too_large(most: u32) -> Response {
    Response::diagnostic(Code::REQUEST_ENTITY_TOO_LARGE, "it is larger than limits.payload_bytes allows")
        .with_uint(option::SIZE1, most)
}

fn detail(rejection: &Rejection, sentence: &'static str) -> Bytes {
    match &rejection.detail {
        Some(detail) => Bytes::from_owner(Detail(detail.clone())),
        None => Bytes::from_static(sentence.as_bytes()),
    }
}

/// Shared text as bytes.
struct Detail(Arc<str>);

impl AsRef<[u8]> for Detail {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Whole seconds, at least one.
fn seconds(after: Duration) -> u32 {
    let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_have_the_codes_of_the_table() {
        let code = |outcome: &Outcome| response(outcome, Code::CHANGED, 100).code;
        let later = Some(Duration::from_millis(2_500));
        assert_eq!(code(&Outcome::Accepted), Code::CHANGED);
        assert_eq!(code(&Outcome::TimedOut), Code::GATEWAY_TIMEOUT);
        for (cause, expected) in [
            (Cause::Malformed, Code::BAD_REQUEST),
            (Cause::BadAddress, Code::BAD_REQUEST),
            (Cause::BadPayload, Code::BAD_REQUEST),
            (Cause::NotPermitted, Code::FORBIDDEN),
            (Cause::TooLarge, Code::REQUEST_ENTITY_TOO_LARGE),
            (Cause::ByService, Code::BAD_REQUEST),
            (Cause::Quota, Code::TOO_MANY_REQUESTS),
            (Cause::Unsupported, Code::NOT_IMPLEMENTED),
            (Cause::Expired, Code::BAD_REQUEST),
        ] {
            assert_eq!(code(&Outcome::rejected(cause)), expected, "{cause:?}");
        }
        for (outcome, expected) in [
            (Outcome::Busy { retry_after: later }, Code::TOO_MANY_REQUESTS),
            (Outcome::Unavailable { retry_after: later }, Code::SERVICE_UNAVAILABLE),
        ] {
            let response = response(&outcome, Code::CHANGED, 100);
            assert_eq!(response.code, expected);
            assert_eq!(
                response.options.as_options().uint(option::MAX_AGE),
                Some(3),
                "whole seconds, rounded up"
            );
        }
        let large = response(&Outcome::rejected(Cause::TooLarge), Code::CHANGED, 100);
        assert_eq!(large.options.as_options().uint(option::SIZE1), Some(100));
        let why =
            response(&Outcome::rejected_because(Cause::ByService, "HTTP 404: no car"), Code::CHANGED, 1);
        assert_eq!(why.payload, "HTTP 404: no car");
        let secret = Outcome::rejected_because(Cause::NotPermitted, "anonymous may not publish on 'a'");
        assert!(response(&secret, Code::CHANGED, 1).payload.is_empty());
    }
}
