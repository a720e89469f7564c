//! One subscriber of a thousand that stops reading.

use super::{Conditions, Sample};
use crate::Result;
use crate::helper::{Helper, Role};
use crate::load::slow::{Measured, Work};
use crate::peers::{Peer, Setup};
use crate::procfs;
use crate::server::Server;

/// Subscribers, the slow one among them.
const SUBSCRIBERS: usize = 1_000;

/// Runs one round with a fresh server.
pub(super) fn run(peer: &dyn Peer, setup: &Setup, conditions: &Conditions) -> Result<Sample> {
    let mut server = Server::start(peer, setup)?;
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
