//! The servers that are measured. A new one is a file here and a line in [`found`].

mod flashmq;
mod mosquitto;
mod windrose;

use crate::Result;
use crate::certificates::PemFiles;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) use windrose::Windrose;

/// A server program: how it is configured and started for a case.
pub(crate) trait Peer {
    /// Its name in the table and on the command line.
    fn name(&self) -> &'static str;

    /// Its version, as it says itself.
    fn version(&self) -> Result<String>;

    /// Whether it delivers to REST services by itself.
    fn speaks_rest(&self) -> bool {
        false
    }

    /// Whether sessions and messages can outlive its process, each acknowledged only when it is on disk.
    fn keeps(&self) -> bool {
        false
    }

    /// Writes its configuration into the setup's folder and gives the command that runs it in the foreground.
    fn command(&self, setup: &Setup) -> Result<Command>;
}

/// What a server is set up for.
pub(crate) struct Setup {
    /// Its folder, empty and its own.
    pub(crate) folder: PathBuf,
    /// Where it listens for MQTT.
    pub(crate) address: SocketAddr,
    /// Its listener speaks TLS with these.
    pub(crate) tls: Option<PemFiles>,
    /// Its listener speaks MQTT over WebSocket, at `/mqtt`.
    pub(crate) websocket: bool,
    /// Everything published goes to this service besides.
    pub(crate) rest: Option<Rest>,
    /// Sessions and messages outlive the process.
    pub(crate) persistence: bool,
}

/// A REST service that gets everything.
pub(crate) struct Rest {
    /// Where it listens.
    pub(crate) service: SocketAddr,
    /// What a PUBACK promises: `received` or `delivered`.
    pub(crate) acknowledge: &'static str,
}

/// The peers on this machine, Windrose aside.
pub(crate) fn found() -> Vec<Box<dyn Peer>> {
    let mut peers: Vec<Box<dyn Peer>> = Vec::new();
    if let Some(program) = program("flashmq") {
        peers.push(Box::new(flashmq::FlashMq { program }));
    }
    if let Some(program) = program("mosquitto") {
        peers.push(Box::new(mosquitto::Mosquitto { program }));
    }
    peers
}

/// An address on the loopback interface that nobody listens on.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}

/// Finds a program on `PATH`, or where distributions put servers.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn write_config(folder: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    std::fs::write(&path, text)?;
    Ok(path)
}
