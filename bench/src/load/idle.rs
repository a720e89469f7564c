//! Holds MQTT connections that do nothing, in plain text or with TLS, to see what one costs the server.

use super::packet::{self, Packet};
use super::tls::client_config;
use crate::{Result, helper};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Connections that are being made at once: few enough for any server's backlog.
const AT_ONCE: usize = 64;

/// How long all of it may take without any progress.
const PATIENCE: Duration = Duration::from_secs(20);

/// Long enough that nobody has to send a PINGREQ; not 0, so that the server has a timer to keep, as in real life.
const KEEP_ALIVE: u16 = 3_600;

/// The work of one process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Work {
    /// Where the server listens.
    pub(crate) server: SocketAddr,
    /// How many connections to hold.
    pub(crate) connections: usize,
    /// Number of this process: connections come from 127.0.0.(2 + number), client identifiers contain it.
    pub(crate) process: u8,
    /// MQTT protocol level.
    pub(crate) mqtt: u8,
    /// With TLS: the authority that the server's certificate comes from.
    pub(crate) authority: Option<PathBuf>,
}

/// Said once all connections are there.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Connected {
    /// How long it took.
    pub(crate) seconds: f64,
}

/// Said when asked whether they are still there.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Held {
    /// How many the server closed meanwhile.
    pub(crate) closed: usize,
}

/// Runs as one process that holds connections.
pub(crate) fn main() -> Result<()> {
    let Some(work) = helper::told::<Work>()? else { return Ok(()) };
    let mut crowd = Crowd::new(work)?;
    let start = Instant::now();
    crowd.connect()?;
    helper::say(&Connected { seconds: start.elapsed().as_secs_f64() })?;
    while helper::told::<()>()?.is_some() {
        crowd.step(Duration::ZERO)?;
        helper::say(&Held { closed: crowd.connections.iter().filter(|one| one.closed).count() })?;
    }
    Ok(())
}

struct Crowd {
    work: Work,
    tls: Option<Arc<ClientConfig>>,
    poll: Poll,
    events: Events,
    scratch: Vec<u8>,
    connections: Vec<Connection>,
    accepted: usize,
}

struct Connection {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
    greeted: bool,
    answer: Vec<u8>,
    closed: bool,
}

impl Crowd {
    fn new(work: Work) -> Result<Self> {
        let tls = work.authority.as_ref().map(|file| client_config(file)).transpose()?;
        Ok(Self {
            work,
            tls,
            poll: Poll::new()?,
            events: Events::with_capacity(4_096),
            scratch: vec![0; 1 << 14],
            connections: Vec::new(),
            accepted: 0,
        })
    }

    fn connect(&mut self) -> Result<()> {
        let mut deadline = Instant::now() + PATIENCE;
        while self.accepted < self.work.connections {
            while self.connections.len() < self.work.connections.min(self.accepted + AT_ONCE) {
                self.begin()?;
            }
            let before = self.accepted;
            self.step(Duration::from_millis(100))?;
            if self.connections.iter().rev().take(AT_ONCE).any(|one| one.closed) {
                return Err(
                    format!("the server closed a connection after {} were made", self.accepted).into()
                );
            }
            if self.accepted > before {
                deadline = Instant::now() + PATIENCE;
            } else if Instant::now() > deadline {
                return Err(format!("the server does not answer after {} connections", self.accepted).into());
            }
        }
        Ok(())
    }

    /// Begins another connection.
    fn begin(&mut self) -> Result<()> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        let source = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2 + self.work.process));
        socket.bind(&SocketAddr::new(source, 0).into())?;
        if let Err(error) = socket.connect(&self.work.server.into())
            && error.raw_os_error() != Some(EINPROGRESS)
        {
            return Err(format!("connection {}: {error}", self.connections.len()).into());
        }
        let mut stream = TcpStream::from_std(socket.into());
        let token = Token(self.connections.len());
        self.poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let tls = match &self.tls {
            Some(config) => {
                let name = ServerName::IpAddress(self.work.server.ip().into());
                Some(Box::new(ClientConnection::new(Arc::clone(config), name)?))
            }
            None => None,
        };
        self.connections.push(Connection { stream, tls, greeted: false, answer: Vec::new(), closed: false });
        Ok(())
    }

    /// Waits for something to happen, and does what it asks for.
    fn step(&mut self, patience: Duration) -> Result<()> {
        match self.poll.poll(&mut self.events, Some(patience)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &self.events {
            let Token(index) = event.token();
            let Some(connection) = self.connections.get_mut(index) else { continue };
            let client = || format!("bench-{}-{index}", self.work.process);
            let hello = || packet::connect(self.work.mqtt, &client(), KEEP_ALIVE);
            if connection.happened(event, hello, &mut self.scratch)? {
                self.accepted += 1;
            }
        }
        Ok(())
    }
}

impl Connection {
    /// Does what an event asks for; true once the server's CONNACK is there.
    fn happened(&mut self, event: &Event, hello: impl Fn() -> Vec<u8>, scratch: &mut [u8]) -> Result<bool> {
        if event.is_writable() && !self.greeted {
            self.greeted = true;
            match &mut self.tls {
                // Kept until the handshake is done.
                Some(tls) => tls.writer().write_all(&hello())?,
                None => self.stream.write_all(&hello())?,
            }
        }
        let known = self.answer.len();
        match self.exchange(scratch) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => self.closed = true,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => self.closed = true,
            Err(error) => return Err(format!("talking to the server: {error}").into()),
        }
        if self.answer.len() == known {
            return Ok(false);
        }
        let mut answers = Vec::new();
        packet::scan(&self.answer, |packet| answers.push(packet))?;
        match answers.as_slice() {
            [] => Ok(false),
            [Packet::ConnAck(0)] => Ok(true),
            other => Err(format!("the server answered CONNECT with {other:?}").into()),
        }
    }

    /// Moves bytes between the socket, TLS if any, and the answer.
    fn exchange(&mut self, scratch: &mut [u8]) -> std::io::Result<()> {
        let Some(tls) = &mut self.tls else {
            return drain(&mut self.stream, scratch, &mut self.answer);
        };
        loop {
            while tls.wants_write() {
                match tls.write_tls(&mut self.stream) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    other => other?,
                };
            }
            match tls.read_tls(&mut self.stream) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
            tls.process_new_packets().map_err(std::io::Error::other)?;
            drain(&mut tls.reader(), scratch, &mut self.answer)?;
        }
    }
}

/// Reads until nothing more is there.
fn drain(source: &mut impl Read, scratch: &mut [u8], into: &mut Vec<u8>) -> std::io::Result<()> {
    loop {
        match source.read(scratch) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => into.extend(scratch.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// Linux's number for a connection that is being made; std has no kind for it.
const EINPROGRESS: i32 = 115;
