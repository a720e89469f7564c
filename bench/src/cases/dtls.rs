//! DTLS: what a handshake costs the server's processor, and a session its memory.

use super::{Column, Conditions, Measure, Sample};
use crate::helper::{Helper, Role};
use crate::load::sessions::{Connected, Work};
use crate::peers::{Need, Peer, Setup};
use crate::server::Server;
use crate::{Result, procfs};
use std::time::{Duration, Instant};

/// Bytes of each payload.
const PAYLOAD: usize = 64;

/// How many handshakes a round has.
const HANDSHAKES: u32 = 10_000;

/// How many sessions are held, and how many of them are asked in the end.
const SESSIONS: u32 = 50_000;
const SAMPLE: u32 = 100;

/// What servers finish after the last answer has this long.
const SETTLE: Duration = Duration::from_millis(500);

/// What a session needs only while it says something is gone by then.
const QUIET: Duration = Duration::from_secs(75);

/// Whole handshakes with a pre-shared key, each session left at once.
pub(super) struct Handshakes;

impl Measure for Handshakes {
    fn run(&self, peer: &dyn Peer, mut setup: Setup, _: &Conditions) -> Result<Sample> {
        setup.psk = true;
        let mut server = Server::start(peer, &setup)?;
        std::thread::sleep(SETTLE);
        let cpu = procfs::cpu_seconds(server.pid())?;
        let start = Instant::now();
        let work = Work { server: setup.address, sessions: HANDSHAKES, payload: None, sample: 1 };
        let connected: Connected = Helper::start(Role::Sessions, &work)?.answer()?;
        let seconds = start.elapsed().as_secs_f64();
        server.check()?;
        Ok(Sample {
            work: connected.connected,
            seconds,
            server_cpu: procfs::cpu_seconds(server.pid())? - cpu,
            load_cpu: connected.load_cpu,
            resident: procfs::resident_bytes(server.pid())?,
            lost: u64::from(HANDSHAKES) - connected.connected,
            ..Sample::default()
        })
    }

    fn columns(&self) -> &'static [Column] {
        &[
            ("handshakes/CPU-s", Sample::per_cpu_second),
            ("handshakes/s", Sample::per_second),
            ("RSS MiB", Sample::resident_mebibytes),
            ("load cores", |sample| sample.load_cpu / sample.seconds),
            ("failed", |sample| sample.lost as f64),
        ]
    }

    fn about_seconds(&self, _: &Conditions) -> f64 {
        6.0
    }

    fn needs(&self) -> Vec<Need> {
        vec![Need::Dtls]
    }
}

/// Sessions that are there at the same time.
pub(super) struct Sessions;

impl Measure for Sessions {
    fn run(&self, peer: &dyn Peer, mut setup: Setup, _: &Conditions) -> Result<Sample> {
        setup.psk = true;
        let mut server = Server::start(peer, &setup)?;
        std::thread::sleep(SETTLE);
        let before = procfs::resident_bytes(server.pid())?;
        let cpu = procfs::cpu_seconds(server.pid())?;
        let start = Instant::now();
        let work = Work { server: setup.address, sessions: SESSIONS, payload: Some(PAYLOAD), sample: SAMPLE };
        let mut things = Helper::start(Role::Sessions, &work)?;
        let connected: Connected = things.answer()?;
        let seconds = start.elapsed().as_secs_f64();
        let server_cpu = procfs::cpu_seconds(server.pid())? - cpu;
        std::thread::sleep(SETTLE);
        let held = procfs::resident_bytes(server.pid())?;
        std::thread::sleep(QUIET);
        let quiet = procfs::resident_bytes(server.pid())?;
        things.tell(&())?;
        let (asked, alive): (u64, u64) = things.answer()?;
        server.check()?;
        let each = |resident: u64| (resident as f64 - before as f64) / f64::from(SESSIONS);
        Ok(Sample {
            work: connected.connected,
            seconds,
            server_cpu,
            load_cpu: connected.load_cpu,
            resident: held,
            lost: u64::from(SESSIONS) - connected.connected + (asked - alive),
            figures: [("bytes/session", each(held)), ("bytes quiet", each(quiet))].into(),
            ..Sample::default()
        })
    }

    fn columns(&self) -> &'static [Column] {
        &[
            ("bytes/session", |sample| sample.figure("bytes/session")),
            ("bytes quiet", |sample| sample.figure("bytes quiet")),
            ("sessions/CPU-s", Sample::per_cpu_second),
            ("RSS MiB", Sample::resident_mebibytes),
            ("lost", |sample| sample.lost as f64),
        ]
    }

    fn less_is_better(&self) -> bool {
        true
    }

    fn about_seconds(&self, _: &Conditions) -> f64 {
        QUIET.as_secs_f64() + 30.0
    }

    fn needs(&self) -> Vec<Need> {
        vec![Need::Dtls]
    }

    /// Memory hardly varies, and it takes minutes.
    fn rounds(&self, asked: usize) -> usize {
        asked.min(1)
    }
}
