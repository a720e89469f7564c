//! Fuzz targets: what reads the bytes of a peer, run on any bytes, with its promises asserted.
//!
//! A target is a plain function of bytes, so that three things can drive it: the test that replays the corpora
//! (`tests/replay.rs`), the mutator of [`mutate`], and libFuzzer (`libfuzzer/`, by `make fuzz`). It returns a number that
//! tells behaviours apart: an input whose number is new is worth keeping.

mod amqp091_seeds;
mod amqp1_seeds;
mod coap_seeds;
pub mod corpus;
pub mod mutate;
pub mod seeds;
pub mod signature;
pub mod targets;

/// A target and where its first inputs come from.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: of its corpus, and of its program for libFuzzer.
    pub name: &'static str,
    /// Runs an input; panics if a promise is broken. The number tells behaviours apart.
    pub run: fn(&[u8]) -> u64,
    /// Inputs that are well-formed.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: [Target; 16] = [
    Target { name: "codec", run: targets::codec::run, seeds: seeds::codec },
    Target { name: "server", run: targets::server::run, seeds: seeds::server },
    Target { name: "client", run: targets::client::run, seeds: seeds::client },
    Target { name: "websocket", run: targets::websocket::run, seeds: seeds::websocket },
    Target { name: "handshake", run: targets::handshake::run, seeds: seeds::handshake },
    Target { name: "proxy", run: targets::proxy::run, seeds: seeds::proxy },
    Target { name: "response", run: targets::response::run, seeds: seeds::response },
    Target { name: "coap_codec", run: targets::coap_codec::run, seeds: coap_seeds::codec },
    Target { name: "coap_server", run: targets::coap_server::run, seeds: coap_seeds::server },
    Target { name: "coap_stream", run: targets::coap_stream::run, seeds: coap_seeds::stream },
    Target { name: "amqp1_codec", run: targets::amqp1_codec::run, seeds: amqp1_seeds::codec },
    Target { name: "amqp1_server", run: targets::amqp1_server::run, seeds: amqp1_seeds::server },
    Target { name: "amqp_client", run: targets::amqp_client::run, seeds: targets::amqp_client::seeds },
    Target { name: "amqp091_codec", run: targets::amqp091_codec::run, seeds: amqp091_seeds::codec },
    Target { name: "amqp091_server", run: targets::amqp091_server::run, seeds: amqp091_seeds::server },
    Target { name: "dtls", run: targets::dtls::run, seeds: targets::dtls::seeds },
];

/// The target of that name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}
