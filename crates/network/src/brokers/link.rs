//! One session with a broker, on a transport that is made anew as often as it ends.

use super::machine::{Machine, Said};
use crate::Clock;
use crate::dial::{Dialer, Stream};
use crate::notice::Notice;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep, timeout};
use windrose_event::{Now, Outcome};
use windrose_policy::{Member, Pool};

/// A read's size.
const SCRATCH: usize = 16 * 1024;
/// Slices of one vectored write.
const SLICES: usize = 16;
/// Reads before others have their turn.
const READS: usize = 16;
/// Even with a backoff of nothing a dead broker is not called in a tight loop.
const MIN_REST: Duration = Duration::from_millis(10);

/// Who a link belongs to, and who is told what its client says.
pub(super) trait Owner {
    fn hear(&self, said: Said);
}

/// A session with a broker and its transport.
pub(super) struct Link<M> {
    pool: Arc<str>,
    url: Arc<str>,
    owner: Weak<dyn Owner>,
    dialer: Dialer,
    clock: Clock,
    client: RefCell<M>,
    timeout: Duration,
    backoff: Duration,
    backoff_max: Duration,
    notice: Notice,
    /// Wakes the task that serves the transport.
    waker: RefCell<Option<Waker>>,
    /// Ends a rest between two attempts.
    call: Notify,
    paused: Cell<bool>,
    /// Whether the session is to end.
    over: Cell<bool>,
}

/// How a transport ended.
struct Ended {
    /// How long the session was open on it.
    open: Duration,
    /// Why; `None`: the next one is made at once.
    problem: Option<String>,
}

impl<M: Machine> Link<M> {
    pub(super) fn new(
        pool: &Pool,
        member: &Member,
        dialer: Dialer,
        clock: Clock,
        client: M,
        owner: Weak<dyn Owner>,
    ) -> Rc<Self> {
        Rc::new(Self {
            pool: Arc::clone(&pool.name),
            url: Arc::clone(&member.url),
            owner,
            dialer,
            clock,
            client: RefCell::new(client),
            timeout: pool.timeout,
            backoff: pool.backoff,
            backoff_max: pool.backoff_max.max(pool.backoff),
            notice: Notice::default(),
            waker: RefCell::default(),
            call: Notify::new(),
            paused: Cell::new(false),
            over: Cell::new(false),
        })
    }

    /// Lets the client do something, and has what follows done by the link's task.
    pub(super) fn with<R>(&self, act: impl FnOnce(&mut M, Now) -> R) -> R {
        let result = act(&mut self.client.borrow_mut(), self.clock.now());
        self.wake();
        result
    }

    /// Has the broker called at once, should the link rest between two attempts.
    pub(super) fn call(&self) {
        self.call.notify_one();
    }

    /// Reads no more from the broker, or again.
    pub(super) fn set_paused(&self, paused: bool) {
        if self.paused.replace(paused) != paused {
            self.with(|client, now| client.set_paused(now, paused));
        }
    }

    /// Ends the session; the broker is told, if it can be.
    pub(super) fn end(&self) {
        self.over.set(true);
        self.with(|client, now| client.disconnect(now));
        self.call.notify_one();
    }

    /// How long the broker may take for an answer.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// What the broker fails at, unless there was much of the kind.
    pub(super) fn warn(&self, problem: std::fmt::Arguments<'_>) {
        if let Some(suppressed) = self.notice.admit() {
            tracing::warn!(pool = %self.pool, member = %self.url, suppressed, "trouble with a broker: {problem}");
        }
    }

    /// Keeps the session connected until it is to end.
    pub(super) async fn run(self: Rc<Self>) {
        let mut failures = 0;
        while !self.over.get() {
            let ended = self.connect().await;
            self.with(|client, now| client.handle_eof(now));
            self.speak();
            // A broker that lets the session in and ends it at once fails like one that is not there.
            failures = if ended.open > self.backoff_max { 0 } else { failures + 1 };
            let Some(problem) = ended.problem else { continue };
            if self.over.get() {
                break;
            }
            self.warn(format_args!("{problem}"));
            let _ = timeout(self.rest(failures), self.call.notified()).await;
        }
    }

    async fn connect(&self) -> Ended {
        let failed = |problem| Ended { open: Duration::ZERO, problem: Some(problem) };
        match timeout(self.timeout, self.dialer.dial()).await {
            _ if self.over.get() => Ended { open: Duration::ZERO, problem: None },
            Ok(Ok(Stream::Plain(stream))) => self.serve(stream).await,
            Ok(Ok(Stream::Tls(stream))) => self.serve(*stream).await,
            Ok(Err(error)) => failed(error.to_string()),
            Err(_) => failed(format!("it was not reached within {} ms", self.timeout.as_millis())),
        }
    }

    /// How long to rest after so many failures in a row: doubled each time, with jitter.
    fn rest(&self, failures: u32) -> Duration {
        let times = failures.saturating_sub(1);
        let doubled = self.backoff.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX));
        let most = doubled.min(self.backoff_max).max(MIN_REST);
        let random = RandomState::new().build_hasher().finish() as u32;
        most / 2 + most.mul_f64(f64::from(random) / f64::from(u32::MAX) / 2.0)
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> Ended {
        self.with(|client, now| client.handle_connected(now));
        let sleep = pin!(sleep(self.timeout));
        let buffer = vec![0; SCRATCH];
        let mut service = Service {
            link: self,
            stream,
            sleep,
            buffer,
            opened: None,
            closing: None,
            written: 0,
            unwritten: VecDeque::new(),
        };
        let ended = poll_fn(|cx| service.poll(cx)).await;
        for (_, token) in service.unwritten {
            self.tell(Said::Settled { token, outcome: Outcome::unavailable() });
        }
        ended
    }

    /// Tells the owner what the client has to say. The client is free meanwhile, because the owner may use it at once.
    fn speak(&self) {
        while let Some(output) = self.next_output() {
            self.tell(output);
        }
    }

    fn tell(&self, output: Said) {
        if let Some(owner) = self.owner.upgrade() {
            owner.hear(output);
        }
    }

    fn next_output(&self) -> Option<Said> {
        self.client.borrow_mut().poll_output()
    }

    fn wake(&self) {
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A transport, as long as it lasts.
struct Service<'a, S, M> {
    link: &'a Link<M>,
    stream: S,
    sleep: Pin<&'a mut Sleep>,
    buffer: Vec<u8>,
    /// Since when the session is open.
    opened: Option<Instant>,
    /// The client wants it closed, and why.
    closing: Option<Option<String>>,
    /// Bytes written since it came up.
    written: u64,
    /// Publications of at most once, and what must be written before they are sent.
    unwritten: VecDeque<(u64, u64)>,
}

impl<S: AsyncRead + AsyncWrite + Unpin, M: Machine> Service<'_, S, M> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        for _ in 0..READS {
            self.speak();
            let written = self.write(cx);
            self.tell_sent();
            if let Some(problem) = self.closing.take() {
                // The last words are written if the broker takes them now; it does not depend on them.
                let _ = Pin::new(&mut self.stream).poll_shutdown(cx);
                return Poll::Ready(self.ended(problem));
            }
            if let Poll::Ready(Err(error)) = written {
                return Poll::Ready(self.lost(&error));
            }
            *self.link.waker.borrow_mut() = Some(cx.waker().clone());
            if self.is_due(cx) {
                self.link.client.borrow_mut().handle_timeout(self.link.clock.now());
                continue;
            }
            if self.link.paused.get() || self.link.client.borrow().is_full() {
                return Poll::Pending;
            }
            match ready!(self.read(cx)) {
                Ok(()) => {}
                Err(error) => return Poll::Ready(self.lost(&error)),
            }
        }
        // Others first; then again.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Tells the link's owner what the client has to say.
    fn speak(&mut self) {
        while let Some(output) = self.link.next_output() {
            match output {
                Said::Close { problem } => self.closing = Some(problem),
                Said::Sent { token } => {
                    let waits = self.link.client.borrow_mut().transmit().len() as u64;
                    self.unwritten.push_back((self.written + waits, token));
                }
                output => {
                    if let Said::Opened { .. } = output {
                        self.opened = Some(Instant::now());
                    }
                    self.link.tell(output);
                }
            }
        }
    }

    /// Writes what waits.
    fn write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut client = self.link.client.borrow_mut();
        let transmit = client.transmit();
        while !transmit.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = transmit.io_slices(&mut slices);
            let slices = slices.get(..filled).unwrap_or_default();
            match ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => {
                    transmit.advance(written);
                    self.written += written as u64;
                }
            }
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Says which publications of at most once are written.
    fn tell_sent(&mut self) {
        while self.unwritten.front().is_some_and(|(until, _)| *until <= self.written)
            && let Some((_, token)) = self.unwritten.pop_front()
        {
            self.link.tell(Said::Settled { token, outcome: Outcome::Accepted });
        }
    }

    /// Reads once.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut buffer = ReadBuf::new(&mut self.buffer);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        if buffer.filled().is_empty() {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        self.link.client.borrow_mut().handle_bytes(self.link.clock.now(), buffer.filled());
        Poll::Ready(Ok(()))
    }

    /// Whether the client's timeout has come; otherwise the task is woken when it does.
    fn is_due(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(due) = self.link.client.borrow().next_timeout() else { return false };
        let due = Instant::from_std(self.link.clock.instant(due));
        if self.sleep.deadline() != due {
            self.sleep.as_mut().reset(due);
        }
        self.sleep.as_mut().poll(cx).is_ready()
    }

    fn lost(&self, error: &io::Error) -> Ended {
        let problem = match error.kind() {
            io::ErrorKind::UnexpectedEof => "it closed the connection".to_owned(),
            _ => format!("the connection was lost: {error}"),
        };
        self.ended(Some(problem))
    }

    fn ended(&self, problem: Option<String>) -> Ended {
        Ended { open: self.opened.map_or(Duration::ZERO, |opened| opened.elapsed()), problem }
    }
}
