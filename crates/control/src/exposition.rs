//! The node's counts as OpenMetrics text, which Prometheus scrapes.

use crate::merge::{Listener, Outcomes, Pool, Totals};
use crate::{ProcessFacts, Reloads};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::fmt;
use windrose_engine::{Histogram, KeeperFigures, Tally};
use windrose_event::{Outcome, metrics};
use windrose_identity::IdentityFigures;

/// The media type of [`exposition`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The first bound of every histogram, in seconds; each further bound is the double of the one before.
const FIRST_BOUND: f64 = 50e-6;

/// What is counted at sockets of datagrams: the metric, what it is, and its own label if it has one.
const SOCKETS: &[(&str, &str, Option<&str>)] = &[
    (metrics::COAP_DATAGRAMS, "Datagrams of CoAP", Some("direction")),
    (metrics::COAP_REQUESTS, "Requests of CoAP, each counted once", None),
    (metrics::COAP_DUPLICATES, "Messages of CoAP that came again", None),
    (metrics::COAP_RETRANSMISSIONS, "Confirmable messages of CoAP that were sent again", None),
    (metrics::COAP_TIMEOUTS, "Confirmable messages of CoAP that were given up", None),
    (
        metrics::COAP_FORGOTTEN,
        "Exchanges of CoAP forgotten before their time: raise limits.coap_exchanges",
        None,
    ),
    (
        metrics::COAP_WITHHELD,
        "Responses of CoAP that were larger than a source may be sent that has not shown itself",
        None,
    ),
    (metrics::COAP_MISHAPS, "What peers of CoAP sent that they must not", Some("cause")),
    (metrics::DTLS_HANDSHAKES, "Handshakes of DTLS, by how far they came", Some("step")),
    (metrics::DTLS_REPEATED, "Flights of DTLS that were sent again", None),
    (metrics::DTLS_FAILED, "Handshakes of DTLS that came to nothing", Some("cause")),
    (metrics::DTLS_DROPPED, "Records of DTLS that were dropped", Some("cause")),
    (metrics::DTLS_CLOSED, "Sessions of DTLS that ended", Some("cause")),
    (metrics::DATAGRAMS_LOST, "Datagrams lost on this side", Some("cause")),
];

/// Writes all metrics of the node. Counters carry the suffix `_total`, as OpenMetrics wants.
pub fn exposition(
    version: &str,
    tallies: &[Tally],
    reloads: Reloads,
    process: Option<ProcessFacts>,
    journal: Option<KeeperFigures>,
    identities: Option<IdentityFigures>,
) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape {
        version: version.to_owned(),
        totals: Totals::of(tallies),
        reloads,
        process,
        journal,
        identities,
    }));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

/// What one scrape shows.
#[derive(Debug)]
struct Scrape {
    version: String,
    totals: Totals,
    reloads: Reloads,
    process: Option<ProcessFacts>,
    journal: Option<KeeperFigures>,
    identities: Option<IdentityFigures>,
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        let mut build = page.family("windrose_build", "The running program", MetricType::Info)?;
        build.encode_info(&[("version", self.version.as_str())])?;
        self.listeners(&mut page)?;
        self.routes(&mut page)?;
        self.pools(&mut page)?;
        self.sockets(&mut page)?;
        self.node(&mut page)?;
        self.journal(&mut page)?;
        self.identities(&mut page)?;
        self.process(&mut page)
    }
}

impl Scrape {
    fn listeners(&self, page: &mut Page<'_>) -> fmt::Result {
        let count = |read: fn(&Listener) -> u64| {
            self.totals.listeners.iter().map(move |((name, protocol), listener)| {
                ([("listener", &**name), ("protocol", protocol)], read(listener))
            })
        };
        let outcomes = |read: fn(&Listener) -> &Outcomes| {
            self.totals.listeners.iter().flat_map(move |((name, protocol), listener)| {
                by_outcome(read(listener)).map(move |(outcome, count)| {
                    ([("listener", &**name), ("protocol", protocol), ("outcome", outcome)], count)
                })
            })
        };
        let causes = |read: fn(&Listener) -> &std::collections::BTreeMap<&'static str, u64>| {
            self.totals.listeners.iter().flat_map(move |((name, _), listener)| {
                read(listener)
                    .iter()
                    .map(move |(cause, count)| ([("listener", &**name), ("cause", cause)], *count))
            })
        };
        page.counters(metrics::EVENTS_IN, "Events received", count(|listener| listener.events_in))?;
        page.counters(
            metrics::EVENTS_SETTLED,
            "Events settled with their senders",
            outcomes(|listener| &listener.settled),
        )?;
        page.counters(
            metrics::EVENTS_OUT,
            "Events delivered to subscribers",
            outcomes(|listener| &listener.events_out),
        )?;
        page.gauges(metrics::CONNECTIONS, "Connections open now", count(|listener| listener.connections))?;
        page.counters(
            metrics::CONNECTIONS_OPENED,
            "Connections accepted since the start",
            count(|listener| listener.opened),
        )?;
        page.counters(
            metrics::CONNECTIONS_REFUSED,
            "Connections refused",
            causes(|listener| &listener.refused),
        )?;
        page.counters(metrics::CONNECTIONS_CLOSED, "Connections closed", causes(|listener| &listener.closed))
    }

    fn routes(&self, page: &mut Page<'_>) -> fmt::Result {
        let events = self.totals.routes.iter().flat_map(|(route, outcomes)| {
            by_outcome(outcomes)
                .map(move |(outcome, count)| ([("route", &**route), ("outcome", outcome)], count))
        });
        page.counters(metrics::ROUTE_EVENTS, "Events that a route took", events)
    }

    fn pools(&self, page: &mut Page<'_>) -> fmt::Result {
        let attempts = self.totals.pools.iter().flat_map(|(name, pool)| {
            pool.members.iter().flat_map(move |(member, outcomes)| {
                by_outcome(outcomes).map(move |(outcome, count)| {
                    ([("pool", &**name), ("member", &**member), ("outcome", outcome)], count)
                })
            })
        });
        let credit = |read: fn(&Pool) -> u64| {
            self.totals.pools.iter().map(move |(name, pool)| ([("pool", &**name)], read(pool)))
        };
        page.counters(metrics::POOL_ATTEMPTS, "Attempts at delivery to a pool's member", attempts)?;
        page.gauges(
            metrics::POOL_CREDIT_USED,
            "Events that wait for a pool or are at a member: credit in use",
            credit(|pool| pool.credit_used),
        )?;
        page.gauges(
            metrics::POOL_CREDIT_LIMIT,
            "Events that a pool takes before it brakes its senders",
            credit(|pool| pool.credit_limit),
        )?;
        page.histograms(
            metrics::POOL_SECONDS,
            "Seconds from sending to a pool's member to its answer",
            self.totals.pools.iter().map(|(name, pool)| ([("pool", &**name)], &pool.seconds)),
        )
    }

    /// Nothing where no listener is for datagrams.
    fn sockets(&self, page: &mut Page<'_>) -> fmt::Result {
        for (metric, help, own) in SOCKETS {
            let Some(counts) = self.totals.sockets.get(metric) else { continue };
            let counts = counts.iter().map(|((listener, label), count)| (&**listener, *label, *count));
            match own {
                Some(own) => {
                    let labelled = counts
                        .map(|(listener, label, count)| ([("listener", listener), (own, label)], count));
                    page.counters(metric, help, labelled)?;
                }
                None => {
                    let plain = counts.map(|(listener, _, count)| ([("listener", listener)], count));
                    page.counters(metric, help, plain)?;
                }
            }
        }
        Ok(())
    }

    fn node(&self, page: &mut Page<'_>) -> fmt::Result {
        let totals = &self.totals;
        page.counters(
            metrics::EVENTS_DROPPED,
            "Events dropped",
            totals.dropped.iter().map(|(cause, count)| ([("cause", *cause)], *count)),
        )?;
        page.counters(
            metrics::SUBSCRIPTIONS_REFUSED,
            "Subscriptions refused",
            totals.subscriptions_refused.iter().map(|(cause, count)| ([("cause", *cause)], *count)),
        )?;
        page.counters(
            metrics::ARRANGEMENTS_DECLINED,
            "What was asked of exchanges and queues and declined",
            totals.declined.iter().map(|(cause, count)| ([("cause", *cause)], *count)),
        )?;
        page.counters(
            metrics::DEAD_LETTERS,
            "Events that went by dead-letter exchanges",
            totals.dead_letters.iter().map(|(reason, count)| ([("reason", *reason)], *count)),
        )?;
        page.gauge(metrics::CONNECTIONS_PAUSED, "Connections braked for want of credit now", totals.paused)?;
        page.gauge(metrics::SESSIONS, "Sessions held, connected or not", totals.sessions)?;
        page.gauge(metrics::SUBSCRIPTIONS, "Subscriptions held", totals.subscriptions)?;
        page.gauge(metrics::EXCHANGES, "Exchanges, besides those that are always there", totals.exchanges)?;
        page.gauge(metrics::QUEUES, "Queues", totals.queues)?;
        page.gauge(metrics::BINDINGS, "Bindings of queues and exchanges to exchanges", totals.bindings)?;
        page.gauge(metrics::CONSUMERS, "Who consumes from queues", totals.consumers)?;
        page.gauge(metrics::QUEUE_WAITING, "Events that wait in queues", totals.queue_waiting)?;
        page.gauge(
            metrics::QUEUE_UNSETTLED,
            "Events that consumers have not disposed of",
            totals.queue_unsettled,
        )?;
        page.gauge(metrics::RETAINED, "Last values held", totals.retained)?;
        page.gauge(metrics::QUEUED, "Events in outboxes of sessions and in queues", totals.queued)?;
        page.counter(metrics::BYTES_IN, "Bytes read from peers, decrypted, without HTTP", totals.bytes_in)?;
        page.counter(metrics::BYTES_OUT, "Bytes written to peers, without HTTP", totals.bytes_out)?;
        let reloads = [("accepted", self.reloads.accepted), ("refused", self.reloads.refused)];
        page.counters(
            metrics::RELOADS,
            "Reloads of the document",
            reloads.into_iter().map(|(outcome, count)| ([("outcome", outcome)], count)),
        )?;
        page.histograms(
            metrics::ACKNOWLEDGE_SECONDS,
            "Seconds from an event's receipt to its acknowledgement",
            totals.acknowledge.iter().map(|(promise, seconds)| ([("promise", *promise)], seconds)),
        )
    }

    /// What `node.persistence` does; nothing while it is off.
    fn journal(&self, page: &mut Page<'_>) -> fmt::Result {
        let Some(journal) = self.journal else { return Ok(()) };
        let (unstored, held) = (self.totals.unstored, self.totals.held);
        page.counter(metrics::JOURNAL_RECORDS, "Records stored", journal.records)?;
        page.counter(metrics::JOURNAL_COMMITS, "Commits to disk", journal.commits)?;
        let seconds = page.family(
            metrics::JOURNAL_COMMIT_SECONDS,
            "Seconds that commits took, in all",
            MetricType::Counter,
        )?;
        ConstCounter::new(journal.commit_micros as f64 / 1e6).encode(seconds)?;
        page.counter(
            metrics::JOURNAL_FAILURES,
            "Commits that failed and were tried again",
            journal.failures,
        )?;
        page.gauge(metrics::JOURNAL_UNSTORED, "Records that are not stored yet", unstored)?;
        page.gauge(metrics::JOURNAL_HELD, "Answers and deliveries that wait until records are stored", held)?;
        page.gauge(metrics::JOURNAL_BYTES, "Bytes of the journal's file", journal.file_bytes)?;
        page.gauge(metrics::JOURNAL_SKIPPED, "Entries that could not be read at the start", journal.skipped)
    }

    /// How the registry is asked. No device and no owner is ever a label.
    fn identities(&self, page: &mut Page<'_>) -> fmt::Result {
        let Some(figures) = self.identities else { return Ok(()) };
        let answers = [
            ("hit", figures.hits),
            ("negative", figures.negatives),
            ("stale", figures.stale),
            ("miss", figures.misses),
        ];
        if figures.has_database {
            page.counters(
                metrics::IDENTITY_LOOKUPS,
                "Questions to the registry's database, and what answered them",
                answers.into_iter().map(|(result, count)| ([("result", result)], count)),
            )?;
            page.gauge(metrics::IDENTITY_AWAY, "1: the registry's database is away", figures.away.into())?;
            page.gauge(metrics::IDENTITY_REMEMBERED, "Records that are remembered", figures.remembered)?;
        }
        page.counter(
            metrics::IDENTITY_PASSWORDS,
            "Passwords verified by argon2id",
            figures.passwords_verified,
        )?;
        page.gauge(
            metrics::IDENTITY_PASSWORDS_WAITING,
            "Passwords that wait to be verified",
            figures.passwords_waiting,
        )?;
        page.counter(
            metrics::IDENTITY_THROTTLED,
            "Claims that the guard did not look at",
            figures.throttled,
        )?;
        page.counter(
            metrics::IDENTITY_BLOCKS,
            "How often the guard began to block an address or a name",
            figures.blocks,
        )
    }

    fn process(&self, page: &mut Page<'_>) -> fmt::Result {
        let Some(process) = self.process else { return Ok(()) };
        page.gauge("process_resident_memory_bytes", "Resident memory", process.resident_bytes)?;
        let cpu =
            page.family("process_cpu_seconds", "Processor time, user and system", MetricType::Counter)?;
        ConstCounter::new(process.cpu_seconds).encode(cpu)?;
        page.gauge("process_open_fds", "Open file descriptors", process.open_fds)?;
        let start = page.family(
            "process_start_time_seconds",
            "Start of the process, in seconds since the Unix epoch",
            MetricType::Gauge,
        )?;
        ConstGauge::new(process.start_seconds).encode(start)
    }
}

/// Writes families: a description, then one line (a histogram: several) for each set of labels.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn family<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.0.encode_descriptor(name, help, None, kind)
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        ConstGauge::new(value).encode(self.family(name, help, MetricType::Gauge)?)
    }

    fn gauges<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl Iterator<Item = ([(&'static str, &'l str); N], u64)>,
    ) -> fmt::Result {
        let mut family = self.family(name, help, MetricType::Gauge)?;
        for (labels, value) in values {
            ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        ConstCounter::new(value).encode(self.family(name, help, MetricType::Counter)?)
    }

    fn counters<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl Iterator<Item = ([(&'static str, &'l str); N], u64)>,
    ) -> fmt::Result {
        let mut family = self.family(name, help, MetricType::Counter)?;
        for (labels, value) in values {
            ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn histograms<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl Iterator<Item = ([(&'static str, &'l str); N], &'l Histogram)>,
    ) -> fmt::Result {
        let mut family = self.family(name, help, MetricType::Histogram)?;
        for (labels, histogram) in values {
            let last = histogram.buckets.len() - 1;
            let mut bound = FIRST_BOUND;
            let mut buckets = [(f64::INFINITY, 0); 20];
            for (i, (bucket, count)) in buckets.iter_mut().zip(histogram.buckets).enumerate() {
                *bucket = (if i == last { f64::INFINITY } else { bound }, count);
                bound *= 2.0;
            }
            // Microseconds of a sum fit a double's 53 bits for 285 years.
            let sum = histogram.sum_micros as f64 / 1e6;
            let count = histogram.buckets.iter().sum();
            family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }
}

/// Every outcome is shown from the start, at zero: a rate over a counter that appears late misses its first event.
fn by_outcome(outcomes: &Outcomes) -> impl Iterator<Item = (&'static str, u64)> {
    Outcome::NAMES.into_iter().zip(*outcomes)
}

#[cfg(test)]
mod tests;
