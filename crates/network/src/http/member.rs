//! One member of a pool, as one shard speaks to it: its connections, and events as its requests.

use super::connection::{Connection, Connector, Failure, Response};
use crate::dial::DialError;
use crate::notice::Notice;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};
use http_body_util::Full;
use rustls::ClientConfig;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;
use windrose_engine::{Answer, Reply};
use windrose_event::{Event, Outcome, Text};
use windrose_policy::{CloudEventsMode, HttpVersion, Member, Pool};
use windrose_protocol::http::{BATCH, STRUCTURED, read_outcome, write_batch, write_binary, write_structured};

/// How long a connection may be idle before it is closed.
const IDLE_LIMIT: Duration = Duration::from_secs(60);
/// The most idle connections to one member.
const MAX_IDLE: usize = 1_024;

const AGENT: &str = concat!("windrose/", env!("CARGO_PKG_VERSION"));

/// A member and the connections to it.
pub(super) struct MemberClient {
    pool: Arc<str>,
    url: Arc<str>,
    mode: CloudEventsMode,
    connector: Connector,
    /// What every request has, made once.
    template: Template,
    /// HTTP/1.1 connections, the last used one at the end.
    idle: RefCell<VecDeque<Idle>>,
    max_idle: usize,
    /// The HTTP/2 connection that all requests share.
    shared: RefCell<Option<Connection>>,
    /// Held while the first connection, or a shared one, is made: others wait instead of making their own.
    connecting: Mutex<()>,
    /// What the member turned out to speak.
    speaks: Cell<Speaks>,
    notice: Notice,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Speaks {
    Unknown,
    Http1,
    Http2,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

/// The parts of a request that are the same for every event.
struct Template {
    /// Path and query (HTTP/1.1, origin form).
    path: Uri,
    /// The whole URL (HTTP/2, which takes scheme and authority from it).
    url: Uri,
    host: Option<HeaderValue>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl MemberClient {
    pub(super) fn new(pool: &Pool, member: &Member, tls: Option<Arc<ClientConfig>>) -> Self {
        let speaks = match (pool.http_version, member.tls) {
            (HttpVersion::Http2, _) => Speaks::Http2,
            (HttpVersion::Auto, true) => Speaks::Unknown,
            (HttpVersion::Auto, false) | (HttpVersion::Http1, _) => Speaks::Http1,
        };
        Self {
            pool: Arc::clone(&pool.name),
            url: Arc::clone(&member.url),
            mode: pool.mode,
            connector: Connector::new(pool, member, tls),
            template: Template::new(pool, member),
            idle: RefCell::default(),
            max_idle: (pool.max_in_flight as usize).min(MAX_IDLE),
            shared: RefCell::default(),
            connecting: Mutex::new(()),
            speaks: Cell::new(speaks),
            notice: Notice::default(),
        }
    }

    /// Sends events as one request. A connection that was idle may have been closed by the member meanwhile: then the
    /// request is sent once more, on a new one. (An event may so arrive twice, as at least once allows.)
    pub(super) async fn send(&self, node: &str, events: &[Arc<Event>]) -> Answer {
        let mut fresh = false;
        loop {
            let (mut connection, reused) = match self.connection(fresh).await {
                Ok(connection) => connection,
                Err(failure) => return self.failed(&failure),
            };
            let http2 = connection.is_http2();
            let request = self.template.request(http2, self.mode, node, events);
            match connection.exchange(request).await {
                Ok(response) => {
                    if !http2 && response.body.is_some() {
                        self.rest(connection);
                    }
                    return answer(response, events);
                }
                Err(Failure::Closed(_)) if reused && !fresh => fresh = true,
                Err(failure) => return self.failed(&failure),
            }
        }
    }

    /// The answer of a member that gave none within the time limit.
    pub(super) fn timed_out(&self, limit: Duration) -> Answer {
        self.warn(format_args!("no answer within {} ms", limit.as_millis()));
        Answer { outcome: Outcome::TimedOut, reply: None }
    }

    /// Closes connections that were idle for too long.
    pub(super) fn close_idle(&self) {
        let mut idle = self.idle.borrow_mut();
        while idle
            .front()
            .is_some_and(|oldest| oldest.since.elapsed() > IDLE_LIMIT || oldest.connection.is_closed())
        {
            idle.pop_front();
        }
    }

    /// A connection, and whether it was used before.
    async fn connection(&self, fresh: bool) -> Result<(Connection, bool), Failure> {
        if !self.connector.can_secure() {
            return Err(Failure::Dial(DialError::NoTls));
        }
        if fresh {
            self.shared.borrow_mut().take_if(|shared| shared.is_closed());
        }
        if !fresh && let Some(connection) = self.reuse().await {
            return Ok((connection, true));
        }
        if self.speaks.get() == Speaks::Http1 {
            return Ok((self.connector.connect().await?, false));
        }
        let guard = self.connecting.lock().await;
        // Somebody else may have made one while this one waited.
        if let Some(connection) = self.share() {
            return Ok((connection, !fresh));
        }
        if self.speaks.get() == Speaks::Http1 {
            drop(guard);
            return Ok((self.connector.connect().await?, false));
        }
        let connection = self.connector.connect().await?;
        match &connection {
            Connection::Http1(_) => self.speaks.set(Speaks::Http1),
            Connection::Http2(sender) => {
                self.speaks.set(Speaks::Http2);
                *self.shared.borrow_mut() = Some(Connection::Http2(sender.clone()));
            }
        }
        Ok((connection, false))
    }

    /// A connection that exists and is open.
    async fn reuse(&self) -> Option<Connection> {
        if let Some(connection) = self.share() {
            return Some(connection);
        }
        loop {
            let mut connection = self.idle.borrow_mut().pop_back()?.connection;
            if connection.ready().await.is_ok() {
                return Some(connection);
            }
        }
    }

    /// The shared connection, if there is one and it is open.
    fn share(&self) -> Option<Connection> {
        match &*self.shared.borrow() {
            Some(Connection::Http2(sender)) if !sender.is_closed() => Some(Connection::Http2(sender.clone())),
            _ => None,
        }
    }

    fn rest(&self, connection: Connection) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < self.max_idle && !connection.is_closed() {
            idle.push_back(Idle { connection, since: Instant::now() });
        }
    }

    fn failed(&self, failure: &Failure) -> Answer {
        self.warn(format_args!("{failure}"));
        Answer { outcome: Outcome::unavailable(), reply: None }
    }

    fn warn(&self, problem: std::fmt::Arguments<'_>) {
        if let Some(suppressed) = self.notice.admit() {
            tracing::warn!(pool = %self.pool, member = %self.url, suppressed, "no answer from a member: {problem}");
        }
    }
}

impl Template {
    fn new(pool: &Pool, member: &Member) -> Self {
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
        let mut headers = vec![(USER_AGENT, HeaderValue::from_static(AGENT))];
        for (name, value) in &pool.headers {
            match (name.parse::<HeaderName>(), HeaderValue::from_str(&value.0)) {
                (Ok(name), Ok(mut value)) => {
                    value.set_sensitive(true);
                    headers.push((name, value));
                }
                _ => {
                    tracing::warn!(pool = %pool.name, header = %name, "the header cannot be sent and is left out")
                }
            }
        }
        Self {
            path: uri(&member.path),
            url: uri(&format!("{scheme}://{authority}{}", member.path)),
            host: HeaderValue::from_str(&authority).ok(),
            headers,
        }
    }

    fn request(
        &self,
        http2: bool,
        mode: CloudEventsMode,
        node: &str,
        events: &[Arc<Event>],
    ) -> Request<Full<Bytes>> {
        let mut headers = HeaderMap::with_capacity(16 + self.headers.len());
        if !http2 && let Some(host) = &self.host {
            headers.insert(HOST, host.clone());
        }
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
        let body = match (mode, events) {
            (CloudEventsMode::Binary, [event]) => write_binary(node, event, &mut headers),
            (CloudEventsMode::Structured, [event]) => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(STRUCTURED));
                let mut body = Vec::new();
                write_structured(node, event, &mut body);
                body.into()
            }
            _ => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(BATCH));
                let mut body = Vec::new();
                write_batch(node, events, &mut body);
                body.into()
            }
        };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        if http2 {
            *request.uri_mut() = self.url.clone();
            *request.version_mut() = Version::HTTP_2;
        } else {
            *request.uri_mut() = self.path.clone();
        }
        *request.headers_mut() = headers;
        request
    }
}

/// What an answer means, and what it says to those who asked for a reply.
fn answer(response: Response, events: &[Arc<Event>]) -> Answer {
    let Response { status, headers, body } = response;
    let outcome = read_outcome(status, &headers, body.as_deref().unwrap_or_default());
    let reply = match (events, body) {
        ([event], Some(payload)) if outcome.is_accepted() && event.reply_to().is_some() => {
            // 202 without a body is a promise, not an answer.
            let promised = status.as_u16() == 202 && payload.is_empty();
            let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
            let content_type =
                content_type.and_then(|text| Text::from_utf8(Bytes::copy_from_slice(text)).ok());
            (!promised).then_some(Reply { content_type, payload })
        }
        _ => None,
    };
    Answer { outcome, reply }
}
