//! The command line.

use crate::telemetry::{self, LogFormat};
use crate::{commands, compose, document};
use clap::{Parser, Subcommand};
use std::io::{IsTerminal, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use windrose_identity::Kind;
use windrose_network::samples;

/// Windrose: the Event Delivery Controller for the Internet of Things.
///
/// Things speak MQTT, CoAP and AMQP, services speak REST, or AMQP. Windrose terminates all of them, knows which thing is talking
/// and whose it is, and delivers every single event with one acknowledgement that means the same everywhere.
#[derive(Parser)]
#[command(name = "windrose", version, max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a node.
    ///
    /// SIGHUP or a change of the document (or of a file that it names) reloads it, whole or not at all. SIGTERM drains:
    /// nothing new is accepted, what is in flight is finished, and clients are told.
    Run {
        /// The document. Without it the built-in quickstart runs, on loopback only.
        file: Option<PathBuf>,
        /// How log lines look: human on a terminal, JSON otherwise.
        #[arg(long, value_enum, default_value_t = LogFormat::Auto, env = "WINDROSE_LOG_FORMAT")]
        log_format: LogFormat,
        /// What is logged: error, warn, info, debug, trace, or directives such as `info,windrose_engine=debug`.
        #[arg(long, default_value = "info", env = "WINDROSE_LOG")]
        log: String,
    },
    /// Check a document and report every mistake with line and column.
    ///
    /// Exits with 0 if there is none, with 1 otherwise. Nothing is opened or bound.
    Check {
        /// The document.
        file: PathBuf,
    },
    /// Make a folder from which a node runs that things can enrol with: a document, an authority, a server's certificate.
    ///
    /// Nothing that is there already is written over. README.md tells what to do then.
    Init(commands::init::Init),
    /// Make, renew and show an authority of one's own, for things to enrol with.
    Ca {
        #[command(subcommand)]
        command: commands::ca::Command,
    },
    /// Add, show and revoke devices, change whose they are, and make one-time codes.
    Device(commands::device::Family),
    /// Add, show and revoke owners of devices.
    Owner(commands::owner::Family),
    /// Add, show and revoke services.
    Service(commands::owner::Family),
    /// Take devices in and write them out by the thousand.
    Registry(commands::registry::Family),
    /// Say which access rule decides whether somebody may do something, and why.
    ///
    /// Exits with 0 if it is allowed, with 1 if it is denied, with 2 if the question makes no sense.
    Explain(commands::explain::Arguments),
    /// Print the JSON Schema of the document.
    Schema,
    /// Print the version.
    Version,
    /// Read a password from standard input and print its argon2id hash, for `password_hash` in the file of devices.
    HashPassword {
        /// Print keys of SCRAM-SHA-256 instead, for `scram_sha_256`.
        #[arg(long)]
        scram: bool,
    },
    /// Run a small REST service that prints the CloudEvents it gets.
    SampleService {
        /// Where it listens.
        #[arg(long, default_value = "127.0.0.1:9000")]
        bind: SocketAddr,
    },
    /// Run a small MQTT 5 thing that answers requests on `devices/ID/commands/locate`.
    SampleThing {
        /// The thing's identifier.
        #[arg(long, default_value = "car-7")]
        id: String,
        /// Where Windrose listens for MQTT.
        #[arg(long, default_value = "127.0.0.1:1883")]
        connect: SocketAddr,
    },
}

pub(crate) fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run { file, log_format, log } => {
            if let Err(error) = telemetry::start(log_format, &log) {
                return fail(&error);
            }
            match compose::run(file) {
                Ok(code) => code,
                Err(error) => fail(&error),
            }
        }
        Command::Check { file } => match document::load(Some(&file)) {
            Ok(loaded) => say(&format!(
                "{}: fine: {} listeners, {} routes, {} pools\n",
                file.display(),
                loaded.snapshot.listeners.len(),
                loaded.snapshot.routes.len(),
                loaded.snapshot.pools.len()
            )),
            Err(error) => fail(&error.render(std::io::stderr().is_terminal())),
        },
        Command::Init(init) => match commands::init::run(&init) {
            Ok(text) => say(&text),
            Err(error) => fail(&error),
        },
        Command::Ca { command } => match commands::ca::run(&command) {
            Ok(text) => say(&text),
            Err(error) => fail(&error),
        },
        Command::Device(family) => done(commands::device::run(&family)),
        Command::Owner(family) => done(commands::owner::run(Kind::Owner, &family)),
        Command::Service(family) => done(commands::owner::run(Kind::Service, &family)),
        Command::Registry(family) => done(commands::registry::run(&family)),
        Command::Explain(arguments) => match commands::explain::run(arguments) {
            Ok((text, true)) => say(&text),
            Ok((text, false)) => {
                say(&text);
                ExitCode::FAILURE
            }
            Err(error) => {
                fail(&error);
                ExitCode::from(2)
            }
        },
        Command::Schema => match serde_json::to_string_pretty(&windrose_policy::schema()) {
            Ok(schema) => say(&format!("{schema}\n")),
            Err(error) => fail(&error.to_string()),
        },
        Command::Version => say(&format!("windrose {}\n", env!("CARGO_PKG_VERSION"))),
        Command::HashPassword { scram } => hash_password(scram),
        Command::SampleService { bind } => sample(samples::service(bind, Box::new(print_line))),
        Command::SampleThing { id, connect } => sample(samples::thing(id, connect, Box::new(print_line))),
    }
}

fn print_line(line: &str) {
    let mut out = std::io::stdout().lock();
    // A closed pipe is the reader's choice.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn sample(work: impl Future<Output = std::io::Result<()>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.to_string()),
    };
    match tokio::task::LocalSet::new().block_on(&runtime, work) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

fn hash_password(scram: bool) -> ExitCode {
    let mut password = Vec::new();
    if let Err(error) = std::io::stdin().take(1 << 16).read_to_end(&mut password) {
        return fail(&format!("cannot read the password from standard input: {error}"));
    }
    if password.last() == Some(&b'\n') {
        password.pop();
    }
    let hash = if scram { windrose_identity::scram_keys } else { windrose_identity::hash_password };
    match hash(&password) {
        Ok(hash) => say(&format!("{hash}\n")),
        Err(error) => fail(&error.to_string()),
    }
}

fn done(result: Result<String, String>) -> ExitCode {
    match result {
        Ok(text) => say(&text),
        Err(error) => fail(&error),
    }
}

fn say(text: &str) -> ExitCode {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn fail(error: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr().lock(), "{}", error.trim_end());
    ExitCode::FAILURE
}
