//! One server under measurement: started fresh for a case, ended with it.

use crate::peers::{Peer, Setup};
use crate::{Result, procfs};
use std::fs::File;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to end when it is told to, before it is killed.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// How long a server may take until it listens.
const START: Duration = Duration::from_secs(60);

/// A running server; it dies with this value.
pub(crate) struct Server {
    name: &'static str,
    child: Child,
    complaints: PathBuf,
}

impl Server {
    /// Starts a server and waits until it listens.
    pub(crate) fn start(peer: &dyn Peer, setup: &Setup) -> Result<Self> {
        let complaints = setup.folder.join(format!("{}.err", peer.name()));
        let child = peer
            .command(setup)?
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&complaints)?)
            .spawn()
            .map_err(|error| format!("{} cannot be started: {error}", peer.name()))?;
        let mut server = Self { name: peer.name(), child, complaints };
        let deadline = Instant::now() + START;
        while TcpStream::connect(setup.address).is_err() {
            server.check()?;
            if Instant::now() > deadline {
                return Err(server.complaint("does not listen").into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        server.check()?;
        Ok(server)
    }

    /// Fails if the process has ended, with what it said.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(self.complaint(&format!("ended ({status})")).into()),
        }
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn complaint(&self, what: &str) -> String {
        let said = std::fs::read_to_string(&self.complaints).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        let last = lines.get(lines.len().saturating_sub(12)..).unwrap_or_default().join("\n");
        format!("{} {what}; it said:\n{last}", self.name)
    }
}

impl Server {
    /// Ends it without a warning.
    pub(crate) fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Some servers are a script that has started several programs: none of them may outlive it.
        let family = procfs::family(self.child.id());
        // By its own will if it can: a build that counts what it does writes that down at its end.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
        }
        let patience = Instant::now() + LAST_WORDS;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        if let Some((_, descendants)) = family.split_first().filter(|(_, rest)| !rest.is_empty()) {
            let pids = descendants.iter().map(ToString::to_string);
            let _ = Command::new("kill").arg("-KILL").args(pids).stderr(Stdio::null()).status();
        }
        let _ = self.child.wait();
    }
}
