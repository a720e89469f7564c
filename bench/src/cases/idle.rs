//! Connections that do nothing: what one costs in the server's memory, and what making it costs.

use super::{Column, Conditions, Measure, Sample};
use crate::helper::{Helper, Role};
use crate::load::idle::{Connected, Held, Work};
use crate::peers::{Need, Peer, Setup};
use crate::server::Server;
use crate::{Result, procfs};
use std::time::{Duration, Instant};

/// Connections of one process: processes may rarely open more than 20,000 files.
const PER_PROCESS: usize = 10_000;

/// Connections of servers that are not made for crowds.
const FEW: usize = 2_000;

/// What servers free or finish after the last connection has this long.
const SETTLE: Duration = Duration::from_secs(2);

/// Many connections and no messages.
pub(super) struct Idle {
    /// Whether they speak TLS.
    pub(super) tls: bool,
}

const COLUMNS: &[Column] = &[
    ("bytes/conn", |sample| sample.connection_bytes.unwrap_or(f64::NAN)),
    ("conn/CPU-s", Sample::per_cpu_second),
    ("conn/s", Sample::per_second),
    ("RSS MiB", Sample::resident_mebibytes),
];

impl Measure for Idle {
    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn less_is_better(&self) -> bool {
        true
    }

    fn about_seconds(&self, conditions: &Conditions) -> f64 {
        conditions.connections as f64 / if self.tls { 1_000.0 } else { 5_000.0 } + 4.0
    }

    fn needs(&self) -> Vec<Need> {
        if self.tls { vec![Need::Qos1, Need::Tls] } else { vec![Need::Qos1] }
    }

    /// Memory hardly varies.
    fn rounds(&self, asked: usize) -> usize {
        asked.min(2)
    }

    fn run(&self, peer: &dyn Peer, mut setup: Setup, conditions: &Conditions) -> Result<Sample> {
        setup.tls = self.tls.then(|| conditions.tls.clone());
        // Before the server, so that they go after it: whoever closes first keeps the port for a minute, and clients
        // would run out of ports in the next round.
        let mut crowds = Vec::new();
        let mut server = Server::start(peer, &setup)?;
        // What the start itself still does is not the connections' cost.
        std::thread::sleep(Duration::from_millis(500));
        let before = procfs::resident_bytes(server.pid())?;
        let cpu_before = procfs::cpu_seconds(server.pid())?;
        let start = Instant::now();

        let connections = match peer.can(Need::Crowd) {
            true => conditions.connections,
            false => conditions.connections.min(FEW),
        };
        let mut left = connections;
        while left > 0 {
            let work = Work {
                server: setup.address,
                connections: left.min(PER_PROCESS),
                process: u8::try_from(crowds.len()).map_err(|_| "that many connections are too many")?,
                mqtt: conditions.mqtt,
                authority: setup.tls.as_ref().map(|tls| tls.authority.clone()),
            };
            left -= work.connections;
            crowds.push(Helper::start(Role::Idle, &work)?);
        }
        for crowd in &mut crowds {
            crowd.answer::<Connected>()?;
        }
        let seconds = start.elapsed().as_secs_f64();
        let server_cpu = procfs::cpu_seconds(server.pid())? - cpu_before;

        std::thread::sleep(SETTLE);
        let resident = procfs::resident_bytes(server.pid())?;
        let mut closed = 0;
        for crowd in &mut crowds {
            crowd.tell(&())?;
            closed += crowd.answer::<Held>()?.closed;
        }
        server.check()?;
        if closed > 0 {
            return Err(format!("{} closed {closed} connections that did nothing", peer.name()).into());
        }
        Ok(Sample {
            work: connections as u64,
            seconds,
            server_cpu,
            resident,
            connection_bytes: Some((resident as f64 - before as f64) / connections as f64),
            ..Sample::default()
        })
    }
}
