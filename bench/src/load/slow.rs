//! One subscriber of many that stops reading: how long messages take to the others, without and beside it.

use super::client::{Client, Via};
use super::packet;
use crate::{Result, helper};
use mio::{Events, Interest, Poll, Token};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A message to everybody leaves so often: seldom enough that the last one has arrived, on any machine.
const EVERY: Duration = Duration::from_millis(50);

/// What the slow one alone is sent, all at once before the others are measured beside it: more than kernels buffer.
const FLOOD: usize = 32 << 20;

/// Bytes of each message of the flood; one more follows with every message to everybody.
const FLOOD_MESSAGE: usize = 16 << 10;

/// What the server does with the flood, it has done by then.
const SETTLE: Duration = Duration::from_secs(1);

/// The work of the load generator.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Work {
    /// Where the server listens.
    pub(crate) server: SocketAddr,
    /// MQTT protocol level.
    pub(crate) mqtt: u8,
    /// Subscribers, the slow one among them.
    pub(crate) subscribers: usize,
    /// Bytes of each payload to everybody.
    pub(crate) payload: usize,
    /// What happens before the measurement.
    pub(crate) warm_up: Duration,
    /// How long is measured without, and again beside the slow one.
    pub(crate) measure: Duration,
}

/// How long messages took to arrive at the subscribers that read.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Latency {
    /// Half of them took at most so long, in microseconds.
    pub(crate) median: f64,
    /// 99 of 100 took at most so long, in microseconds.
    pub(crate) p99: f64,
}

/// What was measured.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// While all subscribers read.
    pub(crate) alone: Latency,
    /// Beside one that does not.
    pub(crate) beside: Latency,
    /// Messages that arrived.
    pub(crate) messages: u64,
    /// Messages that never arrived at a subscriber that reads.
    pub(crate) lost: u64,
}

/// Runs as the load generator's process.
pub(crate) fn main() -> Result<()> {
    let Some(work) = helper::told::<Work>()? else { return Ok(()) };
    helper::say(&Crowd::connect(&work)?.run(&work)?)
}

struct Crowd {
    poll: Poll,
    /// The slow one is the first; the publishers are the last two.
    clients: Vec<Client>,
    subscribers: usize,
    stalled: bool,
    /// When each message to everybody left.
    left: Vec<Instant>,
    /// How many of them each subscriber has got.
    got: Vec<usize>,
    /// How long they took, in microseconds.
    took: Vec<u32>,
}

impl Crowd {
    fn connect(work: &Work) -> Result<Self> {
        let poll = Poll::new()?;
        let mut clients = Vec::new();
        for index in 0..work.subscribers {
            let filter = if index == 0 { "bench/#" } else { "bench/all" };
            let subscribe = packet::subscribe(work.mqtt, filter, 0);
            clients.push(Client::open(
                work.server,
                Via::default(),
                &Client::connect(work.mqtt, index, false),
                Some(&subscribe),
            )?);
        }
        for (topic, payload) in [("bench/all", work.payload), ("bench/flood", FLOOD_MESSAGE)] {
            let mut client = Client::open(
                work.server,
                Via::default(),
                &Client::connect(work.mqtt, clients.len(), false),
                None,
            )?;
            let frame = packet::publish(work.mqtt, topic, 0, &packet::payload(payload));
            client.publish_as(frame, u32::MAX);
            clients.push(client);
        }
        for (index, client) in clients.iter_mut().enumerate() {
            let both = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut client.wire.stream, Token(index), both)?;
        }
        let (subscribers, got) = (work.subscribers, vec![0; work.subscribers]);
        Ok(Self { poll, clients, subscribers, stalled: false, left: Vec::new(), got, took: Vec::new() })
    }

    fn run(mut self, work: &Work) -> Result<Measured> {
        self.measure(work.warm_up)?;
        let alone = self.measure(work.measure)?;
        let first = self.took.len();
        self.stalled = true;
        self.publish(self.subscribers + 1, FLOOD / FLOOD_MESSAGE)?;
        self.until(Instant::now() + SETTLE)?;
        let beside = self.measure(work.measure)?;
        let expected = self.left.len() * (self.subscribers - 1);
        let arrived: usize = self.got.iter().skip(1).sum();
        Ok(Measured {
            alone,
            beside,
            messages: (first + self.took.len()) as u64,
            lost: (expected - arrived) as u64,
        })
    }

    /// Sends messages to everybody for so long, and says how long they took.
    fn measure(&mut self, long: Duration) -> Result<Latency> {
        self.took.clear();
        let end = Instant::now() + long;
        let mut next = Instant::now();
        while next < end {
            self.left.push(Instant::now());
            self.publish(self.subscribers, 1)?;
            if self.stalled {
                self.publish(self.subscribers + 1, 1)?;
            }
            next += EVERY;
            self.until(next)?;
        }
        self.took.sort_unstable();
        let at = |share: f64| {
            let index = (self.took.len().saturating_sub(1) as f64 * share) as usize;
            self.took.get(index).copied().map_or(f64::NAN, f64::from)
        };
        Ok(Latency { median: at(0.5), p99: at(0.99) })
    }

    fn publish(&mut self, publisher: usize, messages: usize) -> Result<()> {
        let client = self.clients.get_mut(publisher).ok_or("a publisher is missing")?;
        client.publish(u32::try_from(messages)?)
    }

    /// Reads and writes until a moment.
    fn until(&mut self, end: Instant) -> Result<()> {
        let mut events = Events::with_capacity(1_024);
        let mut scratch = vec![0; 1 << 16];
        loop {
            let Some(rest) = end.checked_duration_since(Instant::now()) else { return Ok(()) };
            match self.poll.poll(&mut events, Some(rest)) {
                Err(error) if error.kind() != std::io::ErrorKind::Interrupted => return Err(error.into()),
                _ => {}
            }
            for event in &events {
                let index = event.token().0;
                let Some(client) = self.clients.get_mut(index) else { continue };
                if event.is_writable() {
                    client.flush()?;
                }
                if !event.is_readable() || (index == 0 && self.stalled) {
                    continue;
                }
                let arrived = client.read(&mut scratch)?;
                let now = Instant::now();
                // The slow one is none of those that are measured, not even while it reads.
                let Some(got) = self.got.get_mut(index).filter(|_| index > 0) else { continue };
                for _ in 0..arrived.publications {
                    let left = self.left.get(*got).ok_or("more messages arrived than were sent")?;
                    self.took.push(u32::try_from((now - *left).as_micros()).unwrap_or(u32::MAX));
                    *got += 1;
                }
            }
        }
    }
}
