//! The house stands as planned: no crate knows a floor that it must not know (ARCHITECTURE.md has the table in words).
//!
//! Manifests are checked for dependencies, sources for the paths that they name. Tests and dev-dependencies are free:
//! what stands on no floor may look at all of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod paths;

use paths::paths;
use std::fs;
use std::path::{Path, PathBuf};

/// What one crate may know.
struct Floor {
    /// The folder under `crates/`.
    name: &'static str,
    /// Crates of ours that it may depend on.
    knows: &'static [&'static str],
    /// Dependencies from elsewhere that would lead it where it must not go.
    never: &'static [&'static [&'static str]],
    /// Paths that its sources must not name, and the folders or files of `src/` that are excepted.
    unnamed: &'static [(&'static [&'static str], &'static [&'static str])],
}

/// Runtimes, sockets and clocks.
const IO: &[&str] = &["tokio", "tokio-rustls", "mio", "async-std", "smol", "hyper", "hyper-util", "axum"];
const SOCKETS: &[&str] = &["socket2", "rustls", "hyper", "hyper-util", "axum", "tokio-rustls", "quinn-udp"];
const FILES: &[&str] = &["notify", "redb", "sqlx", "rusqlite", "tempfile", "memmap2"];
/// Chance is injected: a seed replays a run.
const CHANCE: &[&str] = &["rand", "getrandom", "fastrand", "uuid"];
const SYSTEM: &[&str] = &["libc", "nix", "rustix"];

const FILE_PATHS: &[&str] = &["std::fs", "tokio::fs"];
const SOCKET_PATHS: &[&str] = &[
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::os::unix::net",
    "tokio::net",
];
const CLOCK_PATHS: &[&str] = &[
    "std::time::Instant",
    "std::time::SystemTime",
    "std::thread::spawn",
    "std::thread::scope",
    "std::thread::sleep",
    "std::thread::Builder",
];
const PURE: &[(&[&str], &[&str])] = &[(FILE_PATHS, &[]), (SOCKET_PATHS, &[]), (CLOCK_PATHS, &[])];

const FLOORS: &[Floor] = &[
    Floor { name: "event", knows: &[], never: &[IO, SOCKETS, FILES, CHANCE, SYSTEM], unnamed: PURE },
    Floor {
        name: "protocol",
        knows: &["event"],
        never: &[IO, SOCKETS, FILES, CHANCE, SYSTEM],
        unnamed: PURE,
    },
    Floor { name: "policy", knows: &["event"], never: &[IO, SOCKETS, FILES, CHANCE, SYSTEM], unnamed: PURE },
    Floor {
        name: "engine",
        knows: &["event", "policy"],
        never: &[IO, SOCKETS, FILES, CHANCE, SYSTEM],
        unnamed: PURE,
    },
    Floor {
        name: "identity",
        knows: &["event", "policy"],
        never: &[SOCKETS, FILES, SYSTEM],
        unnamed: &[(FILE_PATHS, &[]), (SOCKET_PATHS, &[])],
    },
    Floor {
        name: "network",
        knows: &["event", "protocol", "policy", "engine", "identity"],
        never: &[FILES, &["axum"]],
        // The files of a TLS profile reach it through a function that the server gives it.
        unnamed: &[(FILE_PATHS, &[])],
    },
    Floor {
        name: "storage",
        knows: &["event", "policy", "engine", "identity"],
        never: &[SOCKETS],
        unnamed: &[(SOCKET_PATHS, &[])],
    },
    Floor {
        name: "control",
        knows: &["event", "protocol", "policy", "engine", "identity"],
        never: &[FILES, &["socket2", "rustls", "tokio-rustls"], SYSTEM],
        // It serves on a listener that it is given, and so must name the types of one.
        unnamed: &[(FILE_PATHS, &[]), (SOCKET_PATHS, &["serve.rs"])],
    },
    Floor {
        name: "server",
        knows: &["event", "protocol", "policy", "engine", "identity", "network", "storage", "control"],
        never: &[],
        unnamed: &[],
    },
];

/// Modules of `windrose-protocol` that must not know one another.
const PROTOCOLS: &[&str] = &["mqtt", "coap", "amqp", "http", "websocket", "proxy"];

fn floor(name: &str) -> Option<&'static Floor> {
    FLOORS.iter().find(|floor| floor.name == name)
}

/// What is wrong with a manifest.
fn manifest_faults(floor: &Floor, manifest: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for dependency in dependencies(manifest) {
        let ours = dependency.strip_prefix("windrose-").or((dependency == "windrose").then_some("server"));
        if let Some(ours) = ours {
            if !floor.knows.contains(&ours) {
                faults.push(format!("{} must not depend on {dependency}", floor.name));
            }
        } else if floor.never.iter().any(|family| family.contains(&dependency.as_str())) {
            faults.push(format!(
                "{} must not depend on {dependency}: that belongs to another floor",
                floor.name
            ));
        }
    }
    faults
}

/// Names of the packages in every `[dependencies]`, `[build-dependencies]` and `[target.'..'.dependencies]`.
fn dependencies(manifest: &str) -> Vec<String> {
    let (mut found, mut inside) = (Vec::new(), false);
    for line in manifest.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        if let Some(table) = line.strip_prefix('[') {
            let table = table.trim_end_matches(']');
            // `[dependencies.NAME]` is a dependency written as a table of its own.
            let (head, tail) = table.rsplit_once("dependencies").unwrap_or((table, "none"));
            let counts =
                head.is_empty() || head == "build-" || head.starts_with("target.") && !head.ends_with("dev-");
            inside = counts && tail.is_empty();
            if let Some(name) = tail.strip_prefix('.').filter(|_| counts) {
                found.push(name.to_owned());
            }
        } else if inside && let Some((name, rest)) = line.split_once('=') {
            // A renamed dependency is known by its `package`.
            let renamed = rest.split_once("package = \"").and_then(|(_, rest)| rest.split_once('"'));
            let name = renamed.map_or(name, |(package, _)| package);
            found.push(name.trim().split('.').next().unwrap_or_default().trim_matches('"').to_owned());
        }
    }
    found
}

/// What is wrong with a source file; `file` is its path under `src/`.
fn source_faults(floor: &Floor, file: &str, source: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for path in paths(source) {
        let root = path.split("::").next().unwrap_or_default();
        let ours = root.strip_prefix("windrose_").or((root == "windrose").then_some("server"));
        if let Some(ours) = ours.filter(|ours| floor.knows_not(ours)) {
            faults.push(format!("{}/src/{file} names `{path}`: it must not know {ours}", floor.name));
        }
        for (banned, excepted) in floor.unnamed {
            let hit = banned.iter().any(|banned| is_under(&path, banned));
            if hit && !excepted.iter().any(|excepted| Path::new(file).starts_with(excepted)) {
                faults
                    .push(format!("{}/src/{file} names `{path}`: that belongs to another floor", floor.name));
            }
        }
        if floor.name == "protocol"
            && let Some(other) = sideways(file, &path)
        {
            faults.push(format!("protocol/src/{file} names `{path}`: it must not know {other}"));
        }
    }
    faults
}

impl Floor {
    fn knows_not(&self, ours: &str) -> bool {
        ours != self.name && floor(ours).is_some() && !self.knows.contains(&ours)
    }
}

fn is_under(path: &str, banned: &str) -> bool {
    path.strip_prefix(banned).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The other protocol that a path of one protocol leads into.
fn sideways(file: &str, path: &str) -> Option<&'static str> {
    let home = PROTOCOLS.iter().find(|protocol| Path::new(file).with_extension("").starts_with(protocol))?;
    let inner = path.split("::").find(|part| !matches!(*part, "crate" | "super" | "self"))?;
    let relative = !path.starts_with(inner);
    PROTOCOLS.iter().copied().find(|other| relative && other != home && *other == inner)
}

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.file_stem().is_some_and(|stem| stem == "tests") {
            continue;
        } else if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_crate_knows_a_floor_that_it_must_not_know() {
    let (mut faults, mut seen) = (Vec::new(), 0);
    for entry in fs::read_dir(crates()).unwrap() {
        let folder = entry.unwrap().path();
        let Ok(manifest) = fs::read_to_string(folder.join("Cargo.toml")) else { continue };
        let name = folder.file_name().unwrap().to_str().unwrap();
        let Some(floor) = floor(name) else {
            faults.push(format!(
                "crates/{name} stands on no floor: give it one in this test and in ARCHITECTURE.md"
            ));
            continue;
        };
        faults.extend(manifest_faults(floor, &manifest));
        let mut files = Vec::new();
        rust_files(&folder.join("src"), &mut files);
        for file in files {
            let source = fs::read_to_string(&file).unwrap();
            let inner = file.strip_prefix(folder.join("src")).unwrap().to_str().unwrap();
            faults.extend(source_faults(floor, inner, &source));
            seen += 1;
        }
    }
    assert!(seen > 20, "only {seen} sources were found: does the test look in the right place?");
    assert!(faults.is_empty(), "the house leans:\n  {}", faults.join("\n  "));
}

#[test]
fn a_dependency_on_a_forbidden_floor_is_reported() {
    let cases = [
        ("protocol", "[dependencies]\nwindrose-policy.workspace = true"),
        ("policy", "[dependencies]\nwindrose-protocol = { path = \"../protocol\" }"),
        ("engine", "[dependencies.tokio]\nversion = \"1\""),
        ("engine", "[target.'cfg(unix)'.dependencies]\nlibc = \"0.2\""),
        ("engine", "[dependencies]\nruntime = { package = \"tokio\", version = \"1\" }"),
        ("event", "[build-dependencies]\nwindrose-engine.workspace = true"),
        ("storage", "[dependencies]\nwindrose-network.workspace = true"),
        ("network", "[dependencies]\nwindrose-storage.workspace = true"),
        ("control", "[dependencies]\nwindrose-network.workspace = true"),
        ("control", "[dependencies]\nwindrose.workspace = true"),
    ];
    for (name, manifest) in cases {
        assert_eq!(manifest_faults(floor(name).unwrap(), manifest).len(), 1, "{name}: {manifest}");
    }
}

#[test]
fn an_import_from_a_forbidden_floor_is_reported() {
    let cases = [
        ("engine", "steps/route.rs", "use windrose_protocol::mqtt;"),
        ("engine", "steps/route.rs", "fn now() { std::time::Instant::now(); }"),
        ("engine", "io.rs", "use std::{sync::Arc, net::{SocketAddr, TcpStream}};"),
        ("policy", "lib.rs", "pub fn read() { ::std::fs::read_to_string(\"x\"); }"),
        ("protocol", "mqtt/server/mod.rs", "use crate::http::Problem;"),
        ("protocol", "mqtt/server/mod.rs", "use super::super::{Transmit, http::{self}};"),
        ("protocol", "http.rs", "use crate::mqtt;"),
        ("network", "shard/mod.rs", "use windrose_storage::read_file as read;"),
        ("network", "shard/mod.rs", "use std::fs;"),
        ("storage", "registry.rs", "type Stream = tokio::net::TcpStream;"),
        ("control", "api.rs", "extern crate windrose_network;"),
    ];
    for (name, file, source) in cases {
        assert_eq!(source_faults(floor(name).unwrap(), file, source).len(), 1, "{name}/{file}: {source}");
    }
}

#[test]
fn what_is_allowed_is_not_reported() {
    let manifest = "[package]\nname = \"windrose-engine\"\n[dependencies]\nwindrose-event.workspace = true\n\
                    bytes = \"1\"\n[dev-dependencies]\ntokio = \"1\"\nwindrose-protocol.workspace = true";
    assert_eq!(manifest_faults(floor("engine").unwrap(), manifest), Vec::<String>::new());
    let cases = [
        ("engine", "io.rs", "use std::net::SocketAddr; use std::time::Duration; use windrose_policy::Pool;"),
        ("policy", "lib.rs", "pub use a::b; #[cfg(test)] mod tests { use std::fs; fn f() { {} } }"),
        (
            "engine",
            "io.rs",
            "// use tokio::net;\n/// [`windrose_protocol`]\nconst A: &str = \"std::fs::read\";",
        ),
        ("protocol", "mqtt/mod.rs", "use super::Transmit; use crate::mqtt::codec; use http::HeaderMap;"),
        ("protocol", "http/mod.rs", "use http::StatusCode; use ::http::header;"),
        ("control", "serve.rs", "use tokio::net::TcpListener;"),
        ("server", "compose.rs", "use windrose_network::Node; use windrose_storage::read_file;"),
    ];
    for (name, file, source) in cases {
        assert_eq!(source_faults(floor(name).unwrap(), file, source), Vec::<String>::new(), "{name}/{file}");
    }
}
