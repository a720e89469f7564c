//! Enrolment over CoAP (EST-coaps, RFC 9148): a session of DTLS or TLS asks the authority.

use super::pending::{Enrolling, Pending};
use super::reply::Reply;
use super::request::{self, Asked};
use super::value::not_acceptable;
use super::{Binding, outcome};
use crate::certs_only::certs_only;
use crate::coap::codec::{Code, option};
use crate::coap::{Remote, Request, Response, format};
use std::time::Duration;
use windrose_event::{EnrolCause, EnrolRefusal, EnrolRequest, Enrolled, Intent, Now};

/// The folder of enrolment (RFC 9148 §4.1).
const EST: &[u8] = b".well-known/est/";

/// When to come back if the authority cannot answer.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// What is done with a resource of the authority's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// `crts`.
    Authorities,
    /// `att`.
    Attributes,
    /// `sen`, and `sren`, which renews.
    Certificate { renew: bool },
    /// `skg` and `skc`: the key would not be the thing's own.
    Refused,
}

impl Operation {
    /// The resource that a path names, if it names one.
    pub(super) fn of(path: &[u8]) -> Option<Self> {
        Some(match path.strip_prefix(EST)? {
            b"crts" => Self::Authorities,
            b"att" => Self::Attributes,
            b"sen" => Self::Certificate { renew: false },
            b"sren" => Self::Certificate { renew: true },
            b"skg" | b"skc" => Self::Refused,
            _ => return None,
        })
    }

    const fn method(self) -> Code {
        match self {
            Self::Authorities | Self::Attributes => Code::GET,
            Self::Certificate { .. } | Self::Refused => Code::POST,
        }
    }
}

impl Binding {
    /// Asks the authority.
    pub(super) fn enrol(
        &mut self,
        now: Now,
        remote: Remote,
        reply: &mut Reply,
        request: &Request<'_>,
        asked: &Asked,
        operation: Operation,
    ) -> Result<(), Response> {
        if request.code != operation.method() {
            return Err(Response::new(Code::METHOD_NOT_ALLOWED));
        }
        if operation == Operation::Refused {
            let problem = "a thing makes its own key here: ask by sen";
            return Err(Response::diagnostic(Code::NOT_IMPLEMENTED, problem));
        }
        let format = answer_format(operation, asked.accept).ok_or_else(not_acceptable)?;
        let key = request::key(request.code, request.options);
        if asked.block2.is_some_and(|block| block.number > 0) {
            // What was signed is not signed again for its second half.
            let Some(response) = self.bodies.get(remote, &key) else {
                let problem = "the answer is not kept any more: ask again";
                return Err(Response::diagnostic(Code::REQUEST_ENTITY_INCOMPLETE, problem));
            };
            return self.rest(*reply, asked, response);
        }
        let wanted = match operation {
            Operation::Authorities => EnrolRequest::Authorities,
            Operation::Attributes => EnrolRequest::Attributes,
            Operation::Certificate { renew } => {
                if asked.format.is_some_and(|format| format != format::PKCS10) {
                    let problem = "a request for a certificate is of content format 286";
                    return Err(Response::diagnostic(Code::UNSUPPORTED_CONTENT_FORMAT, problem));
                }
                let Some(request) = self.body(now, remote, reply, request, asked)? else { return Ok(()) };
                EnrolRequest::Certificate { request, renew }
            }
            Operation::Refused => return Err(Response::new(Code::NOT_IMPLEMENTED)),
        };
        let lane = self.lane(now, remote)?;
        let enrolling = Box::new(Enrolling { format, block2: asked.block2, remote, key });
        let reply = *reply;
        self.ask(now, lane, Pending::Enrol { reply, enrolling }, |tag| Intent::Enrol {
            tag,
            request: Box::new(wanted),
        })
    }

    /// The authority has answered.
    pub(super) fn enrolled(
        &mut self,
        now: Now,
        reply: Reply,
        enrolling: Enrolling,
        result: Result<Enrolled, EnrolRefusal>,
    ) {
        let Enrolling { format, block2, remote, key } = enrolling;
        let enrolled = match result {
            Ok(enrolled) => enrolled,
            Err(refusal) => return self.respond(reply, refused(&refusal)),
        };
        let (code, payload) = match enrolled {
            Enrolled::Authorities(certificates) if format == format::CERTIFICATE => {
                // The one that signs: what follows it has no place in this format.
                (Code::CONTENT, certificates.into_iter().next().unwrap_or_default())
            }
            Enrolled::Authorities(certificates) => (Code::CONTENT, certs_only(&certificates)),
            Enrolled::Attributes(attributes) => (Code::CONTENT, attributes),
            Enrolled::Certificate(certificate) if format == format::CERTIFICATE => {
                (Code::CHANGED, certificate)
            }
            Enrolled::Certificate(certificate) => (Code::CHANGED, certs_only(&[certificate])),
        };
        let mut response = Response::new(code);
        response.options.insert_uint(option::CONTENT_FORMAT, format.into());
        response.payload = payload;
        self.give(now, remote, &key, reply, block2, response);
    }
}

/// The content format of an answer; `None`: there is none that is accepted (RFC 9148 §4.3).
fn answer_format(operation: Operation, accept: Option<u16>) -> Option<u16> {
    let known: &[u16] = match operation {
        Operation::Attributes => &[format::CSR_ATTRIBUTES],
        _ => &[format::CERTIFICATES, format::CERTIFICATE],
    };
    let wanted = accept.or(known.first().copied())?;
    known.contains(&wanted).then_some(wanted)
}

/// The response of somebody who gets no certificate.
fn refused(refusal: &EnrolRefusal) -> Response {
    match refusal.cause {
        EnrolCause::BadRequest => Response::diagnostic(Code::BAD_REQUEST, refusal.reason),
        EnrolCause::NotAllowed => Response::diagnostic(Code::FORBIDDEN, refusal.reason),
        EnrolCause::NoAuthority => Response::diagnostic(Code::NOT_FOUND, refusal.reason),
        EnrolCause::Unavailable => outcome::unavailable(refusal.reason, Some(RETRY_AFTER)),
    }
}
