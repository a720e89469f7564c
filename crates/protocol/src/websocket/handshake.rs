//! The opening handshake (RFC 6455 §4.2; MQTT 5 §6): one HTTP request, read with bounds, and its answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode, Uri};
use httparse::Status;
use sha1::{Digest, Sha1};
use std::fmt::{self, Write as _};

/// The largest head of a request that is read.
const HEAD_BYTES: usize = 16 * 1024;
/// Headers of one request.
const HEADERS: usize = 64;
/// What a key is answered with (RFC 6455 §1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// A protocol that WebSocket carries, by its subprotocols, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried(&'static [&'static str]);

impl Carried {
    /// MQTT: MQTT 5 §6 [MQTT-6.0.0-4], and the one of clients of MQTT 3.1.
    pub const MQTT: Self = Self(&["mqtt", "mqttv3.1"]);
    /// CoAP (RFC 8323 §8.1).
    pub const COAP: Self = Self(&["coap"]);
    /// AMQP 1.0 (AMQP WebSocket Binding §2.1; the other is of clients of its drafts).
    pub const AMQP: Self = Self(&["amqp", "AMQPWSB10"]);
}

/// Why bytes are not the head of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// They are no HTTP/1.1.
    NotHttp,
    /// It does not end within the bounds.
    TooLarge,
}

impl HeadError {
    /// The answer.
    pub fn refusal(self) -> Refused {
        match self {
            Self::NotHttp => Refused::new(StatusCode::BAD_REQUEST, "this is not HTTP/1.1"),
            Self::TooLarge => Refused::new(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "the request's head has more than 16 KiB or more than 64 headers",
            ),
        }
    }
}

/// The head of a request: which resource it is for, and whether a WebSocket comes of it.
#[derive(Clone, Debug)]
pub struct Head {
    length: usize,
    path: String,
    wants_websocket: bool,
    asked: Result<Asked, Refused>,
}

/// What a good request asks for.
#[derive(Clone, Debug)]
struct Asked {
    /// The answer to its key.
    accept: String,
    /// The subprotocols that the client offers.
    offers: String,
}

impl Head {
    /// How many bytes it has; frames may follow it at once.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether it has none, which never is.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The path, without a query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether it asks for a WebSocket, however badly.
    pub fn wants_websocket(&self) -> bool {
        self.wants_websocket
    }

    /// The answer, if the path is right and is for this.
    pub fn into_answer(self, carried: Carried) -> Result<Accepted, Refused> {
        let Asked { accept, offers } = self.asked?;
        let is_offered = |name: &&str| offers.split(',').any(|offer| offer.trim() == *name);
        let Some(subprotocol) = carried.0.iter().copied().find(is_offered) else {
            let best = carried.0.first().copied().unwrap_or_default();
            let problem =
                format!("the client does not offer the subprotocol: Sec-WebSocket-Protocol: {best}");
            return Err(Refused::new(StatusCode::BAD_REQUEST, problem));
        };
        let response = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {subprotocol}\r\n\r\n"
        );
        Ok(Accepted { response: response.into_bytes(), subprotocol })
    }
}

/// A handshake that succeeded.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// What is written: the answer 101.
    pub response: Vec<u8>,
    /// The subprotocol that was chosen.
    pub subprotocol: &'static str,
}

/// A handshake that failed.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The answer's status.
    pub status: StatusCode,
    /// What is wrong and what to do.
    pub problem: String,
}

impl Refused {
    fn new(status: StatusCode, problem: impl Into<String>) -> Self {
        Self { status, problem: problem.into() }
    }

    /// No listener has the path; `paths` are those that there are.
    pub fn not_found<'a>(paths: impl Iterator<Item = &'a str>) -> Self {
        let mut problem = "no WebSocket is here; there is one at".to_owned();
        for path in paths {
            let _ = write!(problem, " {path}");
        }
        Self::new(StatusCode::NOT_FOUND, problem)
    }

    /// What is written before the connection is closed.
    pub fn response(&self) -> Vec<u8> {
        // RFC 9110 §15.5.6 and §15.5.22, RFC 6455 §4.4.
        let more = match self.status {
            StatusCode::METHOD_NOT_ALLOWED => "Allow: GET\r\n",
            StatusCode::UPGRADE_REQUIRED => "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
            _ => "",
        };
        let also = if more.starts_with("Upgrade") { "Upgrade, " } else { "" };
        let (status, body) = (self.status, &self.problem);
        let length = body.len() + 1;
        format!(
            "HTTP/1.1 {status}\r\n{more}Connection: {also}close\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {length}\r\n\r\n{body}\n"
        )
        .into_bytes()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status.as_u16(), self.problem)
    }
}

/// Reads the head of a request, if it is there whole.
pub fn head(bytes: &[u8]) -> Result<Option<Head>, HeadError> {
    // Seen at the first byte, where a parser would wait for a method's end.
    if bytes.first().is_some_and(|byte| !byte.is_ascii_alphabetic()) {
        return Err(HeadError::NotHttp);
    }
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(Status::Complete(length)) if length <= HEAD_BYTES => length,
        Ok(Status::Partial) if bytes.len() < HEAD_BYTES => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooLarge),
        Err(_) => return Err(HeadError::NotHttp),
    };
    let target = request.path.and_then(|target| target.parse::<Uri>().ok()).ok_or(HeadError::NotHttp)?;
    Ok(Some(Head {
        length,
        path: target.path().to_owned(),
        wants_websocket: has_token(&request, "upgrade", "websocket"),
        asked: asked(&request),
    }))
}

/// Whether it is a good request for a WebSocket (RFC 6455 §4.2.1, §4.2.2).
fn asked(request: &httparse::Request<'_, '_>) -> Result<Asked, Refused> {
    let bad = |problem: &str| Err(Refused::new(StatusCode::BAD_REQUEST, problem));
    if request.method != Some(Method::GET.as_str()) {
        return Err(Refused::new(StatusCode::METHOD_NOT_ALLOWED, "a WebSocket begins with GET"));
    }
    if request.version != Some(1) || values(request, "host").count() != 1 {
        return bad("a WebSocket begins with HTTP/1.1 and one Host header");
    }
    if !has_token(request, "upgrade", "websocket") {
        let problem = "only WebSocket is spoken here; ask for it with Upgrade: websocket";
        return Err(Refused::new(StatusCode::UPGRADE_REQUIRED, problem));
    }
    if !has_token(request, "connection", "upgrade") {
        return bad("the Connection header does not say Upgrade; does a proxy between us take it out?");
    }
    if single(request, "sec-websocket-version") != Some("13") {
        let problem = "only version 13 of WebSocket (RFC 6455) is spoken here";
        return Err(Refused::new(StatusCode::UPGRADE_REQUIRED, problem));
    }
    if values(request, "transfer-encoding").next().is_some()
        || values(request, "content-length").any(|length| length != "0")
    {
        return bad("a request for a WebSocket has no body");
    }
    let key = single(request, "sec-websocket-key").unwrap_or_default();
    if STANDARD.decode(key).map_or(0, |key| key.len()) != 16 {
        return bad("the header Sec-WebSocket-Key must be there once, with 16 bytes in base64");
    }
    let offers: Vec<&str> = values(request, "sec-websocket-protocol").collect();
    let accept = STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize());
    Ok(Asked { accept, offers: offers.join(",") })
}

/// The values of a header, one for each time that it is there. Values that are no text count as empty.
fn values<'a>(request: &'a httparse::Request<'_, '_>, name: &'a str) -> impl Iterator<Item = &'a str> {
    request
        .headers
        .iter()
        .filter(move |header| header.name.eq_ignore_ascii_case(name))
        .map(|header| std::str::from_utf8(header.value).unwrap_or_default().trim())
}

/// The value of a header that is there once.
fn single<'a>(request: &'a httparse::Request<'_, '_>, name: &'a str) -> Option<&'a str> {
    let mut values = values(request, name);
    values.next().filter(|_| values.next().is_none())
}

fn has_token(request: &httparse::Request<'_, '_>, name: &str, token: &str) -> bool {
    values(request, name).flat_map(|list| list.split(',')).any(|one| one.trim().eq_ignore_ascii_case(token))
}
