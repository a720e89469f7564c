//! Enrolment over HTTP (EST, RFC 7030), and what an authority says of its certificates (RFC 5280 §4.2.1.13, RFC 6960 A).

use super::media::essence;
use super::problem::Problem;
use crate::certs_only::certs_only;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use percent_encoding::percent_decode_str;
use std::borrow::Cow;
use std::time::Duration;
use windrose_event::{EnrolCause, EnrolRefusal, Enrolled};

/// The folder of enrolment (RFC 5785, RFC 7030 §3.2.2).
const EST: &str = "/.well-known/est/";

/// The largest body of a request here: a request for a certificate with a large key, in base64, has 3 KiB.
pub const MAX_AUTHORITY_BODY: usize = 24 * 1024;

/// When to come back if the authority cannot answer.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// A resource of the authority's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthorityResource<'a> {
    /// `cacerts`: its certificates (RFC 7030 §4.1).
    Authorities,
    /// `csrattrs`: what a request should hold (RFC 7030 §4.5).
    Attributes,
    /// `simpleenroll` and `simplereenroll`: a certificate (RFC 7030 §4.2).
    Certificate {
        /// Whether the one that the caller came with is to be renewed.
        renew: bool,
    },
    /// `serverkeygen` and `fullcmc` (RFC 7030 §4.3, §4.4), which are not to be had.
    Refused,
    /// `/ca/crl`, `/ca/crl/ISSUER`: what was revoked.
    Revocations(&'a str),
    /// `/ca/ocsp`: whether a certificate is good; with the question in the path, or in the body.
    Status(Option<&'a str>),
}

impl<'a> AuthorityResource<'a> {
    /// The resource that a path names, if it names one.
    pub fn of(path: &'a str) -> Option<Self> {
        if let Some(operation) = path.strip_prefix(EST) {
            return Some(match operation {
                "cacerts" => Self::Authorities,
                "csrattrs" => Self::Attributes,
                "simpleenroll" => Self::Certificate { renew: false },
                "simplereenroll" => Self::Certificate { renew: true },
                "serverkeygen" | "fullcmc" => Self::Refused,
                _ => return None,
            });
        }
        match path.strip_prefix("/ca/")? {
            "crl" => Some(Self::Revocations("")),
            "ocsp" | "ocsp/" => Some(Self::Status(None)),
            other => match other.split_once('/')? {
                ("crl", issuer) => Some(Self::Revocations(issuer)),
                ("ocsp", question) => Some(Self::Status(Some(question))),
                _ => None,
            },
        }
    }

    /// The methods that it answers, as `Allow` writes them.
    pub const fn methods(&self) -> &'static str {
        match self {
            Self::Authorities | Self::Attributes | Self::Revocations(_) => "GET, HEAD",
            Self::Certificate { .. } | Self::Refused => "POST",
            Self::Status(_) => "GET, HEAD, POST",
        }
    }
}

/// The request for a certificate in a body (RFC 7030 §4.2.1): base64, as the specification has it; PEM and DER, as people
/// send it.
///
/// # Errors
/// What is wrong with it.
pub fn read_certificate_request(headers: &HeaderMap, body: Bytes) -> Result<Bytes, Problem> {
    let bad = |detail| Problem::new(StatusCode::BAD_REQUEST, "bad_request", detail);
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !essence(media_type).eq_ignore_ascii_case("application/pkcs10") {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "bad_request",
            "a request for a certificate is sent with Content-Type: application/pkcs10",
        ));
    }
    // In base64 the same first byte is an 'M'.
    if body.first() == Some(&0x30) {
        return Ok(body);
    }
    let text = std::str::from_utf8(&body).map_err(|_| bad("the body is neither base64, nor PEM, nor DER"))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("-----"));
    let text: String = lines.flat_map(|line| line.split_ascii_whitespace()).collect();
    if text.is_empty() {
        return Err(bad("the body is empty: it is a request for a certificate (PKCS #10)"));
    }
    STANDARD.decode(text).map(Bytes::from).map_err(|_| bad("the body is neither base64, nor PEM, nor DER"))
}

/// The question in the path of a GET (RFC 6960 A.1): base64, in percent-encoding.
pub fn read_status_question(path: &str) -> Option<Bytes> {
    let text: Cow<'_, str> = percent_decode_str(path).decode_utf8().ok()?;
    STANDARD.decode(text.trim_end_matches('\n')).ok().map(Bytes::from)
}

/// An answer of the authority's: its media type, and its body in base64 (RFC 7030 §4.1.3, §4.2.3, §4.5.2).
pub fn write_enrolled(enrolled: &Enrolled) -> (&'static str, Bytes) {
    const CERTIFICATES: &str = "application/pkcs7-mime; smime-type=certs-only";
    let (media_type, der) = match enrolled {
        Enrolled::Authorities(certificates) => (CERTIFICATES, certs_only(certificates)),
        Enrolled::Certificate(certificate) => (CERTIFICATES, certs_only(std::slice::from_ref(certificate))),
        Enrolled::Attributes(attributes) => ("application/csrattrs", attributes.clone()),
    };
    (media_type, base64_lines(&der))
}

/// Base64 in lines (RFC 2045 §6.8): some clients read no longer ones.
fn base64_lines(der: &[u8]) -> Bytes {
    let mut text = String::with_capacity(der.len() * 3 / 2);
    // 48 bytes make a line of 64 characters.
    for line in der.chunks(48) {
        STANDARD.encode_string(line, &mut text);
        text.push_str("\r\n");
    }
    text.into()
}

/// The problem of somebody who gets no certificate.
pub fn refused(refusal: &EnrolRefusal) -> Problem {
    let (status, code) = match refusal.cause {
        EnrolCause::BadRequest => (StatusCode::BAD_REQUEST, "bad_request"),
        EnrolCause::NotAllowed => (StatusCode::FORBIDDEN, "not_permitted"),
        EnrolCause::NoAuthority => (StatusCode::NOT_FOUND, "not_found"),
        EnrolCause::Unavailable => {
            return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", refusal.reason)
                .retry_after(RETRY_AFTER);
        }
    };
    Problem::new(status, code, refusal.reason)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    #[test]
    fn paths_name_resources() {
        use AuthorityResource as R;
        assert_eq!(R::of("/.well-known/est/cacerts"), Some(R::Authorities));
        assert_eq!(R::of("/.well-known/est/simplereenroll"), Some(R::Certificate { renew: true }));
        assert_eq!(R::of("/.well-known/est/serverkeygen"), Some(R::Refused));
        assert_eq!(R::of("/ca/crl"), Some(R::Revocations("")));
        assert_eq!(R::of("/ca/crl/00ff"), Some(R::Revocations("00ff")));
        assert_eq!(R::of("/ca/ocsp/MEUw%2FQ=="), Some(R::Status(Some("MEUw%2FQ=="))));
        for none in
            ["/.well-known/est/", "/.well-known/est/label/cacerts", "/ca", "/ca/", "/ca/key", "/v1/events"]
        {
            assert_eq!(R::of(none), None, "{none}");
        }
    }

    fn read(body: &'static [u8]) -> Result<Bytes, Problem> {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("Application/PKCS10; charset=x"));
        read_certificate_request(&headers, Bytes::from_static(body))
    }

    #[test]
    fn a_request_comes_as_base64_as_pem_and_as_der() {
        let der = [0x30, 0x03, 0x02, 0x01, 0x00];
        assert_eq!(read(&[0x30, 0x03, 0x02, 0x01, 0x00]).unwrap(), der[..]);
        assert_eq!(read(b"MAMCAQA=").unwrap(), der[..]);
        assert_eq!(read(b"MAMC\r\nAQA=\r\n").unwrap(), der[..]);
        let pem = b"-----BEGIN CERTIFICATE REQUEST-----\nMAMC\nAQA=\n-----END CERTIFICATE REQUEST-----\n";
        assert_eq!(read(pem).unwrap(), der[..]);
        assert_eq!(read(b"").unwrap_err().status, 400);
        assert_eq!(read(b"***").unwrap_err().status, 400);
        let untyped = read_certificate_request(&HeaderMap::new(), Bytes::from_static(b"MAMCAQA="));
        assert_eq!(untyped.unwrap_err().status, 415);
    }

    #[test]
    fn certificates_are_sent_in_lines() {
        let (media_type, body) = write_enrolled(&Enrolled::Certificate(vec![0x30; 100].into()));
        assert_eq!(media_type, "application/pkcs7-mime; smime-type=certs-only");
        assert!(body.split(|byte| *byte == b'\n').all(|line| line.len() <= 65));
    }

    proptest! {
        #[test]
        fn no_body_and_no_path_breaks_the_readers(body in prop::collection::vec(any::<u8>(), 0..100), path in ".{0,40}") {
            let mut headers = HeaderMap::new();
            headers.insert("content-type", HeaderValue::from_static("application/pkcs10"));
            let _ = read_certificate_request(&headers, body.into());
            let _ = AuthorityResource::of(&path);
            let _ = read_status_question(&path);
        }
    }
}
