//! How long messages take that leave at a steady rate.

use super::{Column, Conditions, Measure, Sample};
use crate::Result;
use crate::helper::{Helper, Role};
use crate::load::latency::{Answer, Measured, Work};
use crate::load::packet;
use crate::peers::{Need, Peer, Setup};
use crate::server::Server;

/// Publishers with a subscriber each.
const PAIRS: usize = 100;

/// A steady rate between pairs, with QoS 1.
pub(super) struct Latency {
    /// Messages a second, of all publishers together.
    pub(super) rate: u32,
    /// Rounds at most: the many rates of a curve would take hours.
    pub(super) rounds: usize,
    /// Whether it is a point of the plot.
    pub(super) plotted: bool,
}

/// What tables of latencies show.
pub(super) const COLUMNS: &[Column] = &[
    ("p50 us", |sample| sample.figure("p50")),
    ("p99 us", |sample| sample.figure("p99")),
    ("p99.9 us", |sample| sample.figure("p99.9")),
    ("late p99", |sample| sample.figure("late p99")),
    ("msg/s", Sample::per_second),
    ("msg/CPU-s", Sample::per_cpu_second),
    ("load cores", |sample| sample.load_cpu / sample.seconds),
    ("lost", |sample| sample.lost as f64),
];

impl Measure for Latency {
    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn compared(&self) -> usize {
        3
    }

    fn less_is_better(&self) -> bool {
        true
    }

    fn needs(&self) -> Vec<Need> {
        vec![Need::Qos1]
    }

    fn rounds(&self, asked: usize) -> usize {
        asked.min(self.rounds)
    }

    fn plotted_at(&self) -> Option<u32> {
        self.plotted.then_some(self.rate)
    }

    fn run(&self, peer: &dyn Peer, setup: Setup, conditions: &Conditions) -> Result<Sample> {
        let mut server = Server::start(peer, &setup)?;
        let measured = measure(&server, &setup, conditions, f64::from(self.rate), true);
        server.check()?;
        Ok(sample(&measured?))
    }
}

/// Publishes at a rate; subscribers take the time, or publishers when their PUBACK comes.
pub(super) fn measure(
    server: &Server,
    setup: &Setup,
    conditions: &Conditions,
    rate: f64,
    subscribers: bool,
) -> Result<Measured> {
    let work = Work {
        server: setup.address,
        server_pid: server.pid(),
        mqtt: conditions.mqtt,
        publishers: PAIRS,
        subscribers,
        rate,
        payload: conditions.payload.max(packet::STAMPED),
        warm_up: conditions.warm_up,
        measure: conditions.measure,
    };
    Ok(Helper::start(Role::Latency, &work)?.answer::<Answer>()??)
}

/// What was measured, as a sample.
pub(super) fn sample(measured: &Measured) -> Sample {
    let figures =
        [("p50", measured.p50), ("p99", measured.p99), ("p99.9", measured.p999), ("late p99", measured.late)];
    Sample {
        work: measured.messages,
        seconds: measured.seconds,
        server_cpu: measured.server_cpu,
        load_cpu: measured.load_cpu,
        resident: measured.resident,
        lost: measured.lost,
        figures: figures.into(),
        ..Sample::default()
    }
}
