//! Events to a REST service: by Windrose from MQTT, by nginx from plain HTTP, into the same sink.

use super::latency;
use super::traffic::Traffic;
use super::{Column, Conditions, Measure, Sample};
use crate::Result;
use crate::helper::{Helper, Role};
use crate::load::http::{Measured, Work};
use crate::peers::{Need, Peer, Rest, Setup};
use crate::server::Server;
use std::net::SocketAddr;
use std::time::Duration;

/// As many as the MQTT case has publishers, and the next request at once. With as many as that has messages in flight,
/// 1,600, nginx does a third less with the same processor time.
const CONNECTIONS: usize = 100;

/// Who passes on more events with the same processor time.
pub(super) struct RestProxy;

/// How long a message takes that goes to a REST service, at half of what the server can do.
pub(super) struct RestLatency;

impl Measure for RestProxy {
    fn columns(&self) -> &'static [Column] {
        DELIVERED.columns()
    }

    fn needs(&self) -> Vec<Need> {
        vec![Need::Forward]
    }

    fn run(&self, peer: &dyn Peer, mut setup: Setup, conditions: &Conditions) -> Result<Sample> {
        if peer.speaks_mqtt() {
            return DELIVERED.run(peer, setup, conditions);
        }
        let mut sink = Helper::start(Role::Sink, &())?;
        let service = sink.answer::<SocketAddr>()?;
        setup.rest = Some(Rest { service, acknowledge: "delivered" });
        let mut server = Server::start(peer, &setup)?;
        let work = Work {
            server: setup.address,
            server_pid: server.pid(),
            sink: service,
            connections: CONNECTIONS,
            payload: conditions.payload,
            warm_up: conditions.warm_up,
            measure: conditions.measure,
        };
        let measured = Helper::start(Role::Http, &work)?.answer::<Measured>();
        server.check()?;
        let measured = measured?;
        Ok(Sample {
            work: measured.requests,
            seconds: measured.seconds,
            server_cpu: measured.server_cpu,
            load_cpu: measured.load_cpu,
            resident: measured.resident,
            ..Sample::default()
        })
    }
}

/// A POST for each event, and the PUBACK after its 2xx.
const DELIVERED: Traffic = Traffic::to_rest("delivered");

impl Measure for RestLatency {
    fn columns(&self) -> &'static [Column] {
        latency::COLUMNS
    }

    fn compared(&self) -> usize {
        3
    }

    fn less_is_better(&self) -> bool {
        true
    }

    fn needs(&self) -> Vec<Need> {
        vec![Need::Rest]
    }

    fn about_seconds(&self, conditions: &Conditions) -> f64 {
        (conditions.warm_up + conditions.measure).as_secs_f64() + 4.5
    }

    fn run(&self, peer: &dyn Peer, mut setup: Setup, conditions: &Conditions) -> Result<Sample> {
        let brief = Conditions { measure: Duration::from_secs(2), ..conditions.clone() };
        let most = DELIVERED.run(peer, setup.again()?, &brief)?.per_second();
        let mut sink = Helper::start(Role::Sink, &())?;
        let service = sink.answer::<SocketAddr>()?;
        setup.rest = Some(Rest { service, acknowledge: "delivered" });
        let mut server = Server::start(peer, &setup)?;
        let measured = latency::measure(&server, &setup, conditions, most / 2.0, false);
        server.check()?;
        Ok(latency::sample(&measured?))
    }
}
