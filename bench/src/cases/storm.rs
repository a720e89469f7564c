//! Clients that connect and leave, as a fleet does after an outage: what a connection costs the server's processor.

use super::{Column, Conditions, Measure, Sample};
use crate::helper::{Helper, Role};
use crate::load::storm::{Measured, Work};
use crate::peers::{Need, Peer, Setup};
use crate::server::Server;
use crate::{Result, procfs};
use std::time::{Duration, Instant};

/// What servers finish after the last connection has this long.
const SETTLE: Duration = Duration::from_millis(200);

/// A storm of connections.
pub(super) struct Storm {
    /// How many. Few enough that the kernel's table of tracked connections takes all servers' rounds.
    connections: usize,
    tls: bool,
    resume: bool,
}

/// In plain text.
pub(super) const PLAIN: Storm = Storm { connections: 12_000, tls: false, resume: false };

/// With whole handshakes.
pub(super) const TLS: Storm = Storm { connections: 3_000, tls: true, resume: false };

/// With resumed handshakes.
pub(super) const RESUMED: Storm = Storm { connections: 3_000, tls: true, resume: true };

const COLUMNS: &[Column] = &[
    ("conn/CPU-s", Sample::per_cpu_second),
    ("conn/s", Sample::per_second),
    ("resumed %", |sample| sample.figure("resumed %")),
    ("load cores", |sample| sample.load_cpu / sample.seconds),
    ("RSS MiB", Sample::resident_mebibytes),
];

impl Measure for Storm {
    fn run(&self, peer: &dyn Peer, mut setup: Setup, conditions: &Conditions) -> Result<Sample> {
        setup.tls = self.tls.then(|| conditions.tls.clone());
        let mut server = Server::start(peer, &setup)?;
        let work = Work {
            server: setup.address,
            connections: self.connections,
            mqtt: conditions.mqtt,
            authority: setup.tls.as_ref().map(|tls| tls.authority.clone()),
            resume: self.resume,
            devices: Vec::new(),
        };
        let mut crowd = Helper::start(Role::Storm, &work)?;
        crowd.answer::<()>()?;
        let cpu_before = procfs::cpu_seconds(server.pid())?;
        let start = Instant::now();
        crowd.tell(&())?;
        let measured: Measured = crowd.answer()?;
        let seconds = start.elapsed().as_secs_f64();
        std::thread::sleep(SETTLE);
        server.check()?;
        Ok(Sample {
            work: self.connections as u64,
            seconds,
            server_cpu: procfs::cpu_seconds(server.pid())? - cpu_before,
            load_cpu: measured.load_cpu,
            resident: procfs::resident_bytes(server.pid())?,
            figures: [("resumed %", measured.resumed as f64 / self.connections as f64 * 100.0)].into(),
            ..Sample::default()
        })
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn about_seconds(&self, _: &Conditions) -> f64 {
        3.0
    }

    fn needs(&self) -> Vec<Need> {
        if self.tls { vec![Need::Qos1, Need::Tls] } else { vec![Need::Qos1] }
    }
}
