//! Things that speak CoAP, over networks that lose, repeat and reorder datagrams. `SIM_SEEDS=5000` plays more seeds,
//! `SIM_SEED=17` one, with what happened before a failure; `SIM_DAY=1` plays the whole day of a thousand things.
#![allow(clippy::disallowed_methods, reason = "which seeds to play is asked of the environment")]

use windrose_sim::coap::Plan;

/// Seeds that a test run plays, unless `SIM_SEEDS` says otherwise.
const SEEDS: u64 = 200;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn part(part: u64, of: u64) {
    let told = number("SIM_SEED");
    let seeds: Vec<u64> = match told {
        Some(seed) => vec![seed],
        None => (part..number("SIM_SEEDS").unwrap_or(SEEDS)).step_by(of as usize).collect(),
    };
    let play = |seed| Plan { told: told.is_some(), ..Plan::from_seed(seed) }.play();
    let failures: Vec<String> = seeds.into_iter().filter_map(|seed| play(seed).err()).collect();
    let Some(first) = failures.first() else { return };
    let all: Vec<&str> = failures.iter().filter_map(|failure| failure.lines().next()).collect();
    panic!(
        "{} seeds break a promise:\n{}\n\n{first}\n\nSIM_SEED=... plays one",
        failures.len(),
        all.join("\n")
    );
}

#[test]
fn seeds_of_the_first_half_keep_every_promise() {
    part(0, 2);
}

#[test]
fn seeds_of_the_second_half_keep_every_promise() {
    part(1, 2);
}

/// A day of a thousand things with `SIM_DAY=1`, otherwise a few hours of a hundred.
#[test]
fn nothing_is_lost_or_taken_twice_in_a_day_of_bad_weather() {
    let plan = match number("SIM_DAY") {
        Some(seed) => Plan::day(seed, 1_000, 24),
        None => Plan::day(1, 100, 6),
    };
    match plan.play() {
        Ok(ending) => println!("{ending}"),
        Err(failure) => panic!("{failure}"),
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let play = |seed| Plan::from_seed(seed).play();
    assert_eq!(play(3), play(3));
    assert_ne!(play(3), play(4));
}
