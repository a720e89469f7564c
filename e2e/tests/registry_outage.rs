//! The registry's database goes away under load and comes back: who is known goes on, and whoever was revoked meanwhile ends.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use windrose_e2e::binary::{output, run};
use windrose_e2e::folder::Folder;
use windrose_e2e::mqtt::{Client, Options};
use windrose_e2e::node::Setup;
use windrose_e2e::postgres::Postgres;
use windrose_e2e::{Node, wait_until};

const DOCUMENT: &str = r##"
node: {name: e2e, shards: 2}
admin: {bind: "127.0.0.1:${ADMIN}"}
listeners:
  - {name: mqtt, protocol: mqtt, bind: "127.0.0.1:${MQTT}"}
identity: {registry: "${REGISTRY}", cache: {fresh: 1s, negative: 1s, stale: 1h}}
access:
  - {who: "device:*", may: [publish, subscribe], on: "devices/{device}/#"}
"##;

/// MQTT 5 §3.2.2.2: the server is not available.
const UNAVAILABLE: u8 = 0x88;

/// A registry as the command line reaches it.
struct Registry {
    folder: Folder,
    url: String,
}

impl Registry {
    fn new(url: &str) -> Self {
        let folder = Folder::new();
        let url = url.replace("FOLDER", &folder.path().display().to_string());
        folder.write("registry.yaml", &format!("identity: {{registry: \"{url}\"}}\n"));
        Self { folder, url }
    }

    fn device(&self, arguments: &[&str], input: &str) -> String {
        let document = self.folder.path().join("registry.yaml").display().to_string();
        output(&[&["device", "--document", &document], arguments].concat(), input)
    }

    /// Adds a device whose password is `secret`.
    fn add(&self, id: &str) {
        self.device(&["add", id, "--owner", "alice"], "");
        self.device(&["credential", "add", id, "--password", "--secret", "-"], "secret");
    }

    fn node(&self) -> Node {
        Setup::new().set("REGISTRY", &self.url).start(DOCUMENT)
    }
}

/// What a device is answered that comes with its password.
fn code(node: &Node, id: &str) -> u8 {
    let options = Options::v5(id).credentials(id, "secret");
    Client::try_connect(node.mqtt(), &options).map_or(0xff, |(_, _, code, _)| code)
}

fn is_away(node: &Node) -> bool {
    node.metric("windrose_identity_database_away", &[]) > 0.0
}

#[test]
fn while_postgresql_is_stopped_known_devices_connect_and_revocations_bite_when_it_is_back() {
    let server = Postgres::start();
    let registry = Registry::new(&server.url());
    for id in ["car-7", "boat", "bike"] {
        registry.add(id);
    }
    let node = registry.node();
    let mut stays = Client::connect(node.mqtt(), &Options::v5("stays").credentials("car-7", "secret"));
    assert_eq!(stays.subscribe("devices/car-7/#", 1), 1);
    assert_eq!(code(&node, "bike"), 0);

    // Devices come and go while the server is stopped and started again.
    let (over, came, refused) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let (over, came, refused) = (Arc::new(over), Arc::new(came), Arc::new(refused));
    let load = {
        let (over, came, refused) = (Arc::clone(&over), Arc::clone(&came), Arc::clone(&refused));
        let address = node.mqtt();
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let options = Options::v5("load").credentials("car-7", "secret");
                match Client::try_connect(address, &options) {
                    Ok((_, _, 0, _)) => came.fetch_add(1, Ordering::Relaxed),
                    _ => refused.fetch_add(1, Ordering::Relaxed),
                };
            }
        })
    };
    wait_until("devices come", || came.load(Ordering::Relaxed) > 20);
    server.stop();
    wait_until("the database is known to be away", || is_away(&node));
    let before = came.load(Ordering::Relaxed);
    wait_until("devices come all the same", || came.load(Ordering::Relaxed) > before + 20);
    std::thread::sleep(Duration::from_millis(1_500)); // What was read is not fresh any more.
    let before = came.load(Ordering::Relaxed);
    wait_until("devices come by what is old", || came.load(Ordering::Relaxed) > before + 20);
    assert_eq!(code(&node, "bike"), 0, "it was here before");
    assert_eq!(code(&node, "boat"), UNAVAILABLE, "nobody here knows it");
    assert!(node.metric("windrose_identity_lookups_total", &["result=\"stale\""]) > 0.0);
    let ready = node.admin("/readyz");
    assert_eq!(ready.status(), 200, "{}", ready.text());
    assert!(ready.text().contains("database is away"), "{}", ready.text());
    node.wait_error("the registry's database is away");
    assert_eq!(stays.publish("devices/car-7/a", "still here", 1), 0, "open connections notice nothing");
    assert_eq!(stays.message().1, "still here");

    server.go_on();
    wait_until("the database is back", || !is_away(&node));
    assert_eq!(code(&node, "boat"), 0);
    assert_eq!(refused.load(Ordering::Relaxed), 0, "of a known device no connection was refused");
    registry.device(&["revoke", "car-7"], "");
    assert_eq!(stays.closed_within(Duration::from_secs(10)), Some(0x98));
    over.store(true, Ordering::Relaxed);
    load.join().expect("the load goes on to its end");
    assert_ne!(code(&node, "car-7"), 0, "revoked");
    assert_eq!(code(&node, "bike"), 0);
    registry.device(&["reinstate", "car-7"], "");
    wait_until("it is let in again", || code(&node, "car-7") == 0);
}

#[test]
fn while_somebody_writes_to_sqlite_for_long_devices_connect() {
    let registry = Registry::new("sqlite:FOLDER/registry.db");
    registry.add("car-7");
    registry.add("boat");
    let node = registry.node();
    assert_eq!(code(&node, "car-7"), 0);
    // Another program has the database for itself, as far as writing goes.
    let hold = "import sqlite3, sys\n\
                base = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
                base.execute('BEGIN IMMEDIATE')\nprint('held', flush=True)\nsys.stdin.read()\n";
    let file = registry.folder.path().join("registry.db");
    let mut holder = Command::new("python3")
        .args(["-c", hold])
        .arg(&file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 can be started");
    let mut said = String::new();
    let mut out = std::io::BufReader::new(holder.stdout.take().expect("its output is a pipe"));
    std::io::BufRead::read_line(&mut out, &mut said).expect("it says that it holds it");
    assert_eq!(said, "held\n");
    assert_eq!(code(&node, "car-7"), 0);
    assert_eq!(code(&node, "boat"), 0, "who was not here before is read, too");
    assert!(!is_away(&node));
    drop(holder.stdin.take());
    holder.wait().expect("it ends");

    let mut car = Client::connect(node.mqtt(), &Options::v5("a").credentials("car-7", "secret"));
    registry.device(&["revoke", "car-7"], "");
    assert_eq!(car.closed_within(Duration::from_secs(10)), Some(0x98));
}

#[test]
fn a_registry_that_cannot_be_opened_is_told_at_the_start() {
    let folder = Folder::new();
    folder.write("registry.db", "this is no database, and long enough to be taken for one by its size alone");
    let text = format!(
        "listeners:\n  - {{name: mqtt, protocol: mqtt, bind: \"127.0.0.1:0\"}}\nidentity: {{registry: \"sqlite:{}\"}}\n",
        folder.path().join("registry.db").display()
    );
    let document = folder.write("windrose.yaml", &text);
    let ended = run(&["run", document.to_str().expect("its name is text")], "");
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success());
    assert!(errors.contains("registry.db"), "{errors}");
}
