//! Clients that nobody here wrote: mosquitto_pub and mosquitto_sub, curl, openssl, paho-mqtt, MQTT.js, pika, qpid-proton,
//! amqplib and rhea.

use crate::process::Process;
use crate::wait::SOON;
use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};

const MOSQUITTO: &str = "install it with `apt-get install mosquitto-clients`";
const CURL: &str = "install it with `apt-get install curl`";
const OPENSSL: &str = "install it with `apt-get install openssl`";
const PAHO: &str = "install paho with `pip install paho-mqtt` and name that Python in PAHO_PYTHON";

const AIOCOAP: &str = "install it with `pip install aiocoap`, and name that Python in PAHO_PYTHON";
const PIKA: &str = "install pika and python-qpid-proton with pip, and name that Python in PAHO_PYTHON";
const AMQPLIB: &str = "install Node.js, amqplib and rhea: `npm ci --prefix e2e/amqp/node`";
const MQTTJS: &str = "install Node.js and MQTT.js: `npm ci --prefix e2e/mqttjs`";

/// How long a client may take before the test gives it up, in seconds.
const PATIENCE: &str = "20";

fn run(command: &mut Command, install: &str) -> Output {
    let name = command.get_program().to_string_lossy().into_owned();
    command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("cannot start {name}: {error}; {install}"))
}

/// What a client said, and how it ended.
#[derive(Clone, Debug)]
pub struct Said {
    /// Its exit code; -1 if a signal ended it.
    pub code: i32,
    /// What it wrote to standard output.
    pub out: String,
    /// What it wrote to standard error.
    pub err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Said {
    /// Itself, if the client exited with 0.
    ///
    /// # Panics
    /// If it did not.
    pub fn fine(self) -> Self {
        assert_eq!(self.code, 0, "the client failed\nout: {}\nerr: {}", self.out, self.err);
        self
    }
}

/// Runs `mosquitto_pub` to its end.
pub fn mosquitto_pub(address: SocketAddr, arguments: &[&str]) -> Said {
    let mut command = Command::new("timeout");
    command.args([PATIENCE, "mosquitto_pub", "-h", "127.0.0.1", "-p", &address.port().to_string()]);
    run(command.args(arguments), MOSQUITTO).into()
}

/// Runs `mosquitto_sub` to its end; it must be given `-C` or `-W` to end at all.
pub fn mosquitto_sub(address: SocketAddr, arguments: &[&str]) -> Said {
    let mut command = Command::new("timeout");
    command.args([PATIENCE, "mosquitto_sub", "-h", "127.0.0.1", "-p", &address.port().to_string()]);
    run(command.args(arguments), MOSQUITTO).into()
}

/// Starts `mosquitto_sub` and waits until its subscriptions are granted.
pub fn subscribe(address: SocketAddr, arguments: &[&str]) -> Process {
    let port = address.port().to_string();
    let mut command = Command::new("stdbuf");
    command.args(["-oL", "mosquitto_sub", "-d", "-h", "127.0.0.1", "-p", &port]).args(arguments);
    let process = Process::start(&mut command, MOSQUITTO);
    process.line("that it is subscribed", |line| line.starts_with("Subscribed (mid"));
    process
}

/// Runs `curl` to its end.
pub fn curl(arguments: &[&str]) -> Said {
    run(Command::new("curl").args(["-sS", "--max-time", PATIENCE]).args(arguments), CURL).into()
}

/// An HTTP answer as `curl` shows it.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The status.
    pub status: u16,
    /// The header, in lower case.
    pub header: String,
    /// The body.
    pub body: String,
}

impl Answered {
    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("no JSON: {error}: {self:?}"))
    }

    /// A header field's value; its name in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.header.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    }
}

/// Makes a request with `curl` and takes the answer apart.
///
/// # Panics
/// If there is no answer.
pub fn request(arguments: &[&str]) -> Answered {
    let said = curl(&[&["-i"], arguments].concat()).fine();
    let mut rest = said.out.as_str();
    loop {
        let (header, body) = rest.split_once("\r\n\r\n").unwrap_or((rest, ""));
        let status = header.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        if status == 100 {
            rest = body;
            continue;
        }
        return Answered { status, header: header.to_lowercase(), body: body.to_owned() };
    }
}

/// Starts `curl -N` on a stream of server-sent events and waits until it is open.
pub fn stream(url: &str, arguments: &[&str]) -> Process {
    let mut command = Command::new("curl");
    command.args(["-sS", "-N", "-i", "-H", "Accept: text/event-stream"]).args(arguments).arg(url);
    let process = Process::start(&mut command, CURL);
    let line = process.line("its answer's first line", |line| line.starts_with("HTTP/"));
    assert!(line.contains(" 200"), "the stream is not open: {line}\n{}", process.said());
    process.line("the end of its answer's header", str::is_empty);
    process
}

/// Runs `openssl s_client` without input and returns what it says of the connection.
pub fn s_client(address: SocketAddr, arguments: &[&str]) -> Said {
    let mut command = Command::new("timeout");
    command.args([PATIENCE, "openssl", "s_client", "-connect", &address.to_string()]);
    run(command.args(arguments), OPENSSL).into()
}

/// Starts `openssl s_client`; it holds its connection until its input is closed.
pub fn s_client_open(address: SocketAddr, arguments: &[&str]) -> Process {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &address.to_string()]).args(arguments);
    Process::start(&mut command, OPENSSL)
}

/// The Python that has paho-mqtt and aiocoap.
pub(crate) fn python() -> String {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/../.venv/bin/python");
    std::env::var("PAHO_PYTHON").unwrap_or_else(|_| {
        // What `make test` has installed.
        if std::path::Path::new(own).exists() { own.to_owned() } else { "python3".to_owned() }
    })
}

/// Starts a Python program that uses paho-mqtt, from the folder `paho/`. Its arguments follow the port.
pub fn paho(program: &str, address: SocketAddr, arguments: &[&str]) -> Process {
    let path = format!("{}/paho/{program}", env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(python());
    command.args(["-u", &path, &address.port().to_string()]).args(arguments);
    Process::start(&mut command, PAHO)
}

/// Starts a Python program that uses aiocoap, from the folder `aiocoap/`.
pub fn aiocoap(program: &str, arguments: &[&str]) -> Process {
    let path = format!("{}/aiocoap/{program}", env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(python());
    command.args(["-u", &path]).args(arguments);
    Process::start(&mut command, AIOCOAP)
}

/// Starts a JavaScript program that uses MQTT.js, from the folder `mqttjs/`.
pub fn mqttjs(program: &str, arguments: &[&str]) -> Process {
    let path = format!("{}/mqttjs/{program}", env!("CARGO_MANIFEST_DIR"));
    Process::start(Command::new("node").arg(&path).args(arguments), MQTTJS)
}

/// Starts a Python program that uses pika or qpid-proton, by its path in the folder `amqp/`.
pub fn amqp_python(program: &str, arguments: &[&str]) -> Process {
    let path = format!("{}/amqp/{program}", env!("CARGO_MANIFEST_DIR"));
    Process::start(Command::new(python()).args(["-u", &path]).args(arguments), PIKA)
}

/// Starts an example in Python, unchanged, but that AMQP's port is the node's; by its path in the folder `amqp/examples/`.
pub fn amqp_example(program: &str, node: SocketAddr, arguments: &[&str]) -> Process {
    let program = format!("{}/amqp/examples/{program}", env!("CARGO_MANIFEST_DIR"));
    let port = node.port().to_string();
    let arguments: Vec<&str> = [&*port, &*program].iter().chain(arguments).copied().collect();
    amqp_python("at_port.py", &arguments)
}

/// Starts a JavaScript program that uses amqplib or rhea, by its path in the folder `amqp/node/`; where it asks for AMQP's
/// port it gets the node's.
pub fn amqp_node(program: &str, node: SocketAddr, arguments: &[&str]) -> Process {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/amqp/node");
    let mut command = Command::new("node");
    command.args(["-r", &format!("{folder}/at_port.js"), &format!("{folder}/{program}")]).args(arguments);
    Process::start(command.env("AMQP_PORT", node.port().to_string()), AMQPLIB)
}

/// Starts a REST service of Python's own behind TLS (`services/https.py`); it prints each body that it gets.
pub fn https_service(address: SocketAddr, certificate: &str, key: &str) -> Process {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/services/https.py");
    let mut command = Command::new(python());
    command.args([path, &address.port().to_string(), certificate, key]);
    let process = Process::start(&mut command, "install Python 3");
    process.line("that it listens", |line| line == "listening");
    process
}

/// Waits for the end of a program that uses paho, aiocoap or MQTT.js and returns what it printed last, as JSON.
///
/// # Panics
/// If it fails; the message says how to install what it may lack.
pub fn result(mut process: Process) -> serde_json::Value {
    let status = process.wait_for(SOON * 2);
    assert!(
        status.success(),
        "the program failed (if it lacks paho: {PAHO}; if aiocoap: {AIOCOAP}; if MQTT.js: {MQTTJS}; if pika or proton: {PIKA})\n{}",
        process.said()
    );
    // The thread that collects lines may be a moment behind the end.
    let line = process.line("a JSON object", |line| line.starts_with('{'));
    let last = process.out.all().into_iter().rfind(|line| line.starts_with('{')).unwrap_or(line);
    serde_json::from_str(&last).unwrap_or_else(|error| panic!("no JSON: {error}: {last}"))
}
