//! A node under test.

use crate::binary;
use crate::folder::Folder;
use crate::http::{self, Message};
use crate::ports::Port;
use crate::process::{Lines, Process};
use crate::wait::{SOON, within};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

/// The document's name in the node's folder.
const DOCUMENT: &str = "windrose.yaml";

/// What a node is started with.
#[derive(Debug, Default)]
pub struct Setup {
    folder: Folder,
    environment: Vec<(String, String)>,
}

impl Setup {
    /// An empty folder and nothing in the environment but the ports.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the document and its files will be.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Writes a file that the document names, beside it.
    pub fn file(self, name: &str, text: &str) -> Self {
        self.folder.write(name, text);
        self
    }

    /// Sets a variable that the document uses as `${NAME}`.
    pub fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.environment.push((name.to_owned(), value.to_string()));
        self
    }

    /// Starts a node with a document and waits until it is ready.
    pub fn start(self, document: &str) -> Node {
        let mut node = self.launch(document);
        node.wait_ready();
        node
    }

    /// Starts a node with a document, and does not wait.
    pub fn launch(self, document: &str) -> Node {
        let ports = Ports::free();
        let path = self.folder.write(DOCUMENT, document);
        let process = run(&path, &ports, &self.environment);
        Node { process, folder: self.folder, document: path, ports, environment: self.environment }
    }
}

/// Starts the program.
fn run(document: &Path, ports: &Ports, environment: &[(String, String)]) -> Process {
    let mut command = Command::new(binary::windrose());
    command.arg("run").arg(document).args(["--log-format", "json"]).envs(ports.environment());
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    Process::start(&mut command, "build it with `cargo build -p windrose`")
}

/// The ports that documents may use.
#[derive(Debug)]
struct Ports {
    mqtt: Port,
    mqtts: Port,
    rest: Port,
    rests: Port,
    coap: Port,
    coaps: Port,
    amqp: Port,
    amqps: Port,
    admin: Port,
}

impl Ports {
    fn free() -> Self {
        let [mqtt, mqtts, rest, rests, coap, coaps, amqp, amqps, admin] =
            std::array::from_fn(|_| Port::free());
        Self { mqtt, mqtts, rest, rests, coap, coaps, amqp, amqps, admin }
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        let named = [
            ("MQTT", &self.mqtt),
            ("MQTTS", &self.mqtts),
            ("REST", &self.rest),
            ("RESTS", &self.rests),
            ("COAP", &self.coap),
            ("COAPS", &self.coaps),
            ("AMQP", &self.amqp),
            ("AMQPS", &self.amqps),
            ("ADMIN", &self.admin),
        ];
        named.into_iter().map(|(name, port)| (name, port.number().to_string())).collect()
    }
}

/// A running node. Dropped, it is killed and its folder removed.
#[derive(Debug)]
pub struct Node {
    process: Process,
    folder: Folder,
    document: PathBuf,
    ports: Ports,
    environment: Vec<(String, String)>,
}

impl Node {
    /// Starts a node with a document.
    pub fn start(document: &str) -> Self {
        Setup::new().start(document)
    }

    /// Starts a node whose document names a service's port as `${SINK}`.
    pub fn start_with(sink: &crate::Sink, document: &str) -> Self {
        Setup::new().set("SINK", sink.port()).start(document)
    }

    fn wait_ready(&mut self) {
        let admin = self.ports.admin.address();
        within(SOON, "the node's readiness", || {
            if let Some(status) = self.process.ended() {
                panic!("the node ended at its start with {status}:\n{}", self.process.said());
            }
            http::get(admin, "/readyz").is_ok_and(|answer| answer.status() == 200).then_some(())
        });
    }

    /// Where it listens for MQTT in plain text (`${MQTT}`).
    pub fn mqtt(&self) -> SocketAddr {
        self.ports.mqtt.address()
    }

    /// Where it listens for MQTT over TLS (`${MQTTS}`).
    pub fn mqtts(&self) -> SocketAddr {
        self.ports.mqtts.address()
    }

    /// Where it listens for HTTP (`${REST}`).
    pub fn rest(&self) -> SocketAddr {
        self.ports.rest.address()
    }

    /// Where it listens for HTTPS (`${RESTS}`).
    pub fn rests(&self) -> SocketAddr {
        self.ports.rests.address()
    }

    /// Where it listens for AMQP in plain text (`${AMQP}`).
    pub fn amqp(&self) -> SocketAddr {
        self.ports.amqp.address()
    }

    /// Where it listens for AMQP over TLS (`${AMQPS}`).
    pub fn amqps(&self) -> SocketAddr {
        self.ports.amqps.address()
    }

    /// Where it listens for CoAP in plain text, over UDP and, if the document says so, TCP (`${COAP}`).
    pub fn coap(&self) -> SocketAddr {
        self.ports.coap.address()
    }

    /// Where it listens for CoAP over DTLS and, if the document says so, TLS (`${COAPS}`).
    pub fn coaps(&self) -> SocketAddr {
        self.ports.coaps.address()
    }

    /// The URL of a path on its REST listener.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.rest())
    }

    /// The URL of a path on its admin API.
    pub fn admin_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.ports.admin.address())
    }

    /// Asks its admin API.
    pub fn admin(&self, target: &str) -> Message {
        http::get(self.ports.admin.address(), target).expect("the admin API answers")
    }

    /// The sum of a metric's samples whose labels contain every one of `labels` (as `name="value"`).
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        sum(&self.admin("/metrics").text(), name, labels)
    }

    /// Waits until a metric is at least so much.
    pub fn wait_metric(&self, name: &str, labels: &[&str], least: f64) {
        let mut last = 0.0;
        within(SOON, &format!("{name}{labels:?} of at least {least}"), || {
            last = self.metric(name, labels);
            (last >= least).then_some(())
        });
    }

    /// Its log lines, JSON each.
    pub fn log(&self) -> &Lines {
        &self.process.err
    }

    /// Waits for a log line that contains every one of `parts`.
    ///
    /// # Panics
    /// If none is written within [`SOON`].
    pub fn wait_log(&self, parts: &[&str]) -> String {
        self.wait_log_after(0, parts)
    }

    /// Waits for a log line after the first `seen` ones.
    pub fn wait_log_after(&self, seen: usize, parts: &[&str]) -> String {
        let start = std::time::Instant::now();
        loop {
            let lines = self.log().all();
            let found = lines.iter().skip(seen).find(|line| parts.iter().all(|part| line.contains(part)));
            if let Some(found) = found {
                return found.clone();
            }
            assert!(start.elapsed() < SOON, "no log line with {parts:?} among:\n{}", lines.join("\n"));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for a line on its standard error that contains `part`.
    pub fn wait_error(&self, part: &str) {
        crate::wait_until(part, || self.log().find(|line| line.contains(part)).is_some());
    }

    /// Replaces the document.
    pub fn write_document(&self, document: &str) {
        self.folder.write(DOCUMENT, document);
    }

    /// Replaces or adds a file beside the document.
    pub fn write_file(&self, name: &str, text: &str) {
        self.folder.write(name, text);
    }

    /// The document's path.
    pub fn document(&self) -> &Path {
        &self.document
    }

    /// Its folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Sends it a signal: `HUP`, `TERM`.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Kills it, so that it has no time for anything.
    pub fn kill(&mut self) {
        self.process.signal("KILL");
        self.process.wait();
    }

    /// Starts it again after its end, with the same document, folder and ports, and waits until it is ready.
    pub fn start_again(&mut self) {
        self.launch_again();
        self.wait_ready();
    }

    /// Starts it again after its end, and does not wait.
    pub fn launch_again(&mut self) {
        self.process = run(&self.document, &self.ports, &self.environment);
    }

    /// Waits for its end.
    pub fn wait_end(&mut self, time: Duration) -> ExitStatus {
        self.process.wait_for(time)
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.process.ended().is_none()
    }

    /// Its resident memory, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok());
        kib.expect("a running process has resident memory") * 1024
    }
}

/// The sum of the samples of a metric in OpenMetrics text.
pub fn sum(text: &str, name: &str, labels: &[&str]) -> f64 {
    let samples = text.lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let (metric, own) = series.split_once('{').unwrap_or((series, ""));
        (metric == name && labels.iter().all(|label| own.contains(label)))
            .then(|| value.parse::<f64>().ok())?
    });
    samples.sum()
}
