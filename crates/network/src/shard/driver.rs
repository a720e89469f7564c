//! A connection's driver: a future of a few words that waits for its socket and moves bytes between it and the pump.

use super::Shard;
use super::early::Parts;
use super::socket::Socket;
use socket2::SockRef;
use std::future::Future;
use std::io::{self, Read};
use std::net::Shutdown;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use windrose_event::{Claim, CloseCause, ConnectionId};
use windrose_policy::{Listener, Protocol};
use windrose_protocol::websocket::WebSocket;

/// Reads of one wake-up, before other connections have their turn.
const READS: usize = 4;

/// How long a closed connection's last words may take to be fetched before it is reset.
const LINGER: Duration = Duration::from_secs(1);

/// Bytes that are read and thrown away meanwhile.
const LINGER_BYTES: usize = 1 << 20;

/// That more follows at once, where the system can be told.
#[cfg(target_os = "linux")]
const MORE_FOLLOWS: libc::c_int = libc::MSG_NOSIGNAL | libc::MSG_MORE;
#[cfg(not(target_os = "linux"))]
const MORE_FOLLOWS: libc::c_int = 0;

/// Drives one connection of MQTT, CoAP or AMQP until it is closed.
pub(super) struct Driver {
    shard: Rc<Shard>,
    id: ConnectionId,
    /// Boxed, for most wait for nothing but their socket: without it a task has 128 bytes, with more it would have 256.
    waiting: Option<Box<Waiting>>,
}

/// What a driver waits for besides its socket.
enum Waiting {
    Stalled(Stall),
    Lingering(Linger),
}

/// When a peer that does not read is cut, and how much it had read when the wait began.
struct Stall {
    sleep: Pin<Box<Sleep>>,
    written: u64,
}

/// When a connection that is over is closed for good, and how much was read since.
struct Linger {
    stream: TcpStream,
    sleep: Pin<Box<Sleep>>,
    bytes: usize,
}

impl Shard {
    /// Enters a connection whose transport is up (after the handshakes of TLS and WebSocket, if it has them) and drives it.
    /// `words`: what the client has said since.
    pub(super) fn enter(
        self: &Rc<Self>,
        parts: Parts,
        words: &mut [u8],
        websocket: Option<Box<WebSocket>>,
        listener: Arc<Listener>,
        claim: Claim,
    ) {
        let now = self.now();
        let Parts { stream, tls, sealed } = parts;
        let secured = tls.is_some();
        let id = {
            let mut core = self.core.borrow_mut();
            let id = match listener.protocol {
                Protocol::Coap => core.pump.connect_coap(now, self.stream_config(&listener), listener, claim),
                Protocol::Amqp => core.pump.connect_amqp(now, self.amqp_config(&listener), listener, claim),
                _ => core.pump.connect_mqtt(now, self.mqtt_config(&listener), listener, claim),
            };
            core.sockets.put(id.slot, Socket::new(id, stream, tls, websocket));
            id
        };
        self.act(now);
        // The client's first words may have come with the end of its handshakes.
        if !words.is_empty() {
            self.received(now, id, words);
            self.act(now);
        }
        if secured {
            let fed = self.feed_tls(id, &sealed);
            if fed.is_err() {
                self.remove(id, CloseCause::Lost);
                return;
            }
        }
        let shard = Rc::clone(self);
        tokio::task::spawn_local(Driver { shard, id, waiting: None });
    }

    /// Decrypts what was read and hands it on.
    fn feed_tls(self: &Rc<Self>, id: ConnectionId, mut bytes: &[u8]) -> io::Result<()> {
        let now = self.now();
        let mut plain = self.plain.borrow_mut();
        let mut closed = false;
        loop {
            let mut length = 0;
            let mut failure = None;
            {
                let mut core = self.core.borrow_mut();
                let Some(tls) = core.socket(id).and_then(|socket| socket.tls.as_deref_mut()) else {
                    return Ok(());
                };
                if !bytes.is_empty() {
                    tls.read_tls(&mut bytes)?;
                }
                if let Err(error) = tls.process_new_packets() {
                    failure = Some(error);
                }
                while length < plain.len() {
                    match tls.reader().read(&mut plain[length..]) {
                        Ok(0) => {
                            closed = true;
                            break;
                        }
                        Ok(read) => length += read,
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                        Err(error) => return Err(error),
                    }
                }
            }
            if length > 0 {
                self.received(now, id, &mut plain[..length]);
            }
            if let Some(error) = failure {
                // The alert that says why is on its way out.
                self.flush(now, id);
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
            if closed {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if length < plain.len() && bytes.is_empty() {
                break;
            }
        }
        // Words of TLS itself (session tickets, key updates) have no machine to ask for their flush.
        let wants_write = self.core.borrow_mut().socket(id).is_some_and(|socket| socket.tls_wants_write());
        if wants_write {
            self.write_later(now, id);
        }
        drop(plain);
        self.act(now);
        Ok(())
    }
}

/// What a driver does next.
enum Step {
    Read,
    Wait,
    Close,
    Broken,
}

impl Driver {
    /// Writes if the transport takes bytes again, and says what is next.
    fn step(&mut self, cx: &mut Context<'_>) -> Step {
        let mut core = self.shard.core.borrow_mut();
        let Some(socket) = core.socket(self.id) else { return Step::Broken };
        if socket.waker.is_none() {
            socket.waker = Some(cx.waker().clone());
        }
        if socket.broken {
            return Step::Broken;
        }
        if socket.blocked {
            let writable = socket.stream.poll_write_ready(cx);
            if writable.is_ready() {
                socket.blocked = false;
                drop(core);
                let now = self.shard.now();
                self.shard.flush(now, self.id);
                self.shard.act(now);
                core = self.shard.core.borrow_mut();
                // If the transport is full again, the readiness that was consumed must be asked for anew.
                match core.socket(self.id) {
                    None => return Step::Broken,
                    Some(socket) if socket.broken => return Step::Broken,
                    Some(socket) if socket.blocked => {
                        let _ = socket.stream.poll_write_ready(cx);
                    }
                    Some(_) => {}
                }
            }
        }
        let Some(socket) = core.socket(self.id) else { return Step::Broken };
        if !socket.blocked {
            self.waiting = None;
        } else {
            let written = socket.written;
            if !matches!(self.waiting.as_deref(), Some(Waiting::Stalled(stall)) if stall.written == written) {
                let sleep = Box::pin(sleep(self.shard.write_timeout()));
                self.waiting = Some(Box::new(Waiting::Stalled(Stall { sleep, written })));
            }
            if let Some(Waiting::Stalled(stall)) = self.waiting.as_deref_mut()
                && stall.sleep.as_mut().poll(cx).is_ready()
            {
                return Step::Broken;
            }
        }
        match (socket.closing, socket.blocked, socket.paused || socket.backlogged) {
            (true, false, _) => Step::Close,
            (true, true, _) | (false, _, true) => Step::Wait,
            (false, _, false) => Step::Read,
        }
    }

    fn is_lingering(&self) -> bool {
        matches!(self.waiting.as_deref(), Some(Waiting::Lingering(_)))
    }

    /// Reads once. `Ready(Ok(false))` is the end of the stream.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut scratch = self.shard.scratch.borrow_mut();
        let mut buffer = ReadBuf::new(&mut scratch);
        if let Some(Waiting::Lingering(linger)) = self.waiting.as_deref_mut() {
            ready!(Pin::new(&mut linger.stream).poll_read(cx, &mut buffer))?;
            let length = buffer.filled().len();
            linger.bytes += length;
            return Poll::Ready(Ok(length > 0 && linger.bytes <= LINGER_BYTES));
        }
        let secured = {
            let mut core = self.shard.core.borrow_mut();
            let Some(socket) = core.socket(self.id) else { return Poll::Ready(Ok(false)) };
            ready!(Pin::new(&mut socket.stream).poll_read(cx, &mut buffer))?;
            socket.tls.is_some()
        };
        let bytes = buffer.filled_mut();
        if bytes.is_empty() {
            return Poll::Ready(Ok(false));
        }
        if secured {
            self.shard.feed_tls(self.id, bytes)?;
        } else {
            let now = self.shard.now();
            self.shard.received(now, self.id, bytes);
            self.shard.act(now);
        }
        Poll::Ready(Ok(true))
    }

    /// Everything is written. Unless the peer has said good-bye, the writing end closes first and the peer is given time to
    /// read the last words, because closing with unread bytes would reset the connection and destroy them.
    fn close(&mut self) {
        let now = self.shard.now();
        let said_goodbye = {
            let core = self.shard.core.borrow();
            core.pump.close_cause(self.id) == Some(&CloseCause::Goodbye)
        };
        self.shard.flush(now, self.id);
        let Some(mut socket) = self.shard.remove(self.id, CloseCause::Ours) else { return };
        if let Some(tls) = &mut socket.tls {
            // TLS's last word leaves in one packet with the end of the stream.
            let mut last = Vec::new();
            tls.send_close_notify();
            let _ = tls.write_tls(&mut last);
            let _ = SockRef::from(&socket.stream).send_with_flags(&last, MORE_FOLLOWS);
        }
        // What carries MQTT has words of its own to say after MQTT's last.
        if said_goodbye && socket.tls.is_none() && socket.websocket.is_none() {
            return;
        }
        let stream = socket.stream;
        if SockRef::from(&stream).shutdown(Shutdown::Write).is_ok() {
            let linger = Linger { stream, sleep: Box::pin(sleep(LINGER)), bytes: 0 };
            self.waiting = Some(Box::new(Waiting::Lingering(linger)));
        }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        for _ in 0..READS {
            if let Some(Waiting::Lingering(linger)) = this.waiting.as_deref_mut() {
                if linger.sleep.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
            } else {
                match this.step(cx) {
                    Step::Read => {}
                    Step::Wait => return Poll::Pending,
                    Step::Close => {
                        this.close();
                        if !this.is_lingering() {
                            return Poll::Ready(());
                        }
                    }
                    Step::Broken => {
                        this.shard.remove(this.id, CloseCause::Lost);
                        return Poll::Ready(());
                    }
                }
            }
            match ready!(this.read(cx)) {
                Ok(true) => {}
                Ok(false) | Err(_) => {
                    if !this.is_lingering() {
                        this.shard.remove(this.id, CloseCause::Lost);
                    }
                    return Poll::Ready(());
                }
            }
        }
        // Others first; then again.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
