//! AMQP: messages through queues, each confirmed to its publisher and acknowledged by its consumer, and what idle
//! connections cost.

use super::{Column, Conditions, Measure, Sample};
use crate::helper::{Helper, Role};
use crate::load::amqp::idle::Held;
use crate::load::amqp::{Measured, Version, Work};
use crate::peers::{Need, Peer, Setup};
use crate::server::Server;
use crate::{Result, procfs};
use std::time::Duration;

/// Connections that publish, and connections that consume.
const PUBLISHERS: usize = 20;
const CONSUMERS: usize = 4;

/// What publishers may have unconfirmed, and consumers unacknowledged, each.
const WINDOW: usize = 200;
const PREFETCH: u16 = 500;

/// Connections of the idle case, of each version.
const IDLE: usize = 5_000;
/// The same with servers that are not made for crowds.
const IDLE_FEW: usize = 1_000;

/// What servers finish after the last connection has this long.
const SETTLE: Duration = Duration::from_secs(2);

/// Messages through queues that are not durable.
pub(super) struct Queues {
    pub(super) version: Version,
    /// Whether messages of 1.0 are settled when they are sent, by publishers and by the server.
    pub(super) settled: bool,
    /// How many.
    pub(super) queues: usize,
}

impl Measure for Queues {
    fn run(&self, peer: &dyn Peer, mut setup: Setup, conditions: &Conditions) -> Result<Sample> {
        setup.amqp = true;
        let mut server = Server::start(peer, &setup)?;
        let work = Work {
            server: setup.address,
            server_pid: server.pid(),
            version: self.version,
            prefix: peer.amqp_prefix().to_owned(),
            declares: peer.can(Need::Amqp091),
            settled: self.settled,
            queues: self.queues,
            publishers: PUBLISHERS,
            consumers: CONSUMERS,
            window: WINDOW,
            prefetch: PREFETCH,
            batch: conditions.batch as usize,
            payload: conditions.payload,
            warm_up: conditions.warm_up,
            measure: conditions.measure,
        };
        let measured = Helper::start(Role::Amqp, &work)?.answer::<Measured>();
        server.check()?;
        let measured = measured?;
        Ok(Sample {
            work: measured.received,
            acknowledged: measured.confirmed,
            lost: measured.lost,
            seconds: measured.seconds,
            server_cpu: measured.server_cpu,
            load_cpu: measured.load_cpu,
            resident: measured.resident,
            ..Sample::default()
        })
    }

    fn columns(&self) -> &'static [Column] {
        &[
            ("msg/CPU-s", Sample::per_cpu_second),
            ("msg/s", Sample::per_second),
            ("confirmed/s", |sample| sample.acknowledged as f64 / sample.seconds),
            ("RSS MiB", Sample::resident_mebibytes),
            ("cores", |sample| sample.server_cpu / sample.seconds),
            ("load cores", |sample| sample.load_cpu / sample.seconds),
            ("lost", |sample| sample.lost as f64),
        ]
    }

    fn needs(&self) -> Vec<Need> {
        match self.version {
            Version::V091 => vec![Need::Amqp091],
            Version::V1 => vec![Need::Amqp1],
        }
    }
}

/// Connections that do nothing, half of each version.
pub(super) struct Idle;

impl Measure for Idle {
    fn run(&self, peer: &dyn Peer, mut setup: Setup, _: &Conditions) -> Result<Sample> {
        setup.amqp = true;
        // Before the server, so that they go after it: whoever closes first keeps the port for a minute.
        let mut holders = Vec::new();
        let mut server = Server::start(peer, &setup)?;
        std::thread::sleep(Duration::from_millis(500));
        let mut figures = std::collections::BTreeMap::new();
        let first = procfs::resident_bytes(server.pid())?;
        let cpu = procfs::cpu_seconds(server.pid())?;
        let start = std::time::Instant::now();
        let mut before = first;
        let each = if peer.can(Need::Crowd) { IDLE } else { IDLE_FEW };
        let mut connections = 0;
        for (version, need, figure) in
            [(Version::V091, Need::Amqp091, "bytes 0-9-1"), (Version::V1, Need::Amqp1, "bytes 1.0")]
        {
            if !peer.can(need) {
                continue;
            }
            let held = Held {
                server: setup.address,
                version,
                prefix: peer.amqp_prefix().to_owned(),
                declares: peer.can(Need::Amqp091),
                connections: each,
            };
            let mut holder = Helper::start(Role::AmqpIdle, &held)?;
            connections += holder.answer::<usize>()?;
            holders.push(holder);
            std::thread::sleep(SETTLE);
            let resident = procfs::resident_bytes(server.pid())?;
            figures.insert(figure, (resident as f64 - before as f64) / each as f64);
            before = resident;
        }
        let seconds = start.elapsed() - SETTLE * u32::try_from(figures.len())?;
        server.check()?;
        Ok(Sample {
            work: connections as u64,
            seconds: seconds.as_secs_f64(),
            server_cpu: procfs::cpu_seconds(server.pid())? - cpu,
            resident: before,
            connection_bytes: Some((before as f64 - first as f64) / connections.max(1) as f64),
            figures,
            ..Sample::default()
        })
    }

    fn columns(&self) -> &'static [Column] {
        &[
            ("bytes/conn", |sample| sample.connection_bytes.unwrap_or(f64::NAN)),
            ("bytes 0-9-1", |sample| sample.figure("bytes 0-9-1")),
            ("bytes 1.0", |sample| sample.figure("bytes 1.0")),
            ("conn/CPU-s", Sample::per_cpu_second),
            ("RSS MiB", Sample::resident_mebibytes),
        ]
    }

    fn less_is_better(&self) -> bool {
        true
    }

    fn about_seconds(&self, _: &Conditions) -> f64 {
        10.0
    }

    fn needs(&self) -> Vec<Need> {
        vec![Need::Amqp1]
    }

    /// Memory hardly varies.
    fn rounds(&self, asked: usize) -> usize {
        asked.min(2)
    }
}
