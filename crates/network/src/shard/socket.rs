//! A connection's socket: what the shard itself writes to it, in the turn that produced the bytes. Its driver reads it.

use super::Shard;
use rustls::ServerConnection;
use std::io::{self, IoSlice, Write};
use std::rc::Rc;
use std::task::Waker;
use tokio::net::TcpStream;
use windrose_event::{ConnectionId, Now};
use windrose_protocol::Transmit;
use windrose_protocol::websocket::{CloseCode, WebSocket};

/// Segments of one vectored write.
const SLICES: usize = 16;

/// Plain text that TLS may hold encrypted at once: what more there is waits in the machine's `Transmit`.
const TLS_BUFFER: usize = 32 * 1024;

/// A connection's socket and what its driver must know.
pub(super) struct Socket {
    pub(super) id: ConnectionId,
    pub(super) stream: TcpStream,
    pub(super) tls: Option<Box<ServerConnection>>,
    pub(super) websocket: Option<Box<WebSocket>>,
    /// Wakes the driver.
    pub(super) waker: Option<Waker>,
    /// No credit for what it sends: it is not read.
    pub(super) paused: bool,
    /// The transport takes no more now: the driver waits until it does.
    pub(super) blocked: bool,
    /// So much waits that nothing more is read: a peer that sends and does not read must not grow our memory.
    pub(super) backlogged: bool,
    /// Bytes written so far: tells the driver whether a slow peer makes progress.
    pub(super) written: u64,
    /// It is written at the end of the turn.
    pub(super) put_off: bool,
    /// Close once everything is written.
    pub(super) closing: bool,
    /// The transport failed.
    pub(super) broken: bool,
}

impl Socket {
    pub(super) fn new(
        id: ConnectionId,
        stream: TcpStream,
        mut tls: Option<Box<ServerConnection>>,
        websocket: Option<Box<WebSocket>>,
    ) -> Self {
        if let Some(tls) = &mut tls {
            tls.set_buffer_limit(Some(TLS_BUFFER));
        }
        Self {
            id,
            stream,
            tls,
            websocket,
            waker: None,
            paused: false,
            blocked: false,
            backlogged: false,
            written: 0,
            put_off: false,
            closing: false,
            broken: false,
        }
    }

    pub(super) fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    /// Writes what waits, as far as the transport takes it.
    fn write(&mut self, transmit: &mut Transmit) -> io::Result<()> {
        let mut waiting = Waiting { transmit, websocket: self.websocket.as_deref_mut() };
        let Some(tls) = self.tls.as_deref_mut() else {
            let stream = &self.stream;
            while let Some(step) = waiting.write(|slices| stream.try_write_vectored(slices))? {
                if step == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                self.written += step as u64;
            }
            return Ok(());
        };
        loop {
            let mut is_full = false;
            while let Some(step) = waiting.write(|slices| tls.writer().write_vectored(slices))? {
                if step == 0 {
                    is_full = true;
                    break;
                }
            }
            while tls.wants_write() {
                self.written += tls.write_tls(&mut Nonblocking(&self.stream))? as u64;
            }
            if !is_full {
                return Ok(());
            }
        }
    }

    /// Whether TLS has bytes of its own to write.
    pub(super) fn tls_wants_write(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }
}

/// What waits to be written: a machine's bytes, in frames if a WebSocket carries them.
struct Waiting<'a> {
    transmit: &'a mut Transmit,
    websocket: Option<&'a mut WebSocket>,
}

impl Waiting<'_> {
    /// Writes once; `None`: nothing waits.
    fn write(
        &mut self,
        write: impl FnOnce(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<Option<usize>> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let filled = match &mut self.websocket {
            None => self.transmit.io_slices(&mut slices),
            Some(websocket) => websocket.io_slices(self.transmit, &mut slices),
        };
        if filled == 0 {
            return Ok(None);
        }
        let step = write(&slices[..filled])?;
        match &mut self.websocket {
            None => self.transmit.advance(step),
            Some(websocket) => websocket.advance(self.transmit, step),
        }
        Ok(Some(step))
    }
}

/// The socket as TLS writes to it.
struct Nonblocking<'a>(&'a TcpStream);

impl Write for Nonblocking<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shard {
    /// Writes what waits for a connection; what the transport does not take now, the driver writes later.
    pub(super) fn flush(self: &Rc<Self>, now: Now, id: ConnectionId) {
        let mut core = self.core.borrow_mut();
        let core = &mut *core;
        let Some(socket) = core.sockets.get_mut(id.slot) else { return };
        if socket.id != id || socket.broken {
            return;
        }
        let mut nothing = Transmit::default();
        let transmit = core.pump.transmit(id).unwrap_or(&mut nothing);
        if socket.blocked {
            socket.backlogged = transmit.len() > core.output_bytes;
            return;
        }
        let before = socket.written;
        let step = socket.write(transmit);
        core.bytes_out += socket.written - before;
        match step {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                socket.blocked = true;
                socket.wake();
            }
            Err(_) => {
                socket.broken = true;
                socket.wake();
            }
        }
        socket.backlogged = socket.blocked && transmit.len() > core.output_bytes;
        core.pump.written(now, id);
    }

    /// Begins to close: what waits is written first, by the driver if it must be.
    pub(super) fn close(self: &Rc<Self>, now: Now, id: ConnectionId) {
        if let Some(socket) = self.core.borrow_mut().socket(id)
            && let Some(websocket) = &mut socket.websocket
        {
            websocket.close(CloseCode::NORMAL);
        }
        self.flush(now, id);
        let mut core = self.core.borrow_mut();
        if let Some(socket) = core.socket(id) {
            socket.closing = true;
            socket.wake();
        }
    }

    /// Stops or resumes reading.
    pub(super) fn set_paused(self: &Rc<Self>, id: ConnectionId, paused: bool) {
        let mut core = self.core.borrow_mut();
        if let Some(socket) = core.socket(id) {
            socket.paused = paused;
            if !paused {
                socket.wake();
            }
        }
    }
}

impl super::Core {
    pub(super) fn socket(&mut self, id: ConnectionId) -> Option<&mut Socket> {
        self.sockets.get_mut(id.slot).filter(|socket| socket.id == id)
    }
}
