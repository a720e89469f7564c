//! The table and the JSON file.

use crate::cases::{Case, Column, Conditions, Sample};
use crate::load::slow::Measured;
use crate::procfs;
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::Write;

/// What each server did in a round, in the order in which they ran; `None` is a failure.
pub(crate) type Round = Vec<(&'static str, Option<Sample>)>;

/// A server that takes part.
#[derive(Serialize)]
pub(crate) struct ServerFacts {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its version.
    pub(crate) version: String,
}

/// Everything that was measured, as it is written to the JSON file.
#[derive(Serialize)]
pub(crate) struct Report {
    machine: String,
    kernel: String,
    profile: String,
    conditions: Value,
    servers: Vec<ServerFacts>,
    cases: Vec<Value>,
    #[serde(skip)]
    heading: String,
}

/// Median, least and most of some figures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    /// `None` of nothing.
    fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let (least, most) = (*figures.first()?, *figures.last()?);
        let half = figures.len() / 2;
        let upper = *figures.get(half)?;
        let lower = *figures.get((figures.len() - 1) / 2)?;
        Some(Self { median: f64::midpoint(lower, upper), least, most })
    }
}

const TRAFFIC: &[Column] = &[
    ("msg/CPU-s", Sample::per_cpu_second),
    ("msg/s", Sample::per_second),
    ("RSS MiB", |sample| sample.resident as f64 / 1_048_576.0),
    ("cores", |sample| sample.server_cpu / sample.seconds),
    ("load cores", |sample| sample.load_cpu / sample.seconds),
    ("lost", |sample| sample.lost as f64),
];

const IDLE: &[Column] = &[
    ("bytes/conn", |sample| sample.connection_bytes.unwrap_or(f64::NAN)),
    ("conn/CPU-s", Sample::per_cpu_second),
    ("conn/s", Sample::per_second),
    ("RSS MiB", |sample| sample.resident as f64 / 1_048_576.0),
];

const SLOW: &[Column] = &[
    ("p99 ms slow", |sample| slow(sample, |slow| slow.beside.p99 / 1_000.0)),
    ("p99 ms", |sample| slow(sample, |slow| slow.alone.p99 / 1_000.0)),
    ("p99 moved %", |sample| slow(sample, |slow| (slow.beside.p99 / slow.alone.p99 - 1.0) * 100.0)),
    ("p50 ms slow", |sample| slow(sample, |slow| slow.beside.median / 1_000.0)),
    ("p50 ms", |sample| slow(sample, |slow| slow.alone.median / 1_000.0)),
    ("RSS MiB", |sample| sample.resident as f64 / 1_048_576.0),
    ("lost", |sample| sample.lost as f64),
];

fn slow(sample: &Sample, figure: fn(&Measured) -> f64) -> f64 {
    sample.slow.as_ref().map_or(f64::NAN, figure)
}

impl Report {
    /// A report without cases.
    pub(crate) fn new(conditions: &Conditions, profile: String, servers: Vec<ServerFacts>) -> Self {
        let mut report = Self {
            machine: procfs::machine(),
            kernel: procfs::kernel(),
            profile,
            conditions: json!(conditions),
            servers,
            cases: Vec::new(),
            heading: String::new(),
        };
        let names: Vec<String> =
            report.servers.iter().map(|one| format!("{} {}", one.name, one.version)).collect();
        report.heading = format!(
            "{servers}\n{machine}, Linux {kernel}, {profile} build\n\
             MQTT {mqtt}, payloads of {payload} bytes, at most {batch} messages a write; \
             {warm_up} s of warm-up, then {measure} s measured\n",
            servers = names.join(", "),
            machine = report.machine,
            kernel = report.kernel,
            profile = report.profile,
            mqtt = if conditions.mqtt == 5 { "5.0" } else { "3.1.1" },
            payload = conditions.payload,
            batch = conditions.batch,
            warm_up = conditions.warm_up.as_secs(),
            measure = conditions.measure.as_secs(),
        );
        if cfg!(debug_assertions) {
            report.heading.push_str("This is a debug build: the figures mean nothing.\n");
        }
        report
    }

    /// What was measured with, where and how.
    pub(crate) fn heading(&self) -> &str {
        &self.heading
    }

    /// Adds a case and gives its part of the table.
    pub(crate) fn add(&mut self, case: &Case, rounds: Vec<Round>) -> String {
        let (columns, less_is_better) = case.columns().unwrap_or(match (case.is_idle(), case.is_slow()) {
            (true, _) => (IDLE, true),
            (_, true) => (SLOW, true),
            _ => (TRAFFIC, false),
        });
        let mut table = format!("{}: {}; {} rounds\n", case.name, case.about, rounds.len());
        let titles: String = columns.iter().skip(1).map(|(title, _)| format!("{title:>12}")).collect();
        let first = columns.first().map_or("", |(title, _)| *title);
        let _ = writeln!(table, "  {:<12}{first:>12} {:<22}{titles}", "", "(least..most)");
        let mut summaries = serde_json::Map::new();
        for server in self.servers.iter().map(|facts| facts.name) {
            let samples: Vec<&Sample> = rounds.iter().filter_map(|round| sample(round, server)).collect();
            if samples.is_empty() {
                if rounds.iter().flatten().any(|(name, _)| *name == server) {
                    let _ = writeln!(table, "  {server:<12}{:>12}", "failed");
                }
                continue;
            }
            let mut line = format!("  {server:<12}");
            let mut summary = serde_json::Map::new();
            for (index, (title, figure)) in columns.iter().enumerate() {
                let Some(spread) = Spread::of(samples.iter().map(|sample| figure(sample))) else { continue };
                let _ = write!(line, "{:>12}", number(spread.median));
                if index == 0 {
                    let range = format!("({}..{})", number(spread.least), number(spread.most));
                    let _ = write!(line, " {range:<22}");
                }
                summary.insert((*title).to_owned(), json!(spread));
            }
            table.push_str(line.trim_end());
            table.push('\n');
            summaries.insert(server.to_owned(), summary.into());
        }
        let ratios = self.ratios(columns, &rounds);
        for (peer, spread) in &ratios {
            let better = if less_is_better { "less is better" } else { "more is better" };
            let _ = writeln!(
                table,
                "  windrose / {peer}, {first}: {:.2} ({:.2}..{:.2}), {better}",
                spread.median, spread.least, spread.most
            );
        }
        let ratios: serde_json::Map<_, _> =
            ratios.into_iter().map(|(peer, spread)| (peer.to_owned(), json!(spread))).collect();
        let rounds: Vec<Value> = rounds
            .iter()
            .map(|round| round.iter().map(|(server, sample)| ((*server).to_owned(), json!(sample))).collect())
            .map(Value::Object)
            .collect();
        self.cases.push(json!({
            "name": case.name, "about": case.about, "summary": summaries,
            "windrose_to_peer": {"figure": first, "ratios": ratios}, "rounds": rounds,
        }));
        table
    }

    /// Windrose's first figure by each peer's, round by round: what disturbs a round disturbs both.
    fn ratios(&self, columns: &[Column], rounds: &[Round]) -> Vec<(&'static str, Spread)> {
        let Some((_, figure)) = columns.first() else { return Vec::new() };
        let peers = self.servers.iter().map(|facts| facts.name).filter(|name| *name != "windrose");
        peers
            .filter_map(|peer| {
                let ratio =
                    |round: &Round| Some(figure(sample(round, "windrose")?) / figure(sample(round, peer)?));
                Spread::of(rounds.iter().filter_map(ratio)).map(|spread| (peer, spread))
            })
            .collect()
    }
}

fn sample<'r>(round: &'r Round, server: &str) -> Option<&'r Sample> {
    round.iter().find(|(name, _)| *name == server).and_then(|(_, sample)| sample.as_ref())
}

/// A figure as people read it: `1,234,567`, or `1.23` if it is small.
fn number(figure: f64) -> String {
    if figure.abs() < 100.0 && figure.fract() != 0.0 {
        return format!("{figure:.2}");
    }
    let digits = format!("{figure:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        let behind = digits.len() - index;
        if index > 0 && behind.is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    #[test]
    fn a_spread_has_the_median_of_odd_and_even_counts() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Some(Spread { median: 2.0, least: 1.0, most: 3.0 }));
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]).unwrap().median, 2.5);
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(number(1_234_567.8), "1,234,568");
        assert_eq!(number(-1_234.0), "-1,234");
        assert_eq!(number(-234.0), "-234");
        assert_eq!(number(0.0), "0");
        assert_eq!(number(1.234), "1.23");
    }

    #[test]
    fn ratios_are_taken_round_by_round_and_failures_left_out() {
        let servers = ["windrose", "other"].map(|name| ServerFacts { name, version: "1".to_owned() });
        let report = Report {
            machine: String::new(),
            kernel: String::new(),
            profile: String::new(),
            conditions: Value::Null,
            servers: servers.into(),
            cases: Vec::new(),
            heading: String::new(),
        };
        let sample = |work| Some(Sample { work, seconds: 1.0, server_cpu: 1.0, ..Sample::default() });
        let rounds = vec![
            vec![("windrose", sample(200)), ("other", sample(100))],
            vec![("windrose", sample(90)), ("other", sample(30))],
            vec![("windrose", sample(90)), ("other", None)],
        ];
        let ratios = report.ratios(TRAFFIC, &rounds);
        assert_eq!(ratios, [("other", Spread { median: 2.5, least: 2.0, most: 3.0 })]);
    }
}
