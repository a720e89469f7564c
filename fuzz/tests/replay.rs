//! Every input that is kept is run again, and many changed ones: `FUZZ_RUNS` says how many of each target.

use windrose_fuzz::{TARGETS, Target, corpus, mutate, target};

fn replay(name: &str) {
    let target: Target = target(name).expect("it is one of the targets");
    let mut known = corpus::read(target).expect("there is a corpus");
    assert!(known.len() >= 10, "{name} has a corpus");
    known.extend((target.seeds)());
    let runs = std::env::var("FUZZ_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(25_000);
    // The same inputs each time: what fails here fails again.
    mutate::explore(target, &known, 1, |turn| turn < runs);
}

#[test]
fn codec() {
    replay("codec");
}

#[test]
fn server() {
    replay("server");
}

#[test]
fn client() {
    replay("client");
}

#[test]
fn amqp1_codec() {
    replay("amqp1_codec");
}

#[test]
fn amqp1_server() {
    replay("amqp1_server");
}

#[test]
fn amqp_client() {
    replay("amqp_client");
}

#[test]
fn websocket() {
    replay("websocket");
}

#[test]
fn handshake() {
    replay("handshake");
}

#[test]
fn proxy() {
    replay("proxy");
}

#[test]
fn response() {
    replay("response");
}

#[test]
fn coap_codec() {
    replay("coap_codec");
}

#[test]
fn coap_server() {
    replay("coap_server");
}

#[test]
fn coap_stream() {
    replay("coap_stream");
}

#[test]
fn amqp091_codec() {
    replay("amqp091_codec");
}

#[test]
fn amqp091_server() {
    replay("amqp091_server");
}

#[test]
fn dtls() {
    replay("dtls");
}

#[test]
fn every_target_is_replayed_and_has_a_program_for_libfuzzer() {
    let here = include_str!("replay.rs");
    let manifest = include_str!("../Cargo.toml");
    for target in TARGETS {
        assert!(here.contains(&format!("replay(\"{}\")", target.name)), "{} is replayed", target.name);
        assert!(manifest.contains(&format!("path = \"libfuzzer/{}.rs\"", target.name)), "{}", target.name);
    }
}
