//! One connection of HTTP/1.1 to a member, kept over many requests.
//!
//! A request is written in the turn that has it, straight from the shard's buffer; a driver, one task for as long as the
//! connection lives, reads what comes back. So a request costs one write, one read and one wake-up, and no task of its own.

use super::connector::{Cause, Failure};
use super::flight::Flight;
use super::member::MemberClient;
use super::transport::Transport;
use bytes::Bytes;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use tokio::io::ReadBuf;
use tokio::time::Instant;
use windrose_protocol::http::{Ended, Response, ResponseReader};

/// A body up to so many bytes is copied behind its head, because one piece costs the kernel less than two.
const SMALL_BODY: usize = 16 * 1024;

/// What a shard reads into and writes from: connections own no buffers.
pub(super) struct Buffers {
    read: RefCell<Box<[u8]>>,
    write: RefCell<Vec<u8>>,
}

impl Buffers {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self { read: RefCell::new(vec![0; 64 * 1024].into_boxed_slice()), write: RefCell::default() })
    }
}

/// A connection, shared by its member and its driver.
pub(super) struct Http1 {
    key: usize,
    state: RefCell<State>,
}

struct State {
    /// `None`: closed.
    transport: Option<Transport>,
    reader: ResponseReader,
    /// The request under way.
    flight: Option<Flight>,
    /// What the transport has not taken of it.
    unsent: VecDeque<Bytes>,
    /// Whether TLS may have more to send.
    unflushed: bool,
    /// Whether writing has failed. There may be an answer all the same, which reading tells.
    broken: bool,
    /// Wakes the driver.
    waker: Option<Waker>,
    used: bool,
    since: Instant,
}

impl Http1 {
    /// A connection whose transport is up. `key` is its place among the member's.
    pub(super) fn new(key: usize, transport: Transport) -> Rc<Self> {
        let state = State {
            transport: Some(transport),
            reader: ResponseReader::default(),
            flight: None,
            unsent: VecDeque::new(),
            unflushed: false,
            broken: false,
            waker: None,
            used: false,
            since: Instant::now(),
        };
        Rc::new(Self { key, state: RefCell::new(state) })
    }

    /// Its driver, to be run for as long as it takes.
    pub(super) fn driver(self: &Rc<Self>, member: &Rc<MemberClient>, buffers: &Rc<Buffers>) -> Driver {
        Driver { connection: Rc::clone(self), member: Rc::downgrade(member), buffers: Rc::clone(buffers) }
    }

    /// Its place among the member's.
    pub(super) fn key(&self) -> usize {
        self.key
    }

    /// Sends a request, unless the connection is closed. It must have none under way.
    pub(super) fn send(&self, mut flight: Flight, buffers: &Buffers) -> Result<(), Flight> {
        let state = &mut *self.state.borrow_mut();
        if state.transport.is_none() {
            return Err(flight);
        }
        let out = &mut *buffers.write.borrow_mut();
        out.clear();
        let mut body = flight.member.template().write(&flight.events, out);
        if body.len() <= SMALL_BODY {
            out.extend_from_slice(&body);
            body = Bytes::new();
        }
        flight.reused = state.used;
        state.used = true;
        state.since = flight.began;
        state.reader.begin(flight.wants_reply());
        state.flight = Some(flight);
        state.write(out, body);
        Ok(())
    }

    /// Whether it is open and, if it has no request under way, since when.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let state = self.state.borrow();
        (state.transport.is_some() && state.flight.is_none()).then_some(state.since)
    }

    /// When the request under way must be answered.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.state.borrow().flight.as_ref().map(Flight::deadline)
    }

    /// Closes it. The request under way, if any, has to be answered otherwise.
    pub(super) fn close(&self) -> Option<Flight> {
        let mut state = self.state.borrow_mut();
        state.transport = None;
        if let Some(waker) = &state.waker {
            waker.wake_by_ref();
        }
        state.flight.take()
    }
}

impl State {
    /// Writes a request at once, as far as the transport takes it; the driver does the rest.
    fn write(&mut self, head: &[u8], body: Bytes) {
        let Some(transport) = &mut self.transport else { return };
        let slices = [IoSlice::new(head), IoSlice::new(&body)];
        let slices = if body.is_empty() { &slices[..1] } else { &slices[..] };
        let written = match transport.try_write(slices) {
            Ok(written) => written,
            Err(_) => {
                self.broken = true;
                return;
            }
        };
        if written == head.len() + body.len() && matches!(transport, Transport::Plain(_)) {
            return;
        }
        if let Some(rest) = head.get(written..).filter(|rest| !rest.is_empty()) {
            self.unsent.push_back(Bytes::copy_from_slice(rest));
        }
        let body = body.slice(written.saturating_sub(head.len()).min(body.len())..);
        if !body.is_empty() {
            self.unsent.push_back(body);
        }
        self.unflushed = true;
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    /// Carries on with what the transport has not taken.
    fn write_on(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(transport) = &mut self.transport else { return Poll::Ready(Ok(())) };
        while let Some(next) = self.unsent.front_mut() {
            let Poll::Ready(written) = transport.poll_write(cx, next) else {
                return Poll::Pending;
            };
            match written? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written if written == next.len() => drop(self.unsent.pop_front()),
                written => *next = next.slice(written..),
            }
            self.unflushed = true;
        }
        if self.unflushed {
            match transport.poll_flush(cx) {
                Poll::Ready(flushed) => flushed?,
                Poll::Pending => return Poll::Pending,
            }
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once. `Ok(None)`: no whole response yet.
    fn read(&mut self, cx: &mut Context<'_>, buffers: &Buffers) -> Poll<Result<Option<Response>, Failure>> {
        // Closed: nobody is left to be told.
        let Some(transport) = &mut self.transport else { return Poll::Ready(Ok(None)) };
        let mut scratch = buffers.read.borrow_mut();
        let mut buffer = ReadBuf::new(&mut scratch);
        let ended = match transport.poll_read(cx, &mut buffer) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => Cause::End,
            Poll::Ready(Ok(())) => {
                let response = self.reader.handle_bytes(buffer.filled());
                return Poll::Ready(
                    response.map_err(|violation| Failure::Garbage(Cause::Violation(violation))),
                );
            }
            Poll::Ready(Err(error)) => Cause::Transport(error),
        };
        let whole = matches!(ended, Cause::End);
        Poll::Ready(match self.reader.handle_eof() {
            Ok(response) if whole => Ok(Some(response)),
            Err(Ended::Before) => Err(Failure::Closed(ended)),
            Ok(_) | Err(Ended::Amid) => Err(Failure::Garbage(ended)),
        })
    }
}

/// Reads what a connection's member says, until it is closed.
pub(super) struct Driver {
    connection: Rc<Http1>,
    member: Weak<MemberClient>,
    buffers: Rc<Buffers>,
}

impl Driver {
    /// A response, or why there will be none: the connection rests or is closed, and then whoever waits is told.
    fn finish(&self, result: Result<Response, Failure>) {
        let connection = &self.connection;
        let mut state = connection.state.borrow_mut();
        // An answer that comes before the whole request has been sent ends the connection.
        let clean = state.unsent.is_empty() && !state.broken;
        let reusable = clean && result.as_ref().is_ok_and(|response| response.reusable);
        let flight = state.flight.take();
        drop(state);
        let Some(member) = self.member.upgrade() else {
            connection.close();
            return;
        };
        if reusable {
            // Before the answer, which may bring the next request.
            member.rest(connection);
        } else {
            member.close(connection);
        }
        match (flight, result) {
            (Some(flight), Ok(response)) => flight.answer(response),
            (Some(flight), Err(failure)) => member.failed(flight, &failure),
            (None, _) => {}
        }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let result = {
                let state = &mut *self.connection.state.borrow_mut();
                if state.transport.is_none() {
                    return Poll::Ready(());
                }
                if state.waker.is_none() {
                    state.waker = Some(cx.waker().clone());
                }
                if (state.unflushed || !state.unsent.is_empty())
                    && let Poll::Ready(Err(_)) = state.write_on(cx)
                {
                    state.unsent.clear();
                    state.unflushed = false;
                    state.broken = true;
                }
                match state.read(cx, &self.buffers) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(result) => result,
                }
            };
            if let Some(result) = result.transpose() {
                self.finish(result);
            }
        }
    }
}
