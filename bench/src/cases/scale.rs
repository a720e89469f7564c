//! Whether an event costs the same with few connections and with many, with one shard and with two.

use super::traffic::Traffic;
use super::{Column, Conditions, Measure, Sample};
use crate::Result;
use crate::helper::{Helper, Role};
use crate::load::paced::{Measured, Work};
use crate::peers::{Need, Peer, Setup};
use crate::server::Server;
use std::time::Duration;

/// Messages a second, of all connections together: little enough for any number of them.
const RATE: u32 = 10_000;

/// Connections, half of them publishers, and the name of what a message costs with so many.
const CONNECTIONS: [(usize, &str); 4] =
    [(100, "us/msg 100"), (1_000, "1,000"), (5_000, "5,000"), (15_000, "15,000")];

/// The same traffic from ever more connections.
pub(super) struct Connections;

/// The same traffic with one shard and with two.
pub(super) struct Shards(pub(super) Traffic);

impl Measure for Connections {
    fn run(&self, peer: &dyn Peer, setup: Setup, conditions: &Conditions) -> Result<Sample> {
        let mut server = Server::start(peer, &setup)?;
        let mut sample = Sample::default();
        for (connections, name) in CONNECTIONS {
            let work = Work {
                server: setup.address,
                server_pid: server.pid(),
                mqtt: conditions.mqtt,
                qos: 1,
                pairs: connections / 2,
                rate: RATE,
                payload: conditions.payload,
            };
            let mut load = Helper::start(Role::Paced, &work)?;
            load.answer::<()>()?;
            load.tell(&conditions.warm_up)?;
            load.answer::<Measured>()?;
            load.tell(&conditions.measure)?;
            let measured: Measured = load.answer()?;
            server.check()?;
            if measured.disconnected > 0 || measured.messages == 0 {
                return Err(format!("{measured:?} with {connections} connections").into());
            }
            sample.figures.insert(name, measured.server_cpu * 1e6 / measured.messages as f64);
            sample.work += measured.messages;
            sample.seconds += conditions.measure.as_secs_f64();
            sample.server_cpu += measured.server_cpu;
            sample.load_cpu += measured.load_cpu;
            sample.lost += measured.lost;
            drop(load);
            // The server sees them go.
            std::thread::sleep(Duration::from_secs(1));
        }
        let figure = |at: usize| CONNECTIONS.get(at).map_or(f64::NAN, |(_, name)| sample.figure(name));
        let growth = figure(3) / figure(0);
        sample.figures.insert("of 100", growth);
        Ok(sample)
    }

    fn columns(&self) -> &'static [Column] {
        &[
            ("us/msg 100", |sample| sample.figure("us/msg 100")),
            ("1,000", |sample| sample.figure("1,000")),
            ("5,000", |sample| sample.figure("5,000")),
            ("15,000", |sample| sample.figure("15,000")),
            ("of 100", |sample| sample.figure("of 100")),
            ("lost", |sample| sample.lost as f64),
        ]
    }

    fn less_is_better(&self) -> bool {
        true
    }

    fn about_seconds(&self, conditions: &Conditions) -> f64 {
        4.0 * (conditions.warm_up + conditions.measure).as_secs_f64() + 10.0
    }

    fn needs(&self) -> Vec<Need> {
        vec![Need::Crowd, Need::Qos1]
    }
}

impl Measure for Shards {
    fn run(&self, peer: &dyn Peer, setup: Setup, conditions: &Conditions) -> Result<Sample> {
        let with = |shards| {
            let setup =
                Setup { shards: Some(shards), address: crate::peers::free_address()?, ..setup.clone() };
            self.0.run(peer, setup, conditions)
        };
        let one = with(1)?;
        let two = with(2)?;
        let figures = [
            ("1 shard", one.per_cpu_second()),
            ("2 shards", two.per_cpu_second()),
            ("cost of 1", one.per_cpu_second() / two.per_cpu_second()),
            ("msg/s 1", one.per_second()),
            ("msg/s 2", two.per_second()),
        ];
        Ok(Sample { figures: figures.into(), ..two })
    }

    fn columns(&self) -> &'static [Column] {
        &[
            ("cost of 1", |sample| sample.figure("cost of 1")),
            ("1 shard", |sample| sample.figure("1 shard")),
            ("2 shards", |sample| sample.figure("2 shards")),
            ("msg/s 1", |sample| sample.figure("msg/s 1")),
            ("msg/s 2", |sample| sample.figure("msg/s 2")),
        ]
    }

    fn less_is_better(&self) -> bool {
        true
    }

    fn about_seconds(&self, conditions: &Conditions) -> f64 {
        2.0 * (conditions.warm_up + conditions.measure).as_secs_f64() + 1.0
    }

    fn needs(&self) -> Vec<Need> {
        vec![Need::Shards]
    }
}
