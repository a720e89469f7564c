//! The load generator of plain HTTP: POST requests on connections that stay open, through whatever passes them on to the
//! sink, which counts them.

use super::packet;
use crate::{Result, helper, procfs, sink};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde::{Deserialize, Serialize};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How often clocks are looked at when nothing happens.
const TICK: Duration = Duration::from_millis(20);

/// The work of the load generator.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Work {
    /// Where requests go.
    pub(crate) server: SocketAddr,
    /// The server's process, for its processor time and memory.
    pub(crate) server_pid: u32,
    /// Where they arrive.
    pub(crate) sink: SocketAddr,
    /// Connections, each with one request that is not answered yet.
    pub(crate) connections: usize,
    /// Bytes of each body.
    pub(crate) payload: usize,
    /// What happens before the measurement.
    pub(crate) warm_up: Duration,
    /// How long is measured.
    pub(crate) measure: Duration,
}

/// What was measured.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Requests that arrived at the sink.
    pub(crate) requests: u64,
    /// How long it took.
    pub(crate) seconds: f64,
    /// Processor time of the server.
    pub(crate) server_cpu: f64,
    /// Processor time of the load generator.
    pub(crate) load_cpu: f64,
    /// The server's memory at the end.
    pub(crate) resident: u64,
}

/// Runs as the load generator's process.
pub(crate) fn main() -> Result<()> {
    let Some(work) = helper::told::<Work>()? else { return Ok(()) };
    helper::say(&Load::connect(work)?.run()?)
}

struct Load {
    work: Work,
    poll: Poll,
    clients: Vec<Client>,
    request: Vec<u8>,
}

struct Client {
    stream: TcpStream,
    /// What of the request the socket has taken.
    written: usize,
    /// The beginning of an answer whose end has not come.
    answer: Vec<u8>,
}

/// Where the counters stood at a moment.
struct Moment {
    at: Instant,
    requests: u64,
    server_cpu: f64,
    load_cpu: f64,
}

impl Load {
    fn connect(work: Work) -> Result<Self> {
        let poll = Poll::new()?;
        let mut clients = Vec::new();
        for index in 0..work.connections {
            let stream = std::net::TcpStream::connect(work.server)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            let both = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut stream, Token(index), both)?;
            clients.push(Client { stream, written: 0, answer: Vec::new() });
        }
        let body = packet::payload(work.payload);
        let head = format!(
            "POST /events HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        Ok(Self { work, poll, clients, request: [head.into_bytes(), body].concat() })
    }

    fn run(mut self) -> Result<Measured> {
        for client in &mut self.clients {
            client.ask(&self.request)?;
        }
        self.until(Instant::now() + self.work.warm_up)?;
        let before = self.moment()?;
        self.until(before.at + self.work.measure)?;
        let after = self.moment()?;
        Ok(Measured {
            requests: after.requests - before.requests,
            seconds: (after.at - before.at).as_secs_f64(),
            server_cpu: after.server_cpu - before.server_cpu,
            load_cpu: after.load_cpu - before.load_cpu,
            resident: procfs::resident_bytes(self.work.server_pid)?,
        })
    }

    fn until(&mut self, end: Instant) -> Result<()> {
        let mut events = Events::with_capacity(1_024);
        let mut scratch = vec![0; 1 << 14];
        while Instant::now() < end {
            match self.poll.poll(&mut events, Some(TICK)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
                _ => {}
            }
            for event in &events {
                let Some(client) = self.clients.get_mut(event.token().0) else { continue };
                if event.is_readable() && client.is_answered(&mut scratch)? {
                    client.written = 0;
                    client.ask(&self.request)?;
                } else if event.is_writable() {
                    client.ask(&self.request)?;
                }
            }
        }
        Ok(())
    }

    fn moment(&self) -> Result<Moment> {
        Ok(Moment {
            at: Instant::now(),
            requests: sink::count(self.work.sink)?,
            server_cpu: procfs::cpu_seconds(self.work.server_pid)?,
            load_cpu: procfs::cpu_seconds(std::process::id())?,
        })
    }
}

impl Client {
    /// Writes what is left of the request.
    fn ask(&mut self, request: &[u8]) -> Result<()> {
        while let Some(rest) = request.get(self.written..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("asking the server: {error}").into()),
            }
        }
        Ok(())
    }

    /// Reads; true once the answer is whole. It has no body, because the sink's has none.
    fn is_answered(&mut self, scratch: &mut [u8]) -> Result<bool> {
        match self.stream.read(scratch) {
            Ok(0) => return Err("the server closed a connection".into()),
            Ok(read) => self.answer.extend_from_slice(scratch.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(false),
            Err(error) => return Err(format!("reading the server's answer: {error}").into()),
        }
        if !self.answer.ends_with(b"\r\n\r\n") {
            return Ok(false);
        }
        if !self.answer.starts_with(b"HTTP/1.1 204 ") {
            let line = self.answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
            return Err(format!("the server answered {}", String::from_utf8_lossy(line)).into());
        }
        self.answer.clear();
        Ok(true)
    }
}
