//! Asking services elsewhere by HTTP: an issuer's keys, the identity hook, a responder for certificates.

use super::tls::{client_config, roots};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, HOST, USER_AGENT};
use http::{HeaderName, HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::collections::VecDeque;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use windrose_event::Pending;
use windrose_identity::{Fetch, FetchRequest, Fetched};

const AGENT: &str = concat!("windrose/", env!("CARGO_PKG_VERSION"));

/// Connections that are kept for the next question.
const IDLE: usize = 64;
/// How long they are kept.
const IDLE_LIMIT: Duration = Duration::from_secs(30);

type Connection = SendRequest<Full<Bytes>>;

/// Asks on real sockets, on whatever runtime polls it. Redirects are not followed.
pub struct HttpFetch {
    shared: Arc<Shared>,
}

struct Shared {
    tls: TlsConnector,
    /// Open connections without a question, by their origins, the last used one at the end.
    idle: Mutex<VecDeque<(String, Connection, Instant)>>,
}

impl HttpFetch {
    /// Asks servers whose certificates come from these authorities, in PEM; without, from the public ones. The error is a
    /// sentence for the operator.
    pub fn new(authorities: Option<&[u8]>) -> Result<Self, String> {
        let mut config = client_config(roots(authorities)?).map_err(|error| error.to_string())?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { shared: Arc::new(Shared { tls: Arc::new(config).into(), idle: Mutex::default() }) })
    }
}

impl Fetch for HttpFetch {
    fn fetch(&self, request: FetchRequest) -> Pending<Result<Fetched, String>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let limit = request.timeout;
            match timeout(limit, shared.ask(request)).await {
                Ok(answer) => answer,
                Err(_) => Err(format!("it did not answer within {} ms", limit.as_millis())),
            }
        })
    }
}

impl Shared {
    async fn ask(&self, asked: FetchRequest) -> Result<Fetched, String> {
        let url: Uri = asked.url.parse().map_err(|error| format!("its URL cannot be used: {error}"))?;
        let origin = format!("{}://{}", url.scheme_str().unwrap_or("http"), authority(&url)?);
        // What was kept may have been closed meanwhile: then the question goes out anew. None of them changes anything there.
        while let Some(mut connection) = self.take(&origin) {
            if connection.ready().await.is_err() {
                continue;
            }
            if let Ok(response) = connection.send_request(request(&asked, &url)?).await {
                return self.read(origin, connection, response, asked.most).await;
            }
        }
        let mut connection = self.connect(&url).await?;
        let response = connection.send_request(request(&asked, &url)?).await;
        let response = response.map_err(|error| unanswered(&error))?;
        self.read(origin, connection, response, asked.most).await
    }

    async fn read(
        &self,
        origin: String,
        connection: Connection,
        response: Response<Incoming>,
        most: usize,
    ) -> Result<Fetched, String> {
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, most).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                return format!("its answer has more than {most} bytes");
            }
            format!("its answer broke off: {error}")
        })?;
        self.keep(origin, connection);
        let max_age = parts.headers.get(CACHE_CONTROL).and_then(max_age);
        Ok(Fetched { status: parts.status.as_u16(), max_age, body: body.to_bytes() })
    }

    async fn connect(&self, url: &Uri) -> Result<Connection, String> {
        let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
        let secured = url.scheme_str() == Some("https");
        let port = url.port_u16().unwrap_or(if secured { 443 } else { 80 });
        let stream = TcpStream::connect((host, port)).await;
        let stream = stream.map_err(|error| format!("cannot connect to {host}, port {port}: {error}"))?;
        let _ = stream.set_nodelay(true);
        if !secured {
            return handshake(stream).await;
        }
        let name =
            ServerName::try_from(host.to_owned()).map_err(|error| format!("cannot ask {host}: {error}"))?;
        let stream = self.tls.connect(name, stream).await;
        handshake(stream.map_err(|error| format!("the TLS handshake with {host} failed: {error}"))?).await
    }

    fn take(&self, origin: &str) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(_, connection, since)| !connection.is_closed() && since.elapsed() < IDLE_LIMIT);
        let last = idle.iter().rposition(|(of, _, _)| of == origin)?;
        idle.remove(last).map(|(_, connection, _)| connection)
    }

    fn keep(&self, origin: String, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() >= IDLE {
            idle.pop_front();
        }
        idle.push_back((origin, connection, Instant::now()));
    }
}

async fn handshake<S>(stream: S) -> Result<Connection, String>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let mut http = http1::Builder::new();
    http.max_buf_size(64 * 1024).max_headers(100);
    let (sender, connection) =
        http.handshake(TokioIo::new(stream)).await.map_err(|error| unanswered(&error))?;
    // It lives as long as its sender, or as this runtime.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}

fn request(asked: &FetchRequest, url: &Uri) -> Result<Request<Full<Bytes>>, String> {
    let cannot = |error: &dyn std::fmt::Display| format!("the question cannot be written: {error}");
    let host = HeaderValue::from_str(authority(url)?).map_err(|error| cannot(&error))?;
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::builder()
        .method(asked.method)
        .uri(path)
        .header(HOST, host)
        .header(USER_AGENT, AGENT)
        .body(Full::new(asked.body.clone()))
        .map_err(|error| cannot(&error))?;
    for (name, value) in &asked.headers {
        let name: HeaderName = name.parse().map_err(|error| cannot(&error))?;
        let mut value = HeaderValue::from_str(value).map_err(|error| cannot(&error))?;
        value.set_sensitive(true);
        request.headers_mut().insert(name, value);
    }
    Ok(request)
}

fn authority(url: &Uri) -> Result<&str, String> {
    let authority = url.authority().ok_or_else(|| "its URL names no host".to_owned())?;
    // What stands before an `@` is nobody's host.
    Ok(authority.as_str().rsplit('@').next().unwrap_or_default())
}

fn max_age(value: &HeaderValue) -> Option<Duration> {
    let mut directives = value.to_str().ok()?.split(',').map(str::trim);
    let seconds = directives.find_map(|directive| directive.strip_prefix("max-age="))?;
    seconds.trim_matches('"').parse().ok().map(Duration::from_secs)
}

fn unanswered(error: &hyper::Error) -> String {
    let mut text = format!("it did not answer: {error}");
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
