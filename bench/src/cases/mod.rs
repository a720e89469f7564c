//! What is measured: the list of cases, and what one round of a case needs.

mod amqp;
mod coap;
mod dtls;
mod identity;
mod idle;
mod latency;
mod many;
mod measure;
mod proxy;
mod recovery;
mod reload;
mod scale;
mod slow;
mod storm;
mod traffic;

use crate::Result;
use crate::certificates::PemFiles;
use crate::load::amqp::Version;
use crate::load::slow::Measured;
use crate::peers::{Need, Peer, Setup, free_address};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use idle::Idle;
use latency::Latency;
pub(crate) use measure::{Column, Measure};
use traffic::Traffic;

/// One thing that is measured.
pub(crate) struct Case {
    /// Its name in the table and on the command line.
    pub(crate) name: &'static str,
    /// What happens in it.
    pub(crate) about: &'static str,
    measure: &'static dyn Measure,
}

/// All cases, in the order in which they run.
pub(crate) const CASES: &[Case] = &[
    Case {
        name: "fan-in-qos0",
        about: "100 publishers to 1 subscriber, QoS 0",
        measure: &Traffic { publishers: 100, ..Traffic::PAIR },
    },
    Case {
        name: "fan-in-qos1",
        about: "100 publishers to 1 subscriber, QoS 1",
        measure: &Traffic { publishers: 100, qos: 1, ..Traffic::PAIR },
    },
    Case {
        name: "single-qos0",
        about: "100 publishers to 1 subscriber, QoS 0, one message a write",
        measure: &Traffic { publishers: 100, batch: Some(1), ..Traffic::PAIR },
    },
    Case {
        name: "single-qos1",
        about: "100 publishers to 1 subscriber, QoS 1, one message a write",
        measure: &Traffic { publishers: 100, qos: 1, batch: Some(1), ..Traffic::PAIR },
    },
    Case {
        name: "fan-out-qos0",
        about: "1 publisher to 500 subscribers, QoS 0",
        measure: &Traffic { subscribers: 500, ..Traffic::PAIR },
    },
    Case {
        name: "fan-out-qos1",
        about: "1 publisher to 500 subscribers, QoS 1",
        measure: &Traffic { subscribers: 500, qos: 1, ..Traffic::PAIR },
    },
    Case {
        name: "pairs-qos0",
        about: "100 publishers to a subscriber each, QoS 0",
        measure: &Traffic { groups: 100, ..Traffic::PAIR },
    },
    Case {
        name: "pairs-qos1",
        about: "100 publishers to a subscriber each, QoS 1",
        measure: &Traffic { groups: 100, qos: 1, ..Traffic::PAIR },
    },
    Case {
        name: "tls-pairs-qos0",
        about: "100 publishers to a subscriber each, QoS 0, over TLS 1.3",
        measure: &Traffic { groups: 100, tls: true, ..Traffic::PAIR },
    },
    Case {
        name: "tls-pairs-qos1",
        about: "100 publishers to a subscriber each, QoS 1, over TLS 1.3",
        measure: &Traffic { groups: 100, qos: 1, tls: true, ..Traffic::PAIR },
    },
    Case {
        name: "websocket-qos1",
        about: "100 publishers to a subscriber each, QoS 1, over WebSocket",
        measure: &Traffic { groups: 100, qos: 1, websocket: true, ..Traffic::PAIR },
    },
    Case {
        name: "rest-delivered",
        about: "100 publishers, QoS 1, to a REST service; PUBACK after its 2xx",
        measure: &Traffic::to_rest("delivered"),
    },
    Case {
        name: "rest-received",
        about: "100 publishers, QoS 1, to a REST service; PUBACK at once",
        measure: &Traffic::to_rest("received"),
    },
    Case {
        name: "rest-proxy",
        about: "rest-delivered, and nginx that passes on plain HTTP requests to the same sink",
        measure: &proxy::RestProxy,
    },
    Case {
        name: "rest-latency",
        about: "rest-delivered at half the rate that it can do: from due to PUBACK",
        measure: &proxy::RestLatency,
    },
    Case {
        name: "persistence-off",
        about: "as pairs-qos1, to sessions that outlive their connections but not the process",
        measure: &Traffic { groups: 100, qos: 1, kept: Some(false), ..Traffic::PAIR },
    },
    Case {
        name: "persistence-on",
        about: "the same with node.persistence on: PUBACK when it is on disk",
        measure: &Traffic { groups: 100, qos: 1, kept: Some(true), ..Traffic::PAIR },
    },
    Case {
        name: "recovery",
        about: "1,000,000 messages wait on disk; killed, how fast it listens again",
        measure: &recovery::Recovery,
    },
    Case {
        name: "latency-qos1",
        about: "5,000 messages a second from 100 publishers to a subscriber each, QoS 1: from due to received",
        measure: &Latency { rate: 5_000, rounds: usize::MAX, plotted: false },
    },
    Case {
        name: "latency-curve-1k",
        about: "the same at 1,000 messages a second; a point of the plot",
        measure: &Latency { rate: 1_000, rounds: 3, plotted: true },
    },
    Case {
        name: "latency-curve-5k",
        about: "the same at 5,000 messages a second; a point of the plot",
        measure: &Latency { rate: 5_000, rounds: 3, plotted: true },
    },
    Case {
        name: "latency-curve-20k",
        about: "the same at 20,000 messages a second; a point of the plot",
        measure: &Latency { rate: 20_000, rounds: 3, plotted: true },
    },
    Case {
        name: "latency-curve-50k",
        about: "the same at 50,000 messages a second; a point of the plot",
        measure: &Latency { rate: 50_000, rounds: 3, plotted: true },
    },
    Case {
        name: "latency-curve-100k",
        about: "the same at 100,000 messages a second; a point of the plot",
        measure: &Latency { rate: 100_000, rounds: 3, plotted: true },
    },
    Case {
        name: "latency-curve-200k",
        about: "the same at 200,000 messages a second; a point of the plot",
        measure: &Latency { rate: 200_000, rounds: 3, plotted: true },
    },
    Case {
        name: "slow-reader",
        about: "1 publisher to 1,000 subscribers, one of which stops reading",
        measure: &slow::Slow,
    },
    Case {
        name: "connect-plain",
        about: "CONNECT to DISCONNECT, 64 clients at once, plain text",
        measure: &storm::PLAIN,
    },
    Case {
        name: "connect-tls",
        about: "the same over TLS 1.3, every handshake a whole one (ECDSA P-256, X25519)",
        measure: &storm::TLS,
    },
    Case {
        name: "connect-tls-resumed",
        about: "the same over TLS 1.3, each with a ticket of the client's connection before",
        measure: &storm::RESUMED,
    },
    Case {
        name: "identity-connect",
        about: "CONNECT by anonymous and by JWT, 1,000,000 devices registered in SQLite",
        measure: &identity::PLAIN,
    },
    Case {
        name: "identity-connect-tls",
        about: "the same with a whole TLS 1.3 handshake, and by certificate",
        measure: &identity::TLS,
    },
    Case {
        name: "coap-post-64",
        about: "64 clients of CoAP over UDP, a confirmable POST of 64 bytes each, then the next",
        measure: &coap::Post { clients: 64 },
    },
    Case {
        name: "coap-post-1k",
        about: "the same with 1,000 clients",
        measure: &coap::Post { clients: 1_000 },
    },
    Case {
        name: "coap-endpoints-1m",
        about: "1,000,000 CoAP endpoints that post once: memory while they are remembered, and after",
        measure: &coap::Endpoints,
    },
    Case {
        name: "dtls-handshakes",
        about: "10,000 whole handshakes of DTLS 1.2 with a pre-shared key, 64 at once",
        measure: &dtls::Handshakes,
    },
    Case {
        name: "dtls-sessions",
        about: "50,000 sessions of DTLS that post once and stay: memory with what was posted, and when all is quiet",
        measure: &dtls::Sessions,
    },
    Case {
        name: "amqp091-confirmed",
        about: "AMQP 0-9-1: 20 publishers with confirms, a queue, 4 consumers that acknowledge each message",
        measure: &amqp::Queues { version: Version::V091, settled: false, queues: 1 },
    },
    Case {
        name: "amqp091-queues",
        about: "the same with a queue for each consumer, and 5 publishers each",
        measure: &amqp::Queues { version: Version::V091, settled: false, queues: 4 },
    },
    Case {
        name: "amqp1-unsettled",
        about: "AMQP 1.0: 20 senders, a queue, 4 receivers; each transfer is accepted, by the server and by its receiver",
        measure: &amqp::Queues { version: Version::V1, settled: false, queues: 1 },
    },
    Case {
        name: "amqp1-unsettled-queues",
        about: "the same with a queue for each receiver, and 5 senders each",
        measure: &amqp::Queues { version: Version::V1, settled: false, queues: 4 },
    },
    Case {
        name: "amqp1-settled",
        about: "amqp1-unsettled with transfers that are settled when they are sent",
        measure: &amqp::Queues { version: Version::V1, settled: true, queues: 1 },
    },
    Case {
        name: "amqp1-settled-queues",
        about: "the same with a queue for each receiver, and 5 senders each",
        measure: &amqp::Queues { version: Version::V1, settled: true, queues: 4 },
    },
    Case {
        name: "amqp-idle",
        about: "5,000 connections of AMQP 0-9-1 and 5,000 of 1.0, each with one channel or session and one consumer",
        measure: &amqp::Idle,
    },
    Case {
        name: "subscriptions-1m",
        about: "1,000,000 subscriptions of 1,000 sessions, half with wildcards; events beside them",
        measure: &many::Subscriptions,
    },
    Case {
        name: "retained-1m",
        about: "1,000,000 retained messages; 10,000 of them for a new subscriber",
        measure: &many::Retained,
    },
    Case {
        name: "scale-connections",
        about: "pairs, QoS 1, 10,000 msg/s in all, spread over ever more connections",
        measure: &scale::Connections,
    },
    Case {
        name: "scale-shards-pairs",
        about: "pairs-qos1 with one shard and with two",
        measure: &scale::Shards(Traffic { groups: 100, qos: 1, ..Traffic::PAIR }),
    },
    Case {
        name: "scale-shards-fan-in",
        about: "fan-in-qos1 with one shard and with two",
        measure: &scale::Shards(Traffic { publishers: 100, qos: 1, ..Traffic::PAIR }),
    },
    Case {
        name: "reload",
        about: "100 pairs, QoS 1, 5,000 msg/s, while the document changes and is reloaded twice a second",
        measure: &reload::Reload,
    },
    Case {
        name: "idle-plain",
        about: "connections that do nothing, plain text",
        measure: &Idle { tls: false },
    },
    Case { name: "idle-tls", about: "connections that do nothing, TLS 1.3", measure: &Idle { tls: true } },
];

/// What holds for all cases of a run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Conditions {
    /// How long is measured in a round.
    pub(crate) measure: Duration,
    /// What happens before.
    pub(crate) warm_up: Duration,
    /// Bytes of each payload.
    pub(crate) payload: usize,
    /// At most how many messages a publisher writes at once.
    pub(crate) batch: u32,
    /// MQTT protocol level of the clients.
    pub(crate) mqtt: u8,
    /// How many connections idle cases hold.
    pub(crate) connections: usize,
    /// Where files of this run go.
    #[serde(skip)]
    pub(crate) folder: PathBuf,
    /// What listeners with TLS use.
    #[serde(skip)]
    pub(crate) tls: PemFiles,
}

/// What one server did in one round.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Sample {
    /// Messages delivered, or connections made.
    pub(crate) work: u64,
    /// How long it took.
    pub(crate) seconds: f64,
    /// Processor time of the server, in seconds.
    pub(crate) server_cpu: f64,
    /// Processor time of the load generator, in seconds; one thread has at most `seconds`.
    pub(crate) load_cpu: f64,
    /// The server's resident memory at the end, in bytes.
    pub(crate) resident: u64,
    /// PUBACKs that publishers got.
    pub(crate) acknowledged: u64,
    /// Messages that never arrived.
    pub(crate) lost: u64,
    /// What an idle connection adds to the server's resident memory, in bytes.
    pub(crate) connection_bytes: Option<f64>,
    /// How long messages took, without and beside a subscriber that does not read.
    pub(crate) slow: Option<Measured>,
    /// What else a case with columns of its own measures.
    pub(crate) figures: BTreeMap<&'static str, f64>,
}

impl Sample {
    /// A figure of a case with columns of its own; not a number if this round has none.
    pub(crate) fn figure(&self, name: &str) -> f64 {
        self.figures.get(name).copied().unwrap_or(f64::NAN)
    }

    /// Work per second of the server's processor time.
    pub(crate) fn per_cpu_second(&self) -> f64 {
        self.work as f64 / self.server_cpu.max(0.01)
    }

    /// The server's memory.
    pub(crate) fn resident_mebibytes(&self) -> f64 {
        self.resident as f64 / 1_048_576.0
    }

    /// Work per second.
    pub(crate) fn per_second(&self) -> f64 {
        self.work as f64 / self.seconds.max(0.001)
    }
}

impl Case {
    /// How often it is run when so many rounds are asked for.
    pub(crate) fn rounds(&self, asked: usize) -> usize {
        self.measure.rounds(asked)
    }

    /// What the table shows.
    pub(crate) fn columns(&self) -> &'static [Column] {
        self.measure.columns()
    }

    /// How many of the first columns are compared between servers.
    pub(crate) fn compared(&self) -> usize {
        self.measure.compared()
    }

    /// Whether little is better in those.
    pub(crate) fn less_is_better(&self) -> bool {
        self.measure.less_is_better()
    }

    /// About how long a round takes with a server that has started.
    pub(crate) fn about_seconds(&self, conditions: &Conditions) -> f64 {
        self.measure.about_seconds(conditions)
    }

    /// Where it stands in the plot of latency against offered rate, if it does: messages a second.
    pub(crate) fn plotted_at(&self) -> Option<u32> {
        self.measure.plotted_at()
    }

    /// Whether a server can do it at all.
    pub(crate) fn suits(&self, peer: &dyn Peer, conditions: &Conditions) -> bool {
        let mqtt5 = (conditions.mqtt == 5).then_some(Need::Mqtt5);
        let needs: Vec<Need> = self.measure.needs().into_iter().chain(mqtt5).collect();
        (peer.speaks_mqtt()
            || [Need::Forward, Need::Coap, Need::Dtls, Need::Amqp1].iter().any(|need| needs.contains(need)))
            && needs.iter().all(|need| peer.can(*need))
    }

    /// Runs one round with a fresh server.
    pub(crate) fn run(&self, peer: &dyn Peer, conditions: &Conditions) -> Result<Sample> {
        let folder = conditions.folder.join(peer.name());
        // What a server of an earlier round left there is none of this one's business.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder)?;
        let setup = Setup {
            folder,
            address: free_address()?,
            mqtt: conditions.mqtt,
            tls: None,
            websocket: false,
            rest: None,
            persistence: false,
            many: false,
            coap: None,
            psk: false,
            amqp: false,
            shards: None,
            identity: None,
        };
        self.measure.run(peer, setup, conditions)
    }
}
