//! A CoAP server that nobody here wrote: aiocoap's (`services/coap.py`).

use crate::clients::python;
use crate::ports::Port;
use crate::process::Process;
use std::net::SocketAddr;
use std::process::Command;

const INSTALL: &str = "run `scripts/setup test`, which installs aiocoap into .venv";

/// A running server. Dropped, it is killed.
#[derive(Debug)]
pub struct CoapService {
    port: Port,
    process: Option<Process>,
}

impl CoapService {
    /// Starts a server and waits until it listens. It prints a line of JSON for each request.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server that registers in a directory under a name.
    pub fn register(directory: &str, name: &str) -> Self {
        Self::start_with(&[directory, name])
    }

    fn start_with(arguments: &[&str]) -> Self {
        let port = Port::free();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/services/coap.py");
        let mut command = Command::new(python());
        command.args([path, &port.number().to_string()]).args(arguments);
        let process = Process::start(&mut command, INSTALL);
        process.line("that it listens", |line| line == "ready");
        Self { port, process: Some(process) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The process.
    ///
    /// # Panics
    /// If it was stopped.
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("the server was not stopped")
    }

    /// Ends it.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Waits for a request whose line has all these parts; returns the line.
    pub fn wait_for(&self, parts: &[&str]) -> serde_json::Value {
        let fits = |line: &str| line.starts_with('{') && parts.iter().all(|part| line.contains(part));
        let line = self.process().line(&format!("a request with {parts:?}"), fits);
        serde_json::from_str(&line).expect("the server writes JSON")
    }

    /// How many requests it took.
    pub fn count(&self) -> usize {
        self.process().out.count(|line| line.starts_with('{'))
    }
}
