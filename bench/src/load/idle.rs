//! Holds MQTT connections that do nothing, in plain text or with TLS, to see what one costs the server.

use super::dial::Dialled;
use super::packet::{self, Packet};
use super::tls::client_config;
use crate::{Result, helper};
use mio::event::Event;
use mio::{Events, Interest, Poll, Token};
use rustls::ClientConfig;
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
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
    line: Dialled,
    greeted: bool,
    closed: bool,
}

impl Crowd {
    fn new(work: Work) -> Result<Self> {
        let tls = work.authority.as_ref().map(|file| client_config(file, None)).transpose()?;
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
        let source = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2 + self.work.process));
        let mut line = Dialled::begin(source, self.work.server, self.tls.as_ref())?;
        let token = Token(self.connections.len());
        self.poll.registry().register(&mut line.stream, token, Interest::READABLE | Interest::WRITABLE)?;
        self.connections.push(Connection { line, greeted: false, closed: false });
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
            self.line.say(&hello())?;
        }
        let known = self.line.answer.len();
        match self.line.exchange(scratch) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => self.closed = true,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => self.closed = true,
            Err(error) => return Err(format!("talking to the server: {error}").into()),
        }
        if self.line.answer.len() == known {
            return Ok(false);
        }
        let mut answers = Vec::new();
        packet::scan(&self.line.answer, |packet| answers.push(packet))?;
        match answers.as_slice() {
            [] => Ok(false),
            [Packet::ConnAck(0)] => Ok(true),
            other => Err(format!("the server answered CONNECT with {other:?}").into()),
        }
    }
}
