//! Problems: what is wrong, as `application/problem+json` (RFC 9457).

use super::media::PROBLEM;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::time::Duration;
use windrose_event::{Cause, Outcome, RefusalCause, Rejection};

/// When to come back, where nobody knows better.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(1);

/// What is wrong with a request, or with what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The response's status.
    pub status: StatusCode,
    /// The class of problem, as logs and metrics name it: `type` is `urn:windrose:problem:CODE`.
    pub code: &'static str,
    /// A sentence that says what happened and what to do.
    pub detail: Option<Cow<'static, str>>,
    /// When trying again makes sense.
    pub retry_after: Option<Duration>,
    /// What became of each event of a batch, if it was one.
    pub results: Option<Value>,
}

impl Problem {
    /// A problem with a sentence.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, detail: Some(detail.into()), retry_after: None, results: None }
    }

    /// The problem that an outcome is; none if it was accepted (DESIGN §6).
    pub fn of_outcome(outcome: &Outcome) -> Option<Self> {
        Some(match outcome {
            Outcome::Accepted => return None,
            Outcome::Busy { retry_after } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", "too much is in flight; send it again later")
                    .retry_after(retry_after.unwrap_or(RETRY_AFTER_DEFAULT))
            }
            Outcome::Unavailable { retry_after } => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "nobody could take it now; send it again later",
            )
            .retry_after(retry_after.unwrap_or(RETRY_AFTER_DEFAULT)),
            Outcome::TimedOut => Self::new(
                StatusCode::GATEWAY_TIMEOUT,
                "timed_out",
                "no answer came in time; it may have been received all the same",
            ),
            Outcome::Rejected(rejection) => Self::of_rejection(rejection),
        })
    }

    /// The problem that a rejection is.
    pub fn of_rejection(rejection: &Rejection) -> Self {
        let (status, sentence) = match rejection.cause {
            Cause::Malformed => (StatusCode::BAD_REQUEST, "it breaks the protocol's rules"),
            Cause::BadAddress => (StatusCode::BAD_REQUEST, "its address is not acceptable here"),
            Cause::BadPayload => (StatusCode::UNPROCESSABLE_ENTITY, "its payload is not what it says it is"),
            Cause::NotPermitted => (StatusCode::FORBIDDEN, "no access rule allows it"),
            Cause::TooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, "it is larger than limits.payload_bytes allows")
            }
            Cause::ByService => (StatusCode::UNPROCESSABLE_ENTITY, "the service will not take it"),
            Cause::Quota => (StatusCode::TOO_MANY_REQUESTS, "a limit of the sender is reached"),
            Cause::Unsupported => (StatusCode::NOT_IMPLEMENTED, "this node does not do that"),
            Cause::Expired => (StatusCode::UNPROCESSABLE_ENTITY, "it expired before it could be delivered"),
            Cause::NotFound => (StatusCode::NOT_FOUND, "what it should go through is not there"),
        };
        let detail =
            rejection.detail.as_ref().map_or(Cow::Borrowed(sentence), |detail| detail.to_string().into());
        Self::new(status, rejection.cause.name(), detail)
    }

    /// The problem of somebody who is not let in. The registry's own words are for the operator's log only.
    pub fn of_refusal(cause: RefusalCause) -> Self {
        let (status, sentence) = match cause {
            RefusalCause::BadCredentials | RefusalCause::Revoked => {
                (StatusCode::UNAUTHORIZED, "the credentials are not valid here")
            }
            RefusalCause::AnonymousDenied => {
                (StatusCode::UNAUTHORIZED, "credentials are needed: an API key, or a user name and password")
            }
            RefusalCause::NotAllowed
            | RefusalCause::Quarantined
            | RefusalCause::BadSession
            | RefusalCause::UnknownMethod => (StatusCode::FORBIDDEN, "this is not allowed"),
            RefusalCause::Quota => (StatusCode::TOO_MANY_REQUESTS, "too many connections; come back later"),
            RefusalCause::Throttled => {
                (StatusCode::TOO_MANY_REQUESTS, "too many wrong attempts; come back later")
            }
            RefusalCause::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, "the node is shutting down"),
            RefusalCause::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "the registry could not be asked"),
        };
        let problem = Self::new(status, cause.name(), sentence);
        match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                problem.retry_after(RETRY_AFTER_DEFAULT)
            }
            _ => problem,
        }
    }

    /// The same problem, worth another try after a while.
    pub fn retry_after(self, after: Duration) -> Self {
        Self { retry_after: Some(after), ..self }
    }

    /// Sets what the response's headers say of it.
    pub fn write_headers(&self, headers: &mut HeaderMap) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM));
        if let Some(after) = self.retry_after {
            // Whole seconds, at least one (RFC 9110 §10.2.3).
            let seconds = (after.as_secs() + u64::from(after.subsec_nanos() > 0)).max(1);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"windrose\""));
            headers.append(
                WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"windrose\", charset=\"UTF-8\""),
            );
        }
    }

    /// The response's body.
    pub fn body(&self) -> Bytes {
        let mut object = json!({
            "type": format!("urn:windrose:problem:{}", self.code),
            "title": self.status.canonical_reason().unwrap_or("Problem"),
            "status": self.status.as_u16(),
        });
        if let Some(detail) = &self.detail {
            object["detail"] = Value::from(&**detail);
        }
        if let Some(results) = &self.results {
            object["results"] = results.clone();
        }
        Bytes::from(object.to_string())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn status(outcome: Outcome) -> u16 {
        Problem::of_outcome(&outcome).unwrap().status.as_u16()
    }

    #[test]
    fn outcomes_have_the_status_that_the_table_says() {
        assert_eq!(Problem::of_outcome(&Outcome::Accepted), None);
        assert_eq!(status(Outcome::Busy { retry_after: None }), 429);
        assert_eq!(status(Outcome::unavailable()), 503);
        assert_eq!(status(Outcome::TimedOut), 504);
        assert_eq!(status(Outcome::rejected(Cause::Malformed)), 400);
        assert_eq!(status(Outcome::rejected(Cause::BadPayload)), 422);
        assert_eq!(status(Outcome::rejected(Cause::NotPermitted)), 403);
        assert_eq!(status(Outcome::rejected(Cause::TooLarge)), 413);
        assert_eq!(status(Outcome::rejected(Cause::ByService)), 422);
    }

    #[test]
    fn a_hint_when_to_come_back_is_rounded_up() {
        let busy = Outcome::Busy { retry_after: Some(Duration::from_millis(2_100)) };
        let mut headers = HeaderMap::new();
        Problem::of_outcome(&busy).unwrap().write_headers(&mut headers);
        assert_eq!(headers["retry-after"], "3");
        Problem::of_outcome(&Outcome::unavailable()).unwrap().write_headers(&mut headers);
        assert_eq!(headers["retry-after"], "1");
    }

    #[test]
    fn the_services_words_reach_the_sender() {
        let outcome = Outcome::rejected_because(Cause::ByService, "HTTP 404: no such \"car\"");
        let body: Value = serde_json::from_slice(&Problem::of_outcome(&outcome).unwrap().body()).unwrap();
        assert_eq!(body["type"], "urn:windrose:problem:by_service");
        assert_eq!(body["title"], "Unprocessable Entity");
        assert_eq!(body["status"], 422);
        assert_eq!(body["detail"], "HTTP 404: no such \"car\"");
    }

    #[test]
    fn who_brings_nothing_is_asked_for_credentials() {
        for cause in [RefusalCause::AnonymousDenied, RefusalCause::BadCredentials] {
            let mut headers = HeaderMap::new();
            let problem = Problem::of_refusal(cause);
            problem.write_headers(&mut headers);
            assert_eq!(problem.status.as_u16(), 401);
            assert_eq!(headers["www-authenticate"], "Bearer realm=\"windrose\"");
        }
        assert_eq!(Problem::of_refusal(RefusalCause::NotAllowed).status.as_u16(), 403);
        assert_eq!(Problem::of_refusal(RefusalCause::Quota).status.as_u16(), 429);
        assert_eq!(Problem::of_refusal(RefusalCause::ShuttingDown).status.as_u16(), 503);
    }
}
