//! Answers: JSON, or a problem (RFC 9457).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use std::borrow::Cow;
use std::time::Duration;
use windrose_identity::RecordsError;
use windrose_protocol::http::Problem;

/// When to ask again while the database is away.
const AGAIN: Duration = Duration::from_secs(1);

/// A problem on its way to the caller.
#[derive(Debug)]
pub(super) struct Fault(pub(super) Problem);

impl Fault {
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Problem::new(status, code, detail))
    }

    /// The request makes no sense.
    pub(super) fn bad(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }

    pub(super) fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    pub(super) fn no_database() -> Self {
        let detail =
            "there is no database: the document has devices and keys in files only; add `identity.registry`";
        Self::new(StatusCode::CONFLICT, "no_database", detail)
    }
}

impl From<RecordsError> for Fault {
    fn from(error: RecordsError) -> Self {
        match error {
            RecordsError::Unavailable(why) => {
                tracing::warn!(%why, "the admin API could not ask the registry");
                let problem = Problem::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "unavailable",
                    "the registry could not be asked; the log says why",
                );
                Self(problem.retry_after(AGAIN))
            }
            RecordsError::NotFound(detail) => Self::not_found(detail),
            RecordsError::Conflict(detail) => Self::new(StatusCode::CONFLICT, "conflict", detail),
            RecordsError::Invalid(detail) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail),
        }
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = (self.0.status, self.0.body()).into_response();
        self.0.write_headers(response.headers_mut());
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// A value as the answer. Nothing of it may be kept on the way: it can hold a code that is shown once.
pub(super) fn json(status: StatusCode, value: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, format!("{value}\n")).into_response()
}

/// It is done, and there is nothing to tell.
pub(super) fn done() -> Response {
    StatusCode::NO_CONTENT.into_response()
}
