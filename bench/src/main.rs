//! Measures Windrose and its peers side by side, on the same work, in turn within one run.
//!
//! The figure that counts is work per CPU-second of the server's process: wall-clock figures from shared machines mean
//! little. Servers, the load generator, the REST sink and this program are processes of their own; README.md says what
//! each case does and how to read the table.

#![allow(clippy::print_stdout, reason = "the table on standard output is what this program is for")]

mod bare_loop;
mod cases;
mod certificates;
mod counts;
mod decisions;
mod helper;
mod load;
mod peers;
mod plot;
mod procfs;
mod report;
mod run;
mod server;
mod sink;

use clap::Parser;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// The server's allocator, because what is counted includes it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Errors end in one sentence on standard error: nothing here is handled by kind.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Measures Windrose and the peers found on this machine, side by side.
#[derive(Parser)]
#[command(name = "bench", version, max_term_width = 110)]
struct Arguments {
    /// Cases, by the beginning of their names, such as `fan-in`; all of them if none is given. `--list` names them.
    /// `counts`, alone or before the beginnings of names: instructions by valgrind, instead of time.
    /// `access-decision`: what a decision of the access rules costs, in this process.
    cases: Vec<String>,
    /// Print the cases and stop.
    #[arg(long)]
    list: bool,
    /// How often each case is run with each server; memory cases run at most twice.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How many seconds are measured in a round, after a second of warm-up.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Where the figures of every round go, as JSON.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/out/bench.json"))]
    json: PathBuf,
    /// Where the plot of the `latency-curve` cases goes.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/out/latency.svg"))]
    svg: PathBuf,
    /// Only this server (`windrose` or a peer's name); may be given several times.
    #[arg(long = "server", value_name = "NAME")]
    servers: Vec<String>,
    /// The `windrose` program; without it the workspace's own is built and used.
    #[arg(long, value_name = "FILE")]
    windrose: Option<PathBuf>,
    /// MQTT version that the clients speak: 4 is 3.1.1, 5 is 5.0.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(4..=5))]
    mqtt: u8,
    /// Bytes of each payload.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(32..=65_536))]
    payload: u32,
    /// At most how many messages a publisher writes at once, but one in the `single` cases.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    batch: u32,
    /// How many connections the idle cases hold.
    #[arg(long, default_value_t = 15_000)]
    connections: u32,
    /// Runs as one of the helper processes, told what to do on standard input.
    #[arg(long, hide = true)]
    role: Option<helper::Role>,
    /// Where the role that is a server listens.
    #[arg(long, hide = true, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.role {
        Some(helper::Role::Load) => load::main(),
        Some(helper::Role::Idle) => load::idle::main(),
        Some(helper::Role::Slow) => load::slow::main(),
        Some(helper::Role::Many) => load::many::main(),
        Some(helper::Role::Paced) => load::paced::main(),
        Some(helper::Role::Storm) => load::storm::main(),
        Some(helper::Role::Latency) => load::latency::main(),
        Some(helper::Role::Http) => load::http::main(),
        Some(helper::Role::Coap) => load::coap::main(),
        Some(helper::Role::Endpoints) => load::endpoints::main(),
        Some(helper::Role::Sessions) => load::sessions::main(),
        Some(helper::Role::Amqp) => load::amqp::main(),
        Some(helper::Role::AmqpIdle) => load::amqp::idle::main(),
        Some(helper::Role::Sink) => sink::main(),
        Some(helper::Role::Loop) => bare_loop::main(arguments.listen),
        Some(helper::Role::Counted) => counts::main(),
        None => match arguments.cases.split_first() {
            Some((first, rest)) if first == "counts" => counts::run(rest, &arguments),
            Some((first, _)) if first == "access-decision" => decisions::run(&arguments),
            _ => run::run(arguments),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
