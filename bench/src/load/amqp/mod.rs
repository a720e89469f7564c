//! Clients of AMQP, 1.0 and 0-9-1: publishers that want their confirms, and consumers that acknowledge each message.
//!
//! One thread, one process. As with MQTT, publishers go at the pace at which consumers *receive*: no more is in flight than
//! the share of a queue, so a server gains nothing by dropping or by letting queues grow.

mod client;
pub(crate) mod idle;
mod v091;
mod v1;

use crate::{Result, helper, procfs};
use client::Client;
use mio::{Events, Interest, Poll, Token};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What is not received after so long without any arrival is lost.
const LOST_AFTER: Duration = Duration::from_secs(2);

/// How often clocks and losses are looked at when nothing happens.
const TICK: Duration = Duration::from_millis(20);

/// Messages on their way to consumers, over all queues, before publishers wait.
const IN_FLIGHT: u64 = 4_000;

/// A version of AMQP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Version {
    V091,
    V1,
}

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Publisher,
    Consumer,
}

/// What one read brought.
#[derive(Clone, Copy, Default)]
struct Arrived {
    /// Messages.
    deliveries: u64,
    /// Publications that were accepted.
    confirms: u64,
}

/// What the generator is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Work {
    /// Where the server listens.
    pub(crate) server: SocketAddr,
    /// Its process.
    pub(crate) server_pid: u32,
    /// What is spoken.
    pub(crate) version: Version,
    /// What comes before a queue's name in addresses of 1.0.
    pub(crate) prefix: String,
    /// Whether queues are declared first, by 0-9-1.
    pub(crate) declares: bool,
    /// Whether messages of 1.0 are settled when they are sent.
    pub(crate) settled: bool,
    /// How many queues there are; publishers and consumers are dealt to them.
    pub(crate) queues: usize,
    /// How many publish.
    pub(crate) publishers: usize,
    /// How many consume.
    pub(crate) consumers: usize,
    /// How many of one publisher may wait for their confirm.
    pub(crate) window: usize,
    /// How many a consumer may have at once.
    pub(crate) prefetch: u16,
    /// At most how many are written at once.
    pub(crate) batch: usize,
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
    /// Messages that came to consumers.
    pub(crate) received: u64,
    /// Publications that were confirmed.
    pub(crate) confirmed: u64,
    /// Messages that never came.
    pub(crate) lost: u64,
    /// How long it took.
    pub(crate) seconds: f64,
    /// Processor time of the server.
    pub(crate) server_cpu: f64,
    /// Processor time of this process.
    pub(crate) load_cpu: f64,
    /// The server's memory at the end.
    pub(crate) resident: u64,
}

/// A queue's name.
fn queue(number: usize) -> String {
    format!("bench-{number}")
}

/// Runs as the process that publishes and consumes.
pub(crate) fn main() -> Result<()> {
    let Some(work) = helper::told::<Work>()? else { return Ok(()) };
    helper::say(&Load::connect(work)?.run()?)
}

/// A queue, and who publishes to it.
#[derive(Default)]
struct Group {
    publishers: Vec<usize>,
    /// Whose turn it is.
    turn: usize,
    in_flight: u64,
    /// Whether something happened that lets publishers go on.
    stirred: bool,
    /// Whether anything came since the last look for losses.
    arrived: bool,
}

struct Load {
    work: Work,
    poll: Poll,
    clients: Vec<Client>,
    groups: Vec<Group>,
    received: u64,
    confirmed: u64,
    lost: u64,
}

impl Load {
    fn connect(work: Work) -> Result<Self> {
        if work.declares {
            client::declare(work.server, &(0..work.queues).map(queue).collect::<Vec<_>>())?;
        }
        let poll = Poll::new()?;
        let mut groups: Vec<Group> = (0..work.queues).map(|_| Group::default()).collect();
        let mut clients = Vec::new();
        // Consumers first: where nothing is stored, there is credit only for what somebody wants.
        let sides = [(Side::Consumer, work.consumers), (Side::Publisher, work.publishers)];
        for (side, count) in sides {
            for number in 0..count {
                let group = number % work.queues;
                let mut client = Client::open(&work, side, group)?;
                let index = clients.len();
                let interest = Interest::READABLE | Interest::WRITABLE;
                poll.registry().register(&mut client.wire.stream, Token(index), interest)?;
                if let (Side::Publisher, Some(group)) = (side, groups.get_mut(group)) {
                    group.publishers.push(index);
                }
                clients.push(client);
            }
        }
        Ok(Self { work, poll, clients, groups, received: 0, confirmed: 0, lost: 0 })
    }

    fn run(&mut self) -> Result<Measured> {
        self.until(Instant::now() + self.work.warm_up)?;
        let (received, confirmed) = (self.received, self.confirmed);
        let server_cpu = procfs::cpu_seconds(self.work.server_pid)?;
        let load_cpu = procfs::cpu_seconds(std::process::id())?;
        let start = Instant::now();
        self.until(start + self.work.measure)?;
        Ok(Measured {
            received: self.received - received,
            confirmed: self.confirmed - confirmed,
            lost: self.lost,
            seconds: start.elapsed().as_secs_f64(),
            server_cpu: procfs::cpu_seconds(self.work.server_pid)? - server_cpu,
            load_cpu: procfs::cpu_seconds(std::process::id())? - load_cpu,
            resident: procfs::resident_bytes(self.work.server_pid)?,
        })
    }

    fn until(&mut self, end: Instant) -> Result<()> {
        let mut events = Events::with_capacity(1_024);
        let mut scratch = vec![0; 1 << 16];
        let mut look = Instant::now() + LOST_AFTER;
        self.groups.iter_mut().for_each(|group| group.stirred = true);
        self.pump()?;
        loop {
            match self.poll.poll(&mut events, Some(TICK)) {
                Err(error) if error.kind() != std::io::ErrorKind::Interrupted => return Err(error.into()),
                _ => {}
            }
            for event in &events {
                self.happened(event, &mut scratch)?;
            }
            let now = Instant::now();
            if now >= end {
                return Ok(());
            }
            if now >= look {
                look = now + LOST_AFTER;
                self.write_off();
            }
            self.pump()?;
        }
    }

    fn happened(&mut self, event: &mio::event::Event, scratch: &mut [u8]) -> Result<()> {
        let Some(client) = self.clients.get_mut(event.token().0) else { return Ok(()) };
        let Some(group) = self.groups.get_mut(client.group) else { return Ok(()) };
        group.stirred = true;
        if event.is_writable() {
            client.flush()?;
        }
        if event.is_readable() {
            let arrived = client.read(scratch)?;
            self.received += arrived.deliveries;
            self.confirmed += arrived.confirms;
            group.arrived |= arrived.deliveries > 0;
            // What was written off and comes after all was late, not lost.
            self.lost = self.lost.saturating_sub(arrived.deliveries.saturating_sub(group.in_flight));
            group.in_flight = group.in_flight.saturating_sub(arrived.deliveries);
        }
        Ok(())
    }

    /// Lets publishers write, in turn, as far as their queues' share, their windows and their credit go.
    fn pump(&mut self) -> Result<()> {
        let share = IN_FLIGHT / self.work.queues as u64;
        for group in self.groups.iter_mut().filter(|group| group.stirred) {
            group.stirred = false;
            let mut without_room = 0;
            while without_room < group.publishers.len() && group.in_flight < share {
                let publisher =
                    group.publishers.get(group.turn).and_then(|index| self.clients.get_mut(*index));
                group.turn = (group.turn + 1) % group.publishers.len();
                let Some(publisher) = publisher else { break };
                let left = usize::try_from(share - group.in_flight).unwrap_or(usize::MAX);
                let messages = publisher.room(self.work.window).min(self.work.batch).min(left);
                if messages == 0 {
                    without_room += 1;
                    continue;
                }
                without_room = 0;
                publisher.publish(messages)?;
                group.in_flight += messages as u64;
            }
        }
        Ok(())
    }

    /// Takes what never came off the books, so that a server that drops is measured by what it delivers.
    fn write_off(&mut self) {
        for group in &mut self.groups {
            if !group.arrived && group.in_flight > 0 {
                self.lost += group.in_flight;
                group.in_flight = 0;
            }
            group.arrived = false;
            group.stirred = true;
        }
    }
}
