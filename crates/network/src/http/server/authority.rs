//! The authority, over HTTP: enrolment (EST, RFC 7030), and what it says of its certificates.

use super::caller::closed;
use super::respond::{self, Content};
use super::{Connection, intake};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use hyper::body::Incoming;
use std::time::Duration;
use tokio::time::timeout;
use windrose_event::{Directive, EnrolRequest, Enrolled, Identity, Intent};
use windrose_protocol::http::{
    AuthorityResource, MAX_AUTHORITY_BODY, Problem, read_certificate_request, read_status_question, refused,
    write_enrolled,
};

/// How long the authority and its registry may take.
const WAIT: Duration = Duration::from_secs(30);

impl Connection {
    /// Whether there is an authority to ask.
    pub(super) fn has_authority(&self) -> bool {
        self.host.snapshot().ca.is_some()
    }

    /// Whether nobody on the way can put something else in the answer's place (RFC 7030 §3.3).
    fn is_private(&self) -> bool {
        self.facts.listener.tls.is_some() || self.facts.listener.bind.ip().is_loopback()
    }
}

/// Answers for the authority.
pub(super) async fn answer(
    connection: &Connection,
    parts: &Parts,
    body: Incoming,
    resource: AuthorityResource<'_>,
) -> Response<Content> {
    let methods = resource.methods();
    // All of it, whoever sends it: an answer that comes before its request has ended is lost on some clients.
    let body = match intake::read_within(connection, body, MAX_AUTHORITY_BODY, "").await {
        Ok(body) => body,
        Err(problem) => return respond::problem_line(&problem),
    };
    let answered = match (resource, &parts.method) {
        (AuthorityResource::Refused, _) => Err(Problem::new(
            StatusCode::NOT_IMPLEMENTED,
            "unsupported",
            "a thing makes its own key here, and asks by simpleenroll for a certificate",
        )),
        (AuthorityResource::Revocations(issuer), &(Method::GET | Method::HEAD)) => {
            revocations(connection, issuer).await
        }
        (AuthorityResource::Status(Some(question)), &(Method::GET | Method::HEAD)) => {
            status(connection, read_status_question(question)).await
        }
        (AuthorityResource::Status(None), &Method::POST) => {
            status(connection, is_question(parts).then_some(body)).await
        }
        (AuthorityResource::Authorities, &(Method::GET | Method::HEAD)) => {
            public(connection, EnrolRequest::Authorities).await
        }
        (AuthorityResource::Attributes, &(Method::GET | Method::HEAD)) => {
            public(connection, EnrolRequest::Attributes).await
        }
        (AuthorityResource::Certificate { renew }, &Method::POST) => {
            certificate(connection, parts, body, renew).await
        }
        _ => return respond::method_not_allowed(methods),
    };
    answered.unwrap_or_else(|problem| respond::problem_line(&problem))
}

/// What anybody may know (RFC 7030 §4.1.1, §4.5.1).
async fn public(connection: &Connection, request: EnrolRequest) -> Result<Response<Content>, Problem> {
    private(connection)?;
    let answer = connection.host.enrolment().enrol(&Identity::anonymous(), request);
    match timeout(WAIT, answer).await {
        Ok(Ok(enrolled)) => Ok(enrolment(&enrolled)),
        Ok(Err(refusal)) => Err(refused(&refusal)),
        Err(_) => Err(silent()),
    }
}

/// A certificate for a caller who is known and may have one.
async fn certificate(
    connection: &Connection,
    parts: &Parts,
    body: Bytes,
    renew: bool,
) -> Result<Response<Content>, Problem> {
    private(connection)?;
    // It ends with this request: a code that was used proves nothing any more.
    let caller = connection.caller(parts).await?;
    let request = read_certificate_request(&parts.headers, body)?;
    let asked = caller.tag();
    let request = Box::new(EnrolRequest::Certificate { request, renew });
    caller.exchange.intent(Intent::Enrol { tag: asked, request });
    let answered = async {
        loop {
            match caller.exchange.directive().await {
                Directive::Enrolled { tag, result } if tag == asked => return Ok(result),
                Directive::Close(reason) => return Err(closed(&reason)),
                _ => {}
            }
        }
    };
    match *timeout(WAIT, answered).await.map_err(|_| silent())?? {
        Ok(enrolled) => Ok(enrolment(&enrolled)),
        Err(refusal) => Err(refused(&refusal)),
    }
}

fn private(connection: &Connection) -> Result<(), Problem> {
    match connection.is_private() {
        true => Ok(()),
        false => Err(Problem::new(
            StatusCode::FORBIDDEN,
            "not_permitted",
            "enrolment is by TLS only: ask on a listener that has it",
        )),
    }
}

fn enrolment(enrolled: &Enrolled) -> Response<Content> {
    let (media_type, body) = write_enrolled(enrolled);
    let mut response = respond::typed(media_type, body);
    // RFC 8951 §3.1 says that nobody should need it; clients from before it do.
    let encoding = HeaderName::from_static("content-transfer-encoding");
    response.headers_mut().insert(encoding, HeaderValue::from_static("base64"));
    response
}

/// The list of what was revoked (RFC 5280 §4.2.1.13): for anybody, by plain HTTP, too. It is signed.
async fn revocations(connection: &Connection, issuer: &str) -> Result<Response<Content>, Problem> {
    let list = timeout(WAIT, connection.host.enrolment().revocations(issuer)).await.map_err(|_| silent())?;
    let list = list.ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, "not_found", "there is no list of that authority now")
    })?;
    let mut response = respond::typed("application/pkix-crl", list);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
    Ok(response)
}

/// Whether a certificate is good (RFC 6960 A): for anybody, like lists.
async fn status(connection: &Connection, question: Option<Bytes>) -> Result<Response<Content>, Problem> {
    let question = question.ok_or_else(|| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "bad_request",
            "a question is POSTed as application/ocsp-request, or in the path of a GET in base64",
        )
    })?;
    let answer = timeout(WAIT, connection.host.enrolment().status(question)).await.map_err(|_| silent())?;
    let answer = answer.ok_or_else(silent)?;
    Ok(respond::typed("application/ocsp-response", answer))
}

fn is_question(parts: &Parts) -> bool {
    let media_type = parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    media_type.eq_ignore_ascii_case(b"application/ocsp-request")
}

fn silent() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "unavailable",
        "the authority does not answer; try again later",
    )
    .retry_after(Duration::from_secs(10))
}
