//! A small REST service to try Windrose with: it prints the CloudEvents that it gets.

use super::local::LocalExecutor;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::LocalSet;
use tokio::time::sleep;
use windrose_protocol::http::{Body, JSON, Problem, Received, read_body};

/// The largest request that it takes.
const MAX_BODY: usize = 16 << 20;
/// Characters of a body that are printed.
const MAX_PRINTED: usize = 200;
/// How long a request's head may take.
const HEAD_LIMIT: Duration = Duration::from_secs(30);
/// How long to wait when no connection can be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the service has seen, and where it prints.
struct Service<P> {
    print: RefCell<P>,
    requests: Cell<u64>,
    events: Cell<u64>,
}

/// Runs the service until it is dropped: each event is one line for `print`, every POST is answered 204, and GET / tells
/// how many came.
pub async fn sample_service(bind: SocketAddr, mut print: impl FnMut(&str) + 'static) -> io::Result<()> {
    let listener = TcpListener::bind(bind).await?;
    print(&format!("sample service: waiting for CloudEvents on http://{}/", listener.local_addr()?));
    serve(listener, print).await
}

/// The same on a listener that exists.
pub async fn serve(listener: TcpListener, print: impl FnMut(&str) + 'static) -> io::Result<()> {
    let service =
        Rc::new(Service { print: RefCell::new(print), requests: Cell::new(0), events: Cell::new(0) });
    LocalSet::new().run_until(accept(listener, service)).await
}

async fn accept<P: FnMut(&str) + 'static>(listener: TcpListener, service: Rc<Service<P>>) -> io::Result<()> {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let service = Rc::clone(&service);
        tokio::task::spawn_local(async move {
            let answer = service_fn(|request| {
                let service = Rc::clone(&service);
                async move { Ok::<_, Infallible>(service.answer(request).await) }
            });
            let mut builder = auto::Builder::new(LocalExecutor);
            builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT);
            // A client that breaks off is none of the service's business.
            let _ = builder.serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

impl<P: FnMut(&str)> Service<P> {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        match parts.method {
            Method::POST | Method::PUT => {}
            Method::GET | Method::HEAD => return self.counts(),
            _ => return empty(StatusCode::METHOD_NOT_ALLOWED),
        }
        let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
            return empty(StatusCode::PAYLOAD_TOO_LARGE);
        };
        self.requests.set(self.requests.get() + 1);
        match read_body(&parts.headers, body.to_bytes()) {
            Ok(Body::One(event)) => self.print(&event),
            Ok(Body::Batch(events)) => events.iter().for_each(|event| self.print(event)),
            Err(problem) => {
                let from = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("?");
                let detail = problem.detail.as_deref().unwrap_or_default();
                (self.print.borrow_mut())(&format!("a request to {from} is no event: {detail}"));
                return refused(&problem);
            }
        }
        empty(StatusCode::NO_CONTENT)
    }

    fn counts(&self) -> Response<Full<Bytes>> {
        let body = format!("{{\"requests\":{},\"events\":{}}}\n", self.requests.get(), self.events.get());
        let mut response = Response::new(Full::new(body.into()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        response
    }

    fn print(&self, event: &Received) {
        self.events.set(self.events.get() + 1);
        (self.print.borrow_mut())(&line(event));
    }
}

/// `07:16:19.123456  devices/car-7/telemetry  windrose://edge-1/devices/car-7  {"speed":81}`.
fn line(event: &Received) -> String {
    let attribute = |name: &str| {
        event.details.headers.iter().find(|(given, _)| given == name).map_or("-", |(_, value)| value.as_str())
    };
    let time = attribute("ce-time");
    let time = time.split_once('T').map_or(time, |(_, clock)| clock.trim_end_matches('Z'));
    let mut line = format!("{time}  {}  {}  ", attribute("ce-subject"), attribute("ce-source"));
    match std::str::from_utf8(&event.payload) {
        Ok(text) => {
            let printable =
                text.chars().map(|character| if character.is_control() { ' ' } else { character });
            line.extend(printable.take(MAX_PRINTED));
            if text.chars().nth(MAX_PRINTED).is_some() {
                line.push_str("...");
            }
        }
        Err(_) => line.push_str(&format!("({} bytes)", event.payload.len())),
    }
    line
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

fn refused(problem: &Problem) -> Response<Full<Bytes>> {
    let mut response = empty(problem.status);
    problem.write_headers(response.headers_mut());
    *response.body_mut() = Full::new(problem.body());
    response
}
