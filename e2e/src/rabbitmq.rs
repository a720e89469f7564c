//! RabbitMQ, a broker of AMQP that nobody here wrote, as a node of its own beside any that the machine may run.

use crate::folder::Folder;
use crate::ports::Port;
use crate::process::Process;
use crate::wait::within;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

const INSTALL: &str = "install it with `apt-get install rabbitmq-server`";

/// Where distributions put the script that runs the node in the foreground. The one on `PATH` is a wrapper that changes the
/// account, for the node that the system itself runs.
const SCRIPT: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// How long a start may take: the machine may be busy.
const START: Duration = Duration::from_secs(120);

/// A running broker that lets `guest` in. What is durable is kept as long as this lives. Dropped, it is killed.
#[derive(Debug)]
pub struct RabbitMq {
    port: Port,
    /// Of Erlang's name service.
    naming: Port,
    folder: Folder,
    process: Option<Process>,
    names: Option<Process>,
}

impl RabbitMq {
    /// Starts a broker of both versions of AMQP and waits until it listens.
    pub fn start() -> Self {
        let mut broker = Self {
            port: Port::free(),
            naming: Port::free(),
            folder: Folder::default(),
            process: None,
            names: None,
        };
        let names = broker.naming.number().to_string();
        let mut command = Command::new("epmd");
        command.args(["-address", "127.0.0.1", "-port", &names]);
        broker.names = Some(Process::start(&mut command, INSTALL));
        broker.restart();
        broker
    }

    /// Starts it again, with what was durable.
    pub fn restart(&mut self) {
        self.begin();
        self.wait_ready();
    }

    /// Lets it begin to start again; it may take a while until it listens.
    pub fn begin(&mut self) {
        assert!(self.process.is_none(), "it runs");
        let config = format!(
            "listeners.tcp.1 = {}\nlog.file = false\nlog.console = false\nheartbeat = 10\n\
             vm_memory_high_watermark.absolute = 2GB\ndisk_free_limit.absolute = 1MB\n",
            self.address()
        );
        let config = self.folder.write("rabbitmq.conf", &config);
        let plugins = self.folder.write("enabled_plugins", "[rabbitmq_amqp1_0].\n");
        let folder = self.folder.path().display();
        let mut command = Command::new(SCRIPT);
        command
            .env("HOME", self.folder.path())
            .env("ERL_CRASH_DUMP", format!("{folder}/erl_crash.dump"))
            .env("RABBITMQ_NODENAME", "windrose-e2e@localhost")
            .env("RABBITMQ_MNESIA_BASE", format!("{folder}/mnesia"))
            .env("RABBITMQ_LOG_BASE", format!("{folder}/log"))
            .env("RABBITMQ_PID_FILE", format!("{folder}/pid"))
            .env("RABBITMQ_CONF_ENV_FILE", format!("{folder}/none"))
            .env("RABBITMQ_CONFIG_FILE", config)
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", plugins)
            // The script becomes the node, and is not its parent: what ends the one ends the other.
            .env("RUNNING_UNDER_SYSTEMD", "1")
            .env("RABBITMQ_DIST_PORT", spare_port().to_string())
            .env("ERL_EPMD_PORT", self.naming.number().to_string())
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+sbwt none +sbwtdcpu none +sbwtdio none");
        self.process = Some(Process::start(&mut command, INSTALL));
    }

    /// Waits until it lets clients in.
    ///
    /// # Panics
    /// If it ends instead.
    pub fn wait_ready(&mut self) {
        let address = self.address();
        within(START, "a broker that listens", || {
            if let Some(process) = &mut self.process
                && process.ended().is_some()
            {
                panic!("it does not start: {}", process.said());
            }
            TcpStream::connect(address).ok()
        });
    }

    /// Ends it as its operator would: what it has of durable queues is written.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal("TERM");
            process.wait_for(START);
        }
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal("KILL");
            process.wait();
        }
    }

    /// Asks its own tool for something.
    pub fn control(&self, arguments: &[&str]) -> String {
        let output = Command::new("/usr/lib/rabbitmq/bin/rabbitmqctl")
            .args(["--node", "windrose-e2e@localhost"])
            .args(arguments)
            .env("HOME", self.folder.path())
            .env("ERL_EPMD_PORT", self.naming.number().to_string())
            .env("RABBITMQ_CONF_ENV_FILE", self.folder.path().join("none"))
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("cannot start rabbitmqctl: {error}; {INSTALL}"));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        said
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Its URL as a member of a pool.
    pub fn url(&self) -> String {
        format!("amqp://{}", self.address())
    }
}

/// A port for what Erlang listens to on all addresses, on which [`Port`] makes its reservations.
fn spare_port() -> u16 {
    let socket = TcpListener::bind("0.0.0.0:0").expect("there are ports");
    socket.local_addr().expect("it is bound").port()
}
