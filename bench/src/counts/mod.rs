//! `bench counts`: how many instructions a unit of work takes, counted by valgrind on a virtual processor.
//!
//! Whoever else uses the machine changes nothing of it, so a regression shows that no clock would show. It says nothing
//! of memory, of caches and of the kernel.

mod coap;
mod node;
mod scenarios;
mod traffic;

use crate::{Arguments, Result, helper};
use scenarios::{SCENARIOS, Scenario};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Figures of the state that the repository has.
const KNOWN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/counts.json");

/// What is more than this is told as a regression.
const TOLERANCE: f64 = 1.03;

/// The function whose instructions are counted.
const COUNTED: &str = "bench::counts::node::measured*";

/// Instructions a unit, by scenario.
type Counts = BTreeMap<String, f64>;

/// What one process under valgrind does.
#[derive(Debug, Serialize, Deserialize)]
struct Work {
    scenario: String,
}

/// What it has done.
#[derive(Debug, Serialize, Deserialize)]
struct Done {
    units: u64,
}

/// A filter that nothing matches which is published here; every other one has a wildcard, `+` or `#` in turn.
fn filler(number: usize) -> String {
    let (site, thing) = (number / 100, number % 100);
    match number % 4 {
        1 => format!("other/{site}/{thing}/+/value"),
        3 => format!("other/{site}/{thing}/#"),
        _ => format!("other/{site}/{thing}/level/value"),
    }
}

/// Counts the scenarios whose names begin as asked, all if none is asked for.
pub(crate) fn run(asked: &[String], arguments: &Arguments) -> Result<()> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("valgrind is not installed: no instructions are counted (apt-get install valgrind)");
        return Ok(());
    }
    let known = known()?;
    let folder = arguments.json.parent().map(PathBuf::from).unwrap_or_default();
    let traces = folder.join("counts");
    std::fs::create_dir_all(&traces)?;
    let mut counts = Counts::new();
    let mut worse = Vec::new();
    println!("{:<16}{:>12}{:>12}{:>8}   unit", "", "instructions", "known", "ratio");
    let wanted = |scenario: &&Scenario| {
        asked.is_empty() || asked.iter().any(|name| scenario.name.starts_with(name.as_str()))
    };
    for scenario in SCENARIOS.iter().filter(wanted) {
        let count = count(scenario, &traces.join(format!("{}.callgrind", scenario.name)))?;
        let before = known.get(scenario.name).copied();
        let ratio = before.map(|before| count / before);
        println!(
            "{:<16}{count:>12.0}{:>12}{:>8}   {}",
            scenario.name,
            before.map_or_else(|| "-".to_owned(), |before| format!("{before:.0}")),
            ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.3}")),
            scenario.about,
        );
        if ratio.is_some_and(|ratio| ratio > TOLERANCE) {
            worse.push(scenario.name);
        }
        counts.insert(scenario.name.to_owned(), (count * 10.0).round() / 10.0);
    }
    let file = folder.join("counts.json");
    let mut text = serde_json::to_string_pretty(&counts)?;
    text.push('\n');
    std::fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    println!(
        "counts: {}; where they come from: callgrind_annotate {}/NAME.callgrind",
        file.display(),
        traces.display()
    );
    if worse.is_empty() {
        return Ok(());
    }
    println!(
        "REGRESSION of more than 3 %: {}. If it is meant, copy the counts over {KNOWN}",
        worse.join(", ")
    );
    Ok(())
}

/// Runs as the process under valgrind.
pub(crate) fn main() -> Result<()> {
    let Some(work) = helper::told::<Work>()? else { return Ok(()) };
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name == work.scenario);
    let scenario = scenario.ok_or("there is no such scenario")?;
    helper::say(&Done { units: (scenario.run)(scenario.units)? })
}

fn known() -> Result<Counts> {
    match std::fs::read(KNOWN) {
        Ok(text) => Ok(serde_json::from_slice(&text).map_err(|error| format!("{KNOWN}: {error}"))?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Counts::new()),
        Err(error) => Err(format!("{KNOWN}: {error}").into()),
    }
}

/// Instructions of one unit.
fn count(scenario: &Scenario, trace: &Path) -> Result<f64> {
    let mut child = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--quiet"])
        .arg(format!("--toggle-collect={COUNTED}"))
        .arg(format!("--callgrind-out-file={}", trace.display()))
        .arg(std::env::current_exe()?)
        .args(["--role", "counted"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = serde_json::to_vec(&Work { scenario: scenario.name.to_owned() })?;
    line.push(b'\n');
    child.stdin.take().ok_or("valgrind has no standard input")?.write_all(&line)?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err(format!("{} ended ({})", scenario.name, output.status).into());
    }
    let done: Done = serde_json::from_slice(&output.stdout)?;
    let text = std::fs::read_to_string(trace).map_err(|error| format!("{}: {error}", trace.display()))?;
    Ok(total(&text)? as f64 / done.units as f64)
}

/// The sum that a callgrind file ends in.
fn total(text: &str) -> Result<u64> {
    let sum =
        text.lines().rev().find_map(|line| line.strip_prefix("totals:").or(line.strip_prefix("summary:")));
    match sum.and_then(|sum| sum.trim().parse().ok()) {
        Some(0) => Err("nothing was counted: is the function's name in this build?".into()),
        Some(sum) => Ok(sum),
        None => Err("valgrind's file has no sum".into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_scenario_does_its_work() {
        for scenario in SCENARIOS {
            let done = (scenario.run)(40);
            assert!(done.as_ref().is_ok_and(|done| *done >= 40), "{}: {done:?}", scenario.name);
        }
    }

    #[test]
    fn the_sum_of_a_callgrind_file_is_found() {
        assert_eq!(total("events: Ir\n\nfn=(1) x\n0 5\ntotals: 12345\n").unwrap(), 12_345);
        assert!(total("totals: 0\n").is_err());
        assert!(total("events: Ir\n").is_err());
    }
}
