//! PostgreSQL, as a server of its own beside any that the machine may run: on a socket in a folder, without a port.

use crate::folder::Folder;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A server that can be stopped and started again. Dropped, it is stopped, and gone with all that is in it.
#[derive(Debug)]
pub struct Postgres {
    folder: Folder,
    programs: PathBuf,
}

impl Postgres {
    /// Starts a server with an empty database.
    ///
    /// # Panics
    /// If PostgreSQL is not installed.
    pub fn start() -> Self {
        let folder = Folder::new();
        if is_root() {
            // The server does not run as root.
            run(Command::new("chown").arg("postgres").arg(folder.path()), &folder);
        }
        let server = Self { folder, programs: programs() };
        let data = server.data();
        server.command("initdb", &["-D", &data, "-A", "trust", "-U", "windrose", "-E", "UTF8", "--no-sync"]);
        server.go_on();
        server
    }

    /// Starts it again.
    pub fn go_on(&self) {
        let options = format!("-k {} -c listen_addresses= -c fsync=off", self.socket());
        let log = self.folder.path().join("log").display().to_string();
        self.command("pg_ctl", &["-D", &self.data(), "-o", &options, "-l", &log, "-w", "start"]);
    }

    /// Stops it as if the machine had lost its power.
    pub fn stop(&self) {
        self.command("pg_ctl", &["-D", &self.data(), "-m", "immediate", "-w", "stop"]);
    }

    /// Where its database is, for `identity.registry`.
    pub fn url(&self) -> String {
        format!("postgres://windrose@{}/postgres", self.socket().replace('/', "%2F"))
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    fn socket(&self) -> String {
        self.folder.path().display().to_string()
    }

    fn command(&self, program: &str, arguments: &[&str]) {
        let program = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        run(command.args(arguments), &self.folder);
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.folder.path().join("data/postmaster.pid").exists() {
            self.stop();
        }
    }
}

/// Runs a program to its end. Its output goes to a file: a server that stays must not keep a pipe open.
fn run(command: &mut Command, folder: &Folder) {
    let path = folder.path().join("output");
    let output = File::create(&path).expect("a file in a folder of ours can be made");
    let errors = output.try_clone().expect("a file can be opened twice");
    let status = command.current_dir("/").stdin(Stdio::null()).stdout(output).stderr(errors).status();
    let fine = status.as_ref().is_ok_and(|status| status.success());
    assert!(fine, "{command:?}: {status:?}\n{}", std::fs::read_to_string(path).unwrap_or_default());
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|about| about.uid() == 0)
}

/// Where distributions put the server's programs.
fn programs() -> PathBuf {
    let mut folders: Vec<PathBuf> =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    versions.sort();
    folders.extend(versions);
    // The newest version of a distribution's, which has all of its programs in one place.
    let found = folders.into_iter().rev().find(|folder| folder.join("initdb").exists());
    found.expect("PostgreSQL is not installed: `scripts/setup` installs it")
}
