//! CoAP over UDP: requests as events, and what endpoints cost that posted once.

use super::{Column, Conditions, Measure, Sample};
use crate::helper::{Helper, Role};
use crate::load::{coap, endpoints};
use crate::peers::{Need, Peer, Setup};
use crate::server::Server;
use crate::{Result, procfs};
use std::time::{Duration, Instant};

/// Bytes of each payload.
const PAYLOAD: usize = 64;

/// How many endpoints post once, and how long they may be remembered: long enough for all of them to have posted.
const ENDPOINTS: u32 = 1_000_000;
const LIFETIME: Duration = Duration::from_secs(90);

/// What servers finish after the last answer has this long.
const SETTLE: Duration = Duration::from_millis(500);

/// Clients that post, each at once when the one before is answered.
pub(super) struct Post {
    /// How many.
    pub(super) clients: usize,
}

impl Measure for Post {
    fn run(&self, peer: &dyn Peer, mut setup: Setup, conditions: &Conditions) -> Result<Sample> {
        setup.coap = Some(None);
        let mut server = Server::start(peer, &setup)?;
        let work = coap::Work {
            server: setup.address,
            server_pid: server.pid(),
            clients: self.clients,
            payload: PAYLOAD,
            warm_up: conditions.warm_up,
            measure: conditions.measure,
        };
        let measured = Helper::start(Role::Coap, &work)?.answer::<coap::Measured>();
        server.check()?;
        let measured = measured?;
        if measured.answered == 0 || measured.refused > 0 {
            return Err(format!(
                "{}: {} requests were answered well, {} otherwise",
                peer.name(),
                measured.answered,
                measured.refused
            )
            .into());
        }
        Ok(Sample {
            work: measured.answered,
            seconds: measured.seconds,
            server_cpu: measured.server_cpu,
            load_cpu: measured.load_cpu,
            resident: measured.resident,
            lost: measured.again,
            ..Sample::default()
        })
    }

    fn columns(&self) -> &'static [Column] {
        &[
            ("req/CPU-s", Sample::per_cpu_second),
            ("req/s", Sample::per_second),
            ("RSS MiB", Sample::resident_mebibytes),
            ("cores", |sample| sample.server_cpu / sample.seconds),
            ("load cores", |sample| sample.load_cpu / sample.seconds),
            ("again", |sample| sample.lost as f64),
        ]
    }

    fn needs(&self) -> Vec<Need> {
        vec![Need::Coap]
    }
}

/// Endpoints that posted once.
pub(super) struct Endpoints;

impl Measure for Endpoints {
    fn run(&self, peer: &dyn Peer, mut setup: Setup, _: &Conditions) -> Result<Sample> {
        setup.coap = Some(Some(LIFETIME));
        let mut server = Server::start(peer, &setup)?;
        std::thread::sleep(SETTLE);
        let before = procfs::resident_bytes(server.pid())?;
        let cpu = procfs::cpu_seconds(server.pid())?;
        let start = Instant::now();
        let work = endpoints::Work { server: setup.address, endpoints: ENDPOINTS, payload: PAYLOAD };
        let posted: endpoints::Posted = Helper::start(Role::Endpoints, &work)?.answer()?;
        let seconds = start.elapsed();
        std::thread::sleep(SETTLE);
        let server_cpu = procfs::cpu_seconds(server.pid())? - cpu;
        let held = procfs::resident_bytes(server.pid())?;
        if seconds > LIFETIME {
            return Err("the endpoints took so long that the first ones were forgotten already".into());
        }
        // The last one is forgotten a lifetime after it posted.
        std::thread::sleep(LIFETIME + 20 * SETTLE);
        server.check()?;
        let after = procfs::resident_bytes(server.pid())?;
        let each = |resident: u64| (resident as f64 - before as f64) / f64::from(ENDPOINTS);
        Ok(Sample {
            work: posted.answered,
            seconds: seconds.as_secs_f64(),
            server_cpu,
            resident: held,
            lost: u64::from(ENDPOINTS) - posted.answered,
            figures: [("bytes/endpoint", each(held)), ("bytes after", each(after))].into(),
            ..Sample::default()
        })
    }

    fn columns(&self) -> &'static [Column] {
        &[
            ("bytes/endpoint", |sample| sample.figure("bytes/endpoint")),
            ("bytes after", |sample| sample.figure("bytes after")),
            ("req/CPU-s", Sample::per_cpu_second),
            ("RSS MiB", Sample::resident_mebibytes),
            ("lost", |sample| sample.lost as f64),
        ]
    }

    fn less_is_better(&self) -> bool {
        true
    }

    fn about_seconds(&self, _: &Conditions) -> f64 {
        2.0 * LIFETIME.as_secs_f64()
    }

    fn needs(&self) -> Vec<Need> {
        vec![Need::Coap]
    }

    /// Memory hardly varies, and it takes minutes.
    fn rounds(&self, asked: usize) -> usize {
        asked.min(1)
    }
}
