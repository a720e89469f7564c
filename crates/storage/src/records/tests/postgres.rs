//! A PostgreSQL of its own, on a socket in a folder of its own.

use super::Folder;
use std::path::{Path, PathBuf};
use std::process::Command;
use windrose_policy::{PoolHeader, RegistryLocation};

/// The programs of a server, where distributions put them.
fn programs() -> PathBuf {
    let mut folders: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    folders.sort();
    folders.reverse();
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    folders
        .into_iter()
        .find(|folder| ["initdb", "pg_ctl", "createdb"].iter().all(|program| folder.join(program).exists()))
        .expect("PostgreSQL is not installed: scripts/setup test installs it")
}

pub(super) struct Cluster {
    folder: Folder,
    programs: PathBuf,
    as_root: bool,
}

impl Cluster {
    pub(super) fn start() -> Self {
        let folder = Folder::new();
        // The server refuses to run as root.
        let as_root = std::fs::metadata("/proc/self").is_ok_and(|about| {
            use std::os::unix::fs::MetadataExt;
            about.uid() == 0
        });
        if as_root {
            assert!(Command::new("chown").arg("postgres").arg(&folder.0).status().unwrap().success());
        }
        let cluster = Self { folder, programs: programs(), as_root };
        let data = cluster.folder.0.join("data");
        cluster.run("initdb", &["-D", text(&data), "-A", "trust", "-U", "test", "-E", "UTF8", "--no-sync"]);
        cluster.go_on();
        cluster
    }

    pub(super) fn go_on(&self) {
        let data = self.folder.0.join("data");
        let options = format!("-k {} -c listen_addresses= -c fsync=off", self.folder.0.display());
        let log = self.folder.0.join("log");
        self.run("pg_ctl", &["-D", text(&data), "-o", &options, "-l", text(&log), "-w", "start"]);
    }

    pub(super) fn stop(&self) {
        let data = self.folder.0.join("data");
        self.run("pg_ctl", &["-D", text(&data), "-m", "immediate", "-w", "stop"]);
    }

    /// A new database.
    pub(super) fn database(&self, name: &str) -> RegistryLocation {
        self.run("createdb", &["-h", text(&self.folder.0), "-U", "test", name]);
        let host = text(&self.folder.0).replace('/', "%2F");
        RegistryLocation::Postgres(PoolHeader(format!("postgres://test@{host}/{name}")))
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let program = self.programs.join(program);
        let mut command = if self.as_root {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        // A server that stays must not keep the test's output open.
        let out = std::fs::File::create(self.folder.0.join("output")).unwrap();
        let status = command
            .args(arguments)
            .current_dir("/")
            .stdin(std::process::Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .status()
            .unwrap();
        let output = std::fs::read_to_string(self.folder.0.join("output")).unwrap_or_default();
        assert!(status.success(), "{arguments:?}: {output}");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.folder.0.join("data/postmaster.pid").exists() {
            self.stop();
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
