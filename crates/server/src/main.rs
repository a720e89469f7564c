//! The `windrose` program: the command line, and `compose`, where the adapters meet.

mod admin;
mod authority;
mod cli;
mod commands;
mod compose;
mod document;
mod management;
mod process;
mod registry;
mod reload;
mod telemetry;
mod token_keys;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
