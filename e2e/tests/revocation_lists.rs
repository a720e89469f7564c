//! Certificates that their own authority revoked: by its list, and by asking it. The authority is OpenSSL's.

use std::time::Duration;
use windrose_e2e::Node;
use windrose_e2e::certs::{Authority, Pair};
use windrose_e2e::clients::{Said, mosquitto_pub, s_client_open, subscribe};
use windrose_e2e::node::Setup;
use windrose_e2e::openssl::OpensslAuthority;
use windrose_e2e::ports::Port;

const DOCUMENT: &str = r##"
node: {name: e2e, shards: 2}
admin: {bind: "127.0.0.1:${ADMIN}"}
tls:
  things: {certificate: server.pem, key: server.key, client_ca: maker.pem, client_certificate: required}
listeners:
  - {name: coaps, protocol: coap, bind: "127.0.0.1:${COAPS}", dtls: things}
  - {name: mqtts, protocol: mqtt, bind: "127.0.0.1:${MQTTS}", tls: things}
identity:
  devices: devices.yaml
  revocation: {${REVOCATION}}
access:
  - {who: "device:*", may: [publish, subscribe], on: "devices/{device}/#"}
"##;

const DEVICES: &str = "
devices:
  - {id: car-1, credentials: [{certificate: {common_name: car-1}}]}
  - {id: car-2, credentials: [{certificate: {common_name: car-2}}]}
  - {id: car-3, credentials: [{certificate: {common_name: car-3}}]}
";

struct Fleet {
    node: Node,
}

impl Fleet {
    fn start(maker: &OpensslAuthority, cars: &[(&str, &Pair)], revocation: &str) -> Self {
        let servers = Authority::new("servers");
        let server = servers.server(&["127.0.0.1"]);
        let mut setup = Setup::new()
            .file("ca.pem", &servers.certificate)
            .file("server.pem", &server.certificate)
            .file("server.key", &server.key)
            .file("maker.pem", &maker.certificate())
            .file("maker.crl", &maker.list())
            .file("devices.yaml", DEVICES);
        for (name, pair) in cars {
            setup =
                setup.file(&format!("{name}.pem"), &pair.certificate).file(&format!("{name}.key"), &pair.key);
        }
        Self { node: setup.start(&DOCUMENT.replace("${REVOCATION}", revocation)) }
    }

    fn file(&self, name: &str) -> String {
        self.node.folder().path().join(name).display().to_string()
    }

    fn tls(&self, car: &str) -> Vec<String> {
        let (certificate, key) = (self.file(&format!("{car}.pem")), self.file(&format!("{car}.key")));
        ["--cafile", &self.file("ca.pem"), "--cert", &certificate, "--key", &key].map(str::to_owned).to_vec()
    }

    fn publish(&self, car: &str) -> Said {
        let (tls, topic) = (self.tls(car), format!("devices/{car}/telemetry"));
        let mut arguments: Vec<&str> = tls.iter().map(String::as_str).collect();
        arguments.extend(["-t", &topic, "-m", "81", "-q", "1", "-V", "5"]);
        mosquitto_pub(self.node.mqtts(), &arguments)
    }
}

#[test]
fn a_newer_list_ends_the_sessions_of_whom_it_names() {
    let maker = OpensslAuthority::new(None);
    let (one, two) = (maker.device("car-1"), maker.device("car-2"));
    let fleet = Fleet::start(&maker, &[("car-1", &one), ("car-2", &two)], "crl: [maker.crl]");
    let listen = |car: &str| {
        let (tls, topic) = (fleet.tls(car), format!("devices/{car}/#"));
        let mut arguments: Vec<&str> = tls.iter().map(String::as_str).collect();
        arguments.extend(["-t", &topic, "-V", "5"]);
        subscribe(fleet.node.mqtts(), &arguments)
    };
    let (first, second) = (listen("car-1"), listen("car-2"));
    let (certificate, key) = (fleet.file("car-1.pem"), fleet.file("car-1.key"));
    let mut quiet = s_client_open(fleet.node.coaps(), &["-dtls1_2", "-cert", &certificate, "-key", &key]);
    fleet.node.wait_metric("windrose_dtls_handshakes_total", &["step=\"completed\""], 1.0);
    maker.revoke("car-1");
    fleet.node.write_file("maker.crl", &maker.list());
    fleet.node.signal("HUP");
    // MQTT 5 §3.14.2.1: not authorized any more.
    first.line("it is sent away", |line| line.contains("DISCONNECT (152)"));
    assert!(quiet.wait_for(Duration::from_secs(10)).success(), "it was told: {}", quiet.said());
    assert_ne!(fleet.publish("car-1").code, 0);
    fleet.node.wait_log(&["CN=car-1", "identity.revocation.crl"]);
    fleet.publish("car-2").fine();
    second.line("it is still there", |line| line.contains("PUBLISH"));
}

#[test]
fn a_list_that_cannot_be_believed_changes_nothing() {
    let maker = OpensslAuthority::new(None);
    let one = maker.device("car-1");
    let fleet = Fleet::start(&maker, &[("car-1", &one)], "crl: [maker.crl]");
    let stranger = OpensslAuthority::new(None);
    stranger.device("car-1");
    stranger.revoke("car-1");
    fleet.node.write_file("maker.crl", &stranger.list());
    fleet.node.signal("HUP");
    fleet.node.wait_log(&["maker.crl", "is not signed by CN=Maker"]);
    fleet.publish("car-1").fine();
}

#[test]
fn a_responder_is_asked_and_who_gets_no_answer_is_out() {
    // Not reserved any longer: OpenSSL wants the port of all addresses.
    let port = Port::free().number();
    let maker = OpensslAuthority::new(Some(&format!("http://127.0.0.1:{}", port)));
    let cars = [maker.device("car-1"), maker.device("car-2"), maker.device("car-3")];
    maker.revoke("car-2");
    let mut responder = maker.responder(port);
    let names = ["car-1", "car-2", "car-3"];
    let pairs: Vec<(&str, &Pair)> = names.into_iter().zip(&cars).collect();
    let fleet = Fleet::start(&maker, &pairs, "ocsp: hard");
    responder.line("that it listens", |line| line.starts_with("ACCEPT"));
    let said = fleet.publish("car-1");
    assert_eq!(said.code, 0, "{said:?}\n{}\n{}", fleet.node.log().all().join("\n"), responder.said());
    assert_ne!(fleet.publish("car-2").code, 0);
    fleet.node.wait_log(&["says that the certificate of CN=car-2 was revoked"]);
    responder.signal("KILL");
    responder.wait();
    // What it said holds; what it was not asked does not.
    fleet.publish("car-1").fine();
    assert_ne!(fleet.publish("car-3").code, 0);
    fleet.node.wait_log(&["CN=car-3", "cannot be found out", "ocsp: hard"]);
}
