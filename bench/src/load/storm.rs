//! Connects, says CONNECT, hears CONNACK, says DISCONNECT and leaves, again and again, with many clients at once.

use super::dial::Dialled;
use super::packet::{self, Packet};
use super::tls::client_config;
use crate::{Result, helper, procfs};
use mio::{Events, Interest, Poll, Token};
use rustls::client::Resumption;
use rustls::{ClientConfig, HandshakeKind};
use serde::{Deserialize, Serialize};
use socket2::SockRef;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Clients at once: few enough for any server's backlog.
const CLIENTS: usize = 64;

/// Addresses that they come from, in turn, so that no address runs out of ports.
const SOURCES: usize = 50;

/// A server that has not closed the connection so long after DISCONNECT is not waited for.
const FAREWELL: Duration = Duration::from_millis(500);

/// How long all of it may take without any progress.
const PATIENCE: Duration = Duration::from_secs(20);

/// Tickets that a client keeps: those of its connection before.
const TICKETS: usize = 8;

/// The work of one process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Work {
    /// Where the server listens.
    pub(crate) server: SocketAddr,
    /// How many connections to make.
    pub(crate) connections: usize,
    /// MQTT protocol level.
    pub(crate) mqtt: u8,
    /// With TLS: the authority that the server's certificate comes from.
    pub(crate) authority: Option<PathBuf>,
    /// Whether clients take up sessions of their earlier connections.
    pub(crate) resume: bool,
    /// Who the connections are, in turn; nobody in particular if there is none.
    pub(crate) devices: Vec<Device>,
}

/// Somebody who connects.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Device {
    /// Its client identifier, and its user name if it has a password.
    pub(crate) id: String,
    /// Its password.
    pub(crate) password: Option<String>,
    /// With TLS: its certificate and key, in PEM.
    pub(crate) certificate: Option<String>,
}

/// What was seen.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Handshakes that took up an earlier session.
    pub(crate) resumed: usize,
    /// Processor time of this process.
    pub(crate) load_cpu: f64,
}

/// Runs as one process: makes one connection of each client, says so, and goes on when told.
pub(crate) fn main() -> Result<()> {
    let Some(work) = helper::told::<Work>()? else { return Ok(()) };
    let mut storm = Storm::new(work)?;
    // Tickets come from these.
    let known = if storm.work.resume { storm.work.devices.len() } else { 0 };
    storm.make(known.max(CLIENTS))?;
    helper::say(&())?;
    if helper::told::<()>()?.is_none() {
        return Ok(());
    }
    let before = procfs::cpu_seconds(std::process::id())?;
    let resumed = storm.make(storm.work.connections)?;
    helper::say(&Measured { resumed, load_cpu: procfs::cpu_seconds(std::process::id())? - before })
}

struct Storm {
    work: Work,
    /// The TLS of those of the devices that have a certificate.
    proven: Vec<Option<Arc<ClientConfig>>>,
    poll: Poll,
    clients: Vec<Client>,
    begun: usize,
}

/// One client: its connections follow one another.
#[derive(Default)]
struct Client {
    tls: Option<Arc<ClientConfig>>,
    line: Option<Dialled>,
    greeted: bool,
    /// When it said DISCONNECT.
    left: Option<Instant>,
    /// Which of the devices it is.
    turn: Option<usize>,
}

/// What a connection has come to.
#[derive(PartialEq)]
enum Step {
    Waits,
    Over { resumed: bool },
}

impl Storm {
    fn new(work: Work) -> Result<Self> {
        let config = work.authority.as_ref().map(|file| client_config(file, None)).transpose()?;
        let own = |config: &ClientConfig| {
            let mut config = config.clone();
            if work.resume {
                // Each has its own: a ticket is good for one connection only.
                config.resumption = Resumption::in_memory_sessions(TICKETS);
            }
            Arc::new(config)
        };
        // Made before anything is measured.
        let mut proven = Vec::new();
        if let Some(authority) = &work.authority {
            for device in &work.devices {
                let proof = device.certificate.as_deref();
                let config = proof.map(|proof| client_config(authority, Some(proof))).transpose()?;
                proven.push(config.as_deref().map(own));
            }
        }
        let client = || {
            let tls = config.as_deref().map(own);
            Client { tls, ..Client::default() }
        };
        let clients = (0..CLIENTS).map(|_| client()).collect();
        Ok(Self { work, proven, poll: Poll::new()?, clients, begun: 0 })
    }

    /// Makes so many connections; says how many were resumed.
    fn make(&mut self, connections: usize) -> Result<usize> {
        let (mut events, mut scratch) = (Events::with_capacity(1_024), vec![0; 1 << 14]);
        let (mut begun, mut over, mut resumed) = (0, 0, 0);
        let mut deadline = Instant::now() + PATIENCE;
        while over < connections {
            for index in 0..CLIENTS {
                if begun < connections && self.clients.get(index).is_some_and(|one| one.line.is_none()) {
                    self.begin(index)?;
                    begun += 1;
                }
            }
            match self.poll.poll(&mut events, Some(Duration::from_millis(50))) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
                _ => {}
            }
            let before = over;
            let mut ended = |step| {
                if let Step::Over { resumed: once } = step {
                    over += 1;
                    resumed += usize::from(once);
                }
            };
            for event in &events {
                let Some(client) = self.clients.get_mut(event.token().0) else { continue };
                let device = client.turn.and_then(|turn| self.work.devices.get(turn));
                ended(client.happened(event, self.work.mqtt, device, &mut scratch)?);
            }
            for client in &mut self.clients {
                if client.left.is_some_and(|left| left.elapsed() > FAREWELL) {
                    ended(client.end());
                }
            }
            if over > before {
                deadline = Instant::now() + PATIENCE;
            } else if Instant::now() > deadline {
                return Err(format!("the server does not answer after {over} connections").into());
            }
        }
        Ok(resumed)
    }

    fn begin(&mut self, index: usize) -> Result<()> {
        let Some(client) = self.clients.get_mut(index) else { return Ok(()) };
        let source = IpAddr::V4(Ipv4Addr::new(127, 0, 1, 1 + (self.begun % SOURCES) as u8));
        let turn = self.begun.checked_rem(self.work.devices.len());
        let proven = turn.and_then(|turn| self.proven.get(turn)?.as_ref());
        let mut line = Dialled::begin(source, self.work.server, proven.or(client.tls.as_ref()))?;
        // Resets the connection when it is closed, so that the port is free at once.
        SockRef::from(&line.stream).set_linger(Some(Duration::ZERO))?;
        line.stream.set_nodelay(true)?;
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut line.stream, Token(index), both)?;
        *client = Client { tls: client.tls.take(), line: Some(line), greeted: false, left: None, turn };
        self.begun += 1;
        Ok(())
    }
}

impl Client {
    /// Does what an event asks for.
    fn happened(
        &mut self,
        event: &mio::event::Event,
        mqtt: u8,
        device: Option<&Device>,
        scratch: &mut [u8],
    ) -> Result<Step> {
        let Some(line) = &mut self.line else { return Ok(Step::Waits) };
        if event.is_writable() && !self.greeted {
            self.greeted = true;
            line.say(&match device {
                None => packet::connect(mqtt, &format!("storm-{}", event.token().0), 3_600),
                Some(Device { id, password: None, .. }) => packet::connect(mqtt, id, 3_600),
                Some(Device { id, password: Some(password), .. }) => {
                    packet::connect_as(mqtt, id, 3_600, id, password)
                }
            })?;
        }
        match line.exchange(scratch) {
            Ok(()) => {}
            Err(error) if self.left.is_none() => {
                return Err(format!("the server ended a connection before CONNACK: {error}").into());
            }
            Err(_) => return Ok(self.end()),
        }
        if self.left.is_some() || line.answer.is_empty() {
            return Ok(Step::Waits);
        }
        let mut welcome = None;
        packet::scan(&line.answer, |packet| welcome = Some(packet))?;
        match welcome {
            None => Ok(Step::Waits),
            Some(Packet::ConnAck(0)) => {
                self.left = Some(Instant::now());
                line.say(&[0xe0, 0])?;
                if let Some(tls) = &mut line.tls {
                    tls.send_close_notify();
                }
                match line.exchange(scratch) {
                    Ok(()) => Ok(Step::Waits),
                    Err(_) => Ok(self.end()),
                }
            }
            Some(other) => Err(format!("the server answered CONNECT with {other:?}").into()),
        }
    }

    /// The connection is closed; says what it was.
    fn end(&mut self) -> Step {
        self.left = None;
        let tls = self.line.take().and_then(|line| line.tls);
        let resumed = tls.is_some_and(|tls| tls.handshake_kind() == Some(HandshakeKind::Resumed));
        Step::Over { resumed }
    }
}
