//! The load generator: one thread, one process, many MQTT clients.
//!
//! Clients stand in groups. In a group every subscriber gets what every publisher publishes, and no more is in flight
//! than the group's share: publishers go at the pace at which subscribers *receive*, so a server gains nothing by dropping.

pub(crate) mod amqp;
mod caller;
mod client;
pub(crate) mod coap;
mod dial;
pub(crate) mod endpoints;
mod histogram;
pub(crate) mod http;
pub(crate) mod idle;
pub(crate) mod latency;
pub(crate) mod many;
pub(crate) mod paced;
pub(crate) mod packet;
pub(crate) mod sessions;
pub(crate) mod slow;
pub(crate) mod storm;
mod tls;
mod websocket;
mod wire;

use crate::{Result, helper, procfs, sink};
use client::{Client, Via};
use mio::{Events, Interest, Poll, Token};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What is not received after so long without any arrival is lost.
const LOST_AFTER: Duration = Duration::from_secs(1);

/// How often clocks and losses are looked at when nothing happens.
const TICK: Duration = Duration::from_millis(20);

/// Messages on their way to subscribers, over all groups, before publishers wait.
const IN_FLIGHT: u64 = 10_000;

/// The work of a load generator.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Work {
    /// Where the server listens.
    pub(crate) server: SocketAddr,
    /// The server's process, for its processor time and memory.
    pub(crate) server_pid: u32,
    /// Counts what was delivered instead of subscribers.
    pub(crate) sink: Option<SocketAddr>,
    /// MQTT protocol level.
    pub(crate) mqtt: u8,
    /// Whether clients speak it over WebSocket.
    pub(crate) websocket: bool,
    /// With TLS: the authority that the server's certificate comes from.
    pub(crate) authority: Option<PathBuf>,
    /// Whether subscribers' sessions outlive their connections.
    pub(crate) lasting: bool,
    /// QoS of publications and subscriptions: 0 or 1.
    pub(crate) qos: u8,
    /// Groups of clients.
    pub(crate) groups: usize,
    /// Publishers in each group; each has a topic of its own.
    pub(crate) publishers: usize,
    /// Subscribers in each group; each gets everything that is published in it.
    pub(crate) subscribers: usize,
    /// With QoS 1, how many publications of one publisher may wait for their PUBACK.
    pub(crate) window: u32,
    /// At most how many publications are written at once.
    pub(crate) batch: u32,
    /// Bytes of each payload.
    pub(crate) payload: usize,
    /// What happens before the measurement.
    pub(crate) warm_up: Duration,
    /// How long is measured.
    pub(crate) measure: Duration,
}

/// What a load generator measured.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Messages that arrived at subscribers, or at the sink.
    pub(crate) messages: u64,
    /// PUBACKs that publishers got.
    pub(crate) acknowledged: u64,
    /// Messages that never arrived, from the beginning of the warm-up on.
    pub(crate) lost: u64,
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

/// Clients that share what they publish.
#[derive(Default)]
struct Group {
    publishers: Vec<usize>,
    /// Whose turn it is.
    turn: usize,
    in_flight: u64,
    /// Whether something happened that lets publishers go on.
    stirred: bool,
    /// Arrivals since the last look for losses.
    arrived: bool,
}

struct Load {
    work: Work,
    poll: Poll,
    clients: Vec<Client>,
    groups: Vec<Group>,
    received: u64,
    acknowledged: u64,
    lost: u64,
}

/// Where the counters stood at a moment.
struct Moment {
    at: Instant,
    messages: u64,
    acknowledged: u64,
    server_cpu: f64,
    load_cpu: f64,
}

impl Load {
    fn connect(work: Work) -> Result<Self> {
        let poll = Poll::new()?;
        let tls = work.authority.as_deref().map(|file| tls::client_config(file, None)).transpose()?;
        let via = Via { websocket: work.websocket, tls: tls.as_ref() };
        let mut clients = Vec::new();
        let mut groups = Vec::new();
        let payload = packet::payload(work.payload);
        for group in 0..work.groups {
            let filter = format!("bench/{group}/+");
            let subscribe = packet::subscribe(work.mqtt, &filter, work.qos);
            for _ in 0..work.subscribers {
                let connect = Client::connect(work.mqtt, clients.len(), work.lasting);
                let mut client = Client::open(work.server, via, &connect, Some(&subscribe))?;
                client.group = group;
                clients.push(client);
            }
            let mut members = Group::default();
            for number in 0..work.publishers {
                let connect = Client::connect(work.mqtt, clients.len(), false);
                let mut client = Client::open(work.server, via, &connect, None)?;
                let topic = format!("bench/{group}/{number}");
                let frame = packet::publish(work.mqtt, &topic, work.qos, &payload);
                client.publish_as(frame, work.window);
                client.group = group;
                members.publishers.push(clients.len());
                clients.push(client);
            }
            groups.push(members);
        }
        for (index, client) in clients.iter_mut().enumerate() {
            let both = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut client.wire.stream, Token(index), both)?;
        }
        Ok(Self { work, poll, clients, groups, received: 0, acknowledged: 0, lost: 0 })
    }

    fn run(mut self) -> Result<Measured> {
        let beginning = Instant::now() + self.work.warm_up;
        self.until(beginning)?;
        let before = self.moment()?;
        self.until(before.at + self.work.measure)?;
        let after = self.moment()?;
        Ok(Measured {
            messages: after.messages - before.messages,
            acknowledged: after.acknowledged - before.acknowledged,
            lost: self.lost,
            seconds: (after.at - before.at).as_secs_f64(),
            server_cpu: after.server_cpu - before.server_cpu,
            load_cpu: after.load_cpu - before.load_cpu,
            resident: procfs::resident_bytes(self.work.server_pid)?,
        })
    }

    /// Publishes and receives until a moment.
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
            self.received += arrived.publications;
            self.acknowledged += arrived.acknowledgements;
            group.arrived |= arrived.publications > 0;
            // What was written off and comes after all was late, not lost.
            let late = arrived.publications.saturating_sub(group.in_flight);
            self.lost = self.lost.saturating_sub(late);
            group.in_flight = group.in_flight.saturating_sub(arrived.publications);
        }
        Ok(())
    }

    /// Lets publishers write, in turn, as far as their groups' share and their windows go.
    fn pump(&mut self) -> Result<()> {
        let copies = self.work.subscribers as u64;
        let share = (IN_FLIGHT / self.work.groups as u64).max(copies);
        for group in self.groups.iter_mut().filter(|group| group.stirred) {
            group.stirred = false;
            let mut without_room = 0;
            while without_room < group.publishers.len() {
                // Without subscribers only the windows bound what is in flight.
                let credit = (share.saturating_sub(group.in_flight)).checked_div(copies).unwrap_or(u64::MAX);
                if credit == 0 {
                    break;
                }
                let publisher =
                    group.publishers.get(group.turn).and_then(|index| self.clients.get_mut(*index));
                group.turn = (group.turn + 1) % group.publishers.len();
                let Some(publisher) = publisher else { break };
                let messages =
                    publisher.room().min(self.work.batch).min(u32::try_from(credit).unwrap_or(u32::MAX));
                if messages == 0 {
                    without_room += 1;
                    continue;
                }
                without_room = 0;
                publisher.publish(messages)?;
                group.in_flight += u64::from(messages) * copies;
            }
        }
        Ok(())
    }

    /// Takes what never arrived off the books, so that a server that drops is measured by what it delivers.
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

    fn moment(&self) -> Result<Moment> {
        let messages = match self.work.sink {
            Some(sink) => sink::count(sink)?,
            None => self.received,
        };
        Ok(Moment {
            at: Instant::now(),
            messages,
            acknowledged: self.acknowledged,
            server_cpu: procfs::cpu_seconds(self.work.server_pid)?,
            load_cpu: procfs::cpu_seconds(std::process::id())?,
        })
    }
}
