//! One subscriber of a thousand that stops reading.

use super::{Column, Conditions, Measure, Sample};
use crate::Result;
use crate::helper::{Helper, Role};
use crate::load::slow::{Measured, Work};
use crate::peers::{Need, Peer, Setup};
use crate::procfs;
use crate::server::Server;

/// Subscribers, the slow one among them.
const SUBSCRIBERS: usize = 1_000;

/// How long messages take to others while one does not read.
pub(super) struct Slow;

const COLUMNS: &[Column] = &[
    ("p99 ms slow", |sample| slow(sample, |slow| slow.beside.p99 / 1_000.0)),
    ("p99 ms", |sample| slow(sample, |slow| slow.alone.p99 / 1_000.0)),
    ("p99 moved %", |sample| slow(sample, |slow| (slow.beside.p99 / slow.alone.p99 - 1.0) * 100.0)),
    ("p50 ms slow", |sample| slow(sample, |slow| slow.beside.median / 1_000.0)),
    ("p50 ms", |sample| slow(sample, |slow| slow.alone.median / 1_000.0)),
    ("RSS MiB", Sample::resident_mebibytes),
    ("lost", |sample| sample.lost as f64),
];

fn slow(sample: &Sample, figure: fn(&Measured) -> f64) -> f64 {
    sample.slow.as_ref().map_or(f64::NAN, figure)
}

impl Measure for Slow {
    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn less_is_better(&self) -> bool {
        true
    }

    fn about_seconds(&self, conditions: &Conditions) -> f64 {
        (conditions.warm_up + conditions.measure * 2).as_secs_f64() + 2.0
    }

    fn needs(&self) -> Vec<Need> {
        vec![Need::Crowd]
    }

    fn run(&self, peer: &dyn Peer, setup: Setup, conditions: &Conditions) -> Result<Sample> {
        let mut server = Server::start(peer, &setup)?;
        let work = Work {
            server: setup.address,
            mqtt: conditions.mqtt,
            subscribers: SUBSCRIBERS,
            payload: conditions.payload,
            warm_up: conditions.warm_up,
            measure: conditions.measure,
        };
        let cpu_before = procfs::cpu_seconds(server.pid())?;
        let measured = Helper::start(Role::Slow, &work)?.answer::<Measured>();
        server.check()?;
        let measured = measured?;
        Ok(Sample {
            work: measured.messages,
            seconds: (conditions.measure * 2).as_secs_f64(),
            server_cpu: procfs::cpu_seconds(server.pid())? - cpu_before,
            resident: procfs::resident_bytes(server.pid())?,
            lost: measured.lost,
            slow: Some(measured),
            ..Sample::default()
        })
    }
}
