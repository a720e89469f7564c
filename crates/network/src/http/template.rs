//! The parts of a request that are the same for every event sent to a member, made once.

use super::vouch::Vouching;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};
use http_body_util::Full;
use std::rc::Rc;
use std::sync::Arc;
use windrose_event::Event;
use windrose_policy::{CloudEventsMode, Member, Pool};
use windrose_protocol::http::{
    BATCH, STRUCTURED, write_batch, write_binary, write_binary_lines, write_structured,
};

const AGENT: &str = concat!("windrose/", env!("CARGO_PKG_VERSION"));

/// Headers of the document that an event's own take the place of.
const TRACE: [&str; 2] = ["traceparent", "tracestate"];

/// What a member's requests have in common.
pub(super) struct Template {
    mode: CloudEventsMode,
    node: Arc<str>,
    /// For HTTP/1.1: the request line and headers, as bytes.
    lines: Vec<u8>,
    /// For HTTP/1.1: those of [`TRACE`] that the document sets.
    trace: Vec<u8>,
    /// For HTTP/2: the whole URL, which scheme and authority are taken from, and headers.
    url: Uri,
    headers: HeaderMap,
    /// Tells who published, if the document wants that.
    vouching: Option<Rc<Vouching>>,
}

impl Template {
    pub(super) fn new(node: Arc<str>, pool: &Pool, member: &Member, vouching: Option<Rc<Vouching>>) -> Self {
        let bracketed =
            if member.host.contains(':') { format!("[{}]", member.host) } else { member.host.to_string() };
        let default_port = if member.tls { 443 } else { 80 };
        let authority =
            if member.port == default_port { bracketed } else { format!("{bracketed}:{}", member.port) };
        let scheme = if member.tls { "https" } else { "http" };
        let uri = |text: &str| {
            text.parse::<Uri>().unwrap_or_else(|error| {
                tracing::warn!(pool = %pool.name, member = %member.url, %error, "the member's URL cannot be used");
                Uri::from_static("/")
            })
        };
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        for (name, value) in &pool.headers {
            match (name.parse::<HeaderName>(), HeaderValue::from_str(&value.0)) {
                (Ok(name), Ok(mut value)) => {
                    value.set_sensitive(true);
                    headers.insert(name, value);
                }
                _ => {
                    tracing::warn!(pool = %pool.name, header = %name, "the header cannot be sent and is left out")
                }
            }
        }
        let path = uri(&member.path);
        let path = path.path_and_query().map_or("/", |path| path.as_str());
        let mut lines = format!("POST {path} HTTP/1.1\r\n").into_bytes();
        if let Ok(host) = HeaderValue::from_str(&authority) {
            write_header(&mut lines, &HOST, &host);
        }
        let mut trace = Vec::new();
        for (name, value) in &headers {
            let lines = if TRACE.contains(&name.as_str()) { &mut trace } else { &mut lines };
            write_header(lines, name, value);
        }
        Self {
            mode: pool.mode,
            node,
            lines,
            trace,
            url: uri(&format!("{scheme}://{authority}{}", member.path)),
            headers,
            vouching,
        }
    }

    /// Appends the head of a request of HTTP/1.1 to `out` and returns the body.
    pub(super) fn write(&self, events: &[Arc<Event>], out: &mut Vec<u8>) -> Bytes {
        out.extend_from_slice(&self.lines);
        if let Some((name, value)) = self.vouching.as_ref().and_then(|vouching| vouching.header(events)) {
            write_header(out, name, &value);
        }
        let own = out.len();
        let body = match (self.mode, events) {
            (CloudEventsMode::Binary, [event]) => write_binary_lines(&self.node, event, out),
            _ => {
                let (content_type, body) = self.json(events);
                write_header(out, &CONTENT_TYPE, &HeaderValue::from_static(content_type));
                body
            }
        };
        let has_trace = || out.get(own..).is_some_and(|own| contains(own, b"\r\ntraceparent: "));
        if !self.trace.is_empty() && !has_trace() {
            out.extend_from_slice(&self.trace);
        }
        out.extend_from_slice(b"content-length: ");
        write_number(body.len(), out);
        out.extend_from_slice(b"\r\n\r\n");
        body
    }

    /// A request of HTTP/2.
    pub(super) fn request(&self, events: &[Arc<Event>]) -> Request<Full<Bytes>> {
        let mut headers = HeaderMap::with_capacity(16 + self.headers.len());
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
        if let Some((name, value)) = self.vouching.as_ref().and_then(|vouching| vouching.header(events)) {
            headers.insert(name.clone(), value);
        }
        let body = match (self.mode, events) {
            (CloudEventsMode::Binary, [event]) => write_binary(&self.node, event, &mut headers),
            _ => {
                let (content_type, body) = self.json(events);
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
                body
            }
        };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        *request.version_mut() = Version::HTTP_2;
        *request.headers_mut() = headers;
        request
    }

    /// Events in the modes that write them into the body.
    fn json(&self, events: &[Arc<Event>]) -> (&'static str, Bytes) {
        let mut body = Vec::new();
        let content_type = match (self.mode, events) {
            (CloudEventsMode::Structured, [event]) => {
                write_structured(&self.node, event, &mut body);
                STRUCTURED
            }
            _ => {
                write_batch(&self.node, events, &mut body);
                BATCH
            }
        };
        (content_type, body.into())
    }
}

fn write_header(lines: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    for piece in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
        lines.extend_from_slice(piece);
    }
}

fn write_number(mut number: usize, out: &mut Vec<u8>) {
    let start = out.len();
    loop {
        // The remainder of ten fits a byte.
        out.push(b'0' + (number % 10) as u8);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out[start..].reverse();
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}
