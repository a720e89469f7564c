//! Seeds: made-up nodes, fleets and mishaps. `SIM_SEEDS=5000` plays more of them, `SIM_SEED=17` one, with its trace.
#![allow(clippy::disallowed_methods, reason = "which seeds to play is asked of the environment")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use windrose_sim::{Report, Scenario};

/// Seeds that a test run plays, unless `SIM_SEEDS` says otherwise.
const SEEDS: u64 = 400;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Plays one seed; a failure is told in words.
fn play(seed: u64, told: bool) -> Result<Report, String> {
    match catch_unwind(AssertUnwindSafe(|| Scenario::from_seed(seed).play(told))) {
        Ok(played) => played.map_err(|failure| failure.to_string()),
        Err(panic) => {
            let what = panic.downcast_ref::<String>().map(String::as_str);
            let what = what.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("for no reason");
            Err(format!("seed {seed}: panicked: {what}"))
        }
    }
}

/// Plays every `of`-th seed, beginning with `part`: the test runner plays the parts beside each other.
fn part(part: u64, of: u64) {
    if number("SIM_SEED").is_some() {
        return;
    }
    let seeds = number("SIM_SEEDS").unwrap_or(SEEDS);
    let mut failures = Vec::new();
    let (mut publications, mut deliveries, mut connections) = (0, 0, 0);
    for seed in (part..seeds).step_by(of as usize) {
        match play(seed, false) {
            Ok(report) => {
                publications += report.publications;
                deliveries += report.deliveries;
                connections += report.connections;
            }
            Err(failure) => failures.push(failure),
        }
    }
    println!("{publications} publications, {deliveries} deliveries, {connections} connections");
    let Some(first) = failures.first() else { return };
    let all: Vec<&str> = failures.iter().filter_map(|failure| failure.lines().next()).collect();
    panic!(
        "{} seeds break a promise:\n{}\n\n{first}\n\nSIM_SEED=... plays one with its whole trace",
        failures.len(),
        all.join("\n")
    );
}

#[test]
fn seeds_of_the_first_quarter_keep_every_promise() {
    part(0, 4);
}

#[test]
fn seeds_of_the_second_quarter_keep_every_promise() {
    part(1, 4);
}

#[test]
fn seeds_of_the_third_quarter_keep_every_promise() {
    part(2, 4);
}

#[test]
fn seeds_of_the_fourth_quarter_keep_every_promise() {
    part(3, 4);
}

#[test]
fn one_seed_is_played_with_its_trace() {
    if let Some(seed) = number("SIM_SEED") {
        let report = play(seed, true).unwrap_or_else(|failure| panic!("{failure}"));
        println!("{}", report.trace.as_deref().unwrap_or_default());
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in [3, 14, 159] {
        assert_eq!(play(seed, false), play(seed, false), "seed {seed}");
    }
    let hash = |seed| play(seed, false).map(|report| report.hash);
    assert_ne!(hash(3), hash(14));
}
