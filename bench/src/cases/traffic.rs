//! Messages through a server: from publishers to subscribers, or to a REST service.

use super::{Column, Conditions, Measure, Sample};
use crate::Result;
use crate::helper::{Helper, Role};
use crate::load::{Measured, Work};
use crate::peers::{Need, Peer, Rest, Setup};
use crate::server::Server;
use std::net::SocketAddr;

/// Who publishes to whom.
pub(super) struct Traffic {
    /// QoS of publications and subscriptions.
    pub(super) qos: u8,
    /// Groups that have nothing to do with each other.
    pub(super) groups: usize,
    /// Publishers in each group.
    pub(super) publishers: usize,
    /// Subscribers in each group, to everything in it.
    pub(super) subscribers: usize,
    /// Whether it goes over WebSocket.
    pub(super) websocket: bool,
    /// Whether it goes over TLS.
    pub(super) tls: bool,
    /// With QoS 1, how many publications of one publisher wait for their PUBACK.
    pub(super) window: u32,
    /// At most how many messages a publisher writes at once, whatever the command line says.
    pub(super) batch: Option<u32>,
    /// Subscribers' sessions outlive their connections; and, if so, whether they outlive the process.
    pub(super) kept: Option<bool>,
    /// Everything goes to a REST service, and this is what its PUBACK promises.
    pub(super) rest: Option<&'static str>,
}

impl Traffic {
    /// One publisher, one subscriber, QoS 0.
    pub(super) const PAIR: Self = Self {
        qos: 0,
        groups: 1,
        publishers: 1,
        subscribers: 1,
        websocket: false,
        tls: false,
        window: 64,
        batch: None,
        kept: None,
        rest: None,
    };

    /// A hundred publishers whose messages all go to a REST service.
    pub(super) const fn to_rest(acknowledge: &'static str) -> Self {
        Self { qos: 1, publishers: 100, subscribers: 0, window: 16, rest: Some(acknowledge), ..Self::PAIR }
    }
}

const COLUMNS: &[Column] = &[
    ("msg/CPU-s", Sample::per_cpu_second),
    ("msg/s", Sample::per_second),
    ("RSS MiB", Sample::resident_mebibytes),
    ("cores", |sample| sample.server_cpu / sample.seconds),
    ("load cores", |sample| sample.load_cpu / sample.seconds),
    ("lost", |sample| sample.lost as f64),
];

impl Measure for Traffic {
    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn needs(&self) -> Vec<Need> {
        let needs = [
            (self.qos > 0, Need::Qos1),
            (self.tls, Need::Tls),
            (self.websocket, Need::WebSocket),
            (self.rest.is_some(), Need::Rest),
            (self.kept.is_some(), Need::Persistence),
        ];
        needs.into_iter().filter_map(|(needed, need)| needed.then_some(need)).collect()
    }

    /// Runs one round with a fresh server, and a fresh sink if it is about REST.
    fn run(&self, peer: &dyn Peer, mut setup: Setup, conditions: &Conditions) -> Result<Sample> {
        let sink = match self.rest {
            Some(acknowledge) => {
                let mut sink = Helper::start(Role::Sink, &())?;
                let service = sink.answer::<SocketAddr>()?;
                setup.rest = Some(Rest { service, acknowledge });
                Some((sink, service))
            }
            None => None,
        };
        setup.websocket = self.websocket;
        setup.tls = self.tls.then(|| conditions.tls.clone());
        setup.persistence = self.kept == Some(true);
        let mut server = Server::start(peer, &setup)?;
        let work = Work {
            server: setup.address,
            server_pid: server.pid(),
            sink: sink.as_ref().map(|(_, service)| *service),
            mqtt: conditions.mqtt,
            websocket: self.websocket,
            authority: setup.tls.as_ref().map(|tls| tls.authority.clone()),
            lasting: self.kept.is_some(),
            qos: self.qos,
            groups: self.groups,
            publishers: self.publishers,
            subscribers: self.subscribers,
            window: self.window,
            batch: self.batch.unwrap_or(conditions.batch),
            payload: conditions.payload,
            warm_up: conditions.warm_up,
            measure: conditions.measure,
        };
        let measured = Helper::start(Role::Load, &work)?.answer::<Measured>();
        server.check()?;
        let measured = measured?;
        if measured.messages == 0 {
            return Err(format!("{}: nothing was delivered", peer.name()).into());
        }
        Ok(Sample {
            work: measured.messages,
            seconds: measured.seconds,
            server_cpu: measured.server_cpu,
            load_cpu: measured.load_cpu,
            resident: measured.resident,
            acknowledged: measured.acknowledged,
            lost: measured.lost,
            ..Sample::default()
        })
    }
}
