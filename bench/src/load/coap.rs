//! Clients of CoAP, each with a socket of its own: a confirmable POST, its answer, and at once the next.

use crate::{Result, helper, procfs};
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// How long an answer may take before its request is sent again (RFC 7252 §4.8, ACK_TIMEOUT).
const ACK_TIMEOUT: Duration = Duration::from_secs(2);

/// How often is looked for requests to send again.
const LOOK: Duration = Duration::from_millis(500);

/// What the generator is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Work {
    /// Where the server listens.
    pub(crate) server: SocketAddr,
    /// Its process.
    pub(crate) server_pid: u32,
    /// How many clients.
    pub(crate) clients: usize,
    /// Bytes of each payload.
    pub(crate) payload: usize,
    /// What is not measured.
    pub(crate) warm_up: Duration,
    /// What is.
    pub(crate) measure: Duration,
}

/// What it saw.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Requests answered with 2.xx.
    pub(crate) answered: u64,
    /// Requests answered otherwise.
    pub(crate) refused: u64,
    /// Requests sent again.
    pub(crate) again: u64,
    /// How long it took.
    pub(crate) seconds: f64,
    /// Processor time of the server.
    pub(crate) server_cpu: f64,
    /// Processor time of this process.
    pub(crate) load_cpu: f64,
    /// The server's memory at the end.
    pub(crate) resident: u64,
}

/// Runs as a process that asks.
pub(crate) fn main() -> Result<()> {
    let Some(work) = helper::told::<Work>()? else { return Ok(()) };
    let mut crowd = Crowd::new(work)?;
    helper::say(&crowd.run()?)
}

struct Crowd {
    work: Work,
    poll: Poll,
    clients: Vec<Client>,
    /// Clients that have their answer.
    ready: Vec<usize>,
    answered: u64,
    refused: u64,
    again: u64,
}

struct Client {
    socket: UdpSocket,
    request: Vec<u8>,
    id: u16,
    sent: Instant,
}

/// A confirmable POST to `bench/NUMBER` (RFC 7252 §3): its message identifier is yet to be put in.
pub(crate) fn post(number: usize, payload: usize) -> Vec<u8> {
    let number = number.to_string();
    let mut message = vec![0x44, 0x02, 0, 0];
    message.extend_from_slice(&(number.len() as u32 ^ 0x5eed_0000).to_be_bytes());
    // Uri-Path (11) twice.
    message.push(0xb0 | 5);
    message.extend_from_slice(b"bench");
    message.push(number.len() as u8);
    message.extend_from_slice(number.as_bytes());
    message.push(0xff);
    message.resize(message.len() + payload, b'x');
    message
}

/// Gives a message its identifier.
pub(crate) fn identify(message: &mut [u8], id: u16) {
    if let Some(place) = message.get_mut(2..4) {
        place.copy_from_slice(&id.to_be_bytes());
    }
}

/// Whether an answer is to the message of this identifier, and whether it says that it went well.
pub(crate) fn answer(bytes: &[u8], id: u16) -> Option<bool> {
    match bytes {
        [_, code, high, low, ..] if [*high, *low] == id.to_be_bytes() && *code != 0 => Some(code >> 5 == 2),
        _ => None,
    }
}

impl Crowd {
    fn new(work: Work) -> Result<Self> {
        let poll = Poll::new()?;
        let mut clients = Vec::new();
        for number in 0..work.clients {
            let mut socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0).into())?;
            socket.connect(work.server)?;
            poll.registry().register(&mut socket, Token(number), Interest::READABLE)?;
            let request = post(number, work.payload);
            clients.push(Client { socket, request, id: number as u16, sent: Instant::now() });
        }
        let ready = (0..clients.len()).collect();
        Ok(Self { work, poll, clients, ready, answered: 0, refused: 0, again: 0 })
    }

    fn run(&mut self) -> Result<Measured> {
        self.until(Instant::now() + self.work.warm_up)?;
        let (answered, refused, again) = (self.answered, self.refused, self.again);
        let server_cpu = procfs::cpu_seconds(self.work.server_pid)?;
        let load_cpu = procfs::cpu_seconds(std::process::id())?;
        let start = Instant::now();
        self.until(start + self.work.measure)?;
        Ok(Measured {
            answered: self.answered - answered,
            refused: self.refused - refused,
            again: self.again - again,
            seconds: start.elapsed().as_secs_f64(),
            server_cpu: procfs::cpu_seconds(self.work.server_pid)? - server_cpu,
            load_cpu: procfs::cpu_seconds(std::process::id())? - load_cpu,
            resident: procfs::resident_bytes(self.work.server_pid)?,
        })
    }

    /// Takes what answers there are, then sends to all of whom they were: as a crowd does, not as one client does.
    fn until(&mut self, end: Instant) -> Result<()> {
        let mut events = Events::with_capacity(1_024);
        let mut look = Instant::now() + LOOK;
        loop {
            let now = Instant::now();
            for number in self.ready.drain(..) {
                let Some(client) = self.clients.get_mut(number) else { continue };
                client.id = client.id.wrapping_add(1);
                client.sent = now;
                identify(&mut client.request, client.id);
                // One that is lost is sent again in time.
                let _ = client.socket.send(&client.request);
            }
            if now >= end {
                return Ok(());
            }
            if now >= look {
                look = now + LOOK;
                for client in self.clients.iter_mut().filter(|client| now - client.sent > ACK_TIMEOUT) {
                    client.sent = now;
                    self.again += 1;
                    let _ = client.socket.send(&client.request);
                }
            }
            match self.poll.poll(&mut events, Some(LOOK)) {
                Err(error) if error.kind() != std::io::ErrorKind::Interrupted => return Err(error.into()),
                _ => {}
            }
            let mut scratch = [0; 2_048];
            for event in &events {
                let Token(number) = event.token();
                let Some(client) = self.clients.get_mut(number) else { continue };
                while let Ok(length) = client.socket.recv(&mut scratch) {
                    match answer(scratch.get(..length).unwrap_or_default(), client.id) {
                        Some(true) => self.answered += 1,
                        Some(false) => self.refused += 1,
                        None => continue,
                    }
                    self.ready.push(number);
                }
            }
        }
    }
}
