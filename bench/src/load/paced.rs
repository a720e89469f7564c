//! Pairs of a publisher and a subscriber at a given rate, one message a write, for as long as told: how long messages take,
//! and whether any are lost or anybody is disconnected.

use super::client::{Client, Via};
use super::packet;
use crate::{Result, helper, procfs};
use mio::{Events, Interest, Poll, Token};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The work of one process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Work {
    /// Where the server listens.
    pub(crate) server: SocketAddr,
    /// The server's process, for its processor time.
    pub(crate) server_pid: u32,
    /// MQTT protocol level.
    pub(crate) mqtt: u8,
    /// QoS of publications and subscriptions.
    pub(crate) qos: u8,
    /// Pairs, of two connections each.
    pub(crate) pairs: usize,
    /// Messages a second, of all of them.
    pub(crate) rate: u32,
    /// Bytes of each payload.
    pub(crate) payload: usize,
}

/// What was seen for as long as it was told to go on.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Messages that arrived.
    pub(crate) messages: u64,
    /// Messages that did not, five seconds after the last one was sent.
    pub(crate) lost: u64,
    /// Connections that the server ended.
    pub(crate) disconnected: u64,
    /// Half of the messages took at most so long, in microseconds.
    pub(crate) median: f64,
    /// 99 of 100 took at most so long.
    pub(crate) p99: f64,
    /// Processor time of the server.
    pub(crate) server_cpu: f64,
    /// Processor time of this process.
    pub(crate) load_cpu: f64,
}

/// Messages that have not arrived so long after the last one left are lost.
const LOST_AFTER: Duration = Duration::from_secs(5);

/// Runs as one process: says when all are connected, then goes on for each duration that it is told.
pub(crate) fn main() -> Result<()> {
    let Some(work) = helper::told::<Work>()? else { return Ok(()) };
    let mut pairs = Pairs::connect(work)?;
    helper::say(&())?;
    while let Some(long) = helper::told::<Duration>()? {
        helper::say(&pairs.run(long)?)?;
    }
    Ok(())
}

struct Pairs {
    work: Work,
    poll: Poll,
    /// A subscriber, its publisher, the next subscriber and so on; `None` once the server has ended it.
    clients: Vec<Option<Client>>,
    /// When the messages left that have not arrived, by pair.
    under_way: Vec<VecDeque<Instant>>,
    disconnected: u64,
    took: Vec<u32>,
}

impl Pairs {
    fn connect(work: Work) -> Result<Self> {
        let poll = Poll::new()?;
        let payload = packet::payload(work.payload);
        let mut clients = Vec::new();
        for pair in 0..work.pairs {
            let topic = format!("bench/{pair}/0");
            let subscribe = packet::subscribe(work.mqtt, &format!("bench/{pair}/+"), work.qos);
            let hello = Client::connect(work.mqtt, clients.len(), false);
            clients.push(Some(Client::open(work.server, Via::default(), &hello, Some(&subscribe))?));
            let hello = Client::connect(work.mqtt, clients.len(), false);
            let mut publisher = Client::open(work.server, Via::default(), &hello, None)?;
            publisher.publish_as(packet::publish(work.mqtt, &topic, work.qos, &payload), u32::MAX);
            clients.push(Some(publisher));
        }
        for (index, client) in clients.iter_mut().flatten().enumerate() {
            let both = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut client.wire.stream, Token(index), both)?;
        }
        let under_way = vec![VecDeque::new(); work.pairs];
        Ok(Self { work, poll, clients, under_way, disconnected: 0, took: Vec::new() })
    }

    fn run(&mut self, long: Duration) -> Result<Measured> {
        let (mut events, mut scratch) = (Events::with_capacity(4_096), vec![0; 1 << 16]);
        let cpu = |pid| procfs::cpu_seconds(pid);
        let (server_cpu, load_cpu) = (cpu(self.work.server_pid)?, cpu(std::process::id())?);
        let disconnected = self.disconnected;
        self.took.clear();
        let start = Instant::now();
        let mut sent: u64 = 0;
        loop {
            let since = start.elapsed();
            let due = (since.min(long).as_secs_f64() * f64::from(self.work.rate)) as u64;
            while sent < due {
                self.send(sent as usize % self.work.pairs);
                sent += 1;
            }
            let waiting = self.under_way.iter().any(|pair| !pair.is_empty());
            if since >= long && (!waiting || since >= long + LOST_AFTER) {
                break;
            }
            match self.poll.poll(&mut events, Some(Duration::from_millis(1))) {
                Err(error) if error.kind() != std::io::ErrorKind::Interrupted => return Err(error.into()),
                _ => {}
            }
            for event in &events {
                self.happened(event, &mut scratch);
            }
        }
        let lost = self.under_way.iter_mut().map(|pair| pair.drain(..).count() as u64).sum();
        self.took.sort_unstable();
        let at = |share: f64| {
            let index = (self.took.len().saturating_sub(1) as f64 * share) as usize;
            self.took.get(index).copied().map_or(f64::NAN, f64::from)
        };
        Ok(Measured {
            messages: self.took.len() as u64,
            lost,
            disconnected: self.disconnected - disconnected,
            median: at(0.5),
            p99: at(0.99),
            server_cpu: cpu(self.work.server_pid)? - server_cpu,
            load_cpu: cpu(std::process::id())? - load_cpu,
        })
    }

    fn send(&mut self, pair: usize) {
        if let Some(under_way) = self.under_way.get_mut(pair) {
            under_way.push_back(Instant::now());
        }
        let Some(slot) = self.clients.get_mut(pair * 2 + 1) else { return };
        if slot.as_mut().is_some_and(|publisher| publisher.publish(1).is_err()) {
            *slot = None;
            self.disconnected += 1;
        }
    }

    fn happened(&mut self, event: &mio::event::Event, scratch: &mut [u8]) {
        let Token(index) = event.token();
        let Some(slot) = self.clients.get_mut(index) else { return };
        let Some(client) = slot else { return };
        let arrived = match client.flush().and_then(|()| client.read(scratch)) {
            Ok(arrived) => arrived,
            Err(_) => {
                *slot = None;
                self.disconnected += 1;
                return;
            }
        };
        let now = Instant::now();
        let Some(under_way) = self.under_way.get_mut(index / 2) else { return };
        for left in under_way.drain(..(arrived.publications as usize).min(under_way.len())) {
            self.took.push(u32::try_from((now - left).as_micros()).unwrap_or(u32::MAX));
        }
    }
}
