//! Mosquitto, a broker that nobody here wrote.

use crate::certs::Pair;
use crate::folder::Folder;
use crate::ports::Port;
use crate::process::Process;
use crate::wait::wait_until;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

const INSTALL: &str = "install it with `apt-get install mosquitto`";

/// A running broker that lets anybody in. Dropped, it is killed.
#[derive(Debug)]
pub struct Mosquitto {
    port: Port,
    folder: Folder,
    process: Option<Process>,
    /// More lines of its document.
    more: String,
    secure: bool,
}

impl Mosquitto {
    /// Starts a broker and waits until it listens.
    pub fn start() -> Self {
        Self::start_with(Folder::default(), String::new())
    }

    /// Starts a broker that is reached by TLS only.
    pub fn start_secure(certificate: &Pair) -> Self {
        let folder = Folder::default();
        let file = |name, text| folder.write(name, text).display().to_string();
        let more = format!(
            "certfile {}\nkeyfile {}\n",
            file("broker.pem", &certificate.certificate),
            file("broker.key", &certificate.key)
        );
        Self::start_with(folder, more)
    }

    fn start_with(folder: Folder, more: String) -> Self {
        let secure = !more.is_empty();
        let mut broker = Self { port: Port::free(), folder, process: None, more, secure };
        broker.restart();
        broker
    }

    /// Starts it again. It knows nothing of what was before.
    pub fn restart(&mut self) {
        self.stop();
        // Without a bound on what is in flight it passes on at once what it acknowledges, and keeps nothing to lose.
        let document = format!(
            "user root\nallow_anonymous true\npersistence false\nmax_inflight_messages 0\nmax_queued_messages 0\n\
             listener {} 127.0.0.1\n{}",
            self.port.number(),
            self.more
        );
        let path = self.folder.write("mosquitto.conf", &document);
        // Debian keeps brokers out of the PATH of users.
        let system = Path::new("/usr/sbin/mosquitto");
        let mut command = Command::new(if system.exists() { system } else { Path::new("mosquitto") });
        self.process = Some(Process::start(command.arg("-c").arg(path), INSTALL));
        wait_until("a broker that listens", || TcpStream::connect(self.address()).is_ok());
    }

    /// Ends it as its operator would.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal("TERM");
            process.wait();
        }
    }

    /// Lets it neither read nor answer.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        self.process.as_ref().expect("the broker runs").signal(name);
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Its URL as a member of a pool.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.secure { "mqtts" } else { "mqtt" }, self.address())
    }
}
