//! The load generator that takes the time: messages leave at a steady rate, whatever the server does.
//!
//! A message's time runs from the moment at which it was *due*, not from when it was written, so that a server that makes
//! publishers wait cannot hide it. One thread sends: it sleeps until a message is due, with a timer that is exact to
//! microseconds. Another waits for what arrives. Neither spins: where cores are few, a thread that never sleeps has to wait
//! for its turn just when something arrives. How late messages are written is measured, too.

mod receiver;
mod sender;

use super::client::{Client, Via};
use super::packet;
use crate::{Result, helper, procfs};
use receiver::Receiver;
use sender::Sender;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What has not arrived so long after the last message left is lost, and a server that is further behind cannot keep up.
const DRAIN: Duration = Duration::from_secs(1);

/// Where a process says by how much its timers may be late; 50 microseconds unless told otherwise.
const TIMER_SLACK: &str = "/proc/self/timerslack_ns";

/// The work of the load generator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Work {
    /// Where the server listens.
    pub(crate) server: SocketAddr,
    /// The server's process, for its processor time.
    pub(crate) server_pid: u32,
    /// MQTT protocol level.
    pub(crate) mqtt: u8,
    /// Publishers. QoS is 1.
    pub(crate) publishers: usize,
    /// Whether each has a subscriber that takes the time; otherwise it is taken when the publisher's PUBACK comes.
    pub(crate) subscribers: bool,
    /// Messages a second, of all publishers together.
    pub(crate) rate: f64,
    /// Bytes of each payload.
    pub(crate) payload: usize,
    /// What happens before the measurement.
    pub(crate) warm_up: Duration,
    /// How long is measured.
    pub(crate) measure: Duration,
}

/// What was measured. Times are microseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Messages that were due, less the warm-up.
    pub(crate) messages: u64,
    /// Messages that never arrived. Each counts as one that took a second.
    pub(crate) lost: u64,
    /// Half of the messages took at most so long.
    pub(crate) p50: f64,
    /// 99 of 100 took at most so long.
    pub(crate) p99: f64,
    /// 999 of 1,000 took at most so long.
    pub(crate) p999: f64,
    /// 99 of 100 were written at most so late: what of the above is the load generator's fault.
    pub(crate) late: f64,
    /// Processor time of the server while it was measured, in seconds.
    pub(crate) server_cpu: f64,
    /// Processor time of the load generator.
    pub(crate) load_cpu: f64,
    /// How long was measured, in seconds.
    pub(crate) seconds: f64,
    /// The server's memory at the end.
    pub(crate) resident: u64,
}

/// What the process answers: what it measured, or why there is nothing to be measured.
pub(crate) type Answer = std::result::Result<Measured, String>;

/// Runs as the load generator's process.
pub(crate) fn main() -> Result<()> {
    let Some(work) = helper::told::<Work>()? else { return Ok(()) };
    // Threads inherit it. Where it cannot be written, messages leave a little later, and the figures say so.
    let _ = std::fs::write(TIMER_SLACK, "1");
    let answer: Answer = run(&work).map_err(|error| error.to_string());
    helper::say(&answer)
}

/// When messages are due, in nanoseconds from the start.
#[derive(Clone, Copy)]
struct Schedule {
    start: Instant,
    /// Between two messages.
    interval: f64,
    /// What was due earlier is not measured.
    warm_up: u64,
}

impl Schedule {
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// When message number `number` is due.
    fn due(&self, number: u64) -> u64 {
        (number as f64 * self.interval) as u64
    }

    /// How many are due by a time after the start.
    fn count(&self, time: Duration) -> u64 {
        (time.as_nanos() as f64 / self.interval) as u64
    }
}

/// What both threads see.
#[derive(Default)]
struct Shared {
    arrived: AtomicU64,
    /// The receiver is to end.
    over: AtomicBool,
}

fn run(work: &Work) -> Result<Measured> {
    let (mut publishers, mut readers) = (Vec::new(), Vec::new());
    let payload = packet::payload(work.payload);
    for number in 0..work.publishers {
        let connect = Client::connect(work.mqtt, number, false);
        let mut client = Client::open(work.server, Via::default(), &connect, None)?;
        let topic = format!("bench/{number}/0");
        client.publish_as(packet::publish(work.mqtt, &topic, 1, &payload), u32::MAX);
        publishers.push(client.writing_half()?);
        readers.push(client);
    }
    for number in 0..if work.subscribers { work.publishers } else { 0 } {
        let subscribe = packet::subscribe(work.mqtt, &format!("bench/{number}/+"), 1);
        let connect = Client::connect(work.mqtt, readers.len(), false);
        readers.push(Client::open(work.server, Via::default(), &connect, Some(&subscribe))?);
    }
    let schedule = Schedule {
        start: Instant::now(),
        interval: 1e9 / work.rate,
        warm_up: u64::try_from(work.warm_up.as_nanos())?,
    };
    let shared = Arc::new(Shared::default());
    let receiver = Receiver::new(work, readers, schedule, Arc::clone(&shared))?;
    let receiver = std::thread::spawn(move || receiver.run().map_err(|error| error.to_string()));
    let mut sender = Sender::new(work, publishers, schedule, Arc::clone(&shared));
    let sent = send(work, &mut sender, schedule);
    if sent.is_ok() {
        let end = Instant::now() + DRAIN;
        while shared.arrived.load(Ordering::Relaxed) < sender.sent() && Instant::now() < end {
            sender.push()?;
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    shared.over.store(true, Ordering::Relaxed);
    let mut took = receiver.join().map_err(|_| "the receiving thread failed")??;
    let (messages, server_cpu, load_cpu, seconds) = sent?;
    let lost = sender.sent().saturating_sub(shared.arrived.load(Ordering::Relaxed));
    (0..lost).for_each(|_| took.add(DRAIN.as_nanos() as u64));
    Ok(Measured {
        messages,
        lost,
        p50: took.microseconds(0.5),
        p99: took.microseconds(0.99),
        p999: took.microseconds(0.999),
        late: sender.late().microseconds(0.99),
        server_cpu,
        load_cpu,
        seconds,
        resident: procfs::resident_bytes(work.server_pid)?,
    })
}

/// Sends everything; how many messages, processor time of the server and of this process, and seconds that took.
fn send(work: &Work, sender: &mut Sender, schedule: Schedule) -> Result<(u64, f64, f64, f64)> {
    let cpu = || -> Result<_> {
        Ok((procfs::cpu_seconds(work.server_pid)?, procfs::cpu_seconds(std::process::id())?))
    };
    let warm = schedule.count(work.warm_up);
    sender.until(warm)?;
    let (began, before) = (Instant::now(), cpu()?);
    let all = schedule.count(work.warm_up + work.measure);
    sender.until(all)?;
    let (seconds, after) = (began.elapsed().as_secs_f64(), cpu()?);
    Ok((all - warm, after.0 - before.0, after.1 - before.1, seconds))
}
