//! Every protocol and every credential of a registry in a database, with clients that nobody here wrote: whoever comes is
//! known by the same name, with the same owner, and whoever brings something wrong is not let in.

use windrose_e2e::binary::output;
use windrose_e2e::certs::Authority;
use windrose_e2e::clients::{Said, amqp_python, mosquitto_pub, request, result};
use windrose_e2e::libcoap::{Build, coap_client};
use windrose_e2e::node::Setup;
use windrose_e2e::{Node, Sink};

const DOCUMENT: &str = r##"
node: {name: e2e, shards: 2}
admin: {bind: "127.0.0.1:${ADMIN}"}
tls:
  edge: {certificate: server.pem, key: server.key, client_ca: devices-ca.pem}
listeners:
  - {name: mqtt, protocol: mqtt, bind: "127.0.0.1:${MQTT}"}
  - {name: mqtts, protocol: mqtt, bind: "127.0.0.1:${MQTTS}", tls: edge}
  - {name: rest, protocol: http, bind: "127.0.0.1:${REST}"}
  - {name: rests, protocol: http, bind: "127.0.0.1:${RESTS}", tls: edge}
  - {name: amqp, protocol: amqp, bind: "127.0.0.1:${AMQP}"}
  - {name: amqps, protocol: amqp, bind: "127.0.0.1:${AMQPS}", tls: edge}
  - {name: coaps, protocol: coap, bind: "127.0.0.1:${COAPS}", dtls: edge}
identity: {registry: "sqlite:registry.db"}
access:
  - {who: "device:*", may: publish, on: "devices/{device}/#"}
  - {who: "owner:*", may: publish, on: "devices/{owned}/#"}
pools:
  service: {protocol: http, members: ["http://127.0.0.1:${SINK}/events"]}
routes:
  - {name: telemetry, match: "devices/+/telemetry", deliver: {pool: service}, acknowledge: delivered}
"##;

/// What the command line is told of the registry: the node's own document needs the node's environment.
const REGISTRY: &str = "
identity: {registry: 'sqlite:registry.db'}
listeners: [{name: mqtt, protocol: mqtt, bind: '127.0.0.1:1883'}]
";

const KEY: &str = "0123456789abcdef";

struct World {
    node: Node,
    sink: Sink,
}

impl World {
    fn start() -> Self {
        let (servers, devices) = (Authority::new("servers"), Authority::new("devices"));
        let (server, car) = (servers.server(&["localhost", "127.0.0.1"]), devices.client("some name"));
        let stranger = devices.client("stranger");
        let sink = Sink::start();
        let node = Setup::new()
            .file("ca.pem", &servers.certificate)
            .file("devices-ca.pem", &devices.certificate)
            .file("server.pem", &server.certificate)
            .file("server.key", &server.key)
            .file("car.pem", &car.certificate)
            .file("car.key", &car.key)
            .file("stranger.pem", &stranger.certificate)
            .file("stranger.key", &stranger.key)
            .file("registry.yaml", REGISTRY)
            .set("SINK", sink.port())
            .start(DOCUMENT);
        Self { node, sink }
    }

    /// `windrose` on the registry of the node that runs.
    fn windrose(&self, arguments: &[&str], input: &str) -> String {
        let (family, rest) = arguments.split_first().expect("a family of commands");
        let document = self.file("registry.yaml");
        output(&[&[*family, "--document", &document], rest].concat(), input)
    }

    fn file(&self, name: &str) -> String {
        self.node.folder().path().join(name).display().to_string()
    }

    /// The service has that, from the device and its owner.
    fn came(&self, payload: &str, device: &str) {
        let event = self.sink.wait_for_text(payload);
        assert_eq!(event.attribute("deviceid"), Some(device), "{payload}");
        assert_eq!(event.attribute("ownerid"), Some("household-7"), "{payload}");
    }

    fn mqtt(&self, version: &str, payload: &str, password: &str) -> Said {
        let topic = "devices/car-7/telemetry";
        let what = ["-V", version, "-q", "1", "-t", topic, "-m", payload];
        mosquitto_pub(self.node.mqtt(), &[&what[..], &["-u", "car-7", "-P", password]].concat())
    }

    fn mqtts(&self, payload: &str, certificate: &str) -> Said {
        let (ca, pem, key) = (
            self.file("ca.pem"),
            self.file(&format!("{certificate}.pem")),
            self.file(&format!("{certificate}.key")),
        );
        let what = ["-q", "1", "-t", "devices/car-7/telemetry", "-m", payload];
        let tls = ["--cafile", &ca, "--cert", &pem, "--key", &key];
        mosquitto_pub(self.node.mqtts(), &[&what[..], &tls].concat())
    }

    fn amqp(&self, version: &str, payload: &str, who: &[&str]) -> serde_json::Value {
        let port =
            if who.len() == 2 { self.node.amqp().port() } else { self.node.amqps().port() }.to_string();
        let what = [version, &port, "devices/car-7/telemetry", payload];
        result(amqp_python("publish_as.py", &[&what[..], who].concat()))
    }
}

#[test]
fn a_password_is_good_on_every_protocol_that_has_passwords() {
    let world = World::start();
    world.windrose(&["device", "add", "car-7", "--owner", "household-7"], "");
    world.windrose(&["device", "credential", "add", "car-7", "--password", "--secret", "-"], "sesame\n");
    world.mqtt("311", "by MQTT 3.1.1", "sesame").fine();
    world.mqtt("5", "by MQTT 5", "sesame").fine();
    for version in ["0-9-1", "1.0"] {
        let said = world.amqp(version, &format!("by AMQP {version}"), &["car-7", "sesame"]);
        assert!(said["settled"] == "ack" || said["settled"] == "accepted", "{version}: {said}");
    }
    let url = world.node.url("/v1/events/devices/car-7/telemetry");
    assert_eq!(request(&["-u", "car-7:sesame", "-d", "by REST", &url]).status, 202);
    for payload in ["by MQTT 3.1.1", "by MQTT 5", "by AMQP 0-9-1", "by AMQP 1.0", "by REST"] {
        world.came(payload, "car-7");
    }
    for said in [world.mqtt("311", "no", "guess"), world.mqtt("5", "no", "guess")] {
        assert_ne!(said.code, 0, "{said:?}");
    }
    for version in ["0-9-1", "1.0"] {
        let said = world.amqp(version, "no", &["car-7", "guess"]);
        assert!(said["error"].is_string(), "{version}: {said}");
    }
    assert_eq!(request(&["-u", "car-7:guess", "-d", "no", &url]).status, 401);
    let log = world.node.wait_log(&["car-7", "wrong"]);
    assert!(!log.contains("guess") && !log.contains("sesame"), "no secret is logged: {log}");
    assert_eq!(world.sink.count(), 5);
}

#[test]
fn a_certificate_is_good_on_every_protocol_over_tls_and_dtls() {
    let world = World::start();
    let certificate = world.file("car.pem");
    world.windrose(&["device", "add", "car-7", "--owner", "household-7"], "");
    world.windrose(&["device", "credential", "add", "car-7", "--certificate", &certificate], "");
    world.mqtts("by MQTT", "car").fine();
    let (ca, key) = (world.file("ca.pem"), world.file("car.key"));
    for version in ["0-9-1", "1.0"] {
        let said = world.amqp(version, &format!("by AMQP {version}"), &[&ca, &certificate, &key]);
        assert!(said["settled"] == "ack" || said["settled"] == "accepted", "{version}: {said}");
    }
    let url = format!("https://localhost:{}/v1/events/devices/car-7/telemetry", world.node.rests().port());
    let tls = ["--cacert", &ca, "--cert", &certificate, "--key", &key];
    assert_eq!(request(&[&tls[..], &["-d", "by REST", &url]].concat()).status, 202);
    let url = format!("coaps://127.0.0.1:{}/devices/car-7/telemetry", world.node.coaps().port());
    let dtls = ["-c", &certificate, "-j", &key, "-C", &ca];
    coap_client(Build::OpenSsl, &[&dtls[..], &["-m", "post", "-e", "by CoAP", &url]].concat()).fine();
    for payload in ["by MQTT", "by AMQP 0-9-1", "by AMQP 1.0", "by REST", "by CoAP"] {
        world.came(payload, "car-7");
    }
    // Its authority is trusted, and yet it is nobody's.
    assert_ne!(world.mqtts("no", "stranger").code, 0);
    world.node.wait_log(&["stranger", "no device has the certificate"]);
}

#[test]
fn a_pre_shared_key_is_good_over_dtls() {
    let world = World::start();
    world.windrose(&["device", "add", "car-7", "--owner", "household-7"], "");
    world.windrose(&["device", "credential", "add", "car-7", "--psk", "--secret", "-"], KEY);
    let url = format!("coaps://127.0.0.1:{}/devices/car-7/telemetry", world.node.coaps().port());
    let post = |build, key: &str, payload: &str| {
        coap_client(build, &["-u", "car-7", "-k", key, "-m", "post", "-e", payload, &url])
    };
    for build in Build::ALL {
        let payload = format!("by {build:?}");
        post(build, KEY, &payload).fine();
        world.came(&payload, "car-7");
    }
    let said = post(Build::OpenSsl, "fedcba9876543210", "no");
    assert!(format!("{said:?}").to_lowercase().contains("decrypt error"), "{said:?}");
}

#[test]
fn an_owner_with_an_api_key_commands_what_it_owns_from_the_moment_it_owns_it() {
    let world = World::start();
    for (device, owner) in [("car-7", "household-7"), ("car-8", "household-8")] {
        world.windrose(&["device", "add", device, "--owner", owner], "");
    }
    let key = world.windrose(&["owner", "credential", "add", "household-7", "--api-key", "--generate"], "");
    let key = format!("X-API-Key: {}", key.trim());
    let post = |device: &str| {
        let url = world.node.url(&format!("/v1/events/devices/{device}/commands/radio"));
        request(&["-H", &key, "-d", "jazz", &url]).status
    };
    assert_eq!(post("car-7"), 202);
    assert_eq!(post("car-8"), 403, "my neighbour's radio");
    world.windrose(&["device", "transfer", "car-8", "--owner", "household-7"], "");
    windrose_e2e::wait_until("the car is mine", || post("car-8") == 202);
    let url = world.node.url("/v1/events/devices/car-7/commands/radio");
    assert_eq!(request(&["-H", "X-API-Key: guess", "-d", "jazz", &url]).status, 401);
}

#[test]
fn a_credential_is_replaced_without_a_gap() {
    let world = World::start();
    world.windrose(&["device", "add", "car-7", "--owner", "household-7"], "");
    world.windrose(&["device", "credential", "add", "car-7", "--password", "--secret", "-"], "old\n");
    world.mqtt("5", "with the old one", "old").fine();
    world.windrose(
        &["device", "credential", "add", "car-7", "--password", "--name", "car-7-next", "--secret", "-"],
        "new\n",
    );
    let what = ["-q", "1", "-t", "devices/car-7/telemetry", "-m", "with the new one"];
    let new = ["-u", "car-7-next", "-P", "new"];
    mosquitto_pub(world.node.mqtt(), &[&what[..], &new].concat()).fine();
    world.mqtt("5", "with the old one still", "old").fine();
    let shown = world.windrose(&["device", "--json", "show", "car-7"], "");
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("it is JSON");
    assert!(!shown.to_string().contains("argon2"), "no secret is shown: {shown}");
    let credentials = shown["credentials"].as_array().expect("it has credentials");
    let old = credentials.iter().find(|one| one["name"] == "car-7").expect("the old one");
    let id = old["id"].as_str().expect("an id");
    world.windrose(&["device", "credential", "revoke", id], "");
    windrose_e2e::wait_until("the old one counts no more", || world.mqtt("5", "no", "old").code != 0);
    mosquitto_pub(world.node.mqtt(), &[&what[..], &new].concat()).fine();
}
