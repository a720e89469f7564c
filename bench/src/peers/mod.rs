//! The servers that are measured. A new one is a file here and a line in [`found`].

mod bare_loop;
mod flashmq;
mod haproxy;
mod libcoap;
mod mosquitto;
mod nanomq;
mod nats;
mod nginx;
pub(crate) mod psk;
mod rabbitmq;
mod rumqttd;
mod skupper;
mod windrose;

use crate::Result;
use crate::certificates::PemFiles;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

pub(crate) use windrose::Windrose;

/// A server program: how it is configured and started for a case.
pub(crate) trait Peer {
    /// Its name in the table and on the command line.
    fn name(&self) -> &'static str;

    /// Its version, as it says itself.
    fn version(&self) -> Result<String>;

    /// Whether somebody might use it; otherwise it shows what is possible.
    fn is_real(&self) -> bool {
        true
    }

    /// About how long it takes until it listens.
    fn seconds_to_start(&self) -> f64 {
        0.5
    }

    /// Whether it is a broker at all.
    fn speaks_mqtt(&self) -> bool {
        true
    }

    /// Whether it meets what a case needs.
    fn can(&self, need: Need) -> bool;

    /// What comes before a queue's name in its addresses of AMQP 1.0.
    fn amqp_prefix(&self) -> &'static str {
        ""
    }

    /// The command that fills the registry that a document names with devices from a CSV file, if it has such a thing.
    fn registry_import(&self, document: &Path, devices: &Path) -> Option<Command> {
        let _ = (document, devices);
        None
    }

    /// Writes its configuration into the setup's folder and gives the command that runs it in the foreground.
    fn command(&self, setup: &Setup) -> Result<Command>;
}

/// What cases need of a server, beyond MQTT 3.1.1 with QoS 0 in plain text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// MQTT 5.
    Mqtt5,
    /// QoS 1.
    Qos1,
    /// TLS.
    Tls,
    /// MQTT over WebSocket.
    WebSocket,
    /// Thousands of connections, also while some do not read.
    Crowd,
    /// It passes on what clients send it to a REST service, whatever they speak.
    Forward,
    /// It delivers to REST services what MQTT clients publish.
    Rest,
    /// Sessions and messages outlive its process, each acknowledged only when it is on disk.
    Persistence,
    /// CoAP over UDP.
    Coap,
    /// CoAP over DTLS, with a pre-shared key.
    Dtls,
    /// AMQP 0-9-1, with queues that are not durable.
    Amqp091,
    /// AMQP 1.0.
    Amqp1,
    /// It runs with as many shards as it is told, and reloads its document.
    Shards,
    /// It knows a million devices by its registry.
    Registry,
}

/// What a server is set up for.
#[derive(Clone)]
pub(crate) struct Setup {
    /// Its folder, empty and its own.
    pub(crate) folder: PathBuf,
    /// Where it listens for MQTT.
    pub(crate) address: SocketAddr,
    /// The protocol level that its clients speak.
    pub(crate) mqtt: u8,
    /// Its listener speaks TLS with these.
    pub(crate) tls: Option<PemFiles>,
    /// Its listener speaks MQTT over WebSocket, at `/mqtt`.
    pub(crate) websocket: bool,
    /// Everything published goes to this service besides.
    pub(crate) rest: Option<Rest>,
    /// Sessions and messages outlive the process.
    pub(crate) persistence: bool,
    /// It has to keep millions of subscriptions and retained messages.
    pub(crate) many: bool,
    /// It listens for CoAP at its address, too; and, if it is said, how long it remembers an exchange.
    pub(crate) coap: Option<Option<Duration>>,
    /// It listens for CoAP over DTLS at its address, with the key of [`psk`].
    pub(crate) psk: bool,
    /// It listens for AMQP at its address.
    pub(crate) amqp: bool,
    /// How many threads handle events; as the server sees fit without it.
    pub(crate) shards: Option<u16>,
    /// Who its clients are, if it is to know them.
    pub(crate) identity: Option<Identity>,
}

/// Where a server finds who its clients are.
#[derive(Clone)]
pub(crate) struct Identity {
    /// The database of devices, in SQLite.
    pub(crate) registry: PathBuf,
    /// The public key of the issuer of tokens, in PEM.
    pub(crate) issuer: PathBuf,
    /// With TLS: the authority of the devices' certificates, in PEM.
    pub(crate) authority: Option<PathBuf>,
    /// Certificates are verified, and nobody asks whose they are: there is no registry.
    pub(crate) nobody: bool,
}

impl Setup {
    /// The same for another start, with an address of its own.
    pub(crate) fn again(&self) -> Result<Self> {
        Ok(Self { address: free_address()?, ..self.clone() })
    }
}

/// A REST service that gets everything.
#[derive(Clone)]
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
        for nodelay in [true, false] {
            peers.push(Box::new(mosquitto::Mosquitto { program: program.clone(), nodelay }));
        }
    }
    if let Some(program) = program("nanomq") {
        peers.push(Box::new(nanomq::NanoMq { program }));
    }
    if let Some(program) = program("nats-server") {
        peers.push(Box::new(nats::Nats { program }));
    }
    if let Some(program) = program("rumqttd") {
        peers.push(Box::new(rumqttd::Rumqttd { program }));
    }
    if let Some((proxy, broker)) = program("haproxy").zip(program("mosquitto")) {
        let broker = mosquitto::Mosquitto { program: broker, nodelay: true };
        peers.push(Box::new(haproxy::HaProxy { program: proxy, broker }));
    }
    for build in libcoap::BUILDS {
        if let Some(program) = program(build.program) {
            peers.push(Box::new(libcoap::LibCoap { program, build }));
        }
    }
    if let Some(program) = program("nginx") {
        peers.push(Box::new(nginx::Nginx { program }));
    }
    if let Some(rabbitmq) = rabbitmq::RabbitMq::find() {
        peers.push(Box::new(rabbitmq));
    }
    if let Some(program) = program("skrouterd") {
        peers.push(Box::new(skupper::Skupper { program }));
    }
    peers.push(Box::new(bare_loop::BareLoop));
    peers
}

/// Where servers listen: ports that Linux gives to no connection by itself, or one of the thousands that clients make
/// might take a port before a server that is slow to start listens on it.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// An address on the loopback interface that nobody listens on.
pub(crate) fn free_address() -> Result<SocketAddr> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Runs beside this one begin elsewhere.
    let begin = std::process::id() as usize * 97;
    for _ in PORTS {
        let next = begin + usize::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = PORTS.start + u16::try_from(next % PORTS.len())?;
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            return Ok(listener.local_addr()?);
        }
    }
    Err("no port is free for a server".into())
}

/// Finds a program on `PATH`, or where distributions put servers.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// The first word that a program says of its version and that begins with a digit, after a `v` or not.
fn first_version(program: &Path, arguments: &[&str]) -> Result<String> {
    let said = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("{} cannot be run: {error}", program.display()))?
        .stdout;
    let said = String::from_utf8_lossy(&said);
    let mut words = said.split_whitespace().map(|word| word.trim_start_matches('v').trim_end_matches(','));
    let version = words.find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    Ok(version.unwrap_or("of unknown version").to_owned())
}

fn write_config(folder: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    std::fs::write(&path, text)?;
    Ok(path)
}
