//! The tables and the JSON file.

mod spread;
mod table;

use crate::cases::{Case, Column, Conditions, Sample};
use crate::plot::Point;
use crate::procfs;
use serde::Serialize;
use serde_json::{Map, Value, json};

use spread::Spread;

/// What each server did in a round, in the order in which they ran; `None` is a failure.
pub(crate) type Round = Vec<(&'static str, Option<Sample>)>;

/// A server that takes part.
#[derive(Serialize)]
pub(crate) struct ServerFacts {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its version.
    pub(crate) version: String,
    /// Whether it is a server that somebody might use, and not a measure of what is possible.
    pub(crate) is_real: bool,
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

/// What was measured of one case: a row for each server that took part.
struct Summary {
    servers: Vec<Row>,
    /// Those that cannot do it.
    left_out: Vec<&'static str>,
    /// Windrose's compared figures by those of each peer.
    ratios: Vec<Row>,
    /// Of the first compared figure: the peer with the best median.
    best: Option<&'static str>,
}

/// A server, and a spread for each column; `None` where no round has a figure.
struct Row {
    server: &'static str,
    spreads: Vec<Option<Spread>>,
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

    /// What a picture of it says below its title.
    pub(crate) fn caption(&self) -> String {
        format!("{}, Linux {}, {} build", self.machine, self.kernel, self.profile)
    }

    /// Adds a case and gives its tables.
    pub(crate) fn add(&mut self, case: &Case, rounds: &[Round]) -> String {
        let columns = case.columns();
        let compared = columns.get(..case.compared()).unwrap_or(columns);
        let summary = self.summary(columns, compared, case.less_is_better(), rounds);
        let text = table::of(case, rounds.len(), &summary);
        let rows = |rows: &[Row], columns: &[Column]| -> Map<String, Value> {
            let cells = |row: &Row| -> Map<String, Value> {
                let titles = columns.iter().map(|(title, _)| (*title).to_owned());
                titles.zip(row.spreads.iter().map(|spread| json!(spread))).collect()
            };
            rows.iter().map(|row| (row.server.to_owned(), cells(row).into())).collect()
        };
        let rounds: Vec<Value> = rounds
            .iter()
            .map(|round| round.iter().map(|(server, sample)| ((*server).to_owned(), json!(sample))).collect())
            .map(Value::Object)
            .collect();
        self.cases.push(json!({
            "name": case.name, "about": case.about, "summary": rows(&summary.servers, columns),
            "windrose_to_peer": rows(&summary.ratios, compared), "best_peer": summary.best,
            "left_out": summary.left_out, "rounds": rounds,
        }));
        text
    }

    fn summary(
        &self,
        columns: &[Column],
        compared: &[Column],
        less_is_better: bool,
        rounds: &[Round],
    ) -> Summary {
        let took_part = |name: &str| rounds.iter().flatten().any(|(server, _)| *server == name);
        let (present, absent): (Vec<&ServerFacts>, Vec<_>) =
            self.servers.iter().partition(|facts| took_part(facts.name));
        let servers: Vec<Row> = present
            .iter()
            .map(|facts| {
                let samples: Vec<&Sample> =
                    rounds.iter().filter_map(|round| sample(round, facts.name)).collect();
                let spread = |(_, figure): &Column| Spread::of(samples.iter().map(|sample| figure(sample)));
                Row { server: facts.name, spreads: columns.iter().map(spread).collect() }
            })
            .collect();
        let first = |facts: &&&ServerFacts| {
            let row = servers.iter().find(|row| row.server == facts.name)?;
            (*row.spreads.first()?).map(|spread| spread.median)
        };
        let peers = present.iter().filter(|facts| facts.name != "windrose");
        let better = |one: &&&ServerFacts, other: &&&ServerFacts| {
            let order = first(one).unwrap_or(f64::NAN).total_cmp(&first(other).unwrap_or(f64::NAN));
            if less_is_better { order.reverse() } else { order }
        };
        Summary {
            best: peers
                .clone()
                .filter(|facts| facts.is_real && first(facts).is_some())
                .max_by(better)
                .map(|facts| facts.name),
            ratios: peers.filter_map(|facts| ratios(facts.name, compared, rounds)).collect(),
            left_out: absent.iter().map(|facts| facts.name).collect(),
            servers,
        }
    }
}

/// Windrose's figures by a peer's, round by round: what disturbs a round disturbs both.
fn ratios(peer: &'static str, columns: &[Column], rounds: &[Round]) -> Option<Row> {
    let spread = |(_, figure): &Column| {
        let ratio = |round: &Round| Some(figure(sample(round, "windrose")?) / figure(sample(round, peer)?));
        Spread::of(rounds.iter().filter_map(ratio))
    };
    let spreads: Vec<Option<Spread>> = columns.iter().map(spread).collect();
    spreads.iter().any(Option::is_some).then_some(Row { server: peer, spreads })
}

/// The points of a case in the plot: medians of the servers that kept up in every round.
pub(crate) fn points(case: &Case, rounds: &[Round]) -> Vec<(&'static str, Point)> {
    let (Some(rate), Some(first)) = (case.plotted_at().map(f64::from), rounds.first()) else {
        return Vec::new();
    };
    let point = |server: &'static str| {
        let samples: Option<Vec<&Sample>> = rounds.iter().map(|round| sample(round, server)).collect();
        let samples = samples?;
        let median = |figure| Spread::of(samples.iter().map(|sample| sample.figure(figure)));
        Some((server, Point { rate, p50: median("p50")?.median, p99: median("p99")?.median }))
    };
    first.iter().filter_map(|(server, _)| point(server)).collect()
}

fn sample<'r>(round: &'r Round, server: &str) -> Option<&'r Sample> {
    round.iter().find(|(name, _)| *name == server).and_then(|(_, sample)| sample.as_ref())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    const COLUMNS: &[Column] = &[("msg/CPU-s", Sample::per_cpu_second)];

    fn report() -> Report {
        let facts = |name| ServerFacts { name, version: "1".to_owned(), is_real: name != "ceiling" };
        Report {
            machine: String::new(),
            kernel: String::new(),
            profile: String::new(),
            conditions: Value::Null,
            servers: ["windrose", "slow", "fast", "ceiling", "other"].map(facts).into(),
            cases: Vec::new(),
            heading: String::new(),
        }
    }

    fn sample(work: u64) -> Option<Sample> {
        Some(Sample { work, seconds: 1.0, server_cpu: 1.0, ..Sample::default() })
    }

    #[test]
    fn ratios_are_taken_round_by_round_and_failures_left_out() {
        let rounds = [
            vec![("windrose", sample(200)), ("slow", sample(100))],
            vec![("windrose", sample(90)), ("slow", sample(30))],
            vec![("windrose", sample(90)), ("slow", None)],
        ];
        let summary = report().summary(COLUMNS, COLUMNS, false, &rounds);
        let ratios = summary.ratios.first().unwrap();
        assert_eq!(ratios.spreads, [Some(Spread { median: 2.5, least: 2.0, most: 3.0 })]);
    }

    #[test]
    fn the_best_peer_is_a_real_one_and_who_cannot_is_left_out() {
        let rounds = [vec![
            ("windrose", sample(9)),
            ("slow", sample(1)),
            ("fast", sample(5)),
            ("ceiling", sample(50)),
        ]];
        let summary = report().summary(COLUMNS, COLUMNS, false, &rounds);
        assert_eq!(summary.best, Some("fast"));
        assert_eq!(summary.left_out, ["other"]);
        assert_eq!(report().summary(COLUMNS, COLUMNS, true, &rounds).best, Some("slow"));
    }
}
