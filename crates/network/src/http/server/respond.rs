//! Responses, and the two kinds of bodies that they have.

use super::stream::EventStream;
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use hyper::body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use windrose_event::{Event, Outcome};
use windrose_protocol::http::{EVENT_STREAM, JSON, Problem, write_binary};

/// A response's body.
pub(super) enum Content {
    /// All of it.
    Whole(Option<Bytes>),
    /// Events as they come.
    Stream(Box<EventStream>),
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(stream) => {
                stream.poll_bytes(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

fn response(status: StatusCode, content: Content) -> Response<Content> {
    let mut response = Response::new(content);
    *response.status_mut() = status;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn whole(status: StatusCode, body: Bytes) -> Response<Content> {
    response(status, Content::Whole((!body.is_empty()).then_some(body)))
}

/// JSON.
pub(super) fn json(status: StatusCode, body: impl Into<Bytes>) -> Response<Content> {
    let mut response = whole(status, body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    response
}

/// Keys that others verify our signatures with. They are told a day before they sign: for a while others may remember them.
pub(super) fn public_keys(keys: Bytes) -> Response<Content> {
    let mut response = whole(StatusCode::OK, keys);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    response
}

/// What is of a media type of its own.
pub(super) fn typed(media_type: &'static str, body: Bytes) -> Response<Content> {
    let mut response = whole(StatusCode::OK, body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// A problem, as a line of text: what shows what it got to a person (RFC 7030 §4.2.3).
pub(super) fn problem_line(problem: &Problem) -> Response<Content> {
    let line = problem.detail.as_deref().unwrap_or("it cannot be done");
    let mut response = whole(problem.status, format!("{line}\n").into());
    problem.write_headers(response.headers_mut());
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
}

/// A problem.
pub(super) fn problem(problem: &Problem) -> Response<Content> {
    let mut response = whole(problem.status, problem.body());
    problem.write_headers(response.headers_mut());
    response
}

/// What became of a published event.
pub(super) fn outcome(outcome: &Outcome, heard: bool) -> Result<Response<Content>, Problem> {
    match Problem::of_outcome(outcome) {
        Some(problem) => Err(problem),
        None if heard => Ok(json(StatusCode::ACCEPTED, r#"{"outcome":"accepted","heard":true}"#)),
        None => Ok(json(StatusCode::ACCEPTED, r#"{"outcome":"accepted","heard":false}"#)),
    }
}

/// An event: its payload as the body, its attributes as headers.
pub(super) fn event(node: &str, event: &Event) -> Response<Content> {
    let mut response = whole(StatusCode::OK, Bytes::new());
    let body = write_binary(node, event, response.headers_mut());
    if !body.is_empty() {
        *response.body_mut() = Content::Whole(Some(body));
    }
    response
}

/// A stream of events.
pub(super) fn stream(stream: EventStream) -> Response<Content> {
    let mut response = response(StatusCode::OK, Content::Stream(Box::new(stream)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    // A proxy that collects the answer before it passes it on would hold events back.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// A method that the resource does not answer.
pub(super) fn method_not_allowed(methods: &'static str) -> Response<Content> {
    let mut response = problem(&Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        format!("this resource answers {methods}"),
    ));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    response
}

/// The answer to HEAD: everything but the body.
pub(super) fn without_body(mut response: Response<Content>) -> Response<Content> {
    if let Some(length) = response.body().size_hint().exact() {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    *response.body_mut() = Content::Whole(None);
    response
}
