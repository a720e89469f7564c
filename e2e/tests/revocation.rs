//! Revocation that bites: whoever is revoked by the command line beside a running node is disconnected on every protocol at
//! once, in the protocol's own words, and nobody else is; what was kept for it is gone; it comes back when it is let in again.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};
use windrose_e2e::Node;
use windrose_e2e::binary::output;
use windrose_e2e::certs::Authority;
use windrose_e2e::clients::{request, stream, subscribe};
use windrose_e2e::mqtt::{Client, Options};
use windrose_e2e::node::Setup;
use windrose_e2e::process::Process;

const DOCUMENT: &str = r##"
node: {name: e2e, shards: 2}
admin: {bind: "127.0.0.1:${ADMIN}"}
tls:
  things: {certificate: server.pem, key: server.key, client_ca: devices-ca.pem, client_certificate: optional}
listeners:
  - {name: mqtt, protocol: mqtt, bind: "127.0.0.1:${MQTT}"}
  - {name: mqtts, protocol: mqtt, bind: "127.0.0.1:${MQTTS}", tls: things}
  - {name: amqp, protocol: amqp, bind: "127.0.0.1:${AMQP}"}
  - {name: rest, protocol: http, bind: "127.0.0.1:${REST}"}
  - {name: coaps, protocol: coap, bind: "127.0.0.1:${COAPS}", dtls: psk}
identity: {${REGISTRY}}
access:
  - {who: "device:*", may: [publish, subscribe, read], on: "devices/{device}/#"}
  - {who: "owner:*", may: [publish, subscribe, read], on: "devices/{owned}/#"}
"##;

/// The same registry, for the command line: it has none of the node's environment.
const BESIDE: &str = r##"
listeners: [{name: mqtt, protocol: mqtt, bind: "127.0.0.1:1883"}]
identity: {registry: "sqlite:registry.db"}
"##;

/// How long a revoked peer may take to be gone: no measure, only a bound on a slow machine.
const GONE: Duration = Duration::from_secs(10);

const KEY: &str = "0123456789abcdef";

/// Where devices are written down.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// In a file that is edited.
    File,
    /// In a database, by the command line beside the node.
    Registry,
}

struct Bed {
    node: Node,
    by: By,
    /// What the file says of each device.
    devices: BTreeMap<String, String>,
}

impl Bed {
    fn start() -> Self {
        Self::start_by(By::Registry)
    }

    fn start_by(by: By) -> Self {
        let (servers, devices) = (Authority::new("servers"), Authority::new("devices"));
        let (server, client) = (servers.server(&["localhost", "127.0.0.1"]), devices.client("car-1"));
        let setup = Setup::new()
            .file("ca.pem", &servers.certificate)
            .file("devices-ca.pem", &devices.certificate)
            .file("server.pem", &server.certificate)
            .file("server.key", &server.key)
            .file("car-1.pem", &client.certificate)
            .file("car-1.key", &client.key)
            .file("beside.yaml", BESIDE)
            .file("psk.key", KEY)
            .file("devices.yaml", "devices: []\n");
        let registry = match by {
            By::File => "devices: devices.yaml",
            By::Registry => "registry: \"sqlite:registry.db\"",
        };
        let node = setup.start(&DOCUMENT.replace("${REGISTRY}", registry));
        Self { node, by, devices: BTreeMap::new() }
    }

    fn file(&self, name: &str) -> String {
        self.node.folder().path().join(name).display().to_string()
    }

    /// Does something by the command line; what it prints.
    fn windrose(&self, arguments: &[&str]) -> String {
        self.windrose_with(arguments, "")
    }

    fn windrose_with(&self, arguments: &[&str], input: &str) -> String {
        let document = self.file("beside.yaml");
        output(&[arguments, &["--document", &document]].concat(), input)
    }

    /// A device with a password, which is its id, and a pre-shared key.
    fn device(&mut self, id: &str, owner: &str) {
        if self.by == By::File {
            let hash = output(&["hash-password"], &format!("{id}\n"));
            let credentials = format!(
                "[{{password_hash: \"{}\"}}, {{psk_identity: {id}, psk_file: psk.key}}]",
                hash.trim()
            );
            let entry = format!("  - {{id: {id}, owner: {owner}, credentials: {credentials}}}\n");
            self.devices.insert(id.to_owned(), entry);
            return self.write_devices(None);
        }
        self.windrose(&["device", "add", id, "--owner", owner]);
        for (what, secret) in [("--password", id), ("--psk", KEY)] {
            self.windrose_with(&["device", "credential", "add", id, what, "--secret", "-"], secret);
        }
    }

    /// Writes the file, without one of the devices.
    fn write_devices(&self, without: Option<&str>) {
        let entries = self.devices.iter().filter(|(id, _)| Some(id.as_str()) != without);
        let text: String = entries.map(|(_, entry)| entry.as_str()).collect();
        let reloads = || self.node.log().count(|line| line.contains("the document is reloaded"));
        let before = reloads();
        self.node.write_file("devices.yaml", &format!("devices:\n{text}"));
        if without.is_none() {
            windrose_e2e::wait_until("the file is read again", || reloads() > before);
        }
    }

    fn revoke(&self, id: &str) {
        match self.by {
            By::File => self.write_devices(Some(id)),
            By::Registry => drop(self.windrose(&["device", "revoke", id, "--reason", "stolen"])),
        }
    }

    fn reinstate(&self, id: &str) {
        match self.by {
            By::File => self.write_devices(None),
            By::Registry => drop(self.windrose(&["device", "reinstate", id])),
        }
    }

    fn mqtt(&self, options: Options, id: &str) -> Client {
        Client::connect(self.node.mqtt(), &options.credentials(id, id))
    }

    fn url(&self, path: &str) -> String {
        self.node.url(path)
    }
}

/// A connection of AMQP that is open.
struct Amqp(TcpStream);

impl Amqp {
    fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the node listens");
        stream.set_read_timeout(Some(Duration::from_millis(50))).expect("a time limit");
        Self(stream)
    }

    fn send(&mut self, parts: &[&[u8]]) {
        self.0.write_all(&parts.concat()).expect("the node reads");
    }

    /// Reads until a part was heard, or the end.
    fn hear(&mut self, part: &[u8]) -> Vec<u8> {
        let (start, mut heard, mut buffer) = (Instant::now(), Vec::new(), [0; 4096]);
        while !heard.windows(part.len()).any(|window| window == part) {
            assert!(start.elapsed() < GONE, "{:?} in vain: {:?}", part.escape_ascii(), heard.escape_ascii());
            match self.0.read(&mut buffer) {
                Ok(0) => panic!("{:?} in vain: {:?}", part.escape_ascii().to_string(), heard.escape_ascii()),
                Ok(count) => heard.extend_from_slice(&buffer[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => panic!("{error}: {:?}", heard.escape_ascii()),
            }
        }
        heard
    }

    /// AMQP 1.0 by SASL PLAIN.
    fn v1(address: SocketAddr, id: &str) -> Self {
        let mut peer = Self::new(address);
        let response = format!("\0{id}\0{id}");
        let fields =
            [b"\xa3\x05PLAIN".to_vec(), [&[0xa0, response.len() as u8], response.as_bytes()].concat()];
        peer.send(&[b"AMQP\x03\x01\x00\x00", &performative(1, 0x41, &fields)]);
        peer.hear(b"\x00\x53\x44");
        let name = [&[0xa1, id.len() as u8], id.as_bytes()].concat();
        peer.send(&[b"AMQP\x00\x01\x00\x00", &performative(0, 0x10, &[name])]);
        peer.hear(b"\x00\x53\x10");
        peer
    }

    /// AMQP 0-9-1 by PLAIN.
    fn v091(address: SocketAddr, id: &str) -> Self {
        let mut peer = Self::new(address);
        peer.send(&[b"AMQP\x00\x00\x09\x01"]);
        peer.hear(b"PLAIN");
        let response = format!("\0{id}\0{id}");
        let start_ok = [
            &[0, 10, 0, 11, 0, 0, 0, 0, 5][..],
            b"PLAIN",
            &(response.len() as u32).to_be_bytes(),
            response.as_bytes(),
            b"\x05en_US",
        ];
        peer.send(&[&method(&start_ok.concat())]);
        peer.hear(&[0, 10, 0, 30]);
        let tune_ok = [0, 10, 0, 31, 0, 1, 0, 2, 0, 0, 0, 0];
        peer.send(&[&method(&tune_ok), &method(&[0, 10, 0, 40, 1, b'/', 0, 0])]);
        peer.hear(&[0, 10, 0, 41]);
        peer
    }
}

/// A frame of AMQP 1.0 with one described list (§2.3, §1.4).
fn performative(kind: u8, code: u8, fields: &[Vec<u8>]) -> Vec<u8> {
    let fields_bytes = fields.concat();
    let list = [&[0, 0x53, code, 0xc0, fields_bytes.len() as u8 + 1, fields.len() as u8], &fields_bytes[..]];
    let body = list.concat();
    [&(body.len() as u32 + 8).to_be_bytes()[..], &[2, kind, 0, 0], &body].concat()
}

/// A frame of AMQP 0-9-1 on channel 0 (§4.2.3).
fn method(payload: &[u8]) -> Vec<u8> {
    [&[1, 0, 0][..], &(payload.len() as u32).to_be_bytes(), payload, &[0xce]].concat()
}

/// libcoap's client, observing.
fn observe(bed: &Bed, id: &str, path: &str) -> Process {
    let url = format!("coaps://127.0.0.1:{}/{path}", bed.node.coaps().port());
    let mut command = Command::new("stdbuf");
    command.args(["-oL", "coap-client-openssl", "-s", "60", "-B", "60", "-u", id, "-k", KEY, &url]);
    Process::start(&mut command, "install it with `apt-get install libcoap3-bin`")
}

fn v5(id: &str) -> Options {
    Options::v5(id).persistent()
}

#[test]
fn a_device_that_is_revoked_in_the_registry_is_gone_from_every_protocol_and_comes_back() {
    is_gone_and_comes_back(Bed::start());
}

#[test]
fn a_device_that_is_taken_out_of_the_file_is_gone_from_every_protocol_and_comes_back() {
    is_gone_and_comes_back(Bed::start_by(By::File));
}

fn is_gone_and_comes_back(mut bed: Bed) {
    bed.device("car-1", "ann");
    bed.device("car-2", "ann");
    let mut watcher = bed.mqtt(v5("watcher"), "car-2");
    let mut five = bed.mqtt(v5("five").will("devices/car-1/will", "lost"), "car-1");
    let mut three = bed.mqtt(Options::v3("three"), "car-1");
    let mut kept = bed.mqtt(v5("kept"), "car-1");
    assert_eq!(kept.subscribe("devices/car-1/#", 1), 1);
    kept.disconnect();
    assert_eq!(five.publish("devices/car-1/x", "1", 1), 0);
    let mut amqp = Amqp::v1(bed.node.amqp(), "car-1");
    let mut amqp_091 = Amqp::v091(bed.node.amqp(), "car-1");
    let events = stream(&bed.url("/v1/events/devices/car-1/%23"), &["-u", "car-1:car-1"]);
    let mut others = [
        stream(&bed.url("/v1/events/devices/car-2/%23"), &["-u", "car-2:car-2"]),
        observe(&bed, "car-2", "devices/car-2/state"),
    ];
    five.retain("devices/car-1/state", "ok\n");
    watcher.retain("devices/car-2/state", "ok\n");
    let observer = observe(&bed, "car-1", "devices/car-1/state");
    observer.line("the first notification", |line| line.contains("ok"));
    let mut other_amqp = Amqp::v1(bed.node.amqp(), "car-2");

    let start = Instant::now();
    bed.revoke("car-1");
    let told = start.elapsed();
    assert_eq!(five.closed_within(GONE), Some(0x98));
    println!("MQTT 5: {:?} after the command began, {told:?} of which it ran itself", start.elapsed());
    assert_eq!(three.closed_within(GONE), None, "3.1.1 has no word for it");
    amqp.hear(b"amqp:unauthorized-access");
    println!("AMQP 1.0: {:?}", start.elapsed());
    let close = amqp_091.hear(&[0, 10, 0, 50, 320_u16.to_be_bytes()[0], 320_u16.to_be_bytes()[1]]);
    assert!(!close.is_empty());
    println!("AMQP 0-9-1: {:?}", start.elapsed());
    let mut events = events;
    events.wait_for(GONE);
    println!("SSE: {:?}", start.elapsed());
    windrose_e2e::wait_until("the observer is told 4.01", || observer.said().contains("4.01"));
    println!("CoAP over DTLS: {:?}", start.elapsed());

    for version in [v5("five"), Options::v3("three")] {
        let (_, _, code, _) =
            Client::try_connect(bed.node.mqtt(), &version.credentials("car-1", "car-1")).expect("a CONNACK");
        assert!([0x8a, 0x86, 4, 5].contains(&code), "{code:#x}");
    }
    let answer = request(&["-u", "car-1:car-1", &bed.url("/v1/events/devices/car-1/state")]);
    assert_eq!(answer.status, 401, "{}", answer.body);
    // Nobody else has noticed.
    watcher.ping().expect("it is still there");
    other_amqp.send(&[&performative(0, 0x18, &[])]);
    other_amqp.hear(b"\x00\x53\x18");
    for other in &mut others {
        assert_eq!(other.ended(), None, "{}", other.said());
    }
    bed.node.wait_metric("windrose_connections_closed_total", &["cause=\"revoked\""], 6.0);
    bed.node.wait_log(&["session ended", "device:car-1", "ann", "revoked"]);

    bed.reinstate("car-1");
    let (mut again, resumed) = windrose_e2e::wait::eventually("it is let in again", || {
        let options = v5("kept").credentials("car-1", "car-1");
        match Client::try_connect(bed.node.mqtt(), &options) {
            Ok((client, resumed, 0, _)) => Some((client, resumed)),
            _ => None,
        }
    });
    assert!(!resumed, "what was kept for it is gone");
    assert_eq!(again.publish("devices/car-1/x", "2", 1), 0x10);
}

#[test]
fn an_owner_takes_its_devices_along_and_nobody_else_s() {
    let mut bed = Bed::start();
    bed.device("car-1", "ann");
    bed.device("car-2", "bob");
    let key = bed.windrose(&["owner", "credential", "add", "ann", "--api-key", "--generate"]);
    let mut car = bed.mqtt(v5("car-1"), "car-1");
    let mut other = bed.mqtt(v5("car-2"), "car-2");
    let header = format!("X-API-Key: {}", key.trim());
    let mut events = stream(&bed.url("/v1/events/devices/car-1/%23"), &["-H", &header]);
    let start = Instant::now();
    bed.windrose(&["owner", "revoke", "ann"]);
    assert_eq!(car.closed_within(GONE), Some(0x98));
    events.wait_for(GONE);
    println!("an owner's: {:?} after the command began", start.elapsed());
    other.ping().expect("bob's car is still there");
    bed.windrose(&["owner", "reinstate", "ann"]);
    windrose_e2e::wait_until("its car is let in again", || {
        let options = v5("car-1").credentials("car-1", "car-1");
        matches!(Client::try_connect(bed.node.mqtt(), &options), Ok((_, _, 0, _)))
    });
}

#[test]
fn a_credential_takes_along_what_it_proved_and_nothing_else() {
    let mut bed = Bed::start();
    bed.device("car-1", "ann");
    let pem = bed.file("car-1.pem");
    bed.windrose(&["device", "credential", "add", "car-1", "--certificate", &pem]);
    let (ca, key) = (bed.file("ca.pem"), bed.file("car-1.key"));
    let tls = ["-V", "5", "-d", "-i", "by-certificate", "-t", "devices/car-1/#"];
    let files = ["--cafile", &ca, "--cert", &pem, "--key", &key, "-x", "300"];
    let by_certificate = subscribe(bed.node.mqtts(), &[&tls[..], &files].concat());
    let mut by_password = bed.mqtt(v5("by-password"), "car-1");
    let shown = bed.windrose(&["device", "show", "car-1", "--json"]);
    let id = credential_of(&shown, "\"kind\":\"certificate\"")
        .unwrap_or_else(|| panic!("no certificate in {shown}"));
    bed.windrose(&["device", "credential", "revoke", &id]);
    windrose_e2e::wait_until("it is told that it is revoked", || {
        by_certificate.said().contains("DISCONNECT")
    });
    by_password.ping().expect("its password is as good as before");
}

/// The id of the credential in what `show` prints that says so.
fn credential_of(shown: &str, what: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(shown).ok()?;
    let all = value["credentials"].as_array()?;
    let found = all.iter().find(|credential| credential.to_string().contains(what))?;
    Some(found["id"].as_str()?.to_owned())
}

#[test]
fn a_device_that_comes_to_another_owner_leaves_what_was_the_former_one_s() {
    let mut bed = Bed::start();
    bed.device("car-1", "ann");
    bed.device("truck", "ann");
    let mut car = bed.mqtt(v5("car-1"), "car-1");
    car.subscribe("devices/car-1/#", 1);
    let mut truck = bed.mqtt(v5("truck"), "truck");
    bed.windrose(&["device", "transfer", "car-1", "--owner", "bob"]);
    assert_eq!(car.closed_within(GONE), Some(0x98));
    let (_, resumed) = windrose_e2e::wait::eventually("it is let in as bob's", || {
        let options = v5("car-1").credentials("car-1", "car-1");
        match Client::try_connect(bed.node.mqtt(), &options) {
            Ok((client, resumed, 0, _)) => Some((client, resumed)),
            _ => None,
        }
    });
    assert!(!resumed);
    truck.ping().expect("ann's other one is still there");
}
