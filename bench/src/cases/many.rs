//! A million subscriptions, a million retained messages: what one costs, and whether the others make events dearer.

use super::{Column, Conditions, Measure, Sample};
use crate::helper::{Helper, Role};
use crate::load::many::{EACH, SESSIONS, SITES, Step, THINGS, Work};
use crate::peers::{Need, Peer, Setup};
use crate::server::Server;
use crate::{Result, procfs};
use std::time::{Duration, Instant};

/// Messages whose cost is measured at once, and how often, before and after. The least counts: the others were disturbed.
const MESSAGES: usize = 64_000;
const TIMES: usize = 10;

/// Sites whose last values are fetched, one after the other.
const FETCHES: usize = 20;

/// What servers finish after a step has this long.
const SETTLE: Duration = Duration::from_millis(500);

/// A million subscriptions.
pub(super) struct Subscriptions;

/// A million retained messages.
pub(super) struct Retained;

impl Measure for Subscriptions {
    fn run(&self, peer: &dyn Peer, setup: Setup, conditions: &Conditions) -> Result<Sample> {
        let mut steps = Steps::start(peer, setup, conditions)?;
        steps.run(Step::Listen)?;
        let alone = steps.publish()?;
        let subscribed = steps.run(Step::Subscribe)?;
        let among = steps.publish()?;
        let subscriptions = SESSIONS * EACH;
        Ok(Sample {
            work: subscriptions as u64,
            seconds: subscribed.seconds,
            server_cpu: subscribed.cpu,
            resident: steps.end()?,
            figures: [
                ("bytes/sub", subscribed.bytes / subscriptions as f64),
                ("us/msg", among),
                ("us/msg alone", alone),
                ("of alone", among / alone),
            ]
            .into(),
            ..Sample::default()
        })
    }

    fn columns(&self) -> &'static [Column] {
        &[
            ("sub/CPU-s", Sample::per_cpu_second),
            ("sub/s", Sample::per_second),
            ("bytes/sub", |sample| sample.figure("bytes/sub")),
            ("us/msg", |sample| sample.figure("us/msg")),
            ("us/msg alone", |sample| sample.figure("us/msg alone")),
            ("of alone", |sample| sample.figure("of alone")),
            ("RSS MiB", |sample| sample.resident as f64 / 1_048_576.0),
        ]
    }

    fn about_seconds(&self, _: &Conditions) -> f64 {
        25.0
    }

    fn needs(&self) -> Vec<Need> {
        vec![Need::Crowd]
    }
}

impl Measure for Retained {
    fn run(&self, peer: &dyn Peer, setup: Setup, conditions: &Conditions) -> Result<Sample> {
        let mut steps = Steps::start(peer, setup, conditions)?;
        let kept = steps.run(Step::Retain)?;
        let (mut cpu, mut took) = (0.0, Vec::new());
        for site in 0..FETCHES {
            let cost = steps.fetch(site)?;
            cpu += cost.cpu;
            took.push(cost.seconds * 1_000.0);
        }
        took.sort_by(f64::total_cmp);
        let messages = SITES * THINGS;
        Ok(Sample {
            work: messages as u64,
            seconds: kept.seconds,
            server_cpu: kept.cpu,
            resident: steps.end()?,
            figures: [
                ("bytes/msg", kept.bytes / messages as f64),
                ("ms/10,000", took.get(took.len() / 2).copied().unwrap_or(f64::NAN)),
                ("us/fetched", cpu * 1e6 / (FETCHES * THINGS) as f64),
            ]
            .into(),
            ..Sample::default()
        })
    }

    fn columns(&self) -> &'static [Column] {
        &[
            ("set/CPU-s", Sample::per_cpu_second),
            ("set/s", Sample::per_second),
            ("bytes/msg", |sample| sample.figure("bytes/msg")),
            ("ms/10,000", |sample| sample.figure("ms/10,000")),
            ("us/fetched", |sample| sample.figure("us/fetched")),
            ("RSS MiB", |sample| sample.resident as f64 / 1_048_576.0),
        ]
    }

    fn about_seconds(&self, _: &Conditions) -> f64 {
        25.0
    }

    fn needs(&self) -> Vec<Need> {
        vec![Need::Crowd, Need::Qos1]
    }
}

/// A server and the process that makes much of it.
struct Steps {
    server: Server,
    crowd: Helper,
}

/// What a step cost the server.
struct Cost {
    cpu: f64,
    seconds: f64,
    /// What its resident memory grew by.
    bytes: f64,
}

impl Steps {
    fn start(peer: &dyn Peer, mut setup: Setup, conditions: &Conditions) -> Result<Self> {
        setup.many = true;
        let server = Server::start(peer, &setup)?;
        let work = Work { server: setup.address, mqtt: conditions.mqtt, payload: conditions.payload };
        let mut crowd = Helper::start(Role::Many, &work)?;
        crowd.answer::<()>()?;
        Ok(Self { server, crowd })
    }

    fn run(&mut self, step: Step) -> Result<Cost> {
        let cost = self.step(step, SETTLE)?;
        self.server.check()?;
        Ok(cost)
    }

    /// Processor time of a message, in microseconds.
    fn publish(&mut self) -> Result<f64> {
        let mut least = f64::INFINITY;
        for _ in 0..TIMES {
            least = least.min(self.step(Step::Publish(MESSAGES), Duration::ZERO)?.cpu);
        }
        Ok(least * 1e6 / MESSAGES as f64)
    }

    fn fetch(&mut self, site: usize) -> Result<Cost> {
        self.step(Step::Fetch(site), Duration::ZERO)
    }

    fn step(&mut self, step: Step, settle: Duration) -> Result<Cost> {
        let pid = self.server.pid();
        let (cpu, resident) = (procfs::cpu_seconds(pid)?, procfs::resident_bytes(pid)?);
        let start = Instant::now();
        self.crowd.tell(&step)?;
        self.crowd.answer::<()>()?;
        let seconds = start.elapsed().as_secs_f64();
        std::thread::sleep(settle);
        let bytes = procfs::resident_bytes(pid)? as f64 - resident as f64;
        Ok(Cost { cpu: procfs::cpu_seconds(pid)? - cpu, seconds, bytes })
    }

    /// The server's memory at the end.
    fn end(mut self) -> Result<u64> {
        self.server.check()?;
        procfs::resident_bytes(self.server.pid())
    }
}
