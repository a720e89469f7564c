//! A REST service that records what it gets and answers as a test wants it to.

use crate::http::{self, Message};
use crate::ports::Port;
use crate::wait::{SOON, within};
use std::io::{self, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// An answer to a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A status without a body.
    Status(u16),
    /// A status with header fields (each with its line's end) and a body.
    Full(u16, &'static str, String),
    /// An answer after a while.
    After(Duration, Box<Answer>),
    /// None, for as long as the other side holds the connection.
    Never,
    /// Bytes that are no HTTP, then the end.
    Garbage,
    /// The connection's end.
    Close,
}

impl Answer {
    /// 204: taken.
    pub const OK: Answer = Answer::Status(204);

    /// A refusal as RFC 9457 has it.
    pub fn problem(status: u16, title: &str, detail: &str) -> Self {
        let body = serde_json::json!({"title": title, "status": status, "detail": detail});
        Self::Full(status, "Content-Type: application/problem+json\r\n", body.to_string())
    }

    /// This answer, after a while.
    pub fn after(self, time: Duration) -> Self {
        Self::After(time, Box::new(self))
    }
}

/// A request as the service had it.
#[derive(Clone, Debug)]
pub struct Received {
    /// The request.
    pub request: Message,
    /// When it was read whole.
    pub at: Instant,
    /// When its answer was about to be written, and the answer's status.
    pub answered: Option<(Instant, u16)>,
    /// Which of the service's connections brought it.
    pub connection: usize,
}

impl Received {
    /// Whether it was answered 2xx.
    pub fn accepted(&self) -> bool {
        self.answered.is_some_and(|(_, status)| (200..300).contains(&status))
    }

    /// The payload as text.
    pub fn text(&self) -> String {
        self.request.text()
    }

    /// A CloudEvents attribute in binary mode: `ce-NAME`.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.request.header(&format!("ce-{name}"))
    }
}

type Script = dyn Fn(&Message) -> Answer + Send + Sync;

/// The service. Dropped, it stops.
pub struct Sink {
    port: Port,
    state: Arc<State>,
}

struct State {
    script: Mutex<Arc<Script>>,
    received: Mutex<Vec<Received>>,
    /// The sockets that are open, to be cut when the service stops.
    open: Mutex<Vec<TcpStream>>,
    stopped: AtomicBool,
}

impl Sink {
    /// Starts a service that answers 204.
    pub fn start() -> Self {
        let sink = Self { port: Port::free(), state: Arc::new(State::new()) };
        sink.listen();
        sink
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// From now on every request gets this answer.
    pub fn answer(&self, answer: Answer) {
        self.script(move |_| answer.clone());
    }

    /// From now on every request gets the answer that the script gives it.
    pub fn script(&self, script: impl Fn(&Message) -> Answer + Send + Sync + 'static) {
        *lock(&self.state.script) = Arc::new(script);
    }

    /// From now on requests get these answers in turn, the last one for ever.
    pub fn answers(&self, answers: impl Into<Vec<Answer>>) {
        let answers = answers.into();
        let next = Mutex::new(0);
        self.script(move |_| {
            let mut next = lock(&next);
            let answer = answers[(*next).min(answers.len() - 1)].clone();
            *next += 1;
            answer
        });
    }

    /// Everything received so far.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.state.received).clone()
    }

    /// What was received and answered 2xx so far.
    pub fn accepted(&self) -> Vec<Received> {
        lock(&self.state.received).iter().filter(|received| received.accepted()).cloned().collect()
    }

    /// How many requests came so far.
    pub fn count(&self) -> usize {
        lock(&self.state.received).len()
    }

    /// Waits for a request that `fits`.
    ///
    /// # Panics
    /// If none comes within [`SOON`].
    pub fn wait_for(&self, what: &str, fits: impl Fn(&Received) -> bool) -> Received {
        within(SOON, &format!("the service's request {what}"), || {
            lock(&self.state.received).iter().find(|received| fits(received)).cloned()
        })
    }

    /// Waits for a request with this body.
    pub fn wait_for_text(&self, text: &str) -> Received {
        self.wait_for(&format!("with the body {text:?}"), |received| received.request.body == text.as_bytes())
    }

    /// Stops: nothing listens on the port any more, and what is open is cut.
    pub fn stop(&self) {
        self.state.stopped.store(true, Ordering::SeqCst);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.address());
        for stream in lock(&self.state.open).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let port = self.address();
        within(SOON, "the service's end", || TcpStream::connect(port).is_err().then_some(()));
    }

    /// Starts again after [`Sink::stop`], on the same port.
    pub fn restart(&self) {
        self.state.stopped.store(false, Ordering::SeqCst);
        self.listen();
    }

    fn listen(&self) {
        let address = self.address();
        let listener = within(SOON, "the service's port", || TcpListener::bind(address).ok());
        let state = Arc::clone(&self.state);
        std::thread::spawn(move || {
            for (index, stream) in listener.incoming().enumerate() {
                if state.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { return };
                let state = Arc::clone(&state);
                let serving = move || {
                    // Whatever ends a connection is the other side's business.
                    let _ = state.serve(stream, index);
                };
                std::thread::Builder::new()
                    .stack_size(256 * 1024)
                    .spawn(serving)
                    .expect("threads can be started");
            }
        });
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.stop();
    }
}

impl State {
    fn new() -> Self {
        Self {
            script: Mutex::new(Arc::new(|_: &Message| Answer::OK)),
            received: Mutex::default(),
            open: Mutex::default(),
            stopped: AtomicBool::new(false),
        }
    }

    fn serve(&self, mut stream: TcpStream, connection: usize) -> io::Result<()> {
        stream.set_nodelay(true)?;
        lock(&self.open).push(stream.try_clone()?);
        let mut source = BufReader::new(stream.try_clone()?);
        while let Some(request) = http::read(&mut source)? {
            let script = Arc::clone(&lock(&self.script));
            let mut answer = script(&request);
            let index = {
                let mut received = lock(&self.received);
                received.push(Received { request, at: Instant::now(), answered: None, connection });
                received.len() - 1
            };
            while let Answer::After(time, then) = answer {
                std::thread::sleep(time);
                answer = *then;
            }
            let (status, fields, body) = match answer {
                Answer::Status(status) => (status, "", String::new()),
                Answer::Full(status, fields, body) => (status, fields, body),
                Answer::Close | Answer::After(..) => return stream.shutdown(Shutdown::Both),
                Answer::Garbage => {
                    stream.write_all(b"\x00\x01 this is not HTTP \xff\xfe\r\n\r\n")?;
                    return stream.shutdown(Shutdown::Both);
                }
                Answer::Never => {
                    // Until the other side gives up.
                    http::read(&mut source)?;
                    return Ok(());
                }
            };
            let length = match status {
                204 => String::new(),
                _ => format!("Content-Length: {}\r\n", body.len()),
            };
            lock(&self.received)[index].answered = Some((Instant::now(), status));
            stream.write_all(format!("HTTP/1.1 {status} E2E\r\n{fields}{length}\r\n{body}").as_bytes())?;
        }
        Ok(())
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
